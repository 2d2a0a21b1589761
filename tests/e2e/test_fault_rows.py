"""Rows of the fault table on a real broker, the state being there already: each ends as it must, says what, where and
what to type, and what it says works when it is typed."""
import os
import re
import shlex
import subprocess
import tempfile
import time
import unittest

import client
import dataset
import fleet
import oracle
import scenario
import segments
import services
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

EVENTS = dataset.generate(seed=81, accounts=30, days=30)
HALF = len(EVENTS) // 2
END = [dataset.closing_clock(EVENTS)]
EXPECTED = oracle.acceptance(EVENTS)
OPERATOR = 3  # exit code: somebody must decide
CONFIGURATION = 2


class FaultRows(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        variable = "PQLSTREAM_KAFKA__CONSUMER__SESSION_TIMEOUT_MS"
        os.environ[variable] = "6000"
        self.addCleanup(os.environ.pop, variable)
        self.admin = AdminClient({"bootstrap.servers": os.environ["PQL_TEST_BROKER"], "log_level": 0})

    def own_broker(self):
        """A broker whose files are touched."""
        broker = services.Broker()
        self.addCleanup(broker.stop)
        broker.start()
        broker.wait_ready()
        shared = os.environ["PQL_TEST_BROKER"]
        os.environ["PQL_TEST_BROKER"] = broker.address
        self.addCleanup(os.environ.__setitem__, "PQL_TEST_BROKER", shared)
        return broker

    def job(self, app, settings="", **more):
        job = scenario.Scenario(app, self.directory, settings='lateness = "1s"; instance = "a"; ' + settings, **more)
        job.create_input()
        return job

    def run_to_end(self, job, seconds=90):
        """Takes all there is and stops in order; returns what it said."""
        program = job.run()
        job.wait_done(program, seconds)
        self.assertEqual(program.stop(), 0, program.log_tail())
        return program.log_tail()

    def killed_at_end(self, job):
        """As run_to_end, but with no last snapshot."""
        program = job.run()
        job.wait_done(program, 90)
        program.kill()

    def ends(self, job, code, *words, named):
        """Starts it; it ends by itself, with the code and these words, and names this command."""
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        self.assertEqual(program.process.wait(90), code, program.log_tail())
        ended = program.log_tail().strip().splitlines()[-1]
        for word in (*words, f"pqlstream {named}"):
            self.assertIn(word, ended)

    def type(self, job, command):
        """A command as the message named it, for this configuration and with the consent that it asks for. It wants
        every instance gone, and one with a name is so when its session ends."""
        self.until_empty(job)
        arguments = [os.environ["PQL_TEST_BINARY"], *shlex.split(command), "--config", job.config_path]
        unsure = subprocess.run(arguments, capture_output=True, timeout=60, text=True, check=False)
        self.assertNotEqual(unsure.returncode, 0, unsure.stdout)
        self.assertIn("--yes", unsure.stderr)
        done = subprocess.run([*arguments, "--yes"], capture_output=True, timeout=60, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def until_empty(self, job):
        """A member with a name leaves the group when its session ends."""
        admin = AdminClient({"bootstrap.servers": job.broker, "log_level": 0})
        deadline = time.monotonic() + 60
        while admin.describe_consumer_groups([job.app])[job.app].result(10).members:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.5)

    def check_output(self, job, expected=EXPECTED, again=False):
        """again: records may have come twice, which a reader knows by their ids."""
        records = [r for of_topic in job.records().values() for r in of_topic]
        if again:
            records = list({r["event_id"]: r for r in records}.values())
        scenario.check_transitions(self, records, expected)

    # --- input ---

    def test_input_trimmed_below_the_snapshot(self):
        job = self.job("trimmed", settings='checkpoint_interval = "1d"; restore_target = "1h";')
        job.produce(EVENTS[:HALF])
        self.killed_at_end(job)
        self.trim(job.topic, 20)
        self.ends(job, OPERATOR, "trimmed.events", "offset 20", "retention", named="checkpoint forget")
        self.type(job, "checkpoint forget")
        job.produce(END)
        self.run_to_end(job)

    def test_input_trimmed_behind_what_was_read(self):
        """Records that were never read are gone: that is said, not skipped."""
        job = self.job("unread")
        job.produce(EVENTS[:HALF])
        self.run_to_end(job)
        ends = client.end_offsets(job.broker, job.topic)
        job.produce(EVENTS[HALF:])
        self.trim(job.topic, {p: end + 5 for p, end in ends.items()})
        self.ends(job, OPERATOR, "unread.events", "offset", named="checkpoint forget")
        self.type(job, "checkpoint forget")
        self.run_to_end(job)

    def trim(self, topic, before):
        places = before if isinstance(before, dict) else {p: before for p in client.partitions_of(
            os.environ["PQL_TEST_BROKER"], topic)}
        deadline = time.monotonic() + 30
        while True:
            asked = self.admin.delete_records([TopicPartition(topic, p, offset) for p, offset in places.items()])
            try:
                return [answer.result(20) for answer in asked.values()]
            except KafkaException as failure:  # a broker that was just started may not lead yet
                if failure.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def recreate(self, topic, partitions, config=None):
        for answer in self.admin.delete_topics([topic]).values():
            answer.result(20)
        deadline = time.monotonic() + 30
        while topic in self.admin.list_topics(timeout=10).topics:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)
        client.create_topics(os.environ["PQL_TEST_BROKER"], partitions, topic, config=config)

    def test_input_recreated(self):
        """The broker deletes the group's offsets with the topic; a state that is adopted all the same does not go on
        with another topic of that name."""
        job = self.job("recreated")
        job.produce(EVENTS[:HALF])
        self.run_to_end(job)
        self.recreate(job.topic, scenario.PARTITIONS)
        job.produce(EVENTS + END)
        self.ends(job, OPERATOR, "recreated.events", "created again", named="checkpoint adopt")
        self.type(job, "checkpoint adopt")
        self.ends(job, OPERATOR, "recreated.events", "created again", named="checkpoint forget")
        self.type(job, "checkpoint forget")
        self.run_to_end(job)
        self.check_output(job, again=True)

    def test_partitions_added(self):
        job = self.job("grown")
        job.produce(EVENTS[:HALF])
        self.run_to_end(job)
        self.recreate(job.topic, scenario.PARTITIONS + 1)
        self.ends(job, CONFIGURATION, "grown.events", "partitions", named="checkpoint forget")

    # --- checkpoint ---

    def test_checkpoint_recreated(self):
        job = self.job("lostcheck")
        job.produce(EVENTS[:HALF])
        self.run_to_end(job)
        self.recreate("lostcheck.checkpoint", scenario.PARTITIONS, {"retention.ms": "-1"})
        job.produce(EVENTS[HALF:] + END)
        self.ends(job, OPERATOR, "lostcheck.checkpoint", "created anew", named="checkpoint forget")
        self.type(job, "checkpoint forget")
        self.run_to_end(job)
        self.check_output(job, again=True)

    def test_offsets_expired(self):
        job = self.job("expired")
        job.produce(EVENTS[:HALF])
        self.run_to_end(job)
        self.until_empty(job)
        for answer in self.admin.delete_consumer_groups([job.app]).values():
            answer.result(20)
        job.produce(EVENTS[HALF:] + END)
        self.ends(job, OPERATOR, "no committed offset", "expired", named="checkpoint adopt")
        self.type(job, "checkpoint adopt")
        self.run_to_end(job)
        self.check_output(job)

    def test_offsets_of_the_second_input_expired(self):
        """The group does not subscribe to it, so the broker may let its offsets expire alone."""
        job = fleet.TwoInputs("halfgone", self.directory, settings='instance = "a";')
        job.create_input()
        events = list(dataset.disturbed(dataset.some_teams(81, 400, 4000), 82, 1000, 0))
        self.produce_both(job, events[:2000])
        self.run_to_end(job)
        self.until_empty(job)
        client.delete_offsets(job.broker, job.app, job.topics[1], range(fleet.PARTITIONS))
        self.produce_both(job, events[2000:])
        self.ends(job, OPERATOR, "halfgone.crm", "not of one commit", named="checkpoint adopt")
        self.type(job, "checkpoint adopt")
        self.run_to_end(job)
        job.produce([dataset.closing_clock(events)])
        self.run_to_end(job)
        self.check_output(job, oracle.teams(events))

    def produce_both(self, job, events):
        load = fleet.Load(job, iter(events), None)
        load.produce_at_once(len(events))

    def prepared_snapshots(self, app):
        """On a broker of its own: two snapshots of each partition, and more input behind them."""
        broker = self.own_broker()
        job = self.job(app)
        third = len(EVENTS) // 3
        for n in range(2):
            job.produce(EVENTS[n * third:(n + 1) * third])
            self.run_to_end(job)
        job.produce(EVENTS[2 * third:] + END)
        return broker, job

    def chunks(self, job):
        """{partition: [offsets of the chunks of each snapshot, oldest first]}, as dump tells them."""
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", "dump", "--config", job.config_path],
                              capture_output=True, timeout=60, text=True, check=True)
        found = {}
        for partition, offset, snapshot in re.findall(r"^(\d+)@(\d+) chunk \d+ of snapshot (\d+)", done.stdout, re.M):
            found.setdefault(int(partition), {}).setdefault(int(snapshot), []).append(int(offset))
        return {p: [chunks for _, chunks in sorted(of.items())] for p, of in found.items()}

    def damage(self, broker, job, chosen, keep_crc):
        """One byte of each chosen chunk, {partition: offsets}, on the disk of the broker."""
        broker.end()
        for partition, offsets in chosen.items():
            for offset in offsets:
                segments.damage(f"{broker.directory}/log/{job.app}.checkpoint-{partition}", offset, keep_crc)
        broker.run()
        broker.wait_ready()

    def test_newest_chunk_damaged_its_predecessor_serves(self):
        broker, job = self.prepared_snapshots("damaged")
        chunks = self.chunks(job)
        self.assertEqual(len(chunks), scenario.PARTITIONS)
        self.damage(broker, job, {p: of[-1][:1] for p, of in chunks.items()}, keep_crc=True)
        said = self.run_to_end(job)
        self.assertIn("a snapshot is damaged; its predecessor and a longer replay serve instead", said)
        self.check_output(job)

    def test_newest_chunk_rotten_on_disk_its_predecessor_serves(self):
        """The broker's own checksum is wrong too, so the client refuses to give the record out."""
        broker, job = self.prepared_snapshots("rotten")
        self.damage(broker, job, {p: of[-1][:1] for p, of in self.chunks(job).items()}, keep_crc=False)
        said = self.run_to_end(job)
        self.assertIn("a snapshot is damaged; its predecessor and a longer replay serve instead", said)
        self.check_output(job)

    def test_every_chunk_damaged_and_the_input_gone_stops(self):
        broker, job = self.prepared_snapshots("ruined")
        self.damage(broker, job, {p: [o for s in of for o in s] for p, of in self.chunks(job).items()}, keep_crc=True)
        self.admin = AdminClient({"bootstrap.servers": job.broker, "log_level": 0})
        self.trim(job.topic, 3)
        self.ends(job, OPERATOR, "ruined", named="checkpoint forget")
        self.type(job, "checkpoint forget")
        self.run_to_end(job)


if __name__ == "__main__":
    unittest.main()
