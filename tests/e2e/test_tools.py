"""The tools for people who have no files: replay --from-kafka, and what else reads topics without being asked to run."""
import json
import os
import re
import subprocess
import tempfile
import time
import unittest

import fastavro
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

import client
import dataset
import scenario

BINARY, BROKER = os.environ["PQL_TEST_BINARY"], os.environ["PQL_TEST_BROKER"]
EVENTS = dataset.generate(seed=21)
END = [dataset.closing_clock(EVENTS)]


def pqlstream(*arguments, **options):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=120, **options)


def records_of(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def place(record):
    return record["source"] and (record["source"]["topic"], record["source"]["partition"], record["source"]["offset"])


def events_of(done):
    """How many events a replay has read, as it says."""
    return int(re.search(r"^([\d,]+) events", done.stderr, re.M)[1].replace(",", ""))


class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def succeeds(self, *arguments):
        done = pqlstream(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def run_through(self, job):
        """Everything on the topic, through run; its records, which bear comparing with those of replay."""
        program = job.run()
        job.wait_done(program, 90)
        self.assertEqual(program.stop(), 0, program.log_tail())
        records = job.records()
        return [*records["pql"], *records["pqa"]]

    def assert_same(self, replayed, ran):
        """Also where they come from: the same record of the same topic."""
        replayed = [dict(r, key=scenario.record_key(r)) for r in replayed]
        scenario.check_same_records(self, replayed, ran)
        by_id = {r["event_id"]: place(r) for r in ran}
        self.assertEqual({r["event_id"]: place(r) for r in replayed}, by_id)
        self.assertGreater(len(by_id), 20)


class Replay(Tools):
    def test_records_are_those_of_run(self):
        job = scenario.Scenario("tools-avro", self.folder.name)
        job.create_input()
        job.produce(EVENTS)
        client.produce(job.broker, job.topic, [(0, "A", b"\0\0"), (1, "A", job.encode(EVENTS[0])[:7]),
                                              (2, None, None)])
        job.produce(END)
        ran = self.run_through(job)
        done = self.succeeds("replay", "--from-kafka", "--config", job.config_path)
        self.assert_same(records_of(done), ran)
        self.assertIn("3 refused", done.stderr)
        self.assertIn(f"{job.topic}[2]@", done.stderr)
        again = self.succeeds("replay", "--from-kafka", "--config", job.config_path)
        strip = [{k: v for k, v in r.items() if k != "produced_at"} for r in records_of(again)]
        self.assertEqual(strip, [{k: v for k, v in r.items() if k != "produced_at"} for r in records_of(done)])
        self.assertEqual(len(client.read_committed(job.broker, f"{job.app}.dlq")), 3)  # of run; replay wrote none

    def test_two_inputs_interleave_by_the_brokers_time(self):
        job = scenario.Scenario("tools-two", self.folder.name, input_format="json")
        other = f"{job.app}.crm"
        with open(job.config_path, encoding="utf-8") as config:
            text = config.read()
        with open(job.config_path, "w", encoding="utf-8") as config:
            config.write(text.replace("inputs = (",
                                      f'inputs = ( {{ topic = "{other}"; format = "json"; mapping = "test"; }},'))
        job.create_input()
        client.create_topics(job.broker, scenario.PARTITIONS, other)
        program, size = job.run(), len(EVENTS) // 4 + 1
        for n in range(0, len(EVENTS), size):  # one topic after the other, so that run reads them as they were written
            client.produce(job.broker, other if n // size % 2 else job.topic, job.messages(EVENTS[n:n + size]))
            self.wait_read(job, program, (job.topic, other))
        client.produce(job.broker, other, job.messages(END))
        self.wait_read(job, program, (job.topic, other))
        self.assertEqual(program.stop(), 0, program.log_tail())
        records = job.records()
        done = self.succeeds("replay", "--from-kafka", "--config", job.config_path)
        self.assert_same(records_of(done), [*records["pql"], *records["pqa"]])
        self.assertEqual({r["source"]["topic"] for r in records_of(done) if r["source"]}, {job.topic, other})

    def wait_read(self, job, program, topics):
        deadline = time.monotonic() + 60
        while any(sum(client.committed_offsets(job.broker, job.app, topic).values())
                  < sum(client.end_offsets(job.broker, topic).values()) for topic in topics):
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, program.log_tail())
            time.sleep(0.2)

    def test_since_and_until_are_the_brokers_times(self):
        job = scenario.Scenario("tools-since", self.folder.name, input_format="json")
        job.create_input()
        job.produce(EVENTS[:100])
        time.sleep(3)
        cut = time.time()
        job.produce(EVENTS[100:150])
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(cut - 1))

        def events(*flags):
            done = self.succeeds("replay", "--from-kafka", "--config", job.config_path, *flags)
            return events_of(done)

        self.assertEqual(events(), 150)
        self.assertEqual(events("--since", text), 50)
        self.assertEqual(events("--until", text), 100)
        self.assertEqual(events("--since", "1d"), 150)
        self.assertEqual(events("--since", "1d", "--until", text), 100)
        self.assertEqual(events("--until", "1d"), 0)
        groups = client.AdminClient({"bootstrap.servers": job.broker}).list_consumer_groups().result(10).valid
        self.assertNotIn(job.app, [group.group_id for group in groups])

    def test_an_open_transaction_ends_the_reading_before_it(self):
        """What is not committed is not read, and nobody waits for it; what was aborted is left out."""
        job = scenario.Scenario("tools-open", self.folder.name, input_format="json")
        job.create_input()
        here = [(0, "k", json.dumps(e).encode()) for e in EVENTS[:60]]
        client.produce(job.broker, job.topic, here[:20])
        client.produce(job.broker, job.topic, here[20:30], transactional_id="tools-aborted", commit=False)
        client.produce(job.broker, job.topic, here[30:40], transactional_id="tools-committed")
        producer = client.Producer({"bootstrap.servers": job.broker, "transactional.id": "tools-open"})
        producer.init_transactions(30)
        producer.begin_transaction()
        for partition, key, value in here[40:]:
            producer.produce(job.topic, value, key, partition)
        producer.flush(10)
        done = self.succeeds("replay", "--from-kafka", "--config", job.config_path)
        self.assertEqual(events_of(done), 30)
        producer.commit_transaction(30)  # would fail, had the reading waited for the end of its time
        done = self.succeeds("replay", "--from-kafka", "--config", job.config_path)
        self.assertEqual(events_of(done), 50)

    def test_what_cannot_be_read_is_named(self):
        job = scenario.Scenario("tools-absent", self.folder.name)
        for flags, code, words in (
                ([], 2, "topic tools-absent.events does not exist"),
                (["--since", "yesterday"], 2, "--since yesterday: must be a duration"),
                (["--since", "1d", "--until", "2d"], 2, "--until 2d does not lie behind --since 1d"),
                (["events.jsonl"], 2, "a file does not go with --from-kafka"),
                (["--set", "kafka.bootstrap_servers=127.0.0.1:1"], 1, "127.0.0.1:1")):
            with self.subTest(flags=flags):
                done = pqlstream("replay", "--from-kafka", "--config", job.config_path, *flags)
                self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
                self.assertIn(words, done.stderr)


class Decode(Tools):
    def decode(self, job, *flags):
        done = pqlstream("decode", "--config", job.config_path, "--topic", *flags)
        return done.returncode, records_of(done), done.stderr

    def test_records_of_a_topic_by_the_registry(self):
        job = scenario.Scenario("tools-decode", self.folder.name)
        job.create_input()
        producer = client.Producer({"bootstrap.servers": job.broker})
        producer.produce(job.topic, job.encode(EVENTS[0]), b"A-1", 1, timestamp=1700000000123,
                         headers=[("trace", b"4711"), ("raw", b"\xff"), ("none", None)])
        producer.produce(job.topic, b'{"a":\n1}', b"\xff\x00", 1)
        producer.produce(job.topic, b"\0\0", None, 1)
        producer.produce(job.topic, None, b"A-1", 1)
        producer.flush(10)
        code, records, error = self.decode(job, job.topic, "--partition", "1", "--offset", "0", "--count", "10")
        self.assertEqual(code, 1)  # one of them cannot be decoded
        self.assertIn("1 of 4 records could not be decoded", error)
        first = records[0]
        self.assertEqual([first[k] for k in ("topic", "partition", "offset", "timestamp", "key")],
                         [job.topic, 1, 0, "2023-11-14T22:13:20.123Z", "A-1"])
        self.assertEqual(first["headers"], [{"name": "trace", "value": "4711"}, {"name": "raw", "value_hex": "ff"},
                                            {"name": "none", "value": None}])
        self.assertEqual(first["value"]["message_id"], EVENTS[0]["message_id"])
        self.assertTrue(first["schema"].startswith("id "))
        self.assertEqual((records[1]["key_hex"], records[1]["schema"], records[1]["value"]), ("ff00", "json", {"a": 1}))
        self.assertEqual((records[2]["key"], records[2]["value_hex"]), (None, "0000"))
        self.assertIn("schema id", records[2]["error"])
        self.assertEqual((records[3]["value"], records[3]["schema"]), (None, None))
        code, records, _ = self.decode(job, job.topic, "-p", "1", "-o", "0", "-f", "user_id")
        self.assertEqual((code, records[0]["value"]), (0, {"user_id": EVENTS[0]["user_id"]}))

    def test_places_that_are_not_there(self):
        job = scenario.Scenario("tools-places", self.folder.name, input_format="json")
        job.create_input()
        client.produce(job.broker, job.topic, [(0, "k", b"{}")], transactional_id="tools-places", commit=False)
        client.produce(job.broker, job.topic, [(0, "k", b"[7]")])
        code, records, error = self.decode(job, job.topic, "-p", "0", "-o", "0")
        self.assertEqual((code, records[0]["value"], records[0]["offset"]), (0, [7], 2))
        self.assertIn(f"{job.topic}[0]@0 is no committed record; the next one is at 2", error)
        for flags, words in ((["nothing", "-p", "0", "-o", "0"], "topic nothing does not exist"),
                             ([job.topic, "-p", "9", "-o", "0"], f"{job.topic} has no partition 9, it has 4"),
                             ([job.topic, "-p", "0", "-o", "77"], f"{job.topic}[0] has no offset 77: it holds 0 to 2"),
                             ([job.topic, "-o", "77"], "--topic wants --partition")):
            with self.subTest(flags=flags):
                code, records, error = self.decode(job, *flags)
                self.assertEqual((code, records), (2, []), error)
                self.assertIn(words, error)


class Sample(Tools):
    def sample(self, job, name, *flags):
        path = self.path(name)
        done = self.succeeds("sample", "--config", job.config_path, "--output", path, *flags)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        return path, done.stderr

    def replayed(self, job, path, *flags):
        return records_of(self.succeeds("replay", "--config", job.config_path, path, *flags))

    def assert_some_accounts(self, job, path, ran, at_most):
        """Those of the sample as in the run; what the clock of the others' events decides is not a part of it."""
        replayed = [dict(r, key=scenario.record_key(r)) for r in self.replayed(job, path)]
        accounts = {r["account_id"] for r in replayed}
        self.assertTrue(0 < len(accounts) <= at_most, len(accounts))
        scenario.check_same_records(self, replayed, [r for r in ran if r["account_id"] in accounts], ["clock"])
        return accounts

    def test_lines_of_json(self):
        job = scenario.Scenario("tools-sample", self.folder.name, input_format="json")
        job.create_input()
        job.produce(EVENTS)
        client.produce(job.broker, job.topic, [(0, "A", b"{junk"), (1, "B", b"[1]")])
        job.produce(END)
        ran = self.run_through(job)
        path, said = self.sample(job, "all.jsonl")
        self.assertIn("2 cannot be used", said)
        self.assert_same(self.replayed(job, path), ran)
        with open(path, encoding="utf-8") as lines:
            events = [json.loads(line) for line in lines]
        self.assertEqual(len(events), len(EVENTS) + scenario.PARTITIONS)
        self.assertEqual(events[0]["pqlstream_place"]["topic"], job.topic)
        self.assertIn(events[0]["account_id"], [e["account_id"] for e in EVENTS])

        path, said = self.sample(job, "some.jsonl", "--accounts", "10")
        self.assertIn(" events of 10 accounts; ", said)
        few = self.assert_some_accounts(job, path, ran, 10)
        path, _ = self.sample(job, "share.jsonl", "--accounts", "30%")
        self.assertTrue(few <= self.assert_some_accounts(job, path, ran, 40))  # the same ones first
        path, _ = self.sample(job, "max.jsonl", "--max", "300")
        with open(path, encoding="utf-8") as lines:
            self.assertLessEqual(len(lines.readlines()), 300)
        self.assert_some_accounts(job, path, ran, 20)

    def test_container_of_two_versions_of_a_schema(self):
        job = scenario.Scenario("tools-versions", self.folder.name)
        job.create_input()
        newer = json.loads(json.dumps(scenario.EVENT_SCHEMA))
        newer["fields"].insert(1, {"name": "app_version", "type": ["null", "string"], "default": None})
        encoders = [job.encode, client.avro_writer(newer, client.register_schema(job.registry, f"{job.topic}-value", newer))]
        rounds = iter(range(len(EVENTS) + 10))
        job.encode = lambda event: encoders[next(rounds) // 7 % 2](dict(event, app_version="2"))
        job.produce(EVENTS + END)
        ran = self.run_through(job)
        path, said = self.sample(job, "all.avro")
        self.assertIn(", of 2 schemas", said)
        self.assert_same(self.replayed(job, path), ran)
        with open(path, "rb") as container:
            events = list(fastavro.reader(container))
        self.assertEqual(len(events), len(EVENTS) + scenario.PARTITIONS)
        self.assertEqual({e.get("app_version") for e in events}, {None, "2"})
        self.assertEqual({e["message_id"] for e in events}, {e["message_id"] for e in EVENTS + END})
        decoded = self.succeeds("decode", path)
        self.assertEqual(len(decoded.stdout.splitlines()), len(events))
        path, _ = self.sample(job, "some.avro", "--accounts", "10")
        self.assert_some_accounts(job, path, ran, 10)

    def test_what_stands_beside_the_value(self):
        """Account from the key, name from a header, time from the broker: the sample has them as well."""
        job = scenario.Scenario("tools-beside", self.folder.name, input_format="json",
                                definitions='{ name = "d"; subject = "account"; qualify = "count(login, 7d) >= 2"; }')
        with open(job.config_path, encoding="utf-8") as config:
            text = config.read()
        text = text.replace('kind = "type"; event = "event"; account = [ "account_id" ];',
                            'event = "header:name"; account = [ "key" ];').replace('time = "occurred_at"', 'time = "broker:timestamp"')
        with open(job.config_path, "w", encoding="utf-8") as config:
            config.write(text)
        job.create_input()
        producer = client.Producer({"bootstrap.servers": job.broker})
        now = int(time.time() * 1000)
        for n in range(60):
            account = f"a\x01{n % 20}"
            producer.produce(job.topic, b"{}", account.encode(), client.partition_of(account, scenario.PARTITIONS),
                             timestamp=now - 100000 + n, headers=[("name", b"login"), ("other", None)])
        producer.flush(10)
        path, _ = self.sample(job, "beside.jsonl")
        done = self.succeeds("replay", "--from-kafka", "--config", job.config_path)
        self.assertEqual(len(records_of(done)), 20, done.stderr)
        strip = [{k: v for k, v in r.items() if k != "produced_at"} for r in records_of(done)]
        self.assertEqual([{k: v for k, v in r.items() if k != "produced_at"} for r in self.replayed(job, path)], strip)

    def test_mistakes(self):
        job = scenario.Scenario("tools-mistakes", self.folder.name, input_format="json")
        job.create_input()
        for flags, words in ((["--output", "x.avro"], "the events are JSON, so it must end in .jsonl"),
                             (["--accounts", "0"], "--accounts 0: must be"), (["--max", "-3"], "--max -3: must be"),
                             (["--input", "nothing"], "--input nothing: no such input"),
                             (["--since", "soon"], "--since soon: must be"), (["file"], "what is 'file'?"),
                             (["--output", "/nowhere/x.jsonl"], "/nowhere/x.jsonl: No such file or directory")):
            done = pqlstream("sample", "--config", job.config_path, *flags, cwd=self.folder.name)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)
        path, said = self.sample(job, "empty.jsonl")
        self.assertIn("0 events of 0 accounts", said)
        self.assertEqual(self.replayed(job, path), [])


class DeadLetters(Tools):
    @classmethod
    def setUpClass(cls):
        """Refused records of three kinds on two partitions, as run leaves them."""
        super().setUpClass()
        cls.job = job = scenario.Scenario("tools-dlq", cls.folder.name, input_format="json")
        job.create_input()
        job.produce(EVENTS[:20])
        cls.bad = [(1, b"A-1", b"{junk", 1700000000123, [("trace", b"4711"), ("raw", b"\xff"), ("none", None)]),
                   (1, b"A-2", b"", 1700000000124, []),
                   (2, None, json.dumps({"type": "track", "event": "login", "occurred_at": 1}).encode(), 1700000000125, []),
                   (2, b"\xff", b"\x00\x01", 1700000000126, [])]
        producer = client.Producer({"bootstrap.servers": job.broker})
        for partition, key, value, at, headers in cls.bad:
            producer.produce(job.topic, value, key, partition, timestamp=at, headers=headers)
        producer.flush(10)
        cls.run_it(job)

    @staticmethod
    def run_it(job):
        program = job.run()
        job.wait_done(program, 90)
        if program.stop():
            raise AssertionError(program.log_tail())

    def dlq(self, *arguments):
        done = pqlstream("dlq", *arguments, "--config", self.job.config_path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def shown(self, *flags):
        return records_of(self.dlq("show", *flags))

    def test_list_counts_by_reason_and_place(self):
        done = self.dlq("list")
        rows = [line.split() for line in done.stdout.splitlines()[1:]]
        first = {r["reason"] + str(r["partition"]): r["offset"] for r in reversed(self.shown())}
        self.assertEqual([row[:3] for row in rows], [["2", "bad_json", f"{self.job.topic}[1]"],
                                                     ["1", "bad_json", f"{self.job.topic}[2]"],
                                                     ["1", "no_account", f"{self.job.topic}[2]"]])
        self.assertEqual(rows[0][3], f"{first['bad_json1']}..{first['bad_json1'] + 1}")
        self.assertIn("4 dead letters in tools-dlq.dlq", done.stderr)
        self.assertIn("0 dead letters", self.dlq("list", "--reason", "late").stderr)

    def test_show_hides_values_unless_they_are_asked_for(self):
        record = self.shown("--reason", "bad_json", "--partition", "1")[0]
        self.assertEqual((record["topic"], record["key"], record["value_bytes"], record["timestamp"]),
                         (self.job.topic, "A-1", 5, "2023-11-14T22:13:20.123Z"))
        self.assertNotIn("junk", json.dumps(record))
        self.assertNotIn("4711", json.dumps(record))
        record = self.shown("--offset", str(record["offset"]), "--partition", "1", "--values")[0]
        self.assertEqual((record["value"], record["headers"][0]), ("{junk", {"name": "trace", "value": "4711"}))
        decoded = self.shown("--reason", "no_account", "--values")[0]
        self.assertEqual((decoded["key"], decoded["value"]["event"]), (None, "login"))
        self.assertEqual(self.shown("--reason", "no_account", "--values", "-f", "event")[0]["value"], {"event": "login"})
        raw = self.shown("--partition", "2", "--reason", "bad_json", "--values")[0]
        self.assertEqual((raw["key_hex"], raw["value_hex"]), ("ff", "0001"))

    def test_filters(self):
        self.assertEqual(len(self.shown("--reason", "bad_json", "--reason", "no_account")), 4)
        self.assertEqual(len(self.shown("--since", "1h")), 4)
        self.assertEqual(len(self.shown("--until", "1h")), 0)
        self.assertEqual(len(self.shown("--input", "another")), 0)
        offsets = sorted(r["offset"] for r in self.shown("--partition", "1"))
        self.assertEqual(len(self.shown("--partition", "1", "--offset", f"{offsets[0]}..{offsets[1]}")), 2)
        for flags, words in ((["--offset", "9..3"], "--offset 9..3: must be"), (["--partition", "x"], "must be a number"),
                             (["--since", "x"], "--since x: must be")):
            refused = pqlstream("dlq", "list", *flags, "--config", self.job.config_path)
            self.assertEqual(refused.returncode, 2)
            self.assertIn(words, refused.stderr)
        self.assertEqual(pqlstream("dlq", "drop").returncode, 2)

    def test_zz_resend_as_they_came(self):
        """Last, since it adds records: what goes back is refused again, being what it is."""
        before = len(client.read_committed(self.job.broker, self.job.topic))
        dry = self.dlq("resend", "--partition", "1")
        self.assertIn("2 would be sent back to their topic and partition; with --yes they are", dry.stderr)
        self.assertIn(f"{self.job.topic}[1]", dry.stdout)
        self.assertEqual(len(client.read_committed(self.job.broker, self.job.topic)), before)
        done = self.dlq("resend", "--yes")
        self.assertIn("4 of 4 sent back", done.stderr)
        self.assertIn("dedup_horizon is not set, so both would count", done.stderr)
        messages = client.read_committed(self.job.broker, self.job.topic)
        self.assertEqual(len(messages), before + 4)
        again = {p: [m for m in messages if m.partition() == p][-2:] for p in (1, 2)}
        found = [(m.partition(), m.key(), m.value(), m.timestamp()[1], m.headers() or []) for p in (1, 2) for m in again[p]]
        self.assertEqual(found, self.bad)
        self.run_it(self.job)
        self.assertEqual([row.split()[0] for row in self.dlq("list").stdout.splitlines()[1:]], ["4", "2", "2"])


class Retention(Tools):
    def test_a_window_that_is_longer_than_the_topic(self):
        client.create_topics(BROKER, 2, "short.events", config={"retention.ms": "604800000"})
        config = self.path("short.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f'''app = "short"; kafka = {{ bootstrap_servers = "{BROKER}"; }};
                inputs = ( {{ topic = "short.events"; format = "json"; }} ); replication_factor = 1;
                definitions = ( {{ name = "week"; qualify = "count(login, 7d) >= 2"; }},
                                {{ name = "month"; qualify = "count(login, 30d) >= 2"; }} );''')
        warning = ("retention.ms is 604800000 (7d), and count(login, 30d) of definition 'month' looks back 30d: state keeps "
                   "what it has read, but a definition that is new, or state that was lost, is filled from the topic alone "
                   "and counts from then on (complete_since)")
        mend = (f"kafka-configs.sh --bootstrap-server {BROKER} --alter --entity-type topics --entity-name "
                "short.events --add-config retention.ms=2592000000")
        created = self.succeeds("topics", "--create", "--config", config)
        self.assertIn(f"warning: short.events: {warning}\n    {mend}\nall topics are there\n", created.stdout)
        program = scenario.Program(["run", "--config", config], self.path("short.log"))
        self.addCleanup(program.stop)
        deadline = time.monotonic() + 60
        while "msg=running" not in program.log_tail():
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, program.log_tail())
            time.sleep(0.1)
        self.assertEqual(program.stop(), 0, program.log_tail())
        with open(self.path("short.log"), encoding="utf-8") as log:
            self.assertEqual(sum(warning in line and mend in line and "level=warn" in line for line in log), 1)
        change = ConfigResource(ConfigResource.Type.TOPIC, "short.events", incremental_configs=[
            ConfigEntry("retention.ms", "2592000000", incremental_operation=AlterConfigOpType.SET)])
        admin = AdminClient({"bootstrap.servers": BROKER})
        admin.incremental_alter_configs([change])[change].result(30)
        deadline = time.monotonic() + 60
        while (said := self.succeeds("topics", "--verify", "--config", config).stdout) != "all topics are there and fit\n":
            self.assertLess(time.monotonic(), deadline, said)


if __name__ == "__main__":
    unittest.main()
