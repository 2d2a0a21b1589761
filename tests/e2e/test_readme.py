"""README.md as a new user follows it: its files and commands, taken from the text, on a fresh broker and registry."""
import json
import os
import re
import shlex
import subprocess
import tempfile
import time
import unittest

import client
import scenario

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BROKER, REGISTRY = os.environ["PQL_TEST_BROKER"], os.environ["PQL_TEST_REGISTRY"]

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
    TEXT = readme.read()


def section(title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## )", TEXT, re.S | re.M).group(1)


def blocks(text, language):
    """The fenced blocks of a language, without the indentation that a list gives them."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.S | re.M)
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in found]


FIRST, CONNECT = section("A first configuration"), section("Connect it to your Kafka")
EVENTS = [json.loads(line) for line in blocks(FIRST, "json")[0].splitlines()]


class Readme(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as out:
            out.write(text)

    def arguments(self, command):
        words = shlex.split(command)
        self.assertEqual(words[0], "pqlstream")
        return words[1:]

    def pqlstream(self, *arguments):
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], *arguments], cwd=self.directory, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_first_configuration_over_a_file(self):
        self.write("first.conf", blocks(FIRST, "conf")[0])
        self.write("events.jsonl", blocks(FIRST, "json")[0])
        shown = re.search(r"pqlstream replay [^|]*\|\n.*?\n\n(.*?)\n\n", FIRST, re.S).group(1)
        command = re.search(r"(pqlstream replay [^|]*)\|", FIRST).group(1)
        records = [json.loads(line) for line in self.pqlstream(*self.arguments(command)).splitlines()]
        fields = ("definition", "account_id", "user_id", "transition", "reason", "occurred_at")
        self.assertEqual([[r[f] for f in fields if r.get(f)] for r in records],
                         [line.split() for line in shown.splitlines()])

    def test_judging_a_definition(self):
        """Every command of the section prints a report."""
        self.write("first.conf", blocks(FIRST, "conf")[0])
        self.write("other.conf", blocks(FIRST, "conf")[0].replace(">= 2\"; },", ">= 1\"; },"))
        self.write("events.jsonl", blocks(FIRST, "json")[0])
        commands = blocks(section("Judge a definition before it runs"), "sh")[0].splitlines()
        reports = [self.pqlstream(*self.arguments(command)) for command in commands]
        for part, report in zip(("50.0 %", "qualified at 2026-03-02T10:30:00.000Z", "count(invite_sent, 7d): 2",
                                 "1 later by first.conf", "precision", "which users qualify"), reports, strict=True):
            self.assertIn(part, report)

    def steps(self, config, topic, encode):
        """The numbered steps: check, topics, run, events from elsewhere, Ctrl-C, run again."""
        self.write("first.conf", config)
        check, topics, run = (self.arguments(text) for text in blocks(CONNECT, "sh"))
        self.pqlstream(*check)
        self.pqlstream(*topics, "--input-partitions", "4")
        client.produce(BROKER, topic, [(client.partition_of(e["account_id"], 4), e["account_id"], encode(e))
                                       for e in EVENTS])
        run[run.index("first.conf")] = os.path.join(self.directory, "first.conf")
        app = topic.split(".")[0]
        for _ in range(2):
            program = scenario.Program(run, os.path.join(self.directory, "log"))
            self.addCleanup(lambda p=program: p.process.poll() is None and p.kill())
            deadline = time.monotonic() + 60
            while sum(len(client.read_committed(BROKER, f"{app}.{s}")) for s in ("pql", "pqa")) < 2:
                program.check_alive()
                self.assertLess(time.monotonic(), deadline, program.log_tail())
                time.sleep(0.3)
            self.assertEqual(program.stop(), 0, program.log_tail())
        decode = client.AvroReader(REGISTRY)
        records = [decode(m.value()) if m.value()[:1] == b"\0" else json.loads(m.value())
                   for s in ("pql", "pqa") for m in client.read_committed(BROKER, f"{app}.{s}")]
        self.assertEqual([(r["definition"], r["account_id"], r["user_id"], r["transition"]) for r in records],
                         [("inviter", "A-1", "ann", "entered"), ("active_team", "A-1", None, "entered")])

    def config(self, app, *more):
        text = blocks(FIRST, "conf")[0].replace('"acme"', f'"{app}"').replace("product-events", f"{app}.events")
        return text + "\n".join([*blocks(CONNECT, "conf"), *more]).replace("localhost:9092", BROKER)

    def test_connect_it_to_your_kafka(self):
        self.steps(self.config("readme"), "readme.events", lambda event: json.dumps(event).encode())

    def test_connect_it_with_avro(self):
        lines = re.search(r'^ {4}(registry = .*?\}; \};)$', CONNECT, re.S | re.M).group(1)
        config = self.config("readme-avro", lines.replace("http://localhost:8081", REGISTRY))
        schema = {"type": "record", "name": "event", "fields": [
            {"name": name, "type": "string"} for name in ("event", "event_id", "account_id", "user_id", "occurred_at")]}
        schema_id = client.register_schema(REGISTRY, "readme-avro.events-value", schema)
        self.steps(config.replace('format = "json"', 'format = "avro"'), "readme-avro.events",
                   client.avro_writer(schema, schema_id))


if __name__ == "__main__":
    unittest.main()
