"""Chunks of snapshots creep while all else is fast: the attempt is given up, the events beside it do not wait, and when
the link is fast again a snapshot is whole."""
import os
import subprocess
import tempfile
import time
import unittest

import dataset
import oracle
import scenario
import services
import slowlink

APP = "slowchunks"
BYTES_PER_S = 500  # a chunk takes minutes
CROWD = dataset.crowd(40000)


class SlowChunks(unittest.TestCase):
    def setUp(self):
        """A broker of its own, met over the link."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.link = slowlink.SlowLink(APP)
        self.addCleanup(self.link.stop)
        broker = services.Broker(f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.link.port}\n")
        self.addCleanup(broker.stop)
        broker.start()
        broker.wait_ready()
        self.link.target = broker.port
        self.addCleanup(os.environ.__setitem__, "PQL_TEST_BROKER", os.environ["PQL_TEST_BROKER"])
        os.environ["PQL_TEST_BROKER"] = f"127.0.0.1:{self.link.port}"
        self.job = scenario.Scenario(
            APP, directory.name, input_format="json",
            settings='lateness = "1s"; instance = "a"; checkpoint_interval = "1s"; restore_target = "1s";',
            definitions='{ name = "seen"; subject = "user"; qualify = "count(login, 7d) >= 1"; }')
        self.job.create_input()

    def test_slow_chunk_producer(self):
        self.link.bytes_per_s = BYTES_PER_S
        program = self.job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        load = self.job.produce_paced(CROWD, 2000)
        load.join()
        self.assertIsNone(load.failure)
        began = time.monotonic()
        self.job.wait_done(program, 30)
        print(f"all taken {time.monotonic() - began:.1f} s after the load ended ... ", end="", flush=True)
        self.wait_log(program, "snapshot given up; the one before stays")
        self.link.bytes_per_s = None
        self.job.produce([dataset.closing_clock(CROWD)])
        self.job.wait_done(program, 60)
        self.wait_snapshots()
        self.assertEqual(program.stop(), 0, program.log_tail())
        records = [r for of in self.job.records().values() for r in of]
        scenario.check_transitions(self, records, sorted((
            ("seen", e["account_id"], e["user_id"], e["occurred_at"] + after, change)
            for e in CROWD for after, change in ((0, "entered"), (7 * oracle.DAY, "left"))), key=str))

    def wait_log(self, program, words, seconds=120):
        deadline = time.monotonic() + seconds
        while words not in program.log_tail():
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, program.log_tail())
            time.sleep(0.2)

    def wait_snapshots(self, seconds=60):
        """Until each partition has one."""
        deadline = time.monotonic() + seconds
        while True:
            done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", "list", "--config", self.job.config_path],
                                  capture_output=True, text=True, timeout=60, check=False)
            if done.stdout.count("; snapshot ") == scenario.PARTITIONS:
                return
            self.assertLess(time.monotonic(), deadline, done.stdout + done.stderr)
            time.sleep(0.5)


if __name__ == "__main__":
    unittest.main()
