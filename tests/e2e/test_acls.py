"""`topics --print` on a broker that lets nobody do anything by itself: what it prints is enough, and none too much."""
import argparse
import os
import re
import shlex
import subprocess
import tempfile
import time
import unittest

import client
import scenario
import services
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient,
                                   AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourcePatternType,
                                   ResourceType)

SETTINGS = """\
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl}
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_scout="secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""

CONFIGURATION = """
app = "{app}"; {settings}
kafka = {{ bootstrap_servers = "127.0.0.1:{sasl}"; security_protocol = "SASL_PLAINTEXT"; sasl_mechanism = "PLAIN";
          sasl_username = "scout"; sasl_password = "secret"; }};
replication_factor = 1; checkpoint_interval = "1s";
inputs = ( {{ topic = "{app}.events"; format = "json"; }}, {{ topic = "{app}.crm"; format = "json"; }} );
definitions = ( {{ name = "d"; subject = "account"; qualify = "count(login, 7d) >= 2"; }} );
"""

EVENT = '{{"type":"track","event":"login","message_id":"{n}","user_id":"u","account_id":"{account}","occurred_at":{at}}}'


def word(enum, name):
    """DescribeConfigs, transactional-id …: to the constant of that name."""
    return enum[re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", name).upper()]


class Tools:
    """Kafka's own tools as far as the block uses them, by the same requests; a flag that they would not know is an error."""

    def __init__(self, broker):
        self.admin = AdminClient({"bootstrap.servers": broker})
        self.bindings = []

    def parse(self, words, *flags, switches=()):
        parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
        parser.add_argument("--bootstrap-server", required=True)
        for flag in flags:
            parser.add_argument(flag, action="append", default=[])
        for switch in switches:
            parser.add_argument(switch, action="store_true")
        return parser.parse_args(words)

    def topics(self, words):
        given = self.parse(words, "--topic", "--partitions", "--replication-factor", "--config",
                           switches=("--create", "--if-not-exists"))
        assert given.create and given.if_not_exists
        topic = NewTopic(given.topic[0], int(given.partitions[0]), int(given.replication_factor[0]),
                         config=dict(item.split("=") for item in given.config))
        self.admin.create_topics([topic])[topic.topic].result(10)

    def configs(self, words):
        given = self.parse(words, "--entity-type", "--entity-name", "--add-config", switches=("--alter",))
        assert given.alter and given.entity_type == ["topics"]
        entries = [ConfigEntry(*item.split("="), incremental_operation=AlterConfigOpType.SET)
                   for item in given.add_config[0].split(",")]
        resource = ConfigResource(ConfigResource.Type.TOPIC, given.entity_name[0], incremental_configs=entries)
        self.admin.incremental_alter_configs([resource])[resource].result(10)

    def acls(self, words):
        given = self.parse(words, "--allow-principal", "--operation", "--topic", "--group", "--transactional-id",
                           "--resource-pattern-type", switches=("--add",))
        assert given.add
        pattern = word(ResourcePatternType, (given.resource_pattern_type or ["literal"])[0])
        resources = [(ResourceType.TOPIC, name) for name in given.topic]
        resources += [(ResourceType.GROUP, name) for name in given.group]
        resources += [(ResourceType.TRANSACTIONAL_ID, name) for name in given.transactional_id]
        for kind, name in resources:
            for operation in given.operation:
                self.allow((kind, name, pattern, given.allow_principal[0], "*", word(AclOperation, operation),
                            AclPermissionType.ALLOW))

    def allow(self, right):
        binding = AclBinding(*right)
        self.admin.create_acls([binding])[binding].result(10)
        if right not in self.bindings:
            self.bindings.append(right)

    def take_away(self, right):
        wanted = AclBindingFilter(*right)
        self.admin.delete_acls([wanted])[wanted].result(10)

    def paste(self, block):
        tools = {"kafka-topics.sh": self.topics, "kafka-configs.sh": self.configs, "kafka-acls.sh": self.acls}
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                tools[words[0]](words[1:])


class Acls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = services.Broker()
        cls.sasl, controller = services.free_port(), services.free_port()
        cls.broker.settings = SETTINGS.format(port=cls.broker.port, sasl=cls.sasl, controller=controller)
        cls.addClassCleanup(cls.broker.stop)
        cls.broker.start()
        cls.broker.wait_ready()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name

    def configure(self, app, settings):
        path = os.path.join(self.folder, f"{app}.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(app=app, sasl=self.sasl, settings=settings))
        return path

    def print_block(self, path, *flags):
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "topics", "--print", "--principal", "User:scout",
                               "--input-partitions", "2", "--config", path, *flags],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def produce(self, app, accounts):
        at = int(time.time() * 1000) - 5000
        client.produce(self.broker.address, f"{app}.events", [
            (client.partition_of(a, 2), a, EVENT.format(n=f"{a}{n}", account=a, at=at + n).encode())
            for a in accounts for n in range(2)])

    def start(self, path):
        program = scenario.Program(["run", "--config", path], path + ".log")
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program

    def wait_for(self, program, condition):
        deadline = time.monotonic() + 60
        while not condition():
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, program.log_tail())
            time.sleep(0.3)

    def written(self, app):
        return len(client.read_committed(self.broker.address, f"{app}.pqa"))

    def whole(self, app, settings):
        """Prints, pastes, runs: records come, snapshots are written, the checkpoint is trimmed; started again it goes on."""
        path, tools = self.configure(app, settings), Tools(self.broker.address)
        block = self.print_block(path)
        tools.paste(block)
        time.sleep(1)
        for round_, accounts in enumerate((["a", "b", "c"], ["d", "e"])):
            self.produce(app, accounts)
            program = self.start(path)
            self.wait_for(program, lambda: self.written(app) == (3, 5)[round_])
            self.assertEqual(program.stop(), 0, program.log_tail())
            for complaint in ("not checked", "does not let", "grow for ever", "level=warn", "level=error"):
                self.assertNotIn(complaint, program.log_tail())
        verified = subprocess.run([os.environ["PQL_TEST_BINARY"], "topics", "--config", path], capture_output=True,
                                  text=True, timeout=60)
        self.assertEqual((verified.returncode, verified.stdout), (0, "all topics are there and fit\n"))
        return path, tools

    def test_at_least_once_needs_no_transactional_id(self):
        path, tools = self.whole("atleast", 'delivery = "at_least_once";')
        self.assertNotIn(ResourceType.TRANSACTIONAL_ID, {right[0] for right in tools.bindings})
        self.assertNotIn("--transactional-id", self.print_block(path))

    def test_what_is_printed_is_enough_and_each_right_is_needed(self):
        """Without any one of them the program says which it is: those it cannot do without end it, with 2."""
        path, tools = self.whole("exactly", 'instance = "one";')
        kinds = {"exactly.crm", "exactly.pql", "exactly.checkpoint", "exactly", "exactly-"}  # one topic of each use
        rights = [right for right in tools.bindings if right[1] in kinds]
        self.assertEqual(len(rights), 2 + 2 + 4 + 1 + 1)
        for right in rights:
            with self.subTest(name=right[1], operation=right[5].name):
                self.check_needed(path, tools, right)

    def check_needed(self, path, tools, right):
        operation = right[5].name.title().replace("_", "")
        resource = {ResourceType.TOPIC: "--topic", ResourceType.GROUP: "--group",
                    ResourceType.TRANSACTIONAL_ID: "--transactional-id"}[right[0]]
        tools.take_away(right)
        time.sleep(1)
        if os.path.exists(path + ".log"):
            os.remove(path + ".log")
        program = self.start(path)
        deadline = time.monotonic() + 40
        named = re.compile(rf"--operation {operation}\b[^\n]*{resource} {re.escape(right[1])}")
        while not named.search(program.log_tail()) and program.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        if operation in ("Read", "Write"):
            code = program.process.wait(40)
        else:
            code = program.stop()
        tools.allow(right)
        self.assertRegex(program.log_tail(), named)
        self.assertEqual(code, 2 if operation in ("Read", "Write") else 0, program.log_tail())
        time.sleep(1)

    def test_print_asks_nobody_where_the_partitions_are_given(self):
        path = self.configure("nobody", "create_topics = true;")
        block = self.print_block(path, "--set", "kafka.bootstrap_servers=127.0.0.1:1")
        self.assertIn("--bootstrap-server 127.0.0.1:1 --create --if-not-exists --topic nobody.events --partitions 2", block)
        self.assertIn("--operation Create --topic nobody.pql", block)
        self.assertEqual(block.count("kafka-topics.sh"), 9)


if __name__ == "__main__":
    unittest.main()
