"""The acceptance job: its configuration, its input on a topic, the program under test as a process, its output.

A Scenario owns an application name of its own and so its own topics; several may run on one broker.
"""
import datetime
import json
import os
import re
import signal
import subprocess
import threading
import time

import client
import services

PARTITIONS = 4

EVENT_SCHEMA = {
    "type": "record", "name": "event", "namespace": "test", "fields": [
        {"name": "type", "type": "string"},
        {"name": "message_id", "type": "string"},
        {"name": "event", "type": ["null", "string"], "default": None},
        {"name": "user_id", "type": ["null", "string"], "default": None},
        {"name": "account_id", "type": ["null", "string"], "default": None},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "properties", "default": {},
         "type": {"type": "map", "values": ["null", "string", "boolean", "long", "double"]}},
        {"name": "traits", "default": {},
         "type": {"type": "map", "values": ["null", "string", "boolean", "long", "double"]}},
    ]}

DEFINITIONS = """
  { name = "adopted";      subject = "user";    qualify = "days(login, 7d) >= 3"; },
  { name = "half_adopted"; subject = "account";
    qualify = "share(was(adopted) of ever(signed_up)) >= 0.5 and users(ever(signed_up)) >= 3"; },
  { name = "active";       subject = "account"; qualify = "users(count(login, 7d) >= 1) >= 5"; }
"""

OUTPUTS = """pql = { format = "avro"; schema = "register"; }; pqa = { format = "json"; };
            state = { format = "json"; }; alerts = { format = "json"; };"""

CONFIGURATION = """
app = "{app}";
revision = {revision};
kafka = {{ bootstrap_servers = "{broker}"; }};
registry = {{ url = "{registry}"; }};
inputs = ( {{ topic = "{app}.events"; format = "{format}"; mapping = "test"; }} {more_inputs} );
mappings = {{ {more_mappings}
  test = {{
    kind = "type"; event = "event"; {account} user = [ "user_id" ];
    time = "occurred_at"; time_unit = "ms"; id = "message_id";
    properties = [ "properties.*" ]; attributes = [ "traits.*" ]; start_events = [ "signed_up" ]; {mapping}
  }};
}};
outputs = {{ {outputs} }};
create_topics = true;
replication_factor = 1;
{settings}
definitions = ( {definitions} );
"""


class Program:
    """The program under test, running. Its output goes to a log file; it ends with the process that started it."""

    def __init__(self, arguments, log_path):
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen([os.environ["PQL_TEST_BINARY"], *arguments], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=services.end_with_parent)

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()[-6000:]

    def check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the program ended with {self.process.returncode}:\n{self.log_tail()}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=40):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {seconds} s of SIGTERM:\n{self.log_tail()}") from None


class Scenario:
    def __init__(self, app, directory, *, input_format="avro", definitions=DEFINITIONS, settings='lateness = "1s";',
                 account='account = [ "account_id" ];', mapping="", clock="events", partitions=PARTITIONS, more_inputs="",
                 more_mappings="", revision=1, outputs=OUTPUTS):
        self.app, self.directory, self.input_format, self.partitions = app, directory, input_format, partitions
        self.broker = os.environ["PQL_TEST_BROKER"]
        self.registry = os.environ["PQL_TEST_REGISTRY"]
        self.topic = f"{app}.events"
        self.topics = [self.topic]
        self.config_path = os.path.join(directory, f"{app}.conf")
        self.configuration = dict(app=app, broker=self.broker, registry=self.registry, format=input_format,
                                  settings=f'clock = "{clock}"; {settings}', account=account, mapping=mapping,
                                  definitions=definitions, more_mappings=more_mappings,
                                  more_inputs=more_inputs and f", {more_inputs}", revision=revision, outputs=outputs)
        self.configure()

    def configure(self, **changed):
        """Writes the configuration at once, with these parts of it changed from here on."""
        self.configuration.update(changed)
        with open(self.config_path + ".new", "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(**self.configuration))
        os.replace(self.config_path + ".new", self.config_path)

    # --- input ---

    def create_input(self):
        client.create_topics(self.broker, self.partitions, self.topic)
        if self.input_format == "avro":
            schema_id = client.register_schema(self.registry, f"{self.topic}-value", EVENT_SCHEMA)
            self.encode = client.avro_writer(EVENT_SCHEMA, schema_id)
        else:
            self.encode = lambda event: json.dumps(event).encode()

    def messages(self, events):
        """An event goes to the partition of its account; one without account to every partition."""
        for event in events:
            value, account = self.encode(event), event.get("account_id")
            if account is None:
                for partition in range(self.partitions):
                    yield partition, None, value
            else:
                yield client.partition_of(account, self.partitions), account, value

    def produce(self, events, rate=None):
        client.produce(self.broker, self.topic, self.messages(events), rate=rate)

    def produce_paced(self, events, rate):
        """Produces in a thread of its own; the returned thread carries .failure if it failed."""
        def work():
            try:
                self.produce(events, rate)
            except Exception as failure:  # handed to the thread that waits
                thread.failure = failure

        thread = threading.Thread(target=work, daemon=True)
        thread.failure = None
        thread.start()
        return thread

    # --- the program ---

    def run(self):
        return Program(["run", "--config", self.config_path], os.path.join(self.directory, f"{self.app}.log"))

    def progress(self):
        """(sum of committed offsets, lag), None while the group does not say."""
        try:
            committed = client.committed_offsets(self.broker, self.app, self.topic)
        except client.KafkaException:
            return None
        done = sum(max(offset, 0) for offset in committed.values())
        return done, sum(client.end_offsets(self.broker, self.topic).values()) - done

    def wait_done(self, program, seconds):
        """Until everything on the input topic is committed."""
        deadline = time.monotonic() + seconds
        while True:
            program.check_alive()
            progress = self.progress()
            if progress and progress[1] == 0:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"not done in {seconds} s, at {progress}:\n{program.log_tail()}")
            time.sleep(0.2)

    # --- output ---

    def records(self, suffixes=("pql", "pqa")):
        """{topic suffix: decoded committed records with their key}, by default of the two topics of transitions."""
        decode = client.AvroReader(self.registry)

        def record(message):
            value = message.value()
            found = decode(value) if value[:1] == b"\0" else json.loads(value)
            return dict(found, key=message.key().decode())

        return {suffix: [record(m) for m in client.read_committed(self.broker, f"{self.app}.{suffix}")]
                for suffix in suffixes}

    def replay(self, events, partitions=None):
        """The records that replay writes for the same events in the same order, with their key."""
        path = os.path.join(self.directory, f"{self.app}.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(event) + "\n" for event in events)
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "replay", "--config", self.config_path,
                               "--partitions", str(partitions or self.partitions), "--format", "jsonl", path],
                              capture_output=True, timeout=170)
        if done.returncode != 0:
            raise AssertionError(f"replay ended with {done.returncode}:\n{done.stderr.decode()[-4000:]}")
        return [dict(record, key=record_key(record)) for record in map(json.loads, done.stdout.splitlines())]


def digests(output):
    """{partition: digest} of lines `0 topic@offset digest` or `partition 0: digest …`."""
    found = re.findall(r"^(?:partition )?(\d+):? .*?([0-9a-f]{16})$", output, re.M)
    return {int(partition): digest for partition, digest in found}


def record_key(record):
    parts = [record["definition"], record["account_id"]] + ([record["user_id"]] if record["user_id"] else [])
    return "/".join(re.sub(r"[/%\x00-\x1f\x7f]", lambda c: f"%{ord(c.group()):02X}", part) for part in parts)


def millis(value):
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000 + 0.5)
    if isinstance(value, str):
        return int(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() * 1000 + 0.5)
    return value


def transitions(records):
    """Records in the form of oracle.acceptance."""
    return sorted(((r["definition"], r["account_id"], r.get("user_id"), millis(r["occurred_at"]), r["transition"])
                   for r in records), key=str)


def made(record):
    """Where and when, for whoever looks for it in the logs of the instances."""
    return {name: str(record.get(name)) for name in ("source", "clock", "produced_at")}


def check_contract(test, records):
    """What a consumer may rely on, for records in topic order: unique ids, rising versions per key, the right key."""
    first, again = {}, []
    for r in records:
        if first.setdefault(r["event_id"], r) is not r:
            again.append(f"{r['key']} version {r['version']}: {made(first[r['event_id']])}, again {made(r)}")
    test.assertEqual(again, [], f"{len(again)} of {len(records)} records have an event_id that was there before")
    last = {}
    for r in records:
        test.assertEqual(r["key"], record_key(r))
        test.assertGreater(r["version"], last.get(r["key"], -1), f"version of {r['key']} does not rise")
        last[r["key"]] = r["version"]


def check_transitions(test, records, expected):
    """Equality with the oracle's answer; the message names the first differences, not all of both lists."""
    found = transitions(records)
    if found != expected:
        wrong = [x for x in found if x not in set(expected)]
        missing = [x for x in expected if x not in set(found)]
        test.fail(f"{len(found)} transitions, {len(expected)} expected; {len(wrong)} wrong, first {wrong[:5]};"
                  f" {len(missing)} missing, first {missing[:5]}")


def plain(name, value):
    """A value as JSON and Avro readers alike would give it: times as ms, numbers as floats, no absent fields."""
    if isinstance(value, dict):
        return {k: plain(k, v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [plain(name, v) for v in value]
    if value is not None and (name == "clock" or name.endswith("_at")):
        return float(millis(value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def comparable(records, left_out=()):
    """Records of a run and of a replay side by side: without what only says where and when they were made."""
    left_out = ("produced_at", "origin", "source", *left_out)
    kept = [plain("", {k: v for k, v in r.items() if k not in left_out}) for r in records]
    return sorted(kept, key=lambda r: (r["key"], r["version"]))


def check_same_records(test, found, expected, left_out=()):
    found, expected = comparable(found, left_out), comparable(expected, left_out)
    test.assertEqual(len(found), len(expected))
    for a, b in zip(found, expected):
        test.assertEqual(a, b)
