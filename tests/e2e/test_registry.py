"""The registry client against a real registry, through the command that people use to look at a message."""
import io
import json
import os
import struct
import subprocess
import tempfile
import unittest
import urllib.request

import fastavro

import client

BINARY, REGISTRY = os.environ["PQL_TEST_BINARY"], os.environ["PQL_TEST_REGISTRY"]
PLAN = {"type": "enum", "name": "Plan", "namespace": "shared", "symbols": ["FREE", "TEAM"]}


def decode(message, *arguments, registry=REGISTRY):
    with tempfile.NamedTemporaryFile() as file:
        file.write(message)
        file.flush()
        return subprocess.run([BINARY, "decode", "--registry", registry, *arguments, file.name], capture_output=True,
                              timeout=60, check=False, text=True)


class Registry(unittest.TestCase):
    def test_a_message_by_its_id(self):
        schema = {"type": "record", "name": "Signup", "namespace": "acme",
                  "fields": [{"name": "user", "type": "string"}, {"name": "plan", "type": PLAN},
                             {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}
        schema_id = client.register_schema(REGISTRY, "registry-test-value", schema)
        message = client.avro_writer(schema, schema_id)({"user": "ann", "plan": "TEAM", "at": 1700000000123})
        done = decode(message)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), {"user": "ann", "plan": "TEAM", "at": 1700000000123})
        self.assertEqual(done.stderr, f"framing: id {schema_id}\n")
        done = decode(message, "--field", "at", "--field", "plan")
        self.assertEqual(json.loads(done.stdout), {"at": "2023-11-14T22:13:20.123Z", "plan": "TEAM"})

    def test_a_schema_with_references(self):
        client.register_schema(REGISTRY, "registry-plan", PLAN)
        schema = {"type": "record", "name": "Change", "fields": [{"name": "old", "type": ["null", "shared.Plan"]},
                                                                 {"name": "new", "type": "shared.Plan"}]}
        body = json.dumps({"schema": json.dumps(schema), "references": [
            {"name": "shared.Plan", "subject": "registry-plan", "version": 1}]}).encode()
        request = urllib.request.Request(f"{REGISTRY}/subjects/registry-change-value/versions", body,
                                         {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            schema_id = json.load(answer)["id"]
        out, named = io.BytesIO(), {}
        fastavro.parse_schema(PLAN, named)
        fastavro.schemaless_writer(out, fastavro.parse_schema(schema, named), {"old": "FREE", "new": "TEAM"})
        done = decode(b"\0" + struct.pack(">I", schema_id) + out.getvalue())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), {"old": {"Plan": "FREE"}, "new": "TEAM"})

    def test_an_unknown_id(self):
        done = decode(b"\0\x7f\xff\xff\xfe\x02")
        self.assertEqual(done.returncode, 1)
        self.assertIn("pqlstream decode: schema id 2147483646: ", done.stderr)
        self.assertIn("error_code 40403", done.stderr)

    def test_a_url_without_the_base_path(self):
        done = decode(b"\0\0\0\0\1\x02", registry=REGISTRY.split("/apis/")[0])
        self.assertEqual(done.returncode, 1)
        self.assertIn("check the path in registry.url", done.stderr)

    def test_what_writers_call_otherwise_is_resolved_to_the_readers_schema(self):
        """replay of a container whose fields have older names, and lack one that has a default."""
        written = {"type": "record", "name": "Event", "fields": [
            {"name": "org", "type": "string"}, {"name": "event", "type": "string"}, {"name": "at", "type": "int"}]}
        expected = {"type": "record", "name": "Event", "fields": [
            {"name": "account_id", "type": "string", "aliases": ["org"]}, {"name": "event", "type": "string"},
            {"name": "occurred_at", "type": "long", "aliases": ["at"]},
            {"name": "type", "type": "string", "default": "track"}]}
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "event.avsc"), "w", encoding="utf-8") as out:
                json.dump(expected, out)
            with open(os.path.join(folder, "events.avro"), "wb") as out:
                fastavro.writer(out, written, [{"org": "acme", "event": "login", "at": 1000 + i} for i in range(3)])
            with open(os.path.join(folder, "test.conf"), "w", encoding="utf-8") as out:
                out.write("""app = "reader"; kafka = { bootstrap_servers = "127.0.0.1:1"; };
                    registry = { url = "http://127.0.0.1:1"; };
                    inputs = ( { topic = "events"; format = "avro"; mapping = "canonical";
                                 reader_schema = "event.avsc"; } );
                    definitions = ( { name = "busy"; subject = "account"; qualify = "count(login, 7d) >= 3"; } );""")
            done = subprocess.run([BINARY, "replay", "--config", os.path.join(folder, "test.conf"),
                                   os.path.join(folder, "events.avro")], capture_output=True, timeout=60, check=False,
                                  text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(r["account_id"], r["transition"], r["occurred_at"]) for r in records],
                         [("acme", "entered", "1970-01-01T00:00:01.002Z")])


if __name__ == "__main__":
    unittest.main()
