"""One round: an application of its own on brokers that are there already, its instances under load while the faults of its
plan come and go; then peace, the end of the input, and the comparison of all that was committed."""
import collections
import json
import os
import random
import re
import signal
import subprocess
import time
import unittest

import client
import dataset
import fleet
import load
import oracle
import plan
import scenario
from confluent_kafka import KafkaException

SLOTS = ("a", "b", "c", "d")
EVENT_MS, RATE = 200, 300  # event time runs 60 times as fast as the clock
SETTLED = 180  # longest that anything may take when nothing is wrong any more

KNOWN = """, { name = "known"; subject = "account"; qualify = "ever(login)"; }"""
CHANGED = fleet.DEFINITIONS.replace("count(login, 30m) >= 3", "count(login, 30m) >= 5")

class Fleet(fleet.Fleet):
    def __init__(self, the_round, *arguments, **options):
        super().__init__(*arguments, **options)
        self.the_round = the_round

    def not_let_in(self, name):
        self.the_round.tell(f"{name} was not let in again")
        self.the_round.counts["not let in"] += 1
        self.the_round.start(name)


Setup = collections.namedtuple("Setup", "protocol static initial partitions in_order clock snapshots faults")


def set_up(seed, number, nodes, seconds):
    """All that is drawn for a round; the same numbers, the same round."""
    rng = random.Random(f"{seed}/{number}")
    in_order = rng.random() < 0.4
    initial = SLOTS[:rng.choice((1, 2, 2, 3))]
    return rng, Setup(
        protocol=rng.choice(("classic", "classic", "consumer")),
        static=[s for s in SLOTS if rng.random() < 0.5], initial=initial, partitions=rng.choice((3, 4, 8)), in_order=in_order,
        clock="events" if in_order else rng.choice(("wall", "events")), snapshots=rng.choice(("1s", "3s", "10s")),
        faults=plan.draw(rng, slots=SLOTS, initial=initial, nodes=nodes, seconds=seconds))


class Round:
    def __init__(self, number, setup, rng, cluster, link, registry, directory):
        self.number, self.setup, self.rng = number, setup, rng
        self.cluster, self.link, self.registry, self.directory = cluster, link, registry, directory
        self.test, self.story, self.counts = unittest.TestCase(), [], collections.Counter()
        self.test.maxDiff = 2000
        self.changes = any(f.kind == "change" for f in setup.faults)
        if self.changes:
            self.setup = setup = setup._replace(clock="events")  # when a change is taken is then seen in the input
        self.began, self.leaving = time.monotonic(), {}

    def tell(self, words):
        self.story.append(f"{time.monotonic() - self.began:6.2f} s  {words}")

    # --- before ---

    def prepare(self, name):
        os.environ.update(PQL_TEST_BROKER=self.cluster.address, PQL_TEST_REGISTRY=self.registry.url)
        s = self.setup
        disorder = 0 if s.in_order else 5 * oracle.MINUTE
        lateness = 'lateness = "10m";' if disorder else ""
        self.job = scenario.Scenario(
            name, self.directory, partitions=s.partitions, clock=s.clock,
            definitions=fleet.DEFINITIONS + (KNOWN if self.changes else ""),
            settings=f'{lateness} late_policy = "dead_letter"; dedup_horizon = "30d"; idle_after = "1s"; '
                     f'checkpoint_interval = "{s.snapshots}"; restore_target = "{s.snapshots}";')
        self.before_change = self.job.config_path + ".first"
        os.link(self.job.config_path, self.before_change)
        self.job.create_input()
        seed = self.rng.randrange(1 << 30)
        # In order: what comes twice comes at once, since an event that waited would be late.
        events = dataset.disturbed(dataset.teams(seed, EVENT_MS), seed + 1, disorder or EVENT_MS // 2, 0.05)
        self.load = load.Load(self.job, events, RATE)
        self.watch = fleet.Watch(self.job)
        self.watch.EVERY = 0.1
        self.fleet = Fleet(self, self.test, self.job, static=s.static, settings=[
            "kafka.consumer.session_timeout_ms=6000"] if s.protocol == "classic" else ["group_protocol=consumer"])

    def start(self, name):
        kept, self.fleet.settings = self.fleet.settings, [
            *self.fleet.settings, f"replication_factor={len(self.cluster.nodes)}",
            f"kafka.bootstrap_servers={','.join(self.cluster.addresses[name])}"]
        self.fleet.start(name)
        self.fleet.settings = kept

    def begin(self):
        """Something is there before the first instance, and more comes from when it has taken that."""
        self.load.produce_at_once(4500)
        for name in self.setup.initial:
            self.start(name)
        self.wait_done("the first events", time.monotonic() + SETTLED)
        self.tail = load.Tail(self.cluster.address, [f"{self.job.app}.{s}" for s in ("pql", "pqa", "state")],
                              self.setup.partitions)
        for thread in (self.load, self.watch, self.tail):
            thread.start()

    # --- faults ---

    def play(self, seconds):
        began = time.monotonic()
        acts = []
        for n, fault in enumerate(self.setup.faults):
            acts.append((fault.at, n, "begin", fault))
            acts.append((fault.at + fault.seconds, n, "end", fault))
        for at, _, part, fault in sorted(acts):
            self.until(began + at)
            act = getattr(self, f"{part}_{fault.kind}", None)
            if act:
                words = act(fault)
                self.tell(f"{part:5} {fault.kind} {words or fault.target}")
            if part == "begin":
                self.counts[fault.kind] += 1
        self.until(began + seconds)

    def until(self, at):
        while (left := at - time.monotonic()) > 0:
            self.fleet.check_alive()
            time.sleep(min(left, 0.2))

    def begin_kill(self, fault):
        self.fleet.kill(fault.target)

    def end_kill(self, fault):
        self.start(fault.target)

    def begin_leave(self, fault):
        program = self.leaving[fault.target] = self.fleet.running.pop(fault.target)
        program.process.terminate()

    def end_leave(self, fault):
        self.gone(fault.target)
        self.start(fault.target)

    def gone(self, name):
        """It was asked once; asked again it would end at once."""
        program = self.leaving[name]
        try:
            code = program.process.wait(SETTLED)
        except subprocess.TimeoutExpired:
            code = f"none within {SETTLED} s of SIGTERM"
        self.test.assertEqual(code, 0, f"{name}:\n{program.log_tail()}")
        del self.leaving[name]

    def begin_join(self, fault):
        self.start(fault.target)

    def end_join(self, fault):
        self.begin_leave(fault)
        self.gone(fault.target)

    def begin_zombie(self, fault):
        self.fleet.freeze(fault.target)

    def end_zombie(self, fault):
        self.fleet.thaw(fault.target)

    begin_nap, end_nap = begin_zombie, end_zombie

    def begin_delay(self, fault):
        delay = 0.02 + 0.4 * fault.detail ** 2
        self.link.set(fault.target, delay=delay)
        return f"{fault.target} {1000 * delay:.0f} ms"

    def begin_drop(self, fault):
        self.link.set(fault.target, is_dead=True)

    def begin_hold_end(self, fault):
        self.link.set(fault.target, hold_end=2 * fault.detail ** 2)

    def begin_lose_end(self, fault):
        self.link.set(fault.target, lose_end=0.1 + 2 * fault.detail)

    def end_line(self, fault):
        self.link.heal(fault.target)

    end_delay = end_drop = end_line

    def end_caught(self, fault):
        caught = self.link.caught(fault.target)
        self.link.heal(fault.target)
        return f"{fault.target}, {caught} caught so far"

    end_hold_end = end_lose_end = end_caught

    def begin_cut(self, fault):
        self.link.cut(fault.target)

    def begin_broker(self, fault):
        node = self.cluster.nodes[int(fault.detail * len(self.cluster.nodes))]
        node.kill()
        return f"{node.node}"

    def end_broker(self, fault):
        node = self.cluster.nodes[int(fault.detail * len(self.cluster.nodes))]
        node.run()
        return f"{node.node}"

    def begin_leaders(self, fault):
        topics = [f"{self.job.app}.{s}" for s in ("events", "pql", "pqa", "state", "checkpoint", "dlq")]
        return f"{self.cluster.move(topics, self.rng)} moved"

    def begin_coordinators(self, fault):
        return f"{self.cluster.move(('__consumer_offsets', '__transaction_state'), self.rng)} moved"

    def begin_registry(self, fault):
        """Away, and what is written from now on has a schema that nobody has asked for yet."""
        schema = dict(scenario.EVENT_SCHEMA)
        schema["fields"] = [{"name": f"extra_{len(self.story)}", "type": "int", "default": 0}, *schema["fields"]]
        encode = client.avro_writer(schema, client.register_schema(self.registry.url, f"{self.job.topic}-value", schema))
        extra = schema["fields"][0]["name"]
        self.registry.go()
        self.load.new_schema(lambda event: encode({extra: 7, **event}))

    def end_registry(self, fault):
        self.registry.come()

    def begin_change(self, fault):
        self.job.configure(definitions=CHANGED, revision=2)
        for program in self.fleet.running.values():
            program.process.send_signal(signal.SIGHUP)

    def begin_silence(self, fault):
        self.load.hush(self.silent(fault))
        return f"of {self.silent(fault)}"

    def end_silence(self, fault):
        self.load.speak(self.silent(fault))
        return f"of {self.silent(fault)}"

    def silent(self, fault):
        count = self.setup.partitions
        return sorted({int(fault.detail * count), int(fault.detail * 10 * count) % count})

    def begin_clock(self, fault):
        self.load.tick()

    # --- after ---

    def peace(self):
        """Nothing is wrong any more; somebody is there to take what is left."""
        for name in SLOTS:
            self.link.heal(name)
        self.registry.come()
        for name in list(self.leaving):
            self.gone(name)
        for name in self.fleet.running:
            self.fleet.thaw(name)
        self.load.speak(range(self.setup.partitions))
        for name in self.setup.initial:
            if name not in self.fleet.running:
                self.start(name)
        for node in self.cluster.nodes:
            if node.process.poll() is not None:
                node.run()
        self.cluster.wait_whole(SETTLED)
        self.tell("peace")

    def finish(self):
        deadline = time.monotonic() + SETTLED
        sent = self.load.stop()
        self.wait_done("everything", deadline)
        end = dataset.closing_clock(sent)
        self.job.produce([end])
        self.wait_done("the end", deadline)
        self.tell("all is taken")
        for name in sorted(self.fleet.running):
            self.fleet.stop(name)
        self.watch.stop()
        self.tell("all ended")
        return [*sent, end]

    def wait_done(self, what, deadline):
        self.fleet.wait(what, deadline - time.monotonic(), lambda: (progress := self.job.progress()) and progress[1] == 0)

    # --- comparisons ---

    def check(self, sent):
        self.input = self.read_input()
        self.test.assertEqual(sum(map(len, self.input.values())),
                              sum(self.setup.partitions if e["type"] == "clock" else 1 for e in sent))
        self.test.assertEqual(client.read_committed(self.job.broker, f"{self.job.app}.dlq"), [])
        self.check_commits()
        topics = {suffix: self.output(suffix) for suffix in ("pql", "pqa", "state")}
        self.tail.stop()
        for records in topics.values():
            self.check_contract(records)
        found = [*topics["pql"], *topics["pqa"]]
        self.check_state(topics["state"], found)
        self.check_sources(found)
        self.check_oracle(found, sent)
        self.check_replay(topics)
        self.counts["records"] += sum(map(len, topics.values()))
        self.counts["events"] += len(sent)

    def read_input(self):
        """{partition: events in their order}; the broker's markers are no events, so an offset is kept beside each."""
        decode, found = client.AvroReader(self.registry.url), {p: [] for p in range(self.setup.partitions)}
        for message in client.read_committed(self.job.broker, self.job.topic):
            event = {k: v for k, v in decode(message.value()).items() if not k.startswith("extra_")}
            event["occurred_at"] = scenario.millis(event["occurred_at"])
            found[message.partition()].append((message.offset(), event))
        return found

    def output(self, suffix):
        """Committed records with key and partition, and the same as the reader saw who was there all the time."""
        topic, decode, records = f"{self.job.app}.{suffix}", client.AvroReader(self.registry.url), []
        messages = client.read_committed(self.job.broker, topic)
        for m in messages:
            record = decode(m.value()) if m.value()[:1] == b"\0" else json.loads(m.value())
            records.append(dict(record, key=m.key().decode(), partition=m.partition()))
        deadline = time.monotonic() + SETTLED
        while (seen := self.tail_of(topic)) != (wanted := [(m.partition(), m.offset(), m.value()) for m in messages]):
            if time.monotonic() > deadline or len(seen) > len(wanted):
                self.test.fail(f"{topic}: who read it meanwhile saw {len(seen)} records, now there are {len(wanted)}")
            time.sleep(0.2)
        return records

    def tail_of(self, topic):
        return [(p, *m) for p in range(self.setup.partitions) for m in list(self.tail.seen[topic, p])]

    def check_contract(self, records):
        scenario.check_contract(self.test, records)

    def check_commits(self):
        """A position never goes back, and the last ones are the ends."""
        for p, commits in self.watch.commits.items():
            for before, after in zip(commits, commits[1:]):
                self.test.assertLessEqual(before.position, after.position, f"partition {p} was committed backwards")
        self.test.assertEqual(client.committed_offsets(self.job.broker, self.job.app, self.job.topic),
                              client.end_offsets(self.job.broker, self.job.topic))
        self.counts["commits"] += sum(self.watch.counts())

    def check_state(self, state, found):
        """The records of the state topic are those of the transitions, key by key in the same order."""
        def by_key(records):
            answer = collections.defaultdict(list)
            for r in sorted(records, key=lambda r: r["version"]):
                answer[r["key"]].append(r["event_id"])
            return answer

        self.test.assertEqual(by_key(state), by_key(found))

    def check_sources(self, found):
        """Each record names the event that it came from, as it is on the topic."""
        ids = {(p, offset): event["message_id"] for p, events in self.input.items() for offset, event in events}
        for r in found:
            if r["source"]:
                place = r["source"]["partition"], r["source"]["offset"]
                self.test.assertEqual(ids.get(place), r["source"]["message_id"], place)

    def check_oracle(self, found, sent):
        expected = [t for t in oracle.teams([e for e in sent if e["type"] != "clock"]) if not self.changes or t[0] != "keen"]
        self.test.maxDiff = 2000
        scenario.check_transitions(self.test, [r for r in found if r["definition"] in {t[0] for t in expected}], expected)
        if self.changes:
            self.check_change(found, sent)

    def check_change(self, found, sent):
        """Every account leaves the definition that is gone at the instant at which its partition took the change."""
        instants = collections.defaultdict(set)
        for r in found:
            if r["reason"] == "definition_removed":
                instants[client.partition_of(r["account_id"], self.setup.partitions)].add(scenario.millis(r["occurred_at"]))
        self.test.assertEqual({p: len(at) for p, at in instants.items()}, dict.fromkeys(range(self.setup.partitions), 1))
        taken = {p: at.pop() for p, at in instants.items()}
        place = lambda account: client.partition_of(account, self.setup.partitions)
        events = [e for e in sent if e["type"] != "clock"]
        keen = oracle.keen_by(events, lambda account, at: 5 if at >= taken[place(account)] else 3,
                              lambda account: [taken[place(account)]])
        scenario.check_transitions(self.test, [r for r in found if r["definition"] == "keen"], sorted(keen, key=str))

    def check_replay(self, topics):
        """Partition by partition, in the order of the topic: the same records in the same order, and the same state."""
        saved = self.saved_digests()
        for p, events in self.input.items():
            records, digest = self.replay(p, [event for _, event in events])
            for suffix, subject in (("pql", "user"), ("pqa", "account")):
                for q in range(self.setup.partitions):
                    self.compare([r for r in topics[suffix] if r["partition"] == q and self.is_of(r, p)],
                                 [r for r in records if r["subject"] == subject and
                                  client.partition_of(r["key"], self.setup.partitions) == q], f"{suffix} {p} to {q}")
            if not self.changes:
                self.test.assertEqual(saved[p], (events[-1][0] + 1, digest), f"state of partition {p}")
                self.counts["digests"] += 1

    def is_of(self, record, p):
        return client.partition_of(record["account_id"], self.setup.partitions) == p

    def compare(self, found, expected, place):
        left_out = {"produced_at", "origin", "source", "partition", "definition_version"}
        if self.setup.clock == "wall":
            left_out.add("clock")
        if self.changes:  # what the change does not touch
            found, expected = ([r for r in records if r["definition"] not in ("keen", "known")] for records in (found, expected))
        found, expected = ([scenario.plain("", {k: v for k, v in r.items() if k not in left_out}) for r in records]
                           for records in (found, expected))
        for n, (a, b) in enumerate(zip(found, expected)):
            self.test.assertEqual(a, b, f"{place}: record {n}")
        self.test.assertEqual(len(found), len(expected), place)

    def replay(self, partition, events):
        """(records, digest) of this partition by a fresh replay of its events alone."""
        path = os.path.join(self.directory, f"input-{partition}.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(event) + "\n" for event in events)
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "replay", "--config", self.before_change, "--digest",
                               "--partitions", str(self.setup.partitions), "--format", "jsonl", path],
                              capture_output=True, timeout=SETTLED, check=False)
        self.test.assertEqual(done.returncode, 0, done.stderr.decode()[-4000:])
        records = [dict(r, key=scenario.record_key(r)) for r in map(json.loads, done.stdout.splitlines())]
        return records, scenario.digests(done.stderr.decode())[partition]

    def saved_digests(self):
        """{partition: (offset, digest)} of the newest snapshots, which were taken when the last instance ended."""
        part = "verify" if self.changes else "digest"
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", part, "--config", self.job.config_path],
                              capture_output=True, text=True, timeout=SETTLED, check=False)
        self.test.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.tell(done.stdout)
        found = re.findall(r"^(\d+) \S+@(\d+).* ([0-9a-f]{16})$", done.stdout, re.M)
        return {int(p): (int(offset), digest) for p, offset, digest in found}

    # --- all of it ---

    def run(self, name, seconds):
        self.prepare(name)
        try:
            self.begin()
            self.play(seconds)
            self.peace()
            self.check(self.finish())
        finally:
            self.end()

    def end(self):
        for name in SLOTS:
            self.link.heal(name)
        self.registry.come()
        for thread in ("load", "watch", "tail"):
            if (found := getattr(self, thread, None)) and found.is_alive():
                found.ends.set()
        for program in self.leaving.values():
            if program.process.poll() is None:
                program.kill()
        self.fleet.end()
        try:
            for node in self.cluster.nodes:
                if node.process.poll() is not None:
                    node.run()
            self.cluster.wait_whole(SETTLED)
        except (KafkaException, RuntimeError) as failure:
            self.tell(f"brokers: {failure}")
