#!/usr/bin/env python3
"""Every figure of speed and size that is told of this program, as one table with the conditions it was measured under.

  bench.py --build DIR [--quick | --full | --tiny] [--huge] [--only PART…] [--broker HOST:PORT [--clean]] [--output DIR]

  a micro  b engine in memory  c topic to topic  d latency  e restore and checkpoint  f memory  g scaling

--quick (as without) takes two minutes, --full at most a hundred; --huge adds ten million accounts, which take longer. Runs of what is
compared take turns; a figure is the median and [least–most] of them. Every run's output is checked by its digest
against a second implementation (bench_reference.c). The table is also written as bench.md and bench.json.
"""
import argparse
import dataclasses
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "support")]

import conditions
import figures
import memory_parts
from conditions import Refused
from figures import Case

try:  # the client is met only where a broker is
    import flow
    import kafka_job
    import peers
    import topic_parts
except ImportError as missing:
    flow = kafka_job = peers = topic_parts = None
    NO_CLIENT = missing


@dataclasses.dataclass
class Size:
    minutes: float
    rounds: int
    events: int
    accounts: int
    kafka_events: int
    micro_events: int
    restore_accounts: int
    latency_seconds: int
    move_seconds: int  # of events while an instance joins and leaves
    idle_seconds: int
    restores: tuple  # accounts of states that are killed and restored
    tables: tuple  # accounts among which one is looked up
    more_accounts: tuple = ()  # (accounts, bar in ns) of engines with very many
    is_full: bool = False

    def disk_bytes(self):
        """Topics of events, what processors write of them, and what was deleted and is still there for a minute."""
        return 4 * 280 * max(self.kafka_events, 5 * max(self.restores)) + (1 << 30)

    def memory_bytes(self):
        largest = max([self.accounts, *(accounts for accounts, _ in self.more_accounts)])
        return 1000 * largest + 100 * max(self.events, 2 * largest) + (4 << 30 if self.is_full else 1 << 30)


SIZES = {
    "quick": Size(minutes=2, rounds=1, events=500_000, accounts=20_000, kafka_events=300_000, micro_events=100_000,
                  restore_accounts=50_000, latency_seconds=3, move_seconds=9, idle_seconds=3, restores=(20_000,),
                  tables=(10_000,)),
    # Is it whole? The figures say nothing.
    "tiny": Size(minutes=30, rounds=1, events=4_000, accounts=300, kafka_events=20_000, micro_events=10_000,
                 restore_accounts=5_000, latency_seconds=2, move_seconds=9, idle_seconds=3, restores=(1_000,),
                 tables=(1_000,), is_full=True),
    # A case that has begun is not cut: five minutes for it.
    "full": Size(minutes=95, rounds=3, events=5_000_000, accounts=100_000, kafka_events=5_000_000, micro_events=1_000_000,
                 restore_accounts=1_000_000, latency_seconds=20, move_seconds=24, idle_seconds=10, restores=(1_000_000,),
                 tables=(10_000, 1_000_000), more_accounts=((1_000_000, 300),), is_full=True),
}
PARTS = {  # what measures it, and its share of the time
    "a": (memory_parts.micro_part, 6),
    "b": (memory_parts.engine_part, 15),
    "c": (topic_parts and topic_parts.topic_part, 25),
    "f": (memory_parts.memory_part, 3),
    "d": (flow and flow.latency_part, 12),
    "e": (flow and flow.restore_part, 25),
    "g": (topic_parts and topic_parts.scaling_part, 10),
}
NEED_BROKER = {"c", "d", "e", "g"}


def told(failure):
    return "FAILED: " + " ".join(str(failure).split())[:300]


class Clock:
    """What is left of a run's time, and of a part's share of it."""

    def __init__(self, seconds):
        self.began, self.ends, self.part_ends = time.monotonic(), time.monotonic() + seconds, time.monotonic() + seconds

    def left(self):
        return min(self.ends, self.part_ends) - time.monotonic()

    def begin_part(self, share, shares_left):
        """Time that earlier parts left over is shared out among those to come."""
        self.part_ends = time.monotonic() + (self.ends - time.monotonic()) * share / shares_left


class Bench:
    """A run: what parts ask for, and the rows that they add."""

    def __init__(self, options, size, build, directory):
        self.options, self.size, self.build, self.directory = options, size, build, directory
        self.build_folder = options.build
        self.clock, self.rows, self.references, self.part = Clock(60 * size.minutes), [], {}, ""
        self.broker = self.peer = None

    def streams(self):
        """The Kafka Streams program, built when it is first asked for."""
        if not self.peer:
            self.peer = peers.Streams(self)
        return self.peer

    def kafka(self):
        """The broker, started when it is first asked for."""
        if not self.broker:
            self.broker = kafka_job.Kafka(self)
        return self.broker

    def close(self):
        if self.broker:
            self.broker.stop()

    def expected(self, *arguments):
        """The digest of the reference job over these events, by the second implementation."""
        key = tuple(map(str, arguments))
        if key not in self.references:
            self.references[key] = memory_parts.lines_of(self, "bench_reference", *key)[0]["digest"]
        return self.references[key]

    def measure(self, cases, rounds=None):
        """Runs the cases by turns, and adds their rows. What the time does not allow is left out, and said."""
        for turn in range(rounds or self.size.rounds):
            for case in cases:
                if not case.problem and not (turn and case.once):
                    self.run(case)
        self.rows += [figures.row_of(self.part, case, cases) for case in cases]

    def collect(self, shows, lines, rounds=None, bars=None):
        """Rows of a program that measures many things in one run: lines() gives {name, figures} of each. bars: by name."""
        cases = {}
        for turn in range(rounds or self.size.rounds):
            began = time.monotonic()
            for line in lines():
                name = line["name"]
                cases.setdefault(name, Case(name, None, shows, bars=(bars or {}).get(name, ()))).samples.append(line)
            if self.clock.left() < time.monotonic() - began:
                break
        self.rows += [figures.row_of(self.part, case, []) for case in cases.values()]

    def run(self, case):
        if self.clock.left() < case.took:
            if not case.samples:
                case.problem = "left out: the time was over"
            return
        began = time.monotonic()
        try:
            case.samples.append(case.run())
        except Refused:
            raise
        except Exception as failure:  # of whatever kind: the other rows are still wanted
            case.problem = told(failure)
        case.took = time.monotonic() - began
        print(f"bench: {self.part} {case.name}: {case.took:.1f} s {case.problem}", file=sys.stderr, flush=True)

    def run_parts(self, wanted):
        shares_left = sum(PARTS[name][1] for name in wanted)
        for name in wanted:
            self.part = name
            measure, share = PARTS[name]
            self.clock.begin_part(share, shares_left)
            shares_left -= share
            try:
                measure(self)
            except Refused:
                raise
            except Exception as failure:  # as above
                self.rows.append(figures.row_of(name, Case("the rest", None, problem=told(failure)), []))

    def is_good(self):
        return all(row.get("is_right", True) and not row["problem"].startswith("FAILED") for row in self.rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="folder of a release build")
    size = parser.add_mutually_exclusive_group()
    for name in ("quick", "tiny", "full"):
        size.add_argument(f"--{name}", action="store_const", dest="size", const=name, default="quick")
    parser.add_argument("--huge", action="store_true", help="--full, and ten million accounts")
    parser.add_argument("--only", nargs="+", choices=sorted(PARTS), default=sorted(PARTS))
    parser.add_argument("--broker", help="a broker on this machine; else one is started")
    parser.add_argument("--clean", action="store_true", help="deletes topics of another run on --broker")
    parser.add_argument("--output", help="folder of the table; else DIR/bench")
    return parser.parse_args()


def main():
    options = arguments()
    size = SIZES["full" if options.huge else options.size]
    if options.huge:
        size = dataclasses.replace(size, minutes=10 * size.minutes, more_accounts=(*size.more_accounts, (10_000_000, 300)),
                                   restores=(*size.restores, 10_000_000), tables=(*size.tables, 10_000_000))
    try:
        if options.broker:
            conditions.refuse_broker(options.broker)
        if kafka_job is None and set(options.only) & NEED_BROKER:
            raise Refused(f"there is no Kafka client for Python here ({NO_CLIENT}): ./dev bench brings it")
        build = conditions.build_of(options.build)
        conditions.refuse_build(build)
        conditions.refuse_space(tempfile.gettempdir(), size.disk_bytes(), size.memory_bytes())
        with tempfile.TemporaryDirectory(prefix="pqlstream-bench-") as directory:
            found = {"command": "./dev bench " + " ".join(sys.argv[3:]), **conditions.conditions(options.build, build)}
            bench = Bench(options, size, build, directory)
            try:
                if options.broker and set(options.only) & NEED_BROKER:
                    bench.kafka()  # what it refuses is better known before the rest is measured
                bench.run_parts(sorted(options.only))
            finally:
                bench.close()
            found["load at the end"] = f"{os.getloadavg()[0]:.1f}"
            found["time"] = f"{(time.monotonic() - bench.clock.began) / 60:.1f} minutes"
    except Refused as refusal:
        print(f"bench: {refusal}", file=sys.stderr)
        return 2
    for name, value in found.items():
        print(f"{name + ':':24}{value}")
    print(figures.table_text(bench.rows), end="")
    print("written: " + ", ".join(figures.write(options.output or os.path.join(options.build, "bench"), found, bench.rows)))
    return 0 if bench.is_good() else 1


if __name__ == "__main__":
    sys.exit(main())
