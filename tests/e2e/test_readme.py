#!/usr/bin/env python3
"""README.md, "Connect it to your Kafka": its files and commands as a new user takes them, against the real broker.
Changed are only the broker's address, the names of topics, and that the input topic is created first."""
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import client  # noqa: E402
import services  # noqa: E402

BROKER = os.environ["PQL_TEST_BROKER"]


def blocks(kind):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
        found = re.findall(rf"^( *)```{kind}\n(.*?)^\1```$", readme.read(), re.M | re.S)
    return ["\n".join(line[len(indent):] for line in text.split("\n")) for indent, text in found]


class Readme(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        first, connect = blocks("conf")
        text = first.replace('"acme"', '"readme"').replace('"product-events"', '"readme.events"')
        text += connect.replace("localhost:9092", BROKER)
        with open(os.path.join(self.folder.name, "first.conf"), "w", encoding="utf-8") as out:
            out.write(text)
        self.events = [json.loads(line) for line in blocks("json")[0].splitlines()]

    def start(self, command):
        words = shlex.split(command)
        self.assertEqual(words[0], "pqlstream")
        return subprocess.Popen([os.environ["PQL_TEST_BINARY"], *words[1:]], cwd=self.folder.name, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                preexec_fn=services.end_with_parent)

    def do(self, command):
        process = self.start(command)
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, output)
        return output

    def records(self, topic, count, process, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            found = client.read_committed(BROKER, topic)
            if len(found) >= count or time.monotonic() > deadline:
                return [json.loads(message.value()) for message in found]
            if process.poll() is not None:
                self.fail(process.stdout.read())
            time.sleep(0.3)

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=40)
        self.assertEqual(process.returncode, 0, output)

    def test_steps(self):
        check, topics, run = (block.strip() for block in blocks("sh"))
        self.assertIn("2 definitions, no errors", self.do(check))
        self.do(topics + " --input-partitions 4")
        messages = [(client.partition_of(e["account_id"], 4), e["account_id"], json.dumps(e).encode()) for e in self.events]
        process = self.start(run)
        client.produce(BROKER, "readme.events", messages)
        users = self.records("readme.pql", 1, process)
        self.end(process)
        self.assertEqual([(r["definition"], r["user_id"], r["transition"]) for r in users], [("inviter", "ann", "entered")])
        process = self.start(run)
        teams = self.records("readme.pqa", 1, process)
        self.end(process)
        self.assertEqual([(r["definition"], r["account_id"], r["transition"]) for r in teams],
                         [("active_team", "A-1", "entered")])
        again = [json.loads(m.value())["event_id"] for t in ("readme.pql", "readme.pqa") for m in client.read_committed(BROKER, t)]
        self.assertEqual(len(again), len(set(again)))


if __name__ == "__main__":
    unittest.main()
