"""The command `decode`: framings, containers and mistakes, as they are typed."""
import io
import json
import os
import subprocess
import tempfile
import unittest

import fastavro

BINARY = os.environ["PQL_TEST_BINARY"]
SCHEMA = {"type": "record", "name": "Login", "namespace": "acme", "fields": [
    {"name": "user", "type": ["null", "string"]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "context", "type": {"type": "map", "values": "string"}}]}
RECORD = {"user": "ann", "at": 1700000000123, "context": {"device": "{\"os\":{\"name\":\"linux\"}}"}}
PRINTED = dict(RECORD, user={"string": "ann"})


def bare():
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, RECORD)
    return out.getvalue()


def single_object():
    canonical = fastavro.schema.to_parsing_canonical_form(SCHEMA)
    return b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")) + bare()


class Decode(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.schema = self.file("login.avsc", json.dumps(SCHEMA).encode())

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def decode(self, *arguments, given=b""):
        done = subprocess.run([BINARY, "decode", *arguments], input=given, capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def assert_printed(self, framing, *arguments, given=b""):
        code, out, error = self.decode(*arguments, given=given)
        self.assertEqual((code, error), (0, f"framing: {framing}\n"))
        self.assertEqual(json.loads(out), PRINTED)

    def assert_refused(self, code, words, *arguments, given=b""):
        found, out, error = self.decode(*arguments, given=given)
        self.assertEqual((found, out), (code, ""), error)
        self.assertIn(words, error)

    def test_framings(self):
        self.assert_printed("bare", "--schema", self.schema, given=bare())
        self.assert_printed("bare", "--schema", self.schema, self.file("message", bare()))
        self.assert_printed("bare", "--schema", self.schema, "--hex", given=bare().hex(" ").encode() + b"\n")
        self.assert_printed("id 7", "--schema", self.schema, "--framing=prefix", given=b"\0\0\0\0\7" + bare())
        fingerprint = single_object()[9:1:-1].hex()
        self.assert_printed(f"fingerprint {fingerprint}", "--schema", self.schema, given=single_object())

    def test_containers(self):
        out = io.BytesIO()
        fastavro.writer(out, SCHEMA, [RECORD] * 3, codec="deflate")
        for arguments, given in ((["--container"], out.getvalue()), ([self.file("a.avro", out.getvalue())], b"")):
            code, printed, error = self.decode(*arguments, given=given)
            self.assertEqual((code, error), (0, "framing: container, 3 data\n"))
            self.assertEqual([json.loads(line) for line in printed.splitlines()], [PRINTED] * 3)

    def test_fields_as_the_processor_reads_them(self):
        code, out, _ = self.decode("--schema", self.schema, "-f", "at", "-f", "context.device.os.name", "-f",
                                   "context.nobody", given=bare())
        self.assertEqual(code, 0)
        self.assertEqual(json.loads(out), {"at": "2023-11-14T22:13:20.123Z", "context.device.os.name": "linux",
                                           "context.nobody": None})

    def test_a_field_that_cannot_be_there_is_a_mistake(self):
        for field in ("nobody", "users", "context", "at.seconds"):
            self.assert_refused(2, f"the schema has no value at '{field}'; at the top are user, at, context", "--schema",
                                self.schema, "-f", field, given=bare())

    def test_text_of_json(self):
        code, out, error = self.decode(given=b'{"a": {"b":\n 7}}\n')
        self.assertEqual((code, json.loads(out), error), (0, {"a": {"b": 7}}, "framing: json\n"))
        code, out, _ = self.decode("-f", "a.b", given=b'{"a": {"b": 7}}')
        self.assertEqual((code, json.loads(out)), (0, {"a.b": 7}))

    def test_mistakes(self):
        self.assert_refused(2, "the writer's schema is needed: --registry URL for ids, or --schema FILE",
                            given=b"\0\0\0\0\7" + bare())
        self.assert_refused(1, "read as bare Avro, though it may begin with a schema id (--framing prefix): byte ",
                            "--schema", self.schema, given=b"\0\0\0\0\7" + bare())
        self.assert_refused(2, "no framing 'confluent'; known are auto, prefix, single_object, bare", "--framing",
                            "confluent", given=bare())
        self.assert_refused(2, "byte 2 of the input is no hex digit", "--schema", self.schema, "--hex", given=b"00x")
        self.assert_refused(2, "odd number of hex digits", "--schema", self.schema, "--hex", given=b"00 1")
        self.assert_refused(2, "No such file or directory", "--schema", self.schema, os.path.join(self.folder, "none"))
        self.assert_refused(1, "byte 2: a length beyond the end", "--schema", self.schema, given=bare()[:3])
        other = self.file("other.avsc", b'"string"')
        self.assert_refused(2, "other.avsc is another schema: its fingerprint is ", "--schema", other,
                            given=single_object())
        self.assert_refused(1, "no magic byte 00 with a 4-byte schema id", given=b"{")


if __name__ == "__main__":
    unittest.main()
