"""Rows of the fault table on a real broker, the state being there already: each ends as it must, says what, where and
what to type, and what it says works when it is typed."""
import collections
import json
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
from confluent_kafka import TopicPartition
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
        self.admin = AdminClient({"bootstrap.servers": os.environ["PQL_TEST_BROKER"]})

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
        admin = AdminClient({"bootstrap.servers": job.broker})
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
        asked = self.admin.delete_records([TopicPartition(topic, p, offset) for p, offset in places.items()])
        for answer in asked.values():
            answer.result(20)

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
        self.admin = AdminClient({"bootstrap.servers": job.broker})
        self.trim(job.topic, 3)
        self.ends(job, OPERATOR, "ruined", named="checkpoint forget")
        self.type(job, "checkpoint forget")
        self.run_to_end(job)

    # --- much at once ---

    def test_giant_account(self):
        """100,000 users of one account who go on acting while snapshots of it are taken, and a kill in between: the
        state is that of a fresh process."""
        job = self.job("giant", input_format="json", settings='checkpoint_interval = "1s"; restore_target = "1s"; '
                       'checkpoint_bandwidth = "1MiB";', definitions="""
            { name = "seen"; subject = "user"; qualify = "count(login, 7d) >= 2"; },
            { name = "crowded"; subject = "account"; qualify = "users(count(login, 7d) >= 1) >= 50000"; }""")
        users, again = 100000, 30000
        events = [dataset.track(f"g{n}", "login", f"u{n % users}", "giant", dataset.START + n * 10, {})
                  for n in range(users + again)]
        program = job.run()
        job.produce(events[:users])
        load = job.produce_paced(events[users:], 3000)
        time.sleep(5)
        program.check_alive()
        program.kill()
        program = job.run()
        load.join()
        self.assertIsNone(load.failure)
        events.append(dataset.closing_clock(events))
        job.produce(events[-1:])
        job.wait_done(program, 120)
        self.assertEqual(program.stop(), 0, program.log_tail())
        records = [r for of in job.records().values() for r in of]
        self.assertEqual(len({r["event_id"] for r in records}), len(records))
        self.assertEqual(collections.Counter((r["definition"], r["transition"]) for r in records),
                         {(name, change): count for name, count in (("crowded", 1), ("seen", again))
                          for change in ("entered", "left")})
        self.assertEqual(self.saved_digests(job), self.fresh_digests(job, events))

    def saved_digests(self, job):
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", "digest", "--config", job.config_path],
                              capture_output=True, text=True, timeout=60, check=True)
        return scenario.digests(done.stdout)

    def fresh_digests(self, job, events):
        path = os.path.join(self.directory, "all.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(event) + "\n" for event in events)
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "replay", "--config", job.config_path, "--partitions",
                               str(scenario.PARTITIONS), "--digest", path],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=170, check=True)
        return scenario.digests(done.stderr)

    def test_midnight_flood(self):
        """One tick after which a hundred thousand users leave, in a partition; transactions may last two seconds."""
        self.flood("flood", 100000, "2000")

    def flood(self, app, users, timeout_ms):
        job = self.job(app, definitions='{ name = "seen"; subject = "user"; qualify = "count(login, 7d) >= 1"; }')
        crowd = [dict(e, account_id="acct") for e in dataset.crowd(users, step=1)]
        for name in ("TRANSACTION", "MESSAGE"):
            variable = f"PQLSTREAM_KAFKA__PRODUCER__{name}_TIMEOUT_MS"
            os.environ[variable] = timeout_ms
            self.addCleanup(os.environ.pop, variable)
        job.produce(crowd)
        program = job.run()
        job.wait_done(program, 120)
        began = time.monotonic()
        job.produce([dataset.closing_clock(crowd)])
        job.wait_done(program, 120)
        print(f"{users} users left within {time.monotonic() - began:.1f} s ... ", end="", flush=True)
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.assertIn(" aborted=0 ", program.log_tail())
        self.check_output(job, sorted(((("seen", "acct", e["user_id"], e["occurred_at"] + after, change)
                                        for e in crowd for after, change in ((0, "entered"), (7 * oracle.DAY, "left")))),
                                      key=str))


if __name__ == "__main__":
    unittest.main()
