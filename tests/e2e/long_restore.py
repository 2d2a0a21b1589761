"""A state of a million accounts, killed and restored: how long it takes, how many bytes and how fast is printed; the
state afterwards is that of a fresh process that folds the whole input."""
import json
import os
import re
import subprocess
import tempfile
import time
import unittest

import dataset
import scenario

ACCOUNTS = 1_000_000
EVENTS = 1_200_000
MORE = 50_000
DEFINITIONS = """
  { name = "busy"; subject = "account"; qualify = "count(login, 14d) >= 2 and days(any, 14d) >= 2"; },
  { name = "keen"; subject = "account"; qualify = "count(login, first 7d) >= 3 or ever(invited)"; }
"""


def event(i):
    """Every account comes once in the first million; the rest goes round again."""
    name = "invited" if i % 97 == 0 else "login"
    return dataset.track(f"m{i}", name, None, f"acct-{i * 7919 % ACCOUNTS:07d}", dataset.START + i * 1000, {})


class Restored(unittest.TestCase):
    def test_a_million_accounts(self):
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario("million", directory, input_format="json", definitions=DEFINITIONS,
                                    settings='instance = "a"; checkpoint_interval = "10s"; checkpoint_bandwidth = "50MiB";')
            job.create_input()
            job.produce(map(event, range(EVENTS)))
            program = job.run()
            job.wait_done(program, 120)
            self.wait_snapshots(job, program, 90)
            job.produce(map(event, range(EVENTS, EVENTS + MORE)))
            job.wait_done(program, 60)
            program.kill()

            log_from, began = os.path.getsize(program.log_path), time.monotonic()
            program = job.run()
            self.wait_live(program, log_from, 60)
            took = time.monotonic() - began
            with open(program.log_path, encoding="utf-8") as log:
                log.seek(log_from)
                said = log.read()
            loaded = sum(int(n) for n in re.findall(r'msg="state loaded".* bytes=(\d+)', said))
            accounts = sum(int(n) for n in re.findall(r'msg="the task is live".* accounts=(\d+)', said))
            replayed = sum(int(n) for n in re.findall(r'msg="the task is live".* replayed=(\d+)', said))
            print(f"restored {accounts} accounts, {loaded} bytes, and replayed {replayed} records in {took:.2f} s from the "
                  f"start of the process: {accounts / took:.0f} accounts/s, {loaded / took / 1e6:.1f} MB/s", flush=True)
            resident = self.resident_bytes(program)
            print(f"resident {resident / 1e6:.0f} MB: {resident / accounts:.0f} bytes an account, {loaded / accounts:.0f} of "
                  f"them in a snapshot", flush=True)
            self.assertEqual(accounts, ACCOUNTS)
            self.assertGreater(loaded, ACCOUNTS * 10)
            self.assertEqual(program.stop(), 0, program.log_tail())
            self.assertEqual(self.saved_digests(job), self.fresh_digests(job, directory))

    @staticmethod
    def resident_bytes(program):
        with open(f"/proc/{program.process.pid}/status", encoding="utf-8") as status:
            return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def wait_snapshots(self, job, program, seconds):
        """Until every partition has a snapshot of its whole state."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            program.check_alive()
            done = self.checkpoint(job, "list")
            if sum(int(n) for n in re.findall(r"(\d+) accounts", done.stdout)) == ACCOUNTS:
                return
            time.sleep(1)
        self.fail(f"no snapshots in {seconds} s: {done.stdout}{done.stderr}\n{program.log_tail()}")

    def wait_live(self, program, log_from, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            program.check_alive()
            with open(program.log_path, encoding="utf-8") as log:
                log.seek(log_from)
                if log.read().count('msg="the task is live"') == scenario.PARTITIONS:
                    return
            time.sleep(0.02)
        self.fail(f"not live in {seconds} s:\n{program.log_tail()}")

    def checkpoint(self, job, what):
        return subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", what, "--config", job.config_path],
                              capture_output=True, text=True, timeout=60)

    def saved_digests(self, job):
        done = self.checkpoint(job, "digest")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = scenario.digests(done.stdout)
        self.assertEqual(len(found), scenario.PARTITIONS, done.stdout)
        return found

    def fresh_digests(self, job, directory):
        path = os.path.join(directory, "all.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(event(i)) + "\n" for i in range(EVENTS + MORE))
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "replay", "--config", job.config_path, "--partitions",
                               str(scenario.PARTITIONS), "--digest", path],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=170)
        self.assertEqual(done.returncode, 0, done.stderr)
        return scenario.digests(done.stderr)


if __name__ == "__main__":
    unittest.main()
