#!/usr/bin/env python3
"""Runs tests/e2e against one real broker and one real registry, started here once and stopped at the end.

  run_e2e.py --binary build/asan/pqlstream           the tests test_*.py
  run_e2e.py --binary build/release/pqlstream --long the tests long_*.py
  run_e2e.py … NAME…                                 only these

Each is a unittest program of its own, bounded in time, with topics and groups of its own. Short ones mostly wait for
timeouts, so two run side by side; what a test prints comes when it ends. A file test_data_*.py or long_data_*.py needs the data sets
in $PQL_DATA and is not run without. To a test the environment says: PQL_TEST_BROKER, PQL_TEST_REGISTRY,
PQL_TEST_BINARY, PQL_DATA. What was run, on which broker, is also written to --report, whose closing line, as of the
output, is 'N passed, N failed'.
"""
import argparse
import glob
import os
import signal
import subprocess
import sys
import tempfile
import time

import services

SUPPORT = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(os.path.dirname(SUPPORT), "e2e")
TEST_SECONDS = 1200  # what takes longer hangs
SHORT_JOBS = 2


def chosen_tests(options):
    kind = "long" if options.long else "test"
    paths = sorted(glob.glob(os.path.join(TESTS, f"{kind}_*.py")))
    if options.names:
        paths = [os.path.join(TESTS, name if name.endswith(".py") else name + ".py") for name in options.names]
    needs_data = [path for path in paths if "_data_" in os.path.basename(path)]
    if os.path.isdir(os.environ.get("PQL_DATA", "")):
        return paths, []
    return [path for path in paths if path not in needs_data], needs_data


class Test:
    """A test in a session of its own, so that what it leaves running is stopped with it."""

    def __init__(self, path, environment, seconds):
        self.name, self.began, self.seconds = os.path.basename(path), time.monotonic(), seconds
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen([sys.executable, path, "-v"], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True,
                                        preexec_fn=services.end_with_parent)

    def took(self):
        return time.monotonic() - self.began

    def is_over(self):
        return self.process.poll() is not None or self.took() > self.seconds

    def end(self):
        """Whether it passed. Prints what it said."""
        code = self.process.poll()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        print(f"--- {self.name}", flush=True)
        self.output.seek(0)
        sys.stdout.buffer.write(self.output.read())
        self.output.close()
        if code is None:
            print(f"stopped after {self.seconds} s", flush=True)
        return code == 0


def run_tests(paths, environment, seconds, jobs, report):
    """The names of those that failed."""
    waiting, running, failed = list(paths), [], []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Test(waiting.pop(0), environment, seconds))
            for test in [test for test in running if test.is_over()]:
                running.remove(test)
                passed = test.end()
                report.line(f"--- {test.name}: {'passed' if passed else 'FAILED'} in {test.took():.1f} s")
                if not passed:
                    failed.append(test.name)
            time.sleep(0.1)
    finally:
        for test in running:
            test.end()
    return failed


def start_services():
    broker, registry = services.Broker(), services.Registry()
    try:
        registry.start()
        broker.start()
        broker.wait_ready()
        registry.wait_ready()
    except BaseException:
        broker.stop()
        registry.stop()
        raise
    return broker, registry


class Report:
    """Lines for the terminal and, if asked for, for a file that outlives ctest's habit of hiding them."""

    def __init__(self, path):
        self.file = open(path or os.devnull, "w", encoding="utf-8")

    def line(self, text):
        print(text, flush=True)
        print(text, file=self.file, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--report")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    report = Report(options.report)
    tests, left_out = chosen_tests(options)
    began = time.monotonic()
    broker, registry = start_services()
    report.line(f"Apache Kafka {broker.version()} on {broker.address}, schema registry on {registry.url},"
                f" started in {time.monotonic() - began:.1f} s")
    environment = dict(os.environ, PQL_TEST_BROKER=broker.address, PQL_TEST_REGISTRY=registry.url,
                       PQL_TEST_BINARY=os.path.abspath(options.binary), PYTHONPATH=SUPPORT,
                       PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
    try:
        failed = run_tests(tests, environment, TEST_SECONDS,
                           1 if options.long else SHORT_JOBS, report)
    finally:
        broker.stop()
        registry.stop()
    for path in left_out:
        report.line(f"--- {os.path.basename(path)}: not run, there are no data sets in PQL_DATA")
    report.line(f"{len(tests) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
