"""A broker that asks who may do what: each right that is missing is refused at the start, named with what grants it."""
import os
import subprocess
import tempfile
import time
import unittest

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
        self.config = os.path.join(folder.name, "guarded.conf")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(broker=self.broker.address))

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
        created = self.program("topics", "--create", "--input-partitions", "2")
        self.assertEqual(created.returncode, 0, created.stderr)
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


if __name__ == "__main__":
    unittest.main()
