"""A processor under events that go on coming: how long until its records can be read, and how it comes back."""
import os
import re
import shutil
import subprocess
import threading
import time

import client
import kafka_job
import memory_parts
import peers
import services
from figures import Bar, Case

PARTITIONS = 8
SETTINGS = 'workers = 1; delivery = "exactly_once"; checkpoint_interval = "10s"; checkpoint_bandwidth = "50MiB";'


class Flow:
    """One application over a topic of its own, to which the events of the source are written range after range."""

    def __init__(self, bench, events, accounts, *, settings=SETTINGS, words=None):
        self.bench, self.kafka, self.events, self.accounts, self.words = bench, bench.kafka(), events, accounts, words
        self.app, self.written, self.running = self.kafka.new_app(), 0, {}
        self.topic = self.kafka.new_topic(PARTITIONS)
        self.http = services.free_port()
        if words is None:
            self.path = self.kafka.configure(self.app, self.topic, f'{settings} http = "127.0.0.1:{self.http}";')
            self.kafka.create_outputs(self.path)
        else:
            client.create_topics(self.kafka.address, PARTITIONS, f"{self.app}.pqa")
        self.progress = kafka_job.Progress(self.kafka, self.app, self.topic)

    def start(self, name="a"):
        if self.words is None:
            more = [] if name == "a" else [f"http=127.0.0.1:{services.free_port()}"]
            self.running[name] = self.kafka.start(self.path, instance=name, more=more)
        else:
            self.running[name] = self.bench.streams().start(
                self.kafka, self.app, self.topic, *self.words, f"main.consumer.group.instance.id={name}", jvm=["-Xmx4g"])
        return self.running[name]

    def write(self, count, rate=0):
        """The next events; what bench_kafka says of them."""
        begin, self.written = self.written, self.written + count
        return self.kafka.tool("fill", *self.kafka.writing(self.events, self.accounts, self.topic, PARTITIONS), begin,
                               self.written, rate, *kafka_job.PRODUCER)

    def write_and_hear(self, count, rate):
        begin, self.written = self.written, self.written + count
        return self.kafka.tool("latency", *self.kafka.writing(self.events, self.accounts, self.topic, PARTITIONS), begin,
                               self.written, rate, f"{self.app}.pqa", "enable.idempotence=true", "linger.ms=1",
                               "queue.buffering.max.messages=1000000")

    def wait_done(self):
        """Until all that was written is committed."""
        for process in self.running.values():
            process.wait("all events", 120 + self.events / 5000, lambda: self.progress.done() >= self.written)

    def checked(self, found):
        """The same figures, with the digest of all transitions so far and the one they should have."""
        self.wait_done()
        which = ["--own"] if self.words else ["--partitions", PARTITIONS]
        digest, _ = self.kafka.digest(self.app)
        return dict(found, digest=digest, accounts=self.accounts, expected=self.bench.expected(
            "--events", self.events, "--count", self.written, "--accounts", self.accounts, *which))

    def saved_accounts(self):
        done = subprocess.run([os.path.join(self.bench.build_folder, "pqlstream"), "checkpoint", "list", "--config", self.path],
                              capture_output=True, text=True, check=False, timeout=120)
        return sum(int(n) for n in re.findall(r"(\d+) accounts", done.stdout))

    def metric(self, name, label=""):
        return kafka_job.metric(self.http, name, label)

    def close(self):
        self.progress.close()
        for process in self.running.values():
            process.stop()
        self.kafka.forget(self.app)
        self.kafka.delete([self.topic])
        shutil.rmtree(os.path.join(self.bench.directory, f"{self.app}-state"), ignore_errors=True)


class Held:
    """A flow that the cases of one round share: the first of them opens it."""

    def __init__(self):
        self.flow = None

    def open(self, flow):
        self.close()
        self.flow = flow
        return flow

    def get(self):
        if not self.flow:
            raise memory_parts.Failed("what this builds on did not come about")
        return self.flow

    def close(self):
        if self.flow:
            self.flow.close()
        self.flow = None


# --- latency ---

FEWEST = 500  # a second: of one event in seventy there is a record


def capacity(held, make):
    """Events a second of writer, broker and processor on this machine's cores together."""
    def run():
        flow = held.open(make())
        flow.start()
        flow.write(1000)
        flow.wait_done()
        count, began = flow.events // 4, time.monotonic()
        flow.write(count)
        flow.wait_done()
        flow.capacity = count / (time.monotonic() - began)
        return {"events_s": flow.capacity, "events": count, "accounts": flow.accounts, "wall_s": count / flow.capacity}

    return run


def latency(held, rate_of, seconds, is_last=False):
    def run():
        flow = held.get()
        rate = max(FEWEST, int(rate_of(flow.capacity)))
        count = min(rate * seconds, flow.events // 5)
        process = flow.running["a"]
        cpu = process.cpu_seconds()
        found = flow.write_and_hear(count, rate)
        cpu = process.cpu_seconds() - cpu
        if found["records"] == 0:
            raise memory_parts.Failed("no transition came of these events")
        found.update(events_s=rate, cpu_s=cpu, cpu_ns=cpu * 1e9 / count, accounts=flow.accounts)
        if is_last:
            found = flow.checked(found)
            held.close()
        return found

    return run


LATENCY = ("p50_ms", "p99_ms", "p999_ms", "max_ms", "events_s", "slip_ms", "records")


def latency_part(bench):
    size, held = bench.size, Held()
    seconds = size.latency_seconds
    events, accounts = 2 * size.kafka_events, size.accounts
    try:
        bench.measure([
            Case("as fast as it goes, writer and broker beside it", capacity(held, lambda: Flow(bench, events, accounts)), ("events_s",)),
            Case("5,000 events/s (at most half of that)", latency(held, lambda most: min(5000, most / 2), seconds), LATENCY, bars=(Bar(40, "p99_ms"),)),
            Case(f"1 % of that (or {FEWEST} a second)", latency(held, lambda most: most / 100, seconds), LATENCY),
            Case("50 % of that", latency(held, lambda most: most / 2, seconds), LATENCY, bars=(Bar(75, "p99_ms"),)),
            Case("90 % of that", latency(held, lambda most: 0.9 * most, seconds, is_last=True), LATENCY),
        ])
        if size.is_full:
            bench.measure([
                Case("Kafka Streams in memory: as fast as it goes",
                     capacity(held, lambda: Flow(bench, events, accounts, words=peers.MEMORY)), ("events_s",)),
                Case("Kafka Streams in memory: 5,000 events/s (at most half of that)",
                     latency(held, lambda most: min(5000, most / 2), seconds, is_last=True), LATENCY),
            ], rounds=1)
    finally:
        held.close()


# --- coming back ---

def loaded(held, make):
    """All but the last fifth of the events, and all of the state in a snapshot."""
    def run():
        flow = held.open(make())
        process = flow.start()
        began = time.monotonic()
        flow.write(flow.events * 4 // 5)
        flow.wait_done()
        took = time.monotonic() - began
        found = {"events": flow.written, "events_s": flow.written / took, "cpu_s": process.cpu_seconds(), "wall_s": took}
        if flow.words is None:
            found["accounts"] = flow.metric("pqlstream_accounts")
            process.wait("snapshots of all", 300, lambda: flow.saved_accounts() >= found["accounts"], 0.5)
            found["bytes"] = flow.metric("pqlstream_memory_bytes", 'kind="state"')
            found["own_mb"] = found["bytes"] / 1e6
        found["resident_mb"] = process.resident_bytes() / 1e6
        return found

    return run


def idle(held, seconds):
    def run():
        process = held.get().running["a"]
        before = process.cpu_seconds()
        time.sleep(seconds)
        return {"core_percent": 100 * (process.cpu_seconds() - before) / seconds, "wall_s": seconds,
                "cpu_s": process.cpu_seconds() - before}

    return run


def restart(held, is_kill, is_last=False):
    """From the start of the process to the first new event that is committed, and until all partitions are at work."""
    def run():
        flow = held.get()
        process = flow.running.pop("a")
        (process.kill if is_kill else process.stop)()
        done = flow.progress.offsets()
        flow.write(flow.events // 50)
        began = time.monotonic()
        process = flow.start()
        process.wait("a new event", 300, lambda: sum(flow.progress.offsets().values()) > sum(done.values()), 0.005)
        first = time.monotonic() - began
        process.wait("new events of all partitions", 300,
                     lambda: all(offset > done[p] for p, offset in flow.progress.offsets().items()), 0.005)
        found = {"seconds": first, "all_seconds": time.monotonic() - began, "events": flow.written}
        flow.wait_done()
        found["cpu_s"] = process.cpu_seconds()
        if flow.words is None:
            log = process.log_text()
            found["accounts"] = sum(int(n) for n in re.findall(r'msg="the task is live".* accounts=(\d+)', log))
            found["bytes"] = sum(int(n) for n in re.findall(r'msg="state loaded".* bytes=(\d+)', log))
        if is_last:
            found = flow.checked(found)
            held.close()
        return found

    return run


def empty_start(bench):
    def run():
        flow = Flow(bench, bench.size.kafka_events, bench.size.accounts)
        try:
            flow.write(10_000)
            began = time.monotonic()
            flow.start().wait("an event", 120, lambda: flow.progress.done() > 0, 0.005)
            found = {"seconds": time.monotonic() - began, "events": flow.written}
            return flow.checked(found)
        finally:
            flow.close()

    return run


class Gaps(threading.Thread):
    """The longest time that a partition stood still while events came for all of them."""

    def __init__(self, progress):
        super().__init__(daemon=True)
        self.progress, self.ends, self.longest = progress, threading.Event(), 0

    def run(self):
        last, since = {}, {}
        while not self.ends.wait(0.01):
            for partition, offset in self.progress.offsets().items():
                now = time.monotonic()
                if last.get(partition) != offset:
                    last[partition], since[partition] = offset, now
                self.longest = max(self.longest, now - since[partition])

    def stop(self):
        self.ends.set()
        self.join()
        return self.longest


def rebalance(bench):
    """Another instance joins a third of the way, and leaves after two; none of it is a crash."""
    def run():
        rate, seconds, before = 2000, bench.size.move_seconds, 20_000
        flow = Flow(bench, before + rate * seconds, bench.size.accounts)
        gaps = kafka_job.Progress(flow.kafka, flow.app, flow.topic)
        try:
            flow.start("a")
            flow.write(before)
            flow.wait_done()
            writer = threading.Thread(target=flow.write, args=(rate * seconds, rate), daemon=True)
            writer.start()
            time.sleep(2)
            watch = Gaps(gaps)
            watch.start()
            time.sleep(seconds / 3)
            flow.start("b")
            time.sleep(seconds / 3)
            flow.running.pop("b").stop()
            time.sleep(2)
            longest = watch.stop()
            writer.join()
            return flow.checked({"longest_ms": 1000 * longest, "events": flow.written})
        finally:
            gaps.close()
            flow.close()

    return run


def checkpoint_cost(bench, interval):
    """The same events, with snapshots written meanwhile and without."""
    def run():
        size = bench.size
        flow = Flow(bench, size.kafka_events, size.restore_accounts, settings=
                    f'workers = 1; checkpoint_interval = "{interval}"; checkpoint_bandwidth = "50MiB";')
        try:
            flow.write(size.kafka_events)
            began = time.monotonic()
            process = flow.start()
            flow.wait_done()
            took = time.monotonic() - began
            written = flow.metric("pqlstream_snapshot_bytes")
            return flow.checked({"events_s": flow.written / took, "cpu_ns": process.cpu_seconds() * 1e9 / flow.written,
                                 "mb_minute": written / 1e6 / took * 60, "events": flow.written, "wall_s": took,
                                 "cpu_s": process.cpu_seconds(), "bytes": written})
        finally:
            flow.close()

    return run


def restore_part(bench):
    size, held = bench.size, Held()
    comes = ("seconds", "all_seconds")
    without = "topic to topic without a checkpoint"
    try:
        bench.measure([
            Case("start with nothing to the first event", empty_start(bench), ("seconds",), bars=(Bar(1, "seconds"),)),
            Case(without, checkpoint_cost(bench, "1h"), ("events_s", "cpu_ns", "mb_minute")),
            Case("topic to topic, a checkpoint every second", checkpoint_cost(bench, "1s"), ("events_s", "cpu_ns", "mb_minute"),
                 against=without, bars=(Bar(0.95, "events_s", against=without, at_least=True),)),
            Case("another instance joins and leaves", rebalance(bench), ("longest_ms",)),
        ], rounds=1 if not size.is_full else 2)
        for accounts in size.restores:
            few, limit = f"{accounts:,} accounts", 5 if accounts <= 1_000_000 else 30
            events = 5 * accounts
            bench.measure([
                Case(f"{few}: state built", loaded(held, lambda: Flow(bench, events, accounts)), ("resident_mb", "own_mb")),
                Case(f"{few}: idle", idle(held, size.idle_seconds), ("core_percent",), bars=(Bar(1, "core_percent"),)),
                Case(f"{few}: after kill -9", restart(held, True), comes, bars=(Bar(limit, "seconds"),)),
                Case(f"{few}: after a planned stop", restart(held, False, is_last=True), comes),
            ], rounds=1)
            if size.is_full and accounts == min(size.restores):
                for name, words in (("in memory", peers.MEMORY), ("default store", peers.DEFAULT)):
                    name = f"Kafka Streams {name}, {few}"
                    bench.measure([
                        Case(f"{name}: state built", loaded(held, lambda: Flow(bench, events, accounts, words=words)), ("resident_mb",)),
                        Case(f"{name}: after kill -9", restart(held, True, is_last=True), comes),
                    ], rounds=1)
    finally:
        held.close()
