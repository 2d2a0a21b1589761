#!/usr/bin/env python3
"""Rounds of faults on real brokers, each compared with what the same input gives without any.

  chaos.py --binary build/release/pqlstream --rounds 50 --seed 1
  chaos.py --binary … --rounds 1 --seed 1 --from 17       this round again

Five rounds on one broker and five on three with copies on each take turns; --nodes 1 or 3: all on those. A round's number
and the seed say what happens in it. One that fails prints its story, and its logs stay below --keep. The figures of all
rounds stand there, too, in figures.json: a run with --from adds to them.
"""
import argparse
import collections
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

import cluster
import link
import plan
import registry
import rounds

SECONDS = 24  # of faults


def nodes_of(number, options):
    return options.nodes or (1, 3)[(number - 1) // 5 % 2]


class Brokers:
    """The cluster for the rounds that follow, made anew where another one is needed."""

    def __init__(self):
        self.cluster = self.link = None

    def of(self, count):
        if self.cluster and len(self.cluster.nodes) != count:
            self.stop()
        if not self.cluster:
            self.link = link.Link()
            self.cluster = cluster.Cluster(count, self.link, rounds.SLOTS)
            self.cluster.start()
        return self.cluster, self.link

    def stop(self):
        if self.cluster:
            self.cluster.stop()
        self.cluster = None


def describe(setup, nodes):
    return (f"{nodes} broker{'s' * (nodes > 1)}, {setup.partitions} partitions, {setup.protocol}, {'in order' if setup.in_order else 'in disorder'}, "
            f"clock {setup.clock}, a snapshot each {setup.snapshots}, begins with {' '.join(setup.initial)}, "
            f"static {' '.join(setup.static) or 'none'}")


def keep(options, number, directory, the_round, failure):
    """What is needed to look into a failure."""
    place = os.path.join(options.keep, f"seed{options.seed}-round{number}")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(directory, place)
    with open(os.path.join(place, "story.txt"), "w", encoding="utf-8") as out:
        out.write("\n".join(the_round.story) + f"\n\n{failure}\n")
    for node in the_round.cluster.nodes:
        shutil.copy(node.log_path, os.path.join(place, f"broker{node.node}.log"))
    return place


def run_round(options, number, brokers, its_registry, total):
    nodes = nodes_of(number, options)
    rng, setup = rounds.set_up(options.seed, number, nodes, SECONDS)
    print(f"round {number}: {describe(setup, nodes)}", flush=True)
    began = time.monotonic()
    the_cluster, the_link = brokers.of(nodes)
    with tempfile.TemporaryDirectory(prefix="pqlstream-chaos-") as directory:
        the_round = rounds.Round(number, setup, rng, the_cluster, the_link, its_registry, directory)
        try:
            the_round.run(f"chaos{options.seed}-{number}-{int(time.time())}", SECONDS)
            passed = True
        except Exception:  # whatever it was, it is told, and the other rounds go on
            passed, failure = False, traceback.format_exc()
            print("\n".join(the_round.story), failure, sep="\n")
            print(f"round {number} FAILED: again by ./dev chaos --seed {options.seed} --from {number} --rounds 1; logs in "
                  f"{keep(options, number, directory, the_round, failure)}", flush=True)
        if passed and options.story:
            print("\n".join(the_round.story), flush=True)
        total.update(the_round.counts)
    faults = " ".join(f"{kind}:{count}" for kind, count in sorted(the_round.counts.items()) if kind in plan.KINDS)
    print(f"round {number}: {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.0f} s; {faults}; "
          f"{the_round.counts['events']} events, {the_round.counts['records']} records", flush=True)
    return passed


def figures(total, options):
    """Added to those of earlier parts of the run."""
    path = os.path.join(options.keep, "figures.json")
    before = {}
    if options.first > 1 and os.path.exists(path):
        with open(path, encoding="utf-8") as found:
            before = json.load(found)
    both = collections.Counter(before) + total
    with open(path, "w", encoding="utf-8") as out:
        json.dump(both, out, indent=1, sort_keys=True)
    faults = ", ".join(f"{both[kind]} {kind}" for kind in plan.KINDS if both[kind])
    print(f"{both['rounds']} rounds, {both['failed']} failed; faults: {faults}; {both['events']} events, {both['records']} "
          f"records checked, {both['digests']} states compared, {both['commits']} commits watched, "
          f"{both['not let in']} times an instance was started again that the group had not let in ({path})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--keep", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--nodes", type=int, choices=(1, 3))
    parser.add_argument("--story", action="store_true", help="tell what happened also of rounds that pass")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ["PQL_TEST_BINARY"] = os.path.abspath(options.binary)
    os.makedirs(options.keep, exist_ok=True)

    brokers, its_registry, total = Brokers(), registry.Registry(), collections.Counter()
    try:
        for number in range(options.first, options.first + options.rounds):
            passed = run_round(options, number, brokers, its_registry, total)
            total["rounds"] += 1
            total["failed"] += not passed
    finally:
        brokers.stop()
        figures(total, options)
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
