"""README.md as a new user follows it, on a fresh broker: its files and commands, and events once it runs; then with Avro, as
conf/README.md says."""
import json
import os
import tempfile
import time
import unittest

import client
import pages
import scenario

BROKER, REGISTRY = os.environ["PQL_TEST_BROKER"], os.environ["PQL_TEST_REGISTRY"]
FILES = {block.note: block.body for block in pages.blocks("README.md") if block.use()[0] == "file"}
EVENTS = [json.loads(line) for line in FILES["events.jsonl"].splitlines()]


class Readme(unittest.TestCase):
    def produce(self, topic, encode):
        client.produce(BROKER, topic, [(client.partition_of(e["account_id"], 4), e["account_id"], encode(e)) for e in EVENTS])

    def wait_for_records(self, app, is_alive, said):
        deadline = time.monotonic() + 60
        while sum(len(client.read_committed(BROKER, f"{app}.{s}")) for s in ("pql", "pqa")) < 2:
            is_alive()
            self.assertLess(time.monotonic(), deadline, said())
            time.sleep(0.3)
        decode = client.AvroReader(REGISTRY)
        records = [decode(m.value()) if m.value()[:1] == b"\0" else json.loads(m.value())
                   for s in ("pql", "pqa") for m in client.read_committed(BROKER, f"{app}.{s}")]
        self.assertEqual([(r["definition"], r["account_id"], r["user_id"], r["transition"]) for r in records],
                         [("inviter", "A-1", "ann", "entered"), ("active_team", "A-1", None, "entered")])

    def test_as_it_stands(self):
        replace = {"localhost:9092": BROKER, '"acme"': '"readme"', "product-events": "readme.events"}
        run = pages.Run("README.md", os.environ["PQL_TEST_BINARY"], replace)
        try:
            for block in pages.blocks(run.page):
                run.step(block)
                if block.use()[0] == "background":
                    self.produce("readme.events", lambda event: json.dumps(event).encode())
                    self.wait_for_records("readme", lambda: self.assertIsNone(run.running[-1][2].poll(), run.logs()), run.logs)
        finally:
            run.end()
        self.assertGreater(run.ran, 2)

    def test_with_avro(self):
        """The first definitions of README.md under the settings that conf/README.md has for Avro."""
        (avro,) = [block.body for block in pages.blocks(os.path.join("conf", "README.md")) if block.note == "avro.conf"]
        definitions = FILES["first.conf"][FILES["first.conf"].index("mappings"):]
        config = avro[:avro.index("definition_files")].replace('"avro"; }', '"avro"; mapping = "own"; }') + definitions
        for shown, here in {'"acme"': '"readme-avro"', "product-events": "readme-avro.events", "localhost:9092": BROKER,
                            "http://localhost:8081": REGISTRY}.items():
            config = config.replace(shown, here)
        client.create_topics(BROKER, 4, "readme-avro.events")
        schema = {"type": "record", "name": "event", "fields": [
            {"name": name, "type": "string"} for name in ("event", "event_id", "account_id", "user_id", "occurred_at")]}
        schema_id = client.register_schema(REGISTRY, "readme-avro.events-value", schema)
        self.produce("readme-avro.events", client.avro_writer(schema, schema_id))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "avro.conf")
            with open(path, "w", encoding="utf-8") as out:
                out.write(config + "create_topics = true; replication_factor = 1;\n")
            for _ in range(2):  # stopped and started again: nothing comes twice
                program = scenario.Program(["run", "--config", path], os.path.join(folder, "log"))
                self.addCleanup(lambda p=program: p.process.poll() is None and p.kill())
                self.wait_for_records("readme-avro", program.check_alive, program.log_tail)
                self.assertEqual(program.stop(), 0, program.log_tail())


if __name__ == "__main__":
    unittest.main()
