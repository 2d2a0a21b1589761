"""An independent Kafka and Avro client for the tests: nothing here shares code with the program under test.

Topics, paced and transactional producing, and a reader of what is committed, on confluent-kafka and fastavro.
"""
import io
import json
import socket
import struct
import time
import urllib.request

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def murmur2(data):
    """Kafka's 32-bit murmur2, as the Java client's default partitioner uses it."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = (k * m) & mask
        k ^= k >> 24
        h = ((h * m) & mask) ^ ((k * m) & mask)
    tail = data[whole:]
    if tail:
        h = ((h ^ int.from_bytes(tail, "little")) * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


def partition_of(key, partitions):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def create_topics(broker, partitions, *names, config=None):
    admin = AdminClient({"bootstrap.servers": broker})
    topics = [NewTopic(name, partitions, config=config or {}) for name in names]  # as many copies as the broker says
    for future in admin.create_topics(topics).values():
        future.result(30)


def register_schema(registry, subject, schema):
    """Registers an Avro schema (a dict) and returns its id."""
    body = json.dumps({"schema": json.dumps(schema)}).encode()
    request = urllib.request.Request(f"{registry}/subjects/{subject}/versions", body,
                                     {"Content-Type": "application/vnd.schemaregistry.v1+json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["id"]


def avro_writer(schema, schema_id):
    """A function from a record to its bytes: magic byte, registry id, Avro."""
    parsed, prefix = fastavro.parse_schema(schema), b"\0" + struct.pack(">I", schema_id)

    def write(record):
        out = io.BytesIO()
        out.write(prefix)
        fastavro.schemaless_writer(out, parsed, record)
        return out.getvalue()

    return write


class AvroReader:
    """Decodes messages framed with a registry id."""

    def __init__(self, registry):
        self.registry, self.schemas = registry, {}

    def __call__(self, data):
        (schema_id,) = struct.unpack(">I", data[1:5])
        if schema_id not in self.schemas:
            with urllib.request.urlopen(f"{self.registry}/schemas/ids/{schema_id}", timeout=10) as answer:
                self.schemas[schema_id] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        return fastavro.schemaless_reader(io.BytesIO(data[5:]), self.schemas[schema_id])


class Pace:
    """Sleeps so that steps come at `rate` a second; None: as fast as possible."""

    def __init__(self, rate):
        self.rate, self.started, self.steps = rate, time.monotonic(), 0

    def step(self):
        self.steps += 1
        if self.rate:
            ahead = self.steps / self.rate - (time.monotonic() - self.started)
            if ahead > 0.005:
                time.sleep(ahead)


def produce(broker, topic, messages, *, rate=None, transactional_id=None, commit=True):
    """Sends (partition, key, value) in order; in one transaction if an id is given, committed or aborted."""
    config = {"bootstrap.servers": broker, "enable.idempotence": True, "linger.ms": 5,
              "queue.buffering.max.messages": 1000000}
    if transactional_id:
        config["transactional.id"] = transactional_id
    failed = []

    def report(error, _message):
        if error and not (transactional_id and not commit):
            failed.append(error)

    producer, pace = Producer(config), Pace(rate)
    if transactional_id:
        producer.init_transactions(30)
        producer.begin_transaction()
    for partition, key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key, partition, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        pace.step()
    if producer.flush(60):
        raise RuntimeError(f"{topic}: not everything was delivered in 60 s")
    if transactional_id:
        (producer.commit_transaction if commit else producer.abort_transaction)(30)
    if failed:
        raise RuntimeError(f"{topic}: {len(failed)} not delivered: {failed[0]}")


def partitions_of(broker, topic):
    metadata = AdminClient({"bootstrap.servers": broker}).list_topics(topic, 10)
    return sorted(metadata.topics[topic].partitions)


def read_committed(broker, topic, seconds=60, waits=True):
    """Every committed message of a topic up to its present end, partition by partition in order of offset. The end of a
    transaction that is under way there, be its process alive or dead, is waited for, unless waits is false."""
    ends = end_offsets(broker, topic, "read_uncommitted" if waits else "read_committed")
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "independent-reader", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True,
                         "auto.offset.reset": "earliest"})
    open_partitions = set(ends)
    consumer.assign([TopicPartition(topic, p, 0) for p in open_partitions])
    messages, deadline = [], time.monotonic() + seconds
    while open_partitions:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{topic}: not read to its end in {seconds} s")
        for message in consumer.consume(10000, 0.2):
            if message.error() is None:
                messages.append(message)
            elif message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            elif message.offset() >= ends[message.partition()]:
                open_partitions.discard(message.partition())
    consumer.close()
    places = {(m.partition(), m.offset()) for m in messages}
    if len(places) != len(messages):
        raise RuntimeError(f"{topic}: the reader itself gave {len(messages) - len(places)} messages twice")
    return sorted(messages, key=lambda m: (m.partition(), m.offset()))


def committed_offsets(broker, group, topic):
    """{partition: committed offset} of a group, without joining it and without waiting for offsets of a transaction that
    is still open; -1001 where there is none."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": group, "enable.auto.commit": False,
                         "isolation.level": "read_uncommitted"})
    try:
        found = consumer.committed([TopicPartition(topic, p) for p in partitions_of(broker, topic)], 10)
        return {tp.partition: tp.offset for tp in found}
    finally:
        consumer.close()


def delete_offsets(broker, group, topic, partitions):
    """Deletes a group's offsets of one topic, by the bare request (OffsetDelete v0): the client has no call for it."""
    def text(value):
        return struct.pack(">h", len(value)) + value.encode()

    body = text(group) + struct.pack(">i", 1) + text(topic) + struct.pack(">i", len(partitions))
    body += b"".join(struct.pack(">i", p) for p in partitions)
    request = struct.pack(">hhi", 47, 0, 1) + text("tests") + body
    host, port = broker.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            (size,) = struct.unpack(">i", answers.read(4))
            answer = answers.read(size)
    (error,) = struct.unpack_from(">h", answer, 4)
    if error:
        raise RuntimeError(f"offsets of {topic} not deleted: error {error}")


def end_offsets(broker, topic, isolation="read_committed"):
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "independent-reader", "isolation.level": isolation})
    try:
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), 10)[1] for p in partitions_of(broker, topic)}
    finally:
        consumer.close()
