"""Several instances of one group over two input topics, a load that never pauses, and who commits what and when.

The inputs differ in format and shape: <app>.events is Avro as in scenario.EVENT_SCHEMA, <app>.crm is JSON with names of
its own and brings the attributes. Both are produced by a client of the tests, partitioned by account.
"""
import collections
import itertools
import json
import os
import re
import signal
import threading
import time

import client
import dataset
import scenario
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

PARTITIONS = 8

DEFINITIONS = """
  { name = "keen"; subject = "user"; qualify = "count(login, 30m) >= 3"; },
  { name = "paid_active"; subject = "account"; qualify = "users(count(login, 1h) >= 1) >= 3";
    eligible = "account.plan = 'paid'"; },
  { name = "admins"; subject = "account"; qualify = "count(login where user.role = 'admin', 1h) >= 2"; }
"""

CRM_INPUT = '{{ topic = "{app}.crm"; format = "json"; mapping = "crm"; }}'
CRM_MAPPING = """
  crm = {
    kind = "action"; event = "name"; account = [ "org" ]; user = [ "member" ]; time = "ts"; id = "msg"; attributes = [ "fields.*" ];
  };
"""

# Event time runs 60 times as fast as the clock: a task may be two minutes behind in one input before an event of the
# other is late. One that is late all the same is seen among the dead letters.
SETTINGS = """
lateness = "2h"; late_policy = "dead_letter"; dedup_horizon = "30d"; checkpoint_interval = "5s"; restore_target = "2s";
"""
SPEED = 60


def crm_record(event):
    """An event in the shape of the second topic."""
    ts = dataset.iso(event["occurred_at"])
    found = {"action": event["type"], "org": event["account_id"], "member": event["user_id"], "ts": ts,
             "msg": event["message_id"], "fields": event.get("traits", {})}
    return {k: v for k, v in found.items() if v is not None}


class TwoInputs(scenario.Scenario):
    def __init__(self, app, directory, *, settings="", definitions=DEFINITIONS):
        # What differs between instances is given to each on its command line.
        super().__init__(app, directory, partitions=PARTITIONS, definitions=definitions, settings=SETTINGS + settings,
                         more_inputs=CRM_INPUT.format(app=app), more_mappings=CRM_MAPPING)
        self.topics.append(f"{app}.crm")

    def create_input(self):
        super().create_input()
        client.create_topics(self.broker, PARTITIONS, self.topics[1])

    def message(self, event):
        """(topic, partition, key, value); attributes come from the CRM."""
        account = event["account_id"]
        place = client.partition_of(account, PARTITIONS), account
        if event["type"] == "track":
            return self.topics[0], *place, self.encode(event)
        return self.topics[1], *place, json.dumps(crm_record(event)).encode()

    def progress(self):
        """(sum of committed offsets, lag) over both topics, None while the group does not say."""
        try:
            done = sum(max(offset, 0) for topic in self.topics
                       for offset in client.committed_offsets(self.broker, self.app, topic).values())
            return done, sum(sum(client.end_offsets(self.broker, topic).values()) for topic in self.topics) - done
        except KafkaException:
            return None


class Load(threading.Thread):
    """The events of a seed, at a rate, until stop(); `sent` are all of them in the order of sending."""

    def __init__(self, job, events, rate):
        super().__init__(daemon=True)
        self.job, self.events, self.rate, self.sent, self.failure = job, events, rate, [], None
        self.ends = threading.Event()

    def run(self):
        try:
            self.produce(self.events, self.rate)
        except Exception as failure:  # handed to the thread that stops it
            self.failure = failure

    def produce_at_once(self, count):
        """The first events of the stream, before the thread is started."""
        self.produce(itertools.islice(self.events, count), None)

    def produce(self, events, rate):
        producer = Producer({"bootstrap.servers": self.job.broker, "enable.idempotence": True, "linger.ms": 5,
                             "message.timeout.ms": 120000, "log_level": 2})
        pace = client.Pace(rate)
        for event in events:
            if self.ends.is_set():
                break
            topic, partition, key, value = self.job.message(event)
            producer.produce(topic, value, key, partition, on_delivery=self.delivered)
            self.sent.append(event)
            producer.poll(0)
            pace.step()
        if producer.flush(120):
            raise RuntimeError("not everything was delivered in 120 s")

    def delivered(self, error, _message):
        if error:
            self.failure = RuntimeError(f"not delivered: {error}")

    def stop(self):
        self.ends.set()
        self.join()
        if self.failure:
            raise self.failure
        return self.sent


def metadata_of(position):
    """The fields of a committed offset's metadata. The client gives it without its length: behind it may stand what the
    memory held before, so a field counts where it comes first, and it fails if all that is no UTF-8."""
    try:
        text = position.metadata or ""
    except UnicodeDecodeError as failure:
        text = failure.object.decode("ascii", "replace")
    fields = {}
    for field in text.split(";"):
        name, _, value = field.partition("=")
        fields.setdefault(name, value)
    return fields


Commit = collections.namedtuple("Commit", "at position writer")


class Watch(threading.Thread):
    """Who commits each partition, and when: the group's committed offsets, asked for again and again."""

    EVERY = 0.02

    def __init__(self, job):
        super().__init__(daemon=True)
        self.job, self.ends = job, threading.Event()
        self.commits = {p: [] for p in range(job.partitions)}

    def run(self):
        asked = [TopicPartition(topic, p) for topic in self.job.topics for p in range(self.job.partitions)]
        consumer = Consumer({"bootstrap.servers": self.job.broker, "group.id": self.job.app, "log_level": 0,
                             "enable.auto.commit": False, "isolation.level": "read_uncommitted"})
        while not self.ends.wait(self.EVERY):
            try:
                self.take(consumer.committed(asked, 2))
            except KafkaException:
                pass  # a broker that is away: nothing is committed meanwhile either
        consumer.close()

    def take(self, found):
        now = time.monotonic()
        for p in range(self.job.partitions):
            position = tuple(tp.offset for tp in found if tp.partition == p)
            fields = next((metadata_of(tp) for tp in found if tp.partition == p), {})
            known = self.commits[p]
            if "w" in fields and (not known or known[-1].position != position):
                known.append(Commit(now, position, fields["w"]))

    def stop(self):
        self.ends.set()
        self.join()

    def writers(self):
        """{partition: who committed it last}."""
        return {p: commits[-1].writer for p, commits in self.commits.items() if commits}

    def counts(self):
        return [len(commits) for commits in self.commits.values()]

    def gaps(self, since):
        """{partition: the longest time without a commit that moved it}, from `since` on."""
        answer, now = {}, time.monotonic()
        for p, commits in self.commits.items():
            times = [since, *(c.at for c in commits if c.at > since), now]
            answer[p] = max(b - a for a, b in zip(times, times[1:]))
        return answer


class Fleet:
    """The instances of a job that run now, by name. All end with the test."""

    def __init__(self, test, job, *, static, settings=()):
        self.test, self.job, self.static, self.settings = test, job, static, list(settings)
        self.running, self.codes = {}, {}
        test.addCleanup(self.end)

    def start(self, name):
        more = [*self.settings, *([f"instance={name}"] if name in self.static else [])]
        arguments = ["run", "--config", self.job.config_path]
        for setting in more:
            arguments += ["--set", setting]
        log_path = os.path.join(self.job.directory, f"{self.job.app}-{name}.log")
        self.running[name] = scenario.Program(arguments, log_path)
        return self.running[name]

    def stop(self, name):
        program = self.running.pop(name)
        self.test.assertEqual(program.stop(60), 0, f"{name}:\n{program.log_tail()}")

    def kill(self, name):
        self.running.pop(name).kill()

    def freeze(self, name):
        self.running[name].process.send_signal(signal.SIGSTOP)

    def thaw(self, name):
        self.running[name].process.send_signal(signal.SIGCONT)

    def writer(self, name):
        """As committed offsets name this process; None as long as it has not said."""
        with open(self.running[name].log_path, encoding="utf-8", errors="replace") as log:
            found = re.findall(r"msg=running writer=(\w+)", log.read())
        return found[-1] if found else None

    def not_let_in(self, name):
        print(f"          {name} was not let in again: started again", flush=True)
        self.start(name)

    def check_alive(self):
        """Who ended because the group did not let it in again is started again, as a supervisor would."""
        for name, program in list(self.running.items()):
            if name in self.static and program.process.poll() == 1 and \
                    "longer than its session and was not let in again" in program.log_tail().splitlines()[-1]:
                self.not_let_in(name)
        for name, program in self.running.items():
            self.test.assertIsNone(program.process.poll(), f"{name} ended:\n{program.log_tail()}")

    def wait(self, what, seconds, reached):
        deadline = time.monotonic() + seconds
        while not reached():
            self.check_alive()
            if time.monotonic() > deadline:
                logs = "".join(f"--- {name}\n{p.log_tail()}\n" for name, p in sorted(self.running.items()))
                self.test.fail(f"{what}: not within {seconds} s\n{logs}")
            time.sleep(0.05)

    def logs(self):
        """{name: all that the instances of that name have said}."""
        found = {}
        for entry in sorted(os.listdir(self.job.directory)):
            if entry.startswith(self.job.app + "-") and entry.endswith(".log"):
                with open(os.path.join(self.job.directory, entry), encoding="utf-8", errors="replace") as log:
                    found[entry[len(self.job.app) + 1:-4]] = log.read()
        return found

    def end(self):
        for program in self.running.values():
            if program.process.poll() is None:
                program.kill()
