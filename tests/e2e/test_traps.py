"""Where a real broker and its client do not do what one would expect: each trap is shown with a client of the tests,
and beside it that the program does not fall into it."""
import os
import random
import tempfile
import time
import unittest

import client
import dataset
import fleet
import oracle
import scenario
from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import AdminClient, OffsetSpec

EVENTS = dataset.generate(seed=71, accounts=25, days=30)
END = [dataset.closing_clock(EVENTS)]
EXPECTED = oracle.acceptance(EVENTS)
# Everybody enters with one event and nothing waits: under this load a transaction is open most of the time.
CROWD = dataset.crowd(20000)
CROWD_RATE = 1500
NOTHING_WAITS = 'max_output_delay = "0s"; commit_interval = "5ms";'
CROWD_DEFINITION = '{ name = "seen"; subject = "user"; qualify = "count(login, 7d) >= 1"; }'
CROWD_EXPECTED = [("seen", e["account_id"], e["user_id"], e["occurred_at"] + after, change)
                  for e in CROWD for after, change in ((0, "entered"), (7 * oracle.DAY, "left"))]
CROWD_EXPECTED.sort(key=str)
BROKER = os.environ["PQL_TEST_BROKER"]


def producer(transactional_id, timeout_ms=10000, **more):
    made = Producer({"bootstrap.servers": BROKER, "transactional.id": transactional_id, "log_level": 2,
                     "transaction.timeout.ms": timeout_ms, **more})
    made.init_transactions(30)
    return made


def consumer(group, **more):
    return Consumer({"bootstrap.servers": BROKER, "group.id": group, "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", "partition.assignment.strategy": "cooperative-sticky",
                     "session.timeout.ms": 6000, "log_level": 2, **more})


def values(topic):
    return [m.value() for m in client.read_committed(BROKER, topic)]


class Traps(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.admin = AdminClient({"bootstrap.servers": BROKER})

    def member(self, group, *topics, **more):
        """A consumer that joined the group and has its partitions."""
        made = consumer(group, **more)
        self.addCleanup(made.close)
        made.subscribe(list(topics))
        return made

    def until(self, what, reached, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := reached()):
            self.assertLess(time.monotonic(), deadline, f"{what}: not within {seconds} s")
            time.sleep(0.05)
        return found

    def ends(self, topic, isolation):
        asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in client.partitions_of(BROKER, topic)}
        found = self.admin.list_offsets(asked, isolation_level=isolation, request_timeout=10)
        return {tp.partition: answer.result(10).offset for tp, answer in found.items()}

    def has_open_transaction(self, topic):
        """Some record is not for readers of what is committed yet: the last stable offset is behind the end."""
        stable = self.ends(topic, IsolationLevel.READ_COMMITTED)
        return any(stable[p] < end for p, end in self.ends(topic, IsolationLevel.READ_UNCOMMITTED).items())

    def fleet_of(self, job, static=("a",)):
        return fleet.Fleet(self, job, static=static, settings=["kafka.consumer.session_timeout_ms=6000"])

    def job(self, app, settings="", **more):
        job = scenario.Scenario(app, self.directory, settings='lateness = "1s"; ' + settings, **more)
        job.create_input()
        return job

    def crowd_job(self, app):
        job = self.job(app, NOTHING_WAITS, definitions=CROWD_DEFINITION)
        return job, job.produce_paced(CROWD, CROWD_RATE)

    def finish_crowd(self, job, load, program):
        load.join()
        self.assertIsNone(load.failure)
        job.produce([dataset.closing_clock(CROWD)])
        job.wait_done(program, 60)

    def check_output(self, job, expected=EXPECTED):
        records = job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], expected)

    def all_beyond(self, job, before):
        found = client.committed_offsets(BROKER, job.app, job.topic)
        return all(offset > before[p] for p, offset in found.items())

    def freeze_in_transaction(self, instances, name, job):
        """SIGSTOP at a moment at which the broker has a transaction of it open."""
        rng = random.Random(5)
        self.until("work", lambda: (job.progress() or (0,))[0] > 100)

        def is_caught():
            instances.freeze(name)
            if self.has_open_transaction(f"{job.app}.pql"):
                return True
            instances.thaw(name)
            time.sleep(rng.random() / 10)
            return False

        self.until("stopped within a transaction", is_caught)

    # --- generation -1 ---

    def test_generation_minus_one_is_accepted_unfenced(self):
        """Offsets sent without membership overwrite a living member's; with a generation that is over they are refused."""
        client.create_topics(BROKER, 1, "unfenced.events")
        member = self.member("unfenced", "unfenced.events")
        self.until("a member", lambda: member.poll(0.1) or member.assignment())
        of_member, stranger = member.consumer_group_metadata(), consumer("unfenced")
        writer = producer("unfenced-writer")

        def commit(offset, metadata):
            writer.begin_transaction()
            writer.send_offsets_to_transaction([TopicPartition("unfenced.events", 0, offset)], metadata, 20)
            writer.commit_transaction(20)

        commit(5, of_member)
        commit(99, stranger.consumer_group_metadata())
        self.assertEqual(client.committed_offsets(BROKER, "unfenced", "unfenced.events"), {0: 99})
        self.assertEqual([tp.partition for tp in member.assignment()], [0])
        second = self.member("unfenced", "unfenced.events")
        self.until("a new generation", lambda: [member.poll(0.05), second.poll(0.05)] and
                   member.consumer_group_metadata() is not None and len(member.assignment()) + len(second.assignment()) == 1
                   and self.is_refused(writer, of_member))
        stranger.close()

    def is_refused(self, writer, metadata):
        writer.begin_transaction()
        try:
            writer.send_offsets_to_transaction([TopicPartition("unfenced.events", 0, 7)], metadata, 20)
        except KafkaException as failure:
            self.assertIn(failure.args[0].code(), (KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID,
                                                   KafkaError.FENCED_INSTANCE_ID))
            writer.abort_transaction(20)
            return True
        writer.abort_transaction(20)
        return False

    def test_a_zombie_does_not_commit_without_membership(self):
        """Frozen past its session, with a transaction open; another has taken over when it wakes up."""
        job, load = self.crowd_job("zombie")
        instances = self.fleet_of(job, static=())
        first = instances.start("a")
        self.freeze_in_transaction(instances, "a", job)
        second = instances.start("b")
        before = client.committed_offsets(BROKER, job.app, job.topic)
        self.until("a commit of every partition", lambda: self.all_beyond(job, before))
        instances.thaw("a")
        self.finish_crowd(job, load, second)
        self.until("the zombie's word", lambda: "no member of the group" in first.log_tail() or
                   "session timed out" in first.log_tail())
        instances.stop("a")
        instances.stop("b")
        self.check_output(job, CROWD_EXPECTED)

    # --- batches ---

    def test_a_batch_is_refused_whole(self):
        """Records that fit each by itself are refused together, and the client does not split them."""
        client.create_topics(BROKER, 1, "small.batches", config={"max.message.bytes": "20000"})
        refused = []
        sender = Producer({"bootstrap.servers": BROKER, "linger.ms": 60000, "batch.size": 1000000, "log_level": 2,
                           "compression.codec": "none"})
        for _ in range(100):
            sender.produce("small.batches", bytes(1000), on_delivery=lambda error, _: refused.append(error))
        sender.flush(30)  # ends the lingering
        self.assertEqual([error and error.code() for error in refused], [KafkaError.MSG_SIZE_TOO_LARGE] * 100)
        self.assertEqual(values("small.batches"), [])

    def test_batches_stay_below_what_the_topics_take(self):
        job = self.job("smallout", settings='commit_interval = "1s"; max_output_delay = "1s";')
        for suffix in ("pql", "pqa", "alerts"):
            client.create_topics(BROKER, scenario.PARTITIONS, f"smallout.{suffix}", config={"max.message.bytes": "8000"})
        job.produce(EVENTS + END)
        instances = self.fleet_of(job)
        job.wait_done(instances.start("a"), 90)
        instances.stop("a")
        self.check_output(job)

    # --- transactions that nobody ends ---

    def test_a_dead_transaction_holds_the_stable_offset_and_the_stable_fetch(self):
        """Until its timeout and the coordinator's next look; how long that was is printed."""
        client.create_topics(BROKER, 1, "held.events", "held.output")
        group = consumer("held")
        dead = producer("held-dead")
        dead.begin_transaction()
        dead.produce("held.output", b"of the dead", partition=0)
        dead.flush(20)
        dead.send_offsets_to_transaction([TopicPartition("held.events", 0, 3)], group.consumer_group_metadata(), 20)
        began = time.monotonic()  # from here on the producer is silent, as if killed
        client.produce(BROKER, "held.output", [(0, None, b"behind it")])
        self.assertTrue(self.has_open_transaction("held.output"))
        self.assertEqual(client.read_committed(BROKER, "held.output", waits=False), [])
        self.assertRaises(KafkaException, self.stable_offset, "held", 1)
        self.until("the end of the transaction", lambda: not self.has_open_transaction("held.output"))
        self.until("the stable fetch", lambda: self.stable_offset_or_none("held") is not None)
        print(f"held for {time.monotonic() - began:.1f} s by a transaction of 10 s ... ", end="", flush=True)
        self.assertEqual(values("held.output"), [b"behind it"])
        self.assertLess(self.stable_offset("held", 20), 0)
        group.close()

    def stable_offset(self, group, seconds):
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition("held.events", 0)])
        (answer,) = self.admin.list_consumer_group_offsets([asked], require_stable=True,
                                                           request_timeout=seconds).values()
        (found,) = answer.result(seconds + 5).topic_partitions
        if found.error:
            raise KafkaException(found.error)
        return found.offset

    def stable_offset_or_none(self, group):
        try:
            return self.stable_offset(group, 1)
        except KafkaException:
            return None

    def test_a_successor_waits_for_the_dead_transaction(self):
        """Killed within a transaction, without a name that would end it: the next process waits and doubles nothing."""
        job, load = self.crowd_job("succeeds")
        instances = self.fleet_of(job, static=())
        instances.start("a")
        self.freeze_in_transaction(instances, "a", job)
        instances.kill("a")
        began, before = time.monotonic(), client.committed_offsets(BROKER, job.app, job.topic)
        program = instances.start("b")
        self.until("a commit of every partition", lambda: self.all_beyond(job, before))
        print(f"taken over {time.monotonic() - began:.1f} s after kill -9 within a transaction ... ", end="", flush=True)
        self.finish_crowd(job, load, program)
        instances.stop("b")
        self.check_output(job, CROWD_EXPECTED)

    def test_a_transaction_that_timed_out_is_a_fatal_fence(self):
        client.create_topics(BROKER, 1, "timedout.output")
        slow = producer("timedout", timeout_ms=2000)
        slow.begin_transaction()
        slow.produce("timedout.output", b"late", partition=0)
        slow.flush(20)
        self.until("the coordinator's look", lambda: not self.has_open_transaction("timedout.output"))
        with self.assertRaises(KafkaException) as raised:
            slow.commit_transaction(20)
        self.assertTrue(raised.exception.args[0].fatal(), raised.exception)
        self.assertEqual(values("timedout.output"), [])

    def test_a_process_outlives_its_transaction(self):
        """Asleep past its transaction's timeout, it makes a new handle under its name and goes on; nothing is lost."""
        job, load = self.crowd_job("outlives")
        instances = self.fleet_of(job)
        program = instances.start("a")
        self.freeze_in_transaction(instances, "a", job)
        self.until("the coordinator's look", lambda: not self.has_open_transaction(f"{job.app}.pql"))
        instances.thaw("a")
        self.finish_crowd(job, load, program)
        instances.stop("a")
        self.check_output(job, CROWD_EXPECTED)

    def test_under_a_new_transactional_id_both_commit(self):
        """After an unknown outcome the same id ends the first attempt; a new one lets it be committed as well."""
        client.create_topics(BROKER, 1, "twice.new", "twice.same")
        for topic, ids in (("twice.new", ("twice-1", "twice-2")), ("twice.same", ("once", "once"))):
            unsure = producer(ids[0])
            unsure.begin_transaction()
            unsure.produce(topic, b"record", partition=0)
            unsure.flush(20)
            again = producer(ids[1])
            again.begin_transaction()
            again.produce(topic, b"record", partition=0)
            again.commit_transaction(20)
            try:
                unsure.commit_transaction(20)
            except KafkaException as failure:
                self.assertTrue(failure.args[0].fatal())
        self.assertEqual(values("twice.new"), [b"record", b"record"])
        self.assertEqual(values("twice.same"), [b"record"])

    # --- assignment and positions ---

    def test_two_topics_subscribed_are_split(self):
        """Partition p of one goes to another member than partition p of the other."""
        client.create_topics(BROKER, 3, "split.a", "split.b")
        members = [self.member("split", "split.a", "split.b") for _ in range(2)]

        def owners():
            for member in members:
                member.poll(0.1)
            found = {(tp.topic, tp.partition): n for n, member in enumerate(members) for tp in member.assignment()}
            return found if len(found) == 6 and len(set(found.values())) == 2 else None

        found = self.until("both members have partitions", owners)
        self.assertTrue(any(found["split.a", p] != found["split.b", p] for p in range(3)), found)

    def test_partitions_of_two_inputs_go_together(self):
        """One process commits partition p of both, with the same words."""
        job = fleet.TwoInputs("together", self.directory)
        job.create_input()
        load = fleet.Load(job, dataset.teams(3, 200), 300)
        load.start()
        self.addCleanup(load.stop)
        instances = self.fleet_of(job, static=("a", "b", "c"))
        for name in ("a", "b", "c"):
            instances.start(name)

        def owners():
            asked = [TopicPartition(topic, p) for topic in job.topics for p in range(fleet.PARTITIONS)]
            reader = Consumer({"bootstrap.servers": BROKER, "group.id": job.app, "isolation.level": "read_uncommitted"})
            try:
                found = {(tp.topic, tp.partition): fleet.metadata_of(tp) for tp in reader.committed(asked, 10)}
            except KafkaException:
                return False  # the coordinator is still being made
            finally:
                reader.close()
            for p in range(fleet.PARTITIONS):
                words = [{k: found[topic, p].get(k) for k in "wejn"} for topic in job.topics]
                self.assertEqual(words[0], words[1])
            return len({fields.get("w") for fields in found.values()} - {None}) == 3

        self.until("all three commit", owners)
        for name in ("a", "b", "c"):
            instances.stop(name)

    def test_a_seek_in_the_callback_fails(self):
        """And the partition would begin where the group committed, instead of at the snapshot before it."""
        client.create_topics(BROKER, 1, "sought.events")
        client.produce(BROKER, "sought.events", [(0, None, b"%d" % n) for n in range(10)])
        keeper = consumer("sought")
        keeper.commit(offsets=[TopicPartition("sought.events", 0, 7)], asynchronous=False)
        keeper.close()
        failures = []

        def assigned(member, partitions):
            member.incremental_assign([TopicPartition(tp.topic, tp.partition) for tp in partitions])
            try:
                member.seek(TopicPartition("sought.events", 0, 2))
            except KafkaException as failure:
                failures.append(failure.args[0].code())

        member = consumer("sought")
        self.addCleanup(member.close)
        member.subscribe(["sought.events"], on_assign=assigned)
        first = self.until("a message", lambda: member.poll(0.5))
        self.assertEqual(failures, [KafkaError._STATE])
        self.assertEqual(first.offset(), 7)

    def test_a_restart_replays_from_its_snapshot(self):
        """What was committed after the snapshot is read again, with nothing published twice."""
        job = self.job("replays", settings='checkpoint_interval = "1s"; restore_target = "1h";')
        instances = self.fleet_of(job)
        half = len(EVENTS) // 2
        job.produce(EVENTS[:half])
        job.wait_done(instances.start("a"), 60)
        instances.kill("a")
        job.produce(EVENTS[half:] + END)
        program = instances.start("a")
        job.wait_done(program, 60)
        instances.stop("a")
        self.assertRegex(program.log_tail(), r'msg="the task is live" .* replayed=[1-9]')
        self.check_output(job)


if __name__ == "__main__":
    unittest.main()
