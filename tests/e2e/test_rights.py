"""A broker that asks who may do what: each right that is missing is refused at the start, named with what grants it;
one that is taken away later stops a running program in the same words, whichever delivery it promises."""
import json
import os
import subprocess
import tempfile
import time
import unittest

import client
import scenario
import services
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient,
                                   ResourcePatternType, ResourceType)

SETTINGS = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""

CONFIGURATION = """
app = "guarded"; instance = "one";
kafka = {{ bootstrap_servers = "{broker}"; }};
replication_factor = 1;
delivery = "{delivery}";
inputs = ( {{ topic = "events"; format = "json"; mapping = "canonical"; }} );
definitions = ( {{ name = "d"; subject = "account"; qualify = "count(any, 7d) >= 2"; }} );
"""

# resource, name, operation denied, what the refusal must say
RIGHTS = [
    (ResourceType.TOPIC, "events", AclOperation.READ, ["events", "--operation Read --topic events"]),
    (ResourceType.TOPIC, "guarded.pqa", AclOperation.WRITE, ["guarded.pqa", "--operation Write --topic guarded.pqa"]),
    (ResourceType.TOPIC, "guarded.checkpoint", AclOperation.DESCRIBE, ["--topic guarded.checkpoint"]),
    (ResourceType.GROUP, "guarded", AclOperation.READ, ["--operation Read --group guarded"]),
    (ResourceType.TRANSACTIONAL_ID, "guarded-one", AclOperation.WRITE, ["--transactional-id guarded-"]),
]


# taken away while the program runs: the same, and for which delivery
TAKEN = [
    (ResourceType.TOPIC, "guarded.pqa", AclOperation.WRITE, "--topic guarded.pqa", "exactly_once"),
    (ResourceType.TOPIC, "guarded.state", AclOperation.WRITE, "--operation Write --topic guarded.state", "at_least_once"),
    (ResourceType.TOPIC, "events", AclOperation.READ, "--operation Read --topic events", "exactly_once"),
    (ResourceType.GROUP, "guarded", AclOperation.READ, "--operation Read --group guarded", "exactly_once"),
    (ResourceType.GROUP, "guarded", AclOperation.READ, "--operation Read --group guarded", "at_least_once"),
    (ResourceType.TRANSACTIONAL_ID, "guarded-one", AclOperation.WRITE, "--transactional-id guarded-", "exactly_once"),
]


class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = services.Broker(SETTINGS)
        cls.addClassCleanup(cls.broker.stop)
        cls.broker.start()
        cls.broker.wait_ready()
        cls.admin = AdminClient({"bootstrap.servers": cls.broker.address})

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.config = os.path.join(folder.name, "guarded.conf")
        self.configure("exactly_once")
        created = self.program("topics", "--create", "--input-partitions", "2")
        self.assertEqual(created.returncode, 0, created.stderr)

    def configure(self, delivery):
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(broker=self.broker.address, delivery=delivery))

    def program(self, *arguments):
        return subprocess.run([os.environ["PQL_TEST_BINARY"], *arguments, "--config", self.config],
                              capture_output=True, text=True, timeout=60)

    def deny(self, *right):
        rule = (right[0], right[1], ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", right[2],
                AclPermissionType.DENY)
        self.admin.create_acls([AclBinding(*rule)])[AclBinding(*rule)].result(10)
        return AclBindingFilter(*rule)

    def allow_again(self, rule):
        self.admin.delete_acls([rule])[rule].result(10)

    def test_each_missing_right_is_named(self):
        for resource, name, operation, words in RIGHTS:
            with self.subTest(name=name, operation=operation.name):
                rule = self.deny(resource, name, operation)
                time.sleep(1)  # until the rule has reached the authorizer
                refused = self.program("run")
                self.allow_again(rule)
                time.sleep(1)
                self.assertEqual(refused.returncode, 2, refused.stderr)
                for word in words:
                    self.assertIn(word, refused.stderr)

    def produce(self, account):
        """Two events of a new account: it qualifies."""
        value = {"event": "login", "account_id": account, "occurred_at": "2026-01-01T00:00:00Z"}
        partition = client.partition_of(account, 2)
        client.produce(self.broker.address, "events", [(partition, account, json.dumps(value).encode())] * 2)

    def wait_committed(self, program):
        deadline = time.monotonic() + 60
        while True:
            program.check_alive()
            try:
                committed = client.committed_offsets(self.broker.address, "guarded", "events")
                if sum(committed.values()) == sum(client.end_offsets(self.broker.address, "events").values()):
                    return
            except client.KafkaException:
                pass
            self.assertLess(time.monotonic(), deadline, program.log_tail())
            time.sleep(0.2)

    def test_a_right_that_is_taken_away_stops_in_the_same_words(self):
        expected = set()
        for n, (resource, name, operation, words, delivery) in enumerate(TAKEN):
            with self.subTest(name=name, operation=operation.name, delivery=delivery):
                self.configure(delivery)
                program = scenario.Program(["run", "--config", self.config], os.path.join(self.folder, f"{n}.log"))
                self.addCleanup(program.stop)
                self.produce(f"before-{n}")
                self.wait_committed(program)
                rule = self.deny(resource, name, operation)
                time.sleep(1)
                try:
                    if name != "events":  # where there is a rule, nobody else may write either
                        self.produce(f"after-{n}")
                    self.assertEqual(program.process.wait(60), 2, program.log_tail())
                finally:
                    self.allow_again(rule)
                    time.sleep(1)
                self.assertIn(words, program.log_tail())
                # Allowed again, it goes on where it was.
                again = scenario.Program(["run", "--config", self.config], os.path.join(self.folder, f"{n}.again.log"))
                self.addCleanup(again.stop)
                while "msg=running" not in again.log_tail():  # there may be nothing left to commit
                    again.check_alive()
                    time.sleep(0.1)
                self.wait_committed(again)
                self.assertEqual(again.stop(), 0, again.log_tail())
                keys = [m.key() for m in client.read_committed(self.broker.address, "guarded.pqa")]
                expected |= {f"d/{w}-{n}".encode() for w in ("before", "after") if name != "events" or w == "before"}
                self.assertEqual(set(keys), expected)
                if all(row[4] == "exactly_once" for row in TAKEN[:n + 1]):
                    self.assertEqual(len(keys), len(set(keys)))


if __name__ == "__main__":
    unittest.main()
