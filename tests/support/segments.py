"""Damage to a broker's log segments, as a disk does it: one byte of a record's value, with or without the checksum of
its batch being made right again. Format: Kafka's record batch, version 2, uncompressed."""
import glob
import struct

HEADER = struct.Struct(">qiibIhiqqqhii")  # of a batch, from its base offset to the count of its records
CRC_AT, ATTRIBUTES_AT = 17, 21


def crc32c_table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = list(crc32c_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def damage(folder, offset, keep_crc):
    """In the segments of a partition's folder, while the broker is down."""
    for path in sorted(glob.glob(f"{folder}/*.log")):
        with open(path, "rb") as log:
            data = bytearray(log.read())
        at = 0
        while at + HEADER.size <= len(data):
            base, length, *_, attributes, last_delta = HEADER.unpack_from(data, at)[:7]
            end = at + 12 + length
            if base <= offset <= base + last_delta:
                assert not attributes & 7, "the batch is compressed"
                data[middle_of(data, at, end, offset - base)] ^= 0xFF
                if keep_crc:
                    struct.pack_into(">I", data, at + CRC_AT, crc32c(data[at + ATTRIBUTES_AT:end]))
                with open(path, "wb") as log:
                    log.write(data)
                return
            at = end
    raise AssertionError(f"no record {offset} in {folder}")


def varint(data, at):
    shift = value = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value >> 1 ^ -(value & 1), at


def middle_of(data, at, end, delta):
    """The place of a byte in the middle of the record with that offset delta."""
    at += HEADER.size
    while at < end:
        length, start = varint(data, at)
        _, place = varint(data, start + 1)
        found, _ = varint(data, place)
        if found == delta:
            return start + length // 2
        at = start + length
    raise AssertionError("no such record in its batch")
