"""The reference job on a broker of this machine: its topics, the client alone, and the program from topic to topic."""
import datetime
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import client
import conditions
import memory_parts
import services
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

PREFIX = "pqlbench-"  # of every topic and group
SUPPORT = os.path.dirname(os.path.abspath(services.__file__))
TICKS = os.sysconf("SC_CLK_TCK")
SCHEMA = {"type": "record", "name": "ProductEvent", "fields": [
    {"name": "event_id", "type": "string"}, {"name": "account_id", "type": "string"},
    {"name": "user_id", "type": ["null", "string"], "default": None}, {"name": "event", "type": "string"},
    {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "properties", "type": {"type": "map", "values": "string"}}]}
# Those of the program's own consumer (io/kafka_client.c): the client alone is measured with the same.
CONSUMER = ["group.id=pqlbench-floor", "enable.auto.commit=false", "check.crcs=true", "socket.nagle.disable=true",
            "isolation.level=read_committed", "queued.min.messages=1000000", "queued.max.messages.kbytes=65536",
            "fetch.queue.backoff.ms=5", "fetch.wait.max.ms=100"]
PRODUCER = ["enable.idempotence=true", "linger.ms=50", "batch.size=262144", "queue.buffering.max.messages=1000000"]
CONFIGURATION = """
app = "{app}"; kafka = {{ bootstrap_servers = "{broker}"; }}; registry = {{ url = "{registry}"; }};
inputs = ( {{ topic = "{topic}"; format = "avro"; mapping = "events"; }} );
mappings = {{ events = {{ event = "event"; account = [ "account_id" ]; user = [ "user_id" ]; time = "occurred_at";
                        id = "event_id"; properties = [ "properties.*" ]; }}; }};
outputs = {{ pql = {{ format = "json"; }}; pqa = {{ format = "json"; }}; state = {{ format = "json"; }}; alerts = {{ format = "json"; }}; }};
create_topics = true; replication_factor = 1; clock = "events"; lateness = "0s";
{settings}
definitions = ( {{ name = "reference"; subject = "account";
  qualify = "count(project_created, 14d) >= 5 and distinct(invite_sent.user, 14d) >= 3 and days(any, 14d) >= 5"; }} );
"""


class Broker(services.Broker):
    """As a broker is run to be measured: all of the compiler, and a heap that is no limit."""

    def java(self, *arguments):
        return ["java", "-Xms1g", "-XX:+UseG1GC", f"-Djava.io.tmpdir={self.directory}",
                *(a.replace("-Xmx512m", "-Xmx1g") for a in arguments)]


class Registry:
    """One that lives in a process of its own and does nothing meanwhile."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(SUPPORT, "registry_stub.py")], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/ok"

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def mixed(z):
    """The finaliser of splitmix64."""
    mask = 2**64 - 1
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def hash_of(account, entered, at_ms):
    h = 0xCBF29CE484222325
    for byte in f"{account}|{entered}|{at_ms}".encode():
        h = (h ^ byte) * 0x100000001B3 & 2**64 - 1
    return mixed(h)


def hash_of_record(value):
    """The program writes a time as text, a peer as a number."""
    record = json.loads(value)
    at = record["occurred_at"]
    if isinstance(at, str):
        at = round(datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() * 1000)
    return hash_of(record["account_id"], int(record["transition"] == "entered"), at)


class Process:
    """A program that takes events, with what it has used; ends with the benchmark."""

    def __init__(self, command, log_path, core=None):
        def prepare():
            services.end_with_parent()
            if core is not None:
                os.sched_setaffinity(0, {core})

        self.log_path, self.began = log_path, time.monotonic()
        with open(log_path, "ab") as log:
            self.log_from = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=prepare)

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            log.seek(self.log_from)
            return log.read()

    def check_alive(self):
        if self.process.poll() is not None:
            raise memory_parts.Failed(f"it ended with {self.process.returncode}: {self.log_text()[-600:]}")

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="utf-8") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def wait(self, what, seconds, reached, every=0.02):
        deadline = time.monotonic() + seconds
        while not reached():
            self.check_alive()
            if time.monotonic() > deadline:
                raise memory_parts.Failed(f"{what}: not within {seconds:.0f} s: {self.log_text()[-600:]}")
            time.sleep(every)


def metric(port, name, label=""):
    """The sum of a counter or gauge of a process over its labels, or over those rows that have this one."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(n) for n in re.findall(rf"^{name}(?:_total)?(?:{{.*{label}.*}})? (\S+)$", text, re.M))


class Kafka:
    """A broker with the topics of one run, which are deleted after it."""

    def __init__(self, bench):
        self.bench, self.number, self.topics_made, self.filled = bench, 0, 0, {}
        self.own = None
        if bench.options.broker:
            conditions.refuse_broker(bench.options.broker)
            self.address = bench.options.broker
            if bench.options.clean:
                self.delete(self.topics())
            conditions.refuse_leftovers(self.topics(), PREFIX)
        else:
            self.own = Broker()
            self.own.start()
            self.own.wait_ready()
            self.address = self.own.address
        self.registry = Registry()

    def stop(self):
        self.registry.stop()
        if self.own:
            self.own.stop()
        else:
            self.delete(self.topics())

    def admin(self):
        return AdminClient({"bootstrap.servers": self.address, "log_level": 3})

    def topics(self):
        return list(self.admin().list_topics(timeout=10).topics)

    def delete(self, names):
        names = [name for name in names if name.startswith(PREFIX)]
        admin = self.admin()
        for future in admin.delete_topics(names).values() if names else ():
            future.result(30)

    def tool(self, *arguments):
        return memory_parts.lines_of(self.bench, "bench_kafka", *arguments)[0]

    def new_topic(self, partitions=8):
        """A topic for events, empty; its name."""
        self.topics_made += 1
        topic = f"{PREFIX}events-{self.topics_made}"
        client.create_topics(self.address, partitions, topic)
        deadline = time.monotonic() + 60
        while not self.is_there(topic, partitions):  # the answer comes before all know it
            if time.monotonic() > deadline:
                raise memory_parts.Failed(f"{topic} was created and is not there")
            time.sleep(0.05)
        return topic

    def is_there(self, topic, partitions):
        found = self.admin().list_topics(topic, 10).topics[topic]
        return not found.error and len(found.partitions) == partitions and all(p.leader >= 0 for p in found.partitions.values())

    def writing(self, events, accounts, topic, partitions=8):
        """The first words with which bench_kafka writes events of the source to a topic."""
        schema_id = client.register_schema(self.registry.url, f"{topic}-value", SCHEMA)
        return [self.address, topic, partitions, events, accounts, schema_id]

    def fill(self, events, accounts, partitions=8, compression="none"):
        """A topic of all these events: its name, and the bytes of their keys and values."""
        key = (events, accounts, partitions, compression)
        if key not in self.filled:
            topic = self.new_topic(partitions)
            told = self.tool("fill", *self.writing(events, accounts, topic, partitions), 0, events, 0, *PRODUCER,
                             f"compression.codec={compression}")
            self.filled[key] = topic, told["bytes"]
        return self.filled[key]

    def drop(self, topic):
        """Deletes a topic of events that is not needed again."""
        self.filled = {key: found for key, found in self.filled.items() if found[0] != topic}
        self.delete([topic])

    def new_app(self):
        self.number += 1
        return f"{PREFIX}{self.number}"

    def configure(self, app, topic, settings):
        path = os.path.join(self.bench.directory, f"{app}.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(app=app, broker=self.address, registry=self.registry.url, topic=topic,
                                           settings=settings))
        return path

    def create_outputs(self, path):
        """Beforehand, so that no figure has it in it. A busy broker may not know all of them at once: asked three times."""
        for _ in range(3):
            done = subprocess.run([os.path.join(self.bench.build_folder, "pqlstream"), "topics", "--create", "--config", path],
                                  capture_output=True, text=True, check=False, timeout=120)
            if done.returncode == 0:
                break
        else:
            raise memory_parts.Failed(f"topics --create ended with {done.returncode}: {done.stderr[-500:]}")

    def start(self, path, *, core=None, instance="bench", more=()):
        """The program over a configuration, as that instance; more: other settings of this process."""
        command = [os.path.join(self.bench.build_folder, "pqlstream"), "run", "--config", path]
        for setting in (f"instance={instance}", *more):
            command += ["--set", setting]
        return Process(command, f"{path[:-5]}-{instance}.log", core)

    def digest(self, app):
        """(of the transitions, how many there are), as who reads what is committed has them."""
        values = [m.value() for m in client.read_committed(self.address, f"{app}.pqa")]
        return f"{sum(map(hash_of_record, values)) & 2**64 - 1:016x}", len(values)

    def forget(self, app):
        self.delete([name for name in self.topics() if name.startswith(f"{app}.") or name.startswith(f"{app}-")])


class Progress:
    """What a group has committed of a topic, asked again and again by one client."""

    def __init__(self, kafka, group, topic):
        self.asked = [TopicPartition(topic, p) for p in client.partitions_of(kafka.address, topic)]
        self.consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": group, "log_level": 0,
                                  "enable.auto.commit": False, "isolation.level": "read_uncommitted"})

    def offsets(self):
        try:
            return {tp.partition: max(tp.offset, 0) for tp in self.consumer.committed(self.asked, 5)}
        except KafkaException:
            return {}

    def done(self):
        return sum(self.offsets().values())

    def close(self):
        self.consumer.close()
