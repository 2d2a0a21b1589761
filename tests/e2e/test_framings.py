"""Each way in which a message may name its schema, on a real broker; and a restart for which no registry is there."""
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import fastavro
from confluent_kafka import Producer

import client
import scenario
import services

BROKER, REGISTRY = os.environ["PQL_TEST_BROKER"], os.environ["PQL_TEST_REGISTRY"]
STUB = os.path.join(os.path.dirname(services.__file__), "registry_stub.py")
EVENT = {"type": "record", "name": "Event", "namespace": "test", "fields": [
    {"name": "event", "type": "string"}, {"name": "account_id", "type": "string"},
    {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}
# The same, from a producer that never heard of the registry.
OTHER = dict(EVENT, fields=list(reversed(EVENT["fields"])))

CONFIGURATION = """
app = "{app}";
kafka = {{ bootstrap_servers = "{broker}"; }};
registry = {{ url = "{registry}"; }};
inputs = ( {inputs} );
outputs = {{ pql = {{ format = "json"; }}; pqa = {{ format = "json"; }}; state = {{ format = "json"; }};
            alerts = {{ format = "json"; }}; }};
create_topics = true;
replication_factor = 1;
clock = "events";
definitions = ( {{ name = "seen"; subject = "account"; qualify = "count(login, 7d) >= 1"; }} );
"""


def avro(schema, account, second):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, {"event": "login", "account_id": account,
                                             "occurred_at": 1700000000000 + second * 1000})
    return out.getvalue()


class Framings(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name, text=""):
        path = os.path.join(self.folder, name)
        if text:
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
        return path

    def start(self, app, registry, inputs):
        config = self.file(f"{app}.conf", CONFIGURATION.format(app=app, broker=BROKER, registry=registry,
                                                               inputs=", ".join(inputs)))
        program = scenario.Program(["run", "--config", config], self.file(f"{app}.log"))
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program

    def produce(self, topic, account, value, headers=None):
        producer = Producer({"bootstrap.servers": BROKER})
        producer.produce(topic, value, account, headers=headers)
        self.assertEqual(producer.flush(30), 0)

    def wait_for(self, app, program, accounts, seconds=40):
        """Until exactly these accounts have qualified."""
        deadline = time.monotonic() + seconds
        while True:
            program.check_alive()
            found = [json.loads(m.value())["account_id"] for m in self.qualified(app)]
            if len(found) >= len(accounts) or time.monotonic() > deadline:
                self.assertEqual(sorted(found), sorted(accounts), program.log_tail())
                return
            time.sleep(0.2)

    def qualified(self, app):
        try:
            return client.read_committed(BROKER, f"{app}.pqa")
        except KeyError:  # the topic is not made yet
            return []

    def test_every_framing(self):
        app = "framings"
        schema_id = client.register_schema(REGISTRY, "framings-value", EVENT)
        fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(OTHER), "CRC-64-AVRO")
        self.file("other.avsc", json.dumps(OTHER))
        names = ("prefix", "header", "single", "bare")
        client.create_topics(BROKER, 1, *[f"{app}.{name}" for name in names])
        identifier = struct.pack(">I", schema_id)
        self.produce(f"{app}.prefix", "a-prefix", b"\0" + identifier + avro(EVENT, "a-prefix", 1))
        self.produce(f"{app}.header", "a-header", avro(EVENT, "a-header", 2), {"__value_schema_id": b"\0" + identifier})
        self.produce(f"{app}.header", "a-mixed", b"\0" + identifier + avro(EVENT, "a-mixed", 3))
        self.produce(f"{app}.single", "a-single", b"\xc3\x01" + bytes.fromhex(fingerprint) + avro(OTHER, "a-single", 4))
        self.produce(f"{app}.bare", "a-bare", avro(OTHER, "a-bare", 5))
        inputs = [f'{{ topic = "{app}.prefix"; format = "avro"; mapping = "canonical"; framing = "prefix"; }}',
                  f'{{ topic = "{app}.header"; format = "avro"; mapping = "canonical"; framing = "header"; }}',
                  f'{{ topic = "{app}.single"; format = "avro"; mapping = "canonical"; schema = "other.avsc"; }}',
                  f'{{ topic = "{app}.bare"; format = "avro"; mapping = "canonical"; framing = "bare"; '
                  'schema = "other.avsc"; }']
        program = self.start(app, REGISTRY, inputs)
        self.wait_for(app, program, ["a-prefix", "a-header", "a-mixed", "a-single", "a-bare"])
        self.assertEqual(program.stop(), 0)

    def test_a_restart_needs_no_registry_for_schemas_met_before(self):
        app = "reborn"
        stub = subprocess.Popen([sys.executable, STUB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(stub.communicate)  # closes its input, which ends it
        url = f"http://127.0.0.1:{int(stub.stdout.readline())}/ok"
        encode = client.avro_writer(EVENT, client.register_schema(url, "reborn-value", EVENT))
        client.create_topics(BROKER, 1, f"{app}.events")
        inputs = [f'{{ topic = "{app}.events"; format = "avro"; mapping = "canonical"; }}']

        def send(account, second):
            record = {"event": "login", "account_id": account, "occurred_at": 1700000000000 + second * 1000}
            self.produce(f"{app}.events", account, encode(record))

        send("before", 1)
        program = self.start(app, url, inputs)
        self.wait_for(app, program, ["before"])
        self.assertEqual(program.stop(), 0)
        stub.send_signal(signal.SIGSTOP)  # it accepts and never answers
        self.addCleanup(stub.send_signal, signal.SIGCONT)
        send("after", 2)
        program = self.start(app, url, inputs)
        self.wait_for(app, program, ["before", "after"])
        self.assertEqual(program.stop(), 0)


if __name__ == "__main__":
    unittest.main()
