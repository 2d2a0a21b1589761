"""An account of a hundred thousand users, and a tick after which as many leave."""
import collections
import json
import os
import subprocess
import tempfile
import time
import unittest

import dataset
import oracle
import scenario


class MuchAtOnce(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def job(self, app, settings="", **more):
        job = scenario.Scenario(app, self.directory, settings='lateness = "1s"; instance = "a"; ' + settings, **more)
        job.create_input()
        return job

    def test_giant_account(self):
        """100,000 users of one account who go on acting while snapshots of it are taken, and a kill in between: the
        state is that of a fresh process."""
        job = self.job("giant", input_format="json", settings='checkpoint_interval = "1s"; restore_target = "1s"; '
                       'checkpoint_bandwidth = "1MiB";', definitions="""
            { name = "seen"; subject = "user"; qualify = "count(login, 7d) >= 2"; },
            { name = "crowded"; subject = "account"; qualify = "users(count(login, 7d) >= 1) >= 50000"; }""")
        users, again = 100000, 30000
        events = [dataset.track(f"g{n}", "login", f"u{n % users}", "giant", dataset.START + n * 10, {})
                  for n in range(users + again)]
        program = job.run()
        job.produce(events[:users])
        load = job.produce_paced(events[users:], 3000)
        time.sleep(5)
        program.check_alive()
        program.kill()
        program = job.run()
        load.join()
        self.assertIsNone(load.failure)
        events.append(dataset.closing_clock(events))
        job.produce(events[-1:])
        job.wait_done(program, 120)
        self.assertEqual(program.stop(), 0, program.log_tail())
        records = [r for of in job.records().values() for r in of]
        self.assertEqual(len({r["event_id"] for r in records}), len(records))
        self.assertEqual(collections.Counter((r["definition"], r["transition"]) for r in records),
                         {(name, change): count for name, count in (("crowded", 1), ("seen", again))
                          for change in ("entered", "left")})
        self.assertEqual(self.saved_digests(job), self.fresh_digests(job, events))

    def saved_digests(self, job):
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", "digest", "--config", job.config_path],
                              capture_output=True, text=True, timeout=60, check=True)
        return scenario.digests(done.stdout)

    def fresh_digests(self, job, events):
        path = os.path.join(self.directory, "all.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(event) + "\n" for event in events)
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "replay", "--config", job.config_path, "--partitions",
                               str(scenario.PARTITIONS), "--digest", path],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=170, check=True)
        return scenario.digests(done.stderr)

    def test_midnight_flood(self):
        """In one partition, while a transaction may last two seconds: none of them does."""
        job = self.job("flood", definitions='{ name = "seen"; subject = "user"; qualify = "count(login, 7d) >= 1"; }')
        crowd = [dict(e, account_id="acct") for e in dataset.crowd(100000, step=1)]
        for name in ("TRANSACTION", "MESSAGE"):
            variable = f"PQLSTREAM_KAFKA__PRODUCER__{name}_TIMEOUT_MS"
            os.environ[variable] = "2000"
            self.addCleanup(os.environ.pop, variable)
        job.produce(crowd)
        program = job.run()
        job.wait_done(program, 120)
        began = time.monotonic()
        job.produce([dataset.closing_clock(crowd)])
        job.wait_done(program, 120)
        print(f"{len(crowd)} users left within {time.monotonic() - began:.1f} s ... ", end="", flush=True)
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.assertIn(" aborted=0 ", program.log_tail())
        records = [r for of in job.records().values() for r in of]
        scenario.check_transitions(self, records, sorted((
            ("seen", "acct", e["user_id"], e["occurred_at"] + after, change)
            for e in crowd for after, change in ((0, "entered"), (7 * oracle.DAY, "left"))), key=str))


if __name__ == "__main__":
    unittest.main()
