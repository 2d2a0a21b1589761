"""checkpoint on a real broker: what it tells of a whole state, and both ways out when an operator's hand took the group's
offsets: adopt goes on from the newest snapshot, forget begins anew."""
import os
import subprocess
import tempfile
import time
import unittest

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

import client
import dataset
import oracle
import scenario

EVENTS = dataset.generate(seed=41)
SETTINGS = 'lateness = "1s";'


class Checkpoint(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def checkpoint(self, job, *arguments):
        return subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", *arguments, "--config", job.config_path],
                              capture_output=True, timeout=100, text=True, check=False)

    def run_to_end(self, job):
        program = job.run()
        job.wait_done(program, 90)
        self.assertEqual(program.stop(), 0, program.log_tail())

    def reset_offsets(self, job):
        """As an operator would with Kafka's own tool: to the beginning, without a word."""
        admin = AdminClient({"bootstrap.servers": job.broker})
        positions = [TopicPartition(job.topic, partition, 0) for partition in range(scenario.PARTITIONS)]
        asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(job.app, positions)])
        for answer in asked.values():
            answer.result(20)

    def prepared(self, app):
        job = scenario.Scenario(app, self.directory, settings=SETTINGS)
        job.create_input()
        half = len(EVENTS) // 2
        job.produce(EVENTS[:half])
        self.run_to_end(job)
        self.reset_offsets(job)
        job.produce([*EVENTS[half:], dataset.closing_clock(EVENTS)])
        program = job.run()
        self.assertEqual(program.process.wait(60), 3, program.log_tail())
        self.assertIn("pqlstream checkpoint adopt", program.log_tail())
        return job

    def check(self, job):
        records = job.records()
        transitions = [*records["pql"], *records["pqa"]]
        scenario.check_transitions(self, transitions, oracle.acceptance(EVENTS))
        return transitions

    def test_adopt(self):
        job = self.prepared("adopt")
        unsure = self.checkpoint(job, "adopt")
        self.assertNotEqual(unsure.returncode, 0)
        self.assertIn("--yes", unsure.stderr)
        done = self.checkpoint(job, "adopt", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("goes on from"), scenario.PARTITIONS, done.stdout)
        self.run_to_end(job)
        self.check(job)
        whole = self.checkpoint(job, "verify")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        self.assertEqual(whole.stdout.count(": whole;"), scenario.PARTITIONS, whole.stdout)

    def test_adopt_though_the_journal_goes_on(self):
        """Killed long after its newest snapshot, or before its first one, with refused records in the journal since."""
        for name, settings in (("late", ""), ("none", 'checkpoint_interval = "1h"; handover_budget = "0s";')):
            for delivery in ("exactly_once", "at_least_once"):
                with self.subTest(name=name, delivery=delivery):
                    self.adopt_after_kill(f"adopt-{name}-{delivery[0]}", f'{settings} delivery = "{delivery}";')

    def adopt_after_kill(self, app, settings):
        job = scenario.Scenario(app, self.directory, settings=SETTINGS + settings)
        job.create_input()
        third = len(EVENTS) // 3
        job.produce(EVENTS[:third])
        self.run_to_end(job)
        program = job.run()
        client.produce(job.broker, job.topic, [(p, None, b"no such thing") for p in range(scenario.PARTITIONS)])
        job.produce(EVENTS[third:2 * third])
        job.wait_done(program, 90)
        program.kill()
        time.sleep(11)  # until the group knows that its member is gone
        self.reset_offsets(job)
        refused = job.run()
        self.assertEqual(refused.process.wait(60), 3, refused.log_tail())
        done = self.checkpoint(job, "adopt", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("goes on from"), scenario.PARTITIONS, done.stdout)
        job.produce([*EVENTS[2 * third:], dataset.closing_clock(EVENTS)])
        self.run_to_end(job)
        records = job.records()
        found = {record["event_id"]: record for record in [*records["pql"], *records["pqa"]]}
        scenario.check_transitions(self, list(found.values()), oracle.acceptance(EVENTS))

    def test_forget(self):
        """The same records come once more, with equal ids: for a reader who keeps ids, nothing new."""
        job = self.prepared("forget")
        before = {record["event_id"] for records in job.records().values() for record in records}
        done = self.checkpoint(job, "forget", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.run_to_end(job)
        found = {record["event_id"]: record for records in job.records().values() for record in records}
        self.assertLessEqual(before, found.keys())
        scenario.check_transitions(self, list(found.values()), oracle.acceptance(EVENTS))

    def test_members_stand_in_the_way(self):
        job = scenario.Scenario("members", self.directory, settings=SETTINGS)
        job.create_input()
        job.produce(EVENTS[:100])
        program = job.run()
        job.wait_done(program, 90)
        refused = self.checkpoint(job, "forget", "--yes")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("has members", refused.stderr)
        self.assertEqual(program.stop(), 0, program.log_tail())
        listed = self.checkpoint(job, "list")
        self.assertEqual(listed.stdout.count("; snapshot "), scenario.PARTITIONS, listed.stdout + listed.stderr)


if __name__ == "__main__":
    unittest.main()
