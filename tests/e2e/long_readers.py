"""The output topics as others read them: three readers in three languages, which share no code, print the same records, and the
schemas that were released and those of today may follow each other in the registry, both ways."""
import copy
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

import client
import scenario
from dataset import START, attributes, track
from oracle import DAY

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
READERS = os.path.join(ROOT, "tests", "readers")
SCHEMAS = os.path.join(ROOT, "schemas")
REGISTRY = os.environ["PQL_TEST_REGISTRY"]
TOPICS = ("pql", "pqa", "state", "alerts", "shadow", "dlq")

DEFINITIONS = """
  { name = "inviter"; subject = "user"; alert = true; qualify = "count(invite_sent, 7d) >= 2 and latest(invite_sent.role) != 'guest'";
    include_attributes = [ "user.role", "user.naïve" ]; context = [ "sum(invite_sent.seats, 7d)" ]; routes = "sdr"; publish = { missed = true; }; },
  { name = "heat"; subject = "account"; qualify = "score >= 10"; publish = { min_delta = 0.5; };
    score = ( { points = 10; per = "count(report_run, 30d)"; half_life = "9d"; } ); tiers = ( { name = "hot"; at = 30; }, { name = "warm"; at = 10; } ); },
  { name = "called"; subject = "user"; alert = true; qualify = "ever(demo_asked)"; sla = "2h"; acknowledge_on = [ "contacted" ]; },
  { name = "teams"; subject = "account"; qualify = "share(count(invite_sent, 7d) >= 1) >= 0.5 and members() >= 2"; },
  { name = "welcomed"; subject = "user"; qualify = "count(invite_sent, first 7d) >= 3"; publish = { missed = true; }; },
  { name = "eager"; subject = "user"; mode = "shadow"; qualify = "count(invite_sent, 7d) >= 1"; }
"""
ODD = ('quote " back \\ slash / tab \t', "größe ☃ 🦉", "percent % and control \x01", "plain")


def events():
    for n, name in enumerate(ODD):
        account = f"acct {name}"
        yield attributes(f"a{n}", name, account, START + n, {"role": name, "naïve": None})
        for i in range(40):
            at = START + n + i * 7 * 3600000
            yield track(f"i{n}:{i}", "invite_sent", name, account, at, {"role": "guest" if i % 7 == 6 else name, "seats": i / 3})
            yield track(f"r{n}:{i}", "report_run", f"{name}2", account, at, {})
        yield track(f"d{n}", "demo_asked", name, account, START + n + 11 * DAY, {})
    for n in range(2):
        yield {"type": "clock", "message_id": f"c{n}", "occurred_at": START + (20 + 60 * n) * DAY}
    yield {"type": "forget", "message_id": "f", "user_id": ODD[3], "account_id": f"acct {ODD[3]}", "occurred_at": START + 81 * DAY}


def printed(command, topics):
    done = subprocess.run([*command, os.environ["PQL_TEST_BROKER"], REGISTRY, *topics], capture_output=True, timeout=300, check=False,
                          env=dict(os.environ, NODE_PATH=os.path.join(os.environ["PQL_TEST_NODE"], "node_modules"),
                                   KAFKAJS_NO_PARTITIONER_WARNING="1"))
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {done.returncode}:\n{done.stderr.decode()[-4000:]}")
    return sorted(done.stdout.decode("ascii").splitlines())


class Readers(unittest.TestCase):
    def test_three_readers_read_the_same(self):
        with tempfile.TemporaryDirectory() as directory:
            registered = " ".join(f'{name} = {{ format = "avro"; schema = "register"; }};' for name in TOPICS if name != "dlq")
            job = scenario.Scenario("readers", directory, input_format="json", definitions=DEFINITIONS, outputs=registered,
                                    settings='lateness = "0s"; alert_max_age = "36500d"; tombstones = true;')
            job.create_input()
            program = job.run()
            self.addCleanup(lambda: program.process.poll() is None and program.kill())
            job.produce(events())
            client.produce(job.broker, job.topic, [(0, b"key", b"nothing of ours"), (1, None, b"\0\1\2")])
            job.wait_done(program, 240)
            self.assertEqual(program.stop(), 0)
            records = job.records(("pql", "pqa", "alerts", "shadow"))
        topics = [f"readers.{name}" for name in TOPICS]
        java = os.path.join(os.environ["PQL_TEST_CONNECT"], "*")
        by_python = printed([sys.executable, os.path.join(READERS, "read_topics.py")], topics)
        by_node = printed(["node", os.path.join(READERS, "read_topics.js")], topics)
        by_java = printed(["java", "-cp", java, os.path.join(READERS, "ReadTopics.java")], topics)
        for line in [line for line in by_python if line not in set(by_node) or line not in set(by_java)][:1]:
            self.fail(f"not the same by all:\n{line}\n" + "\n".join(x for x in by_node + by_java if x.split()[:3] == line.split()[:3]))
        self.assertEqual(by_node, by_python)
        self.assertEqual(by_java, by_python)
        lines = {name: [line for line in by_python if line.startswith(f"readers.{name} ")] for name in TOPICS}
        for name, found in records.items():
            self.assertEqual(len(lines[name]), len(found))
        self.assertEqual(len(lines["dlq"]), 2)
        self.assertTrue(any(line.endswith(" null") for line in lines["state"]), "no null value of what was erased")
        self.assertEqual({r["transition"] for topic in ("pql", "pqa") for r in records[topic]},
                         {"entered", "left", "tier_changed", "missed", "sla_breached"})
        self.assertTrue(any('"score_changed"' in line for line in lines["state"]))
        self.assertTrue(any(r["share"] not in (None, 1) or r["score"] not in (None, int(r["score"])) for r in records["pqa"]))


# --- schemas ---


def ask(method, path, body=None):
    """(status, answer) of the registry."""
    request = urllib.request.Request(REGISTRY + path, body and json.dumps(body).encode(), {"Content-Type": "application/vnd.schemaregistry.v1+json"},
                                     method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def as_json(path):
    with open(path, encoding="utf-8") as text:
        return json.load(text)


def field(schema, name):
    return next(f for f in schema["fields"] if f["name"] == name)


class Compatibility(unittest.TestCase):
    def may_follow(self, subject, level, schema):
        status, answer = ask("PUT", f"/config/{subject}", {"compatibility": level})
        self.assertEqual(status, 200, answer)
        status, answer = ask("POST", f"/compatibility/subjects/{subject}/versions/latest", {"schema": json.dumps(schema)})
        self.assertEqual(status, 200, answer)
        return answer["is_compatible"]

    def test_todays_schemas_follow_the_released_ones(self):
        for name in ("qualification", "product_event"):
            today = as_json(os.path.join(SCHEMAS, name, "v1.avsc"))
            released = sorted(glob.glob(os.path.join(SCHEMAS, name, "released", "*.avsc")))
            self.assertTrue(released, f"no released schema of {name} is kept")
            for n, path in enumerate(released):
                subject = f"released-{name}-{n}"
                client.register_schema(REGISTRY, subject, as_json(path))
                for level in ("BACKWARD", "FORWARD", "FULL"):
                    self.assertTrue(self.may_follow(subject, level, today), f"{level}: {path}")

    def test_the_registry_would_refuse_what_breaks_readers(self):
        """That the check above can fail: changes that are allowed, by level, to one or the other side."""
        released = as_json(sorted(glob.glob(os.path.join(SCHEMAS, "qualification", "released", "*.avsc")))[-1])
        client.register_schema(REGISTRY, "released-changed", released)
        optional, required, removed, retyped = (copy.deepcopy(released) for _ in range(4))
        optional["fields"].append({"name": "new", "type": ["null", "string"], "default": None})
        required["fields"].append({"name": "new", "type": "string"})
        removed["fields"].remove(field(removed, "version"))
        field(retyped, "qualification_count")["type"] = "string"
        for schema, backward, forward in ((optional, True, True), (required, False, True), (removed, True, False), (retyped, False, False)):
            self.assertEqual(self.may_follow("released-changed", "BACKWARD", schema), backward)
            self.assertEqual(self.may_follow("released-changed", "FORWARD", schema), forward)

    def test_a_registry_that_insists_takes_what_the_program_registers(self):
        """Over the released schema of an earlier program, in a registry whose rule is FULL."""
        for suffix in TOPICS[:4]:
            subject = f"strict.{suffix}-value"
            client.register_schema(REGISTRY, subject, as_json(sorted(glob.glob(os.path.join(SCHEMAS, "qualification", "released", "*.avsc")))[-1]))
            self.assertEqual(ask("PUT", f"/config/{subject}", {"compatibility": "FULL"})[0], 200)
        with tempfile.TemporaryDirectory() as directory:
            registered = " ".join(f'{name} = {{ format = "avro"; schema = "register"; }};' for name in TOPICS[:4])
            job = scenario.Scenario("strict", directory, input_format="json", outputs=registered, settings='lateness = "0s";',
                                    definitions='{ name = "inviter"; subject = "user"; qualify = "count(invite_sent, 7d) >= 1"; }')
            job.create_input()
            program = job.run()
            self.addCleanup(lambda: program.process.poll() is None and program.kill())
            job.produce([track("i", "invite_sent", "u", "a", START, {})])
            job.wait_done(program, 240)
            self.assertEqual(program.stop(), 0)
            self.assertEqual(len(job.records(("pql",))["pql"]), 1)


if __name__ == "__main__":
    unittest.main()
