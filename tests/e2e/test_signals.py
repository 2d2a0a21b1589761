"""SIGUSR1 to a running process: every present member once more on the state topic, and nothing else."""
import json
import signal
import tempfile
import time
import unittest

import client
import scenario

START = 1_767_225_600_000
ACCOUNTS = [f"acme-{n}" for n in range(40)]
BUSY = '{ name = "busy"; subject = "account"; qualify = "count(login, 7d) >= 2"; }'


def login(account, n):
    return {"type": "track", "event": "login", "account_id": account, "user_id": "u", "occurred_at": START + 1000 * n,
            "message_id": f"{account}-{n}"}


class Signals(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.job = scenario.Scenario("signals", directory.name, input_format="json", definitions=BUSY, settings="")
        self.job.create_input()

    def snapshots(self):
        state = [json.loads(m.value()) for m in client.read_committed(self.job.broker, "signals.state")]
        return sorted(r["account_id"] for r in state if r["transition"] == "snapshot")

    def wait_snapshots(self, program, expected, seconds=60):
        deadline = time.monotonic() + seconds
        while self.snapshots() != expected:
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, f"{self.snapshots()}:\n{program.log_tail()}")
            time.sleep(0.2)

    def test_sigusr1_refreshes(self):
        members = ACCOUNTS[:25]  # the others logged in once only
        self.job.produce([login(a, 1) for a in ACCOUNTS] + [login(a, 2) for a in members])
        program = self.job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        self.job.wait_done(program, 60)
        before = self.job.records()["pqa"]
        self.assertEqual(sorted(r["account_id"] for r in before), sorted(members))
        self.assertEqual(self.snapshots(), [])
        program.process.send_signal(signal.SIGUSR1)
        self.wait_snapshots(program, sorted(members))
        program.process.send_signal(signal.SIGUSR1)
        self.wait_snapshots(program, sorted(members * 2))
        self.assertEqual(len(self.job.records()["pqa"]), len(before))
        self.assertEqual(program.stop(), 0, program.log_tail())


if __name__ == "__main__":
    unittest.main()
