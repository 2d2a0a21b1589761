"""A million accounts over eight partitions, killed and restored, while another instance goes on with eight partitions
of its own: how long its records take before and meanwhile, and how long it is to the first new event of the restored
ones, is printed."""
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
import unittest

import client
import dataset
import fleet
import scenario
from confluent_kafka import Consumer, Producer, TopicPartition

PARTITIONS = 16
ACCOUNTS = int(os.environ.get("PQL_TEST_ACCOUNTS", 1_000_000))
DEFINITIONS = """
  { name = "busy"; subject = "account"; qualify = "count(login, 14d) >= 2 and days(any, 14d) >= 2"; },
  { name = "seen"; subject = "account"; qualify = "count(probe, 1d) >= 1"; }
"""
PROBE_RATE = 100


class Probes:
    """Events of new accounts, each of which makes one record, and how long it is until a reader of what is committed
    has it."""

    def __init__(self, job):
        self.job, self.sent, self.seen, self.ends, self.number = job, {}, {}, threading.Event(), 0
        self.producer = Producer({"bootstrap.servers": job.broker, "linger.ms": 0, "log_level": 2})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def send(self, partition):
        """One to that partition; its account."""
        while True:
            self.number += 1
            account = f"probe-{self.number}"
            if client.partition_of(account, PARTITIONS) == partition:
                break
        event = dataset.track(account, "probe", None, account, dataset.START + 40 * 86400000, {})
        self.sent[account] = time.monotonic()
        self.producer.produce(self.job.topic, json.dumps(event).encode(), account, partition)
        self.producer.poll(0)
        return account

    def read(self):
        consumer = Consumer({"bootstrap.servers": self.job.broker, "group.id": "probes", "enable.auto.commit": False,
                             "isolation.level": "read_committed", "fetch.wait.max.ms": 5, "log_level": 2})
        consumer.assign([TopicPartition(f"{self.job.app}.pqa", p, 0) for p in range(PARTITIONS)])
        while not self.ends.is_set():
            for message in consumer.consume(1000, 0.005):
                if message.error() is None and b'"seen"' in message.value():
                    self.seen.setdefault(json.loads(message.value())["account_id"], time.monotonic())
        consumer.close()

    def stop(self):
        self.ends.set()
        self.reader.join()

    def waits(self, accounts):
        """Milliseconds of each, sorted."""
        return sorted(1000 * (self.seen[a] - self.sent[a]) for a in accounts)


def told(what, waits):
    p99 = waits[int(len(waits) * 0.99)]
    print(f"{what}: {len(waits)} probes, p50 {statistics.median(waits):.1f} ms, p99 {p99:.1f} ms, longest"
          f" {waits[-1]:.1f} ms", flush=True)


class Neighbours(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.job = scenario.Scenario(
            "neighbours", directory.name, input_format="json", definitions=DEFINITIONS, partitions=PARTITIONS,
            settings='checkpoint_interval = "10s"; checkpoint_bandwidth = "50MiB";')
        self.job.create_input()
        self.instances = fleet.Fleet(self, self.job, static=("a", "b"))

    def test_a_restore_does_not_slow_the_others(self):
        self.instances.start("a")
        self.instances.start("b")
        probes = Probes(self.job)
        self.addCleanup(probes.stop)
        ours, theirs = self.shared_out(probes)
        self.job.produce(self.accounts_in(theirs))
        self.job.wait_done(self.instances.running["b"], 180)
        self.wait_snapshots()
        before = self.paced(probes, ours, lambda count: count < 10 * PROBE_RATE)
        self.instances.kill("b")
        log_from, began = self.size_of_log(), time.monotonic()
        program = self.instances.start("b")
        first = [probes.send(p) for p in theirs]
        during = self.paced(probes, ours, lambda _: any(a not in probes.seen for a in first))
        took = max(probes.seen[a] for a in first) - began
        self.instances.wait("all probes", 60, lambda: all(a in probes.seen for a in before + during))
        with open(program.log_path, encoding="utf-8") as log:
            log.seek(log_from)
            accounts = sum(int(n) for n in re.findall(r'msg="the task is live".* accounts=(\d+)', log.read()))
        print(f"{accounts} accounts over {len(theirs)} partitions: {min(probes.seen[a] for a in first) - began:.2f} s"
              f" from the start of the process to the first new event, {took:.2f} s to that of the last partition")
        told("neighbours before", probes.waits(before))
        told("neighbours meanwhile", probes.waits(during))
        self.assertGreaterEqual(accounts, ACCOUNTS)
        self.assertLess(probes.waits(during)[-1], 1000 * took, "a neighbour waited for the restore")
        for name in ("a", "b"):
            self.instances.stop(name)

    def shared_out(self, probes):
        """(partitions of a, partitions of b), once both commit their half."""
        watch = fleet.Watch(self.job)
        watch.start()

        def is_shared():
            for p in range(PARTITIONS):
                probes.send(p)
            time.sleep(0.5)
            writers = list(watch.writers().values())
            return len(writers) == PARTITIONS and sorted(map(writers.count, set(writers))) == [PARTITIONS // 2] * 2

        self.instances.wait("both commit", 60, is_shared)
        watch.stop()
        mine = self.instances.writer("a")
        return ([p for p, w in watch.writers().items() if w == mine], [p for p, w in watch.writers().items() if w != mine])

    def accounts_in(self, partitions):
        """A login of each of so many accounts that lie in these partitions."""
        wanted, made, n = set(partitions), 0, 0
        while made < ACCOUNTS:
            n += 1
            if client.partition_of(f"acct-{n}", PARTITIONS) in wanted:
                made += 1
                yield dataset.track(f"m{n}", "login", None, f"acct-{n}", dataset.START + made * 1000, {})

    def wait_snapshots(self):
        def is_saved():
            done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", "list", "--config", self.job.config_path],
                                  capture_output=True, text=True, timeout=60)
            time.sleep(1)
            return sum(int(n) for n in re.findall(r"(\d+) accounts", done.stdout)) >= ACCOUNTS

        self.instances.wait("snapshots of all", 120, is_saved)

    def paced(self, probes, partitions, goes_on):
        pace, accounts = client.Pace(PROBE_RATE), []
        while goes_on(len(accounts)):
            accounts.append(probes.send(partitions[len(accounts) % len(partitions)]))
            pace.step()
        return accounts

    def size_of_log(self):
        return os.path.getsize(os.path.join(self.job.directory, "neighbours-b.log"))


if __name__ == "__main__":
    unittest.main()
