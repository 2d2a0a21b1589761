#!/usr/bin/env python3
"""The benchmark's own parts: statistics, what it refuses, that an output which is wrong is seen. No time is judged.

  selftest.py --build DIR
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "support")]

import bench
import conditions
import figures
import memory_parts
from conditions import Refused
from figures import Bar, Case

BUILD = None


def case_of(name, *samples, **more):
    return Case(name, None, samples=list(samples), **more)


def bench_of(size="tiny"):
    options = types.SimpleNamespace(build=BUILD, broker=None)
    run = bench.Bench(options, bench.SIZES[size], conditions.build_of(BUILD), tempfile.gettempdir())
    run.part = "b"
    return run


class Statistics(unittest.TestCase):
    def test_median_and_spread(self):
        self.assertEqual(figures.spread([3, 1, 2]), {"median": 2, "min": 1, "max": 3, "runs": [3, 1, 2]})
        self.assertEqual(figures.spread([4, 1, 2, 3])["median"], 2.5)

    def test_a_row_tells_ratio_and_bar(self):
        raw = case_of("raw", {"cpu_ns": 100}, {"cpu_ns": 300}, {"cpu_ns": 200})
        ours = case_of("ours", {"cpu_ns": 500, "wall_s": 2, "events": 7}, {"cpu_ns": 300}, {"cpu_ns": 400},
                       against="raw", bars=(Bar(1.8, against="raw"),))
        row = figures.row_of("c", ours, [raw, ours])
        self.assertEqual((row["runs"], row["ratio"], row["bars"][0]["value"], row["bars"][0]["is_met"]), (3, 2, 2, False))
        self.assertEqual(row["figures"]["cpu_ns"], {"median": 400, "min": 300, "max": 500, "runs": [500, 300, 400]})
        cells = figures.cells(row)
        self.assertEqual(cells[1:3], ["400 [300–500] ns CPU/event", "2.00 x raw"])
        self.assertEqual(cells[-1], "≤ 1.8 x raw: 2, MISSED")

    def test_bars(self):
        self.assertEqual(figures.judged(Bar(120), 120, None), (120, True))
        self.assertEqual(figures.judged(Bar(12, against="x", at_least=True), 66, 6), (11, False))
        self.assertIsNone(figures.judged(Bar(2, against="x"), 5, None))
        self.assertIsNone(figures.judged(Bar(2), None, None))

    def test_the_table_is_written(self):
        rows = [figures.row_of("b", case_of("a|b", {"cpu_ns": 1}), []), figures.row_of("c", case_of("c", problem="FAILED: x"), [])]
        with tempfile.TemporaryDirectory() as folder:
            paths = figures.write(folder, {"cores": "2"}, rows)
            with open(paths[0], encoding="utf-8") as found:
                self.assertEqual([r["name"] for r in json.load(found)["rows"]], ["a|b", "c"])
            with open(paths[1], encoding="utf-8") as found:
                text = found.read()
        self.assertIn("| cores | 2 |", text)
        self.assertIn("| b | a\\|b | 1 ns CPU/event | 1 |", text)
        self.assertIn("FAILED: x", figures.table_text(rows))


class Time(unittest.TestCase):
    def test_a_part_gets_its_share_and_what_others_left(self):
        clock = bench.Clock(100)
        clock.begin_part(25, 100)
        self.assertTrue(24 < clock.left() <= 25)
        clock.begin_part(75, 75)
        self.assertTrue(75 < clock.left() <= 100)

    def test_what_the_time_does_not_allow_is_said(self):
        run = bench_of()
        run.clock = bench.Clock(-1)
        run.measure([Case("late", lambda: {"cpu_ns": 1})])
        self.assertEqual(run.rows[0]["problem"], "left out: the time was over")
        self.assertTrue(run.is_good())

    def test_a_failure_leaves_the_other_rows(self):
        def fails():
            raise memory_parts.Failed("it fell")

        run = bench_of()
        run.measure([Case("bad", fails), Case("good", lambda: {"cpu_ns": 1})])
        self.assertEqual([row["problem"] for row in run.rows], ["FAILED: it fell", ""])
        self.assertFalse(run.is_good())


class Refusals(unittest.TestCase):
    def assert_refused(self, words, call, *arguments):
        with self.assertRaises(Refused) as refused:
            call(*arguments)
        self.assertIn(words, str(refused.exception))

    def test_builds(self):
        right = {"optimised": True, "sanitizer": ""}
        conditions.refuse_build(right)
        self.assert_refused("./dev bench", conditions.refuse_build, dict(right, sanitizer="address"))
        self.assert_refused("debug build", conditions.refuse_build, dict(right, optimised=False))
        self.assertLessEqual({"optimised", "sanitizer", "compiler", "allocator", "librdkafka"}, set(conditions.build_of(BUILD)))
        self.assert_refused("there is no", conditions.build_of, "/nowhere")

    def test_brokers(self):
        for address in ("127.0.0.1:9092", "localhost:9092", "[::1]:9092", "127.0.0.1:1,127.0.0.2:2"):
            conditions.refuse_broker(address)
        for address in ("kafka.example.com:9092", "10.0.0.1:9092", "127.0.0.1:1,10.0.0.1:2"):
            self.assert_refused("not on this machine", conditions.refuse_broker, address)

    def test_leftovers(self):
        conditions.refuse_leftovers(["events", "mine"], "pqlbench-")
        self.assert_refused("pqlbench-7.pqa; once", conditions.refuse_leftovers, ["events", "pqlbench-7.pqa"], "pqlbench-")

    def test_space(self):
        conditions.refuse_space("/tmp", 10, 10, 10, 10)
        self.assert_refused("TMPDIR", conditions.refuse_space, "/tmp", 10, 10, 9, 10)
        self.assert_refused("of memory", conditions.refuse_space, "/tmp", 10, 10, 10, 9)
        for size in bench.SIZES.values():
            self.assertGreater(size.disk_bytes(), 200 * size.kafka_events)
            self.assertGreater(size.memory_bytes(), 300 * size.accounts)

    def test_the_command_says_why_and_measures_nothing(self):
        done = subprocess.run([sys.executable, os.path.join(HERE, "bench.py"), "--build", BUILD, "--tiny", "--only", "b",
                               "--broker", "kafka.example.com:9092"], capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("bench: the broker kafka.example.com:9092 is not on this machine", done.stderr)


class Outputs(unittest.TestCase):
    def test_the_engine_agrees_with_the_second_implementation(self):
        run, source = bench_of(), memory_parts.source
        hour = memory_parts.HOUR_MS
        for events, more in (
                (source(4000, 60), {}), (source(4000, 60, uniform=True), {}), (source(4000, 60), {"lateness": 6 * hour}),
                (source(4000, 60), {"lateness": 9 * hour, "more": ["--shuffle", 2 * hour]}),
                (source(4000, 60), {"more": ["--duplicates", 10]}), (source(4000, 60), {"more": ["--touched", 20]}),
                (source(4000, 3, users=500, ordered=True), {"more": ["--per-user"]})):
            found = memory_parts.engine(run, events, **more)()
            self.assertEqual(found["digest"], found["expected"], (events, more))
            self.assertGreater(found["entered"], 0, (events, more))

    def test_another_output_is_wrong(self):
        run = bench_of()
        run.references[tuple(map(str, [*memory_parts.source(4000, 60), "--partitions", 1]))] = "0123456789abcdef"
        run.measure([Case("engine", memory_parts.engine(run, memory_parts.source(4000, 60)))])
        self.assertFalse(run.rows[0]["is_right"])
        self.assertFalse(run.is_good())
        self.assertIn(f"{run.rows[0]['digest']} WRONG", figures.table_text(run.rows))

    def test_the_reference_gives_what_was_published(self):
        """Found by programs that share nothing with these."""
        run = bench_of()
        for partitions, digest in (((), "6f994287ff74e82e"), (("--partitions", 1), "eecbb126d3028840"),
                                   (("--partitions", 8), "aa16a17d17a2cf46")):
            self.assertEqual(run.expected("--events", 30_000, "--accounts", 600, *partitions), digest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    options, rest = parser.parse_known_args()
    BUILD = os.path.abspath(options.build)
    unittest.main(argv=[sys.argv[0], *rest])
