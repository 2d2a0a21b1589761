"""conf/operations.md, kept true: its commands are run in its order on a state that needs them, and what it says that the
log says is what the program can say."""
import glob
import json
import os
import re
import shlex
import subprocess
import tempfile
import time
import unittest

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

import client
import pages
import scenario

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BROKER = os.environ["PQL_TEST_BROKER"]
CONFIG = f"""
app = "acme"; replication_factor = 1;
kafka = {{ bootstrap_servers = "{BROKER}"; }};
inputs = ( {{ topic = "product-events"; format = "json"; }} );
definitions = ( {{ name = "d"; subject = "account"; qualify = "count(any, 7d) >= 2"; }} );
"""

PAGE = os.path.join("conf", "operations.md")
TEXT = pages.read(PAGE)


def commands():
    """Of the blocks that run and of the text, in order."""
    left_out = {block.line for block in pages.blocks(PAGE) if block.use()[0] == "not run"}
    found = []
    for match in re.finditer(r"^```sh[^\n]*\n(.*?)^```$|`(pqlstream [^`]+)`", TEXT, re.S | re.M):
        if TEXT.count("\n", 0, match.start()) + 1 not in left_out:
            found += match.group(1).splitlines() if match.group(1) else [match.group(2).replace("\n", " ")]
    return found


def messages_of_the_program():
    """All texts of the sources; literals that follow each other are one."""
    texts = []
    for path in glob.glob(os.path.join(ROOT, "processor", "**", "*.c"), recursive=True):
        with open(path, encoding="utf-8") as source:
            text = re.sub(r'"\s*(?:PRI\w+\s*)?"', "", source.read())
        texts += re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)
    return "\n".join(texts)


class Operations(unittest.TestCase):
    def test_causes_are_those_of_the_program(self):
        known = messages_of_the_program()
        table = re.search(r"^\| the cause says .*?\n\n", TEXT, re.S | re.M).group(0)
        phrases = [phrase for row in table.strip().splitlines()[2:] for phrase in re.findall(r"`([^`]+)`", row.split("|")[1])]
        self.assertGreater(len(phrases), 13)
        for phrase in phrases:
            for part in re.split(r"…|\bid 7\b", phrase):
                self.assertTrue(part.strip() in known, part)

    def test_every_command(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        with open(os.path.join(self.folder, "acme.conf"), "w", encoding="utf-8") as out:
            out.write(CONFIG)
        self.pqlstream("topics --config acme.conf --create --input-partitions 4")
        event = {"type": "track", "event": "login", "user_id": "u", "occurred_at": "2026-03-01T09:00:00Z"}
        good = [(client.partition_of(account, 4), account, json.dumps(dict(event, account_id=account, message_id=f"{account}{n}")).encode())
                for account in map(str, range(20)) for n in range(2)]
        client.produce(BROKER, "product-events", [*good, (0, "x", b"{junk")])
        self.run_to_end()
        before = {r["event_id"] for r in self.records()}
        self.assertEqual(len(before), 20)
        said = {}
        for command in commands():
            if command.startswith("pqlstream checkpoint adopt"):
                self.reset_offsets()
            said[command] = self.pqlstream(command.removeprefix("pqlstream "))
        said = {re.sub(r" --config acme.conf", "", command.removeprefix("pqlstream ")): out for command, out in said.items()}
        self.assertIn("kafka-acls.sh", said["topics --print --principal User:pqlstream"])
        self.assertEqual(said["topics --verify"], "all topics are there and fit\n")
        self.assertEqual(said["checkpoint verify"].count(": whole; "), 4)
        self.assertEqual(said["replay --from-kafka --since 30d"].count("\n"), 20)
        self.assertIn("bad_json", said["dlq list --since 1d"])
        self.assertIn('"value": "{junk"', said["dlq show --reason bad_json --values"])
        self.assertEqual(json.loads(said["decode --topic product-events --partition 0 --offset 0"])["value"]["event"], "login")
        self.assertEqual(said["checkpoint adopt --yes"].count("goes on from product-events@"), 4)
        self.assertEqual(said["replay sample.jsonl"].count("\n"), 20)
        self.assertEqual(len(said), 16)
        self.run_to_end()  # after forget: from the beginning, the same records
        self.assertEqual({r["event_id"] for r in self.records()}, before)
        self.assertEqual(len(self.records()), 40)

    def pqlstream(self, arguments):
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], *shlex.split(arguments)], cwd=self.folder,
                              capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stdout}{done.stderr}")
        return done.stdout

    def records(self):
        return [json.loads(m.value()) for m in client.read_committed(BROKER, "acme.pqa")]

    def run_to_end(self):
        config = os.path.join(self.folder, "acme.conf")
        program = scenario.Program(["run", "--config", config], os.path.join(self.folder, "log"))
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        ends = client.end_offsets(BROKER, "product-events")
        deadline = time.monotonic() + 60
        while client.committed_offsets(BROKER, "acme", "product-events") != ends:
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, program.log_tail())
            time.sleep(0.3)
        self.assertEqual(program.stop(), 0, program.log_tail())

    @staticmethod
    def reset_offsets():
        positions = [TopicPartition("product-events", partition, 0) for partition in range(4)]
        admin = AdminClient({"bootstrap.servers": BROKER})
        asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions("acme", positions)])
        for answer in asked.values():
            answer.result(20)


if __name__ == "__main__":
    unittest.main()
