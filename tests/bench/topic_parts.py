"""The reference job from topic to topic: beside the client alone, and on several processes."""
import os
import time

import kafka_job
import peers
import services
from figures import Bar, Case

RAW = "raw consumer"
IN_MEMORY = "Kafka Streams, in memory, decoder by hand"
SHOWS = ("cpu_ns", "events_s", "resident_mb")
PEER_SHOWS = ("cpu_ns", "cold_cpu_ns", "events_s", "resident_mb")


def floor(bench, events, accounts, partitions, compression):
    """The client alone, with the settings of the program's own: nothing that reads a topic can be cheaper."""
    def run():
        kafka = bench.kafka()
        topic, _ = kafka.fill(events, accounts, partitions, compression)
        found = kafka.tool("read", kafka.address, topic, partitions, events, *kafka_job.CONSUMER)
        return dict(found, events_s=events / found["wall_s"], events=events)

    return run


def job(bench, events, accounts, partitions=8, compression="none", *, settings="", processes=1, pinned=False):
    """From the start of the processes until all is committed."""
    def run():
        kafka = bench.kafka()
        (topic, size), app = kafka.fill(events, accounts, partitions, compression), kafka.new_app()
        path = kafka.configure(app, topic, settings)
        kafka.create_outputs(path)
        cores = sorted(os.sched_getaffinity(0))
        progress = kafka_job.Progress(kafka, app, topic)
        began = time.monotonic()
        ports = [services.free_port() for _ in range(processes)]
        running = [kafka.start(path, instance=f"bench-{i}", core=cores[i % len(cores)] if pinned else None,
                               more=[f"http=127.0.0.1:{port}"]) for i, port in enumerate(ports)]
        try:
            for process in running:
                process.wait("all events", 60 + events / 10_000, lambda: progress.done() >= events)
            wall = time.monotonic() - began
            cpu = sum(process.cpu_seconds() for process in running)
            resident = sum(process.resident_bytes() for process in running)
            touched = sum(kafka_job.metric(port, "pqlstream_accounts") for port in ports)
        finally:
            progress.close()
            for process in running:
                process.stop()
        digest, _ = kafka.digest(app)
        kafka.forget(app)
        expected = bench.expected("--events", events, "--accounts", accounts, "--partitions", partitions)
        return {"cpu_ns": cpu * 1e9 / events, "events_s": events / wall, "cpu_s": cpu, "wall_s": wall, "events": events,
                "accounts": touched, "bytes": size, "resident_mb": resident / 1e6, "digest": digest, "expected": expected}

    return run


def delivery(which, workers=1):
    return f'workers = {workers}; delivery = "{which}";'


def topic_part(bench):
    n, a = bench.size.kafka_events, bench.size.accounts
    exactly = "exactly once, 1 worker"
    at_least = "at least once, 1 worker"
    streams = [] if not bench.size.is_full else [
        Case(IN_MEMORY, peers.streams_job(bench, n, a, peers.MEMORY), PEER_SHOWS, against=exactly,
             bars=(Bar(12, against=exactly, at_least=True),)),
        Case("Kafka Streams, default store, generated decoder", peers.streams_job(bench, n, a, peers.DEFAULT), PEER_SHOWS,
             against=exactly, bars=(Bar(20, against=exactly, at_least=True),)),
    ]
    bench.measure([
        Case(RAW, floor(bench, n, a, 8, "none"), SHOWS),
        Case(exactly, job(bench, n, a, settings=delivery("exactly_once")), SHOWS, against=RAW, bars=(Bar(1.8, against=RAW),)),
        Case("exactly once, 2 workers", job(bench, n, a, settings=delivery("exactly_once", 2)), SHOWS, against=RAW),
        Case(at_least, job(bench, n, a, settings=delivery("at_least_once")), SHOWS, against=RAW,
             bars=(Bar(1.1, "events_s", against=exactly),)),
        Case("at least once, 2 workers", job(bench, n, a, settings=delivery("at_least_once", 2)), SHOWS, against=RAW),
        *streams,
    ])
    for partitions, compression in ((1, "none"), (64, "none"), (8, "lz4"), (8, "zstd")):
        what = f"{partitions} partitions, {compression}"
        raw = f"{RAW}, {what}"
        bench.measure([
            Case(raw, floor(bench, n, a, partitions, compression), SHOWS),
            Case(f"{exactly}, {what}", job(bench, n, a, partitions, compression, settings=delivery("exactly_once")), SHOWS,
                 against=raw, bars=(Bar(1.8, against=raw),)),
        ])
        kafka = bench.kafka()
        kafka.drop(kafka.fill(n, a, partitions, compression)[0])


def scaling_part(bench):
    n, a = bench.size.kafka_events, bench.size.accounts
    one = "1 process on a core of its own"
    bench.measure([
        Case(one, job(bench, n, a, settings=delivery("exactly_once"), pinned=True), ("events_s", "cpu_ns")),
        *(Case(f"{count} processes, each on one core", job(bench, n, a, settings=delivery("exactly_once"), processes=count,
                                                           pinned=True), ("events_s", "cpu_ns"), against=one)
          for count in (2, 4))])
