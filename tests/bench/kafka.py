#!/usr/bin/env python3
"""The reference job from topic to topic: what a processor costs beside the client that it rests on.

  kafka.py [--events N] [--runs N] [--partitions P] [--compression lz4]

On a broker of its own, started here, the events of bench_kafka are written once. Then by turns: the client alone (the
floor), pqlstream exactly once and at least once with one worker and two, each from the first event to the last. Figures are CPU
of the whole process per event, from its start on, and wall time; the transitions of every run of pqlstream are checked
by their digest. Broker and processes share the cores of the machine, so only CPU per event compares.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))

import client
import services

ACCOUNTS = 100_000
DIGESTS = {(5_000_000, 8): 0x3DE04418577EC542}  # by events and partitions: lateness 0, one clock per partition
SCHEMA = {"type": "record", "name": "ProductEvent", "fields": [
    {"name": "event_id", "type": "string"}, {"name": "account_id", "type": "string"},
    {"name": "user_id", "type": ["null", "string"], "default": None}, {"name": "event", "type": "string"},
    {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "properties", "type": {"type": "map", "values": "string"}}]}
# Those of pqlstream's own consumer (io/kafka_client.c): the floor is measured with the same.
CONSUMER = ["group.id=floor", "enable.auto.commit=false", "check.crcs=true", "queued.min.messages=1000000",
            "queued.max.messages.kbytes=65536", "fetch.queue.backoff.ms=5", "fetch.wait.max.ms=100"]
CONFIGURATION = """
app = "{app}"; kafka = {{ bootstrap_servers = "{broker}"; }}; registry = {{ url = "{registry}"; }};
inputs = ( {{ topic = "{topic}"; format = "avro"; mapping = "events"; }} );
mappings = {{ events = {{ event = "event"; account = [ "account_id" ]; user = [ "user_id" ]; time = "occurred_at";
                        id = "event_id"; properties = [ "properties.*" ]; }}; }};
outputs = {{ pql = {{ format = "json"; }}; pqa = {{ format = "json"; }}; state = {{ format = "json"; }}; alerts = {{ format = "json"; }}; }};
create_topics = true; replication_factor = 1; instance = "bench"; clock = "events"; lateness = "0s";
workers = {workers}; delivery = "{delivery}"; checkpoint_interval = "{checkpoint}";
definitions = ( {{ name = "reference"; subject = "account";
  qualify = "count(project_created, 14d) >= 5 and distinct(invite_sent.user, 14d) >= 3 and days(any, 14d) >= 5"; }} );
"""
TICKS = os.sysconf("SC_CLK_TCK")


def mixed(z):
    """The finaliser of splitmix64."""
    mask = 2**64 - 1
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def hash_of(record):
    at = round(datetime.datetime.fromisoformat(record["occurred_at"].replace("Z", "+00:00")).timestamp() * 1000)
    h = 0xCBF29CE484222325
    for byte in f"{record['account_id']}|{int(record['transition'] == 'entered')}|{at}".encode():
        h = (h ^ byte) * 0x100000001B3 & 2**64 - 1
    return mixed(h)


class Bench:
    def __init__(self, options, directory, broker, registry):
        self.options, self.directory, self.broker, self.registry = options, directory, broker, registry
        self.topic, self.run_number = "events", 0

    def tool(self, *arguments):
        done = subprocess.run([self.options.tool, *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench_kafka ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def fill(self):
        client.create_topics(self.broker, self.options.partitions, self.topic)
        schema_id = client.register_schema(self.registry, f"{self.topic}-value", SCHEMA)
        print(self.tool("fill", self.broker, self.topic, self.options.partitions, self.options.events, ACCOUNTS, schema_id,
                        "enable.idempotence=true", "linger.ms=50", "batch.size=262144",
                        f"compression.codec={self.options.compression}").strip(), flush=True)

    def floor(self):
        found = json.loads(self.tool("read", self.broker, self.topic, self.options.partitions, self.options.events,
                                     *CONSUMER))
        return found["cpu_ns"], found["wall_ns"]

    def pqlstream(self, delivery, workers, checkpoint="60s"):
        self.run_number += 1
        app = f"bench-{self.run_number}"
        path = os.path.join(self.directory, f"{app}.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(app=app, broker=self.broker, registry=self.registry, topic=self.topic,
                                           workers=workers, delivery=delivery, checkpoint=checkpoint))
        with open(os.path.join(self.directory, f"{app}.log"), "wb") as log:
            began = time.monotonic()
            process = subprocess.Popen([self.options.binary, "run", "--config", path], stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL, preexec_fn=services.end_with_parent)
        try:
            self.wait_done(process, app)
            cpu, wall = self.cpu_seconds(process.pid), time.monotonic() - began
        finally:
            process.terminate()
            process.wait(60)
        self.check_digest(app)
        return cpu * 1e9 / self.options.events, wall * 1e9 / self.options.events

    def wait_done(self, process, app):
        deadline = time.monotonic() + 300
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(self.directory, f"{app}.log"), encoding="utf-8") as log:
                    raise SystemExit("pqlstream did not come to the end:\n" + log.read()[-3000:])
            try:
                committed = client.committed_offsets(self.broker, app, self.topic)
            except client.KafkaException:
                committed = {}
            if sum(max(offset, 0) for offset in committed.values()) >= self.options.events:
                return
            time.sleep(0.05)

    @staticmethod
    def cpu_seconds(pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def check_digest(self, app):
        expected = DIGESTS.get((self.options.events, self.options.partitions))
        if expected is None:
            return
        records = [json.loads(m.value()) for m in client.read_committed(self.broker, f"{app}.pqa")]
        found = sum(map(hash_of, records)) & 2**64 - 1
        if found != expected:
            raise SystemExit(f"WRONG: digest {found:016x} of {len(records)} records of {app}, not {expected:016x}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--compression", default="none")
    options = parser.parse_args()
    broker, registry = services.Broker(), services.Registry()
    rows = {}
    with tempfile.TemporaryDirectory(prefix="pqlstream-bench-") as directory:
        try:
            registry.start()
            broker.start()
            broker.wait_ready()
            registry.wait_ready()
            bench = Bench(options, directory, broker.address, registry.url)
            bench.fill()
            for _ in range(options.runs):
                rows.setdefault("client alone", []).append(bench.floor())
                for delivery in ("exactly_once", "at_least_once"):
                    for workers in (1, 2):
                        rows.setdefault(f"{delivery}, workers = {workers}", []).append(bench.pqlstream(delivery, workers))
        finally:
            broker.stop()
            registry.stop()
    floor = statistics.median(cpu for cpu, _ in rows["client alone"])
    print(f"{'':32}{'CPU ns/event':>28}{'x client':>10}{'events/s':>14}")
    for name, runs in rows.items():
        cpus, walls = sorted(cpu for cpu, _ in runs), [wall for _, wall in runs]
        middle = statistics.median(cpus)
        print(f"{name:32}{f'{middle:.0f} [{cpus[0]:.0f}-{cpus[-1]:.0f}]':>28}{middle / floor:>10.2f}"
              f"{1e9 / statistics.median(walls):>14,.0f}")


if __name__ == "__main__":
    main()
