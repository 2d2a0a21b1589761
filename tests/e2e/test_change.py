"""Another configuration under a state, on a real broker: by SIGHUP, by a restart, forward and back."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

import scenario
import services

START = 1_767_225_600_000
ACCOUNTS = [f"acme-{n}" for n in range(40)]

BEFORE = """
  { name = "busy"; subject = "account"; qualify = "count(login, 7d) >= 2"; },
  { name = "gone"; subject = "account"; qualify = "count(login, 7d) >= 1"; }
"""
AFTER = """
  { name = "busy"; subject = "account"; qualify = "count(login, 7d) >= 3"; },
  { name = "new";  subject = "account"; qualify = "count(upload, 7d) >= 1"; }
"""


def events(name, accounts, at):
    """Each on its own: an account's event at `at` seconds after the start."""
    return [{"type": "track", "event": name, "account_id": account, "user_id": "u", "occurred_at": START + 1000 * at,
             "message_id": f"{name}-{account}-{at}"} for account in accounts]


class Change(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.port = services.free_port()

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def check_shown(self, definitions, revision):
        """What the admin endpoint says runs now."""
        self.assertEqual([d["name"] for d in self.ask("/definitions")], definitions)
        status = self.ask("/status")
        self.assertEqual(status["revision"], revision)
        self.assertEqual({t["revision"] for t in status["tasks"]}, {revision})

    def check_verified(self, job):
        """The state is whole, whatever the configuration says."""
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", "verify", "--config", job.config_path],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout.count(": whole;")), (0, scenario.PARTITIONS), done.stdout + done.stderr)

    def configure(self, app, revision, definitions):
        """The configuration's file, as an editor would leave it."""
        return scenario.Scenario(app, self.directory, input_format="json", definitions=definitions,
                                 settings=f'http = "127.0.0.1:{self.port}";', revision=revision)

    def wait_for(self, program, words, seconds=60):
        deadline = time.monotonic() + seconds
        while words not in program.log_tail():
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, f"'{words}' is not said:\n{program.log_tail()}")
            time.sleep(0.1)

    def wait_records(self, job, program, count, seconds=60):
        deadline = time.monotonic() + seconds
        while len(records := job.records()["pqa"]) < count:
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, f"{len(records)} of {count}:\n{program.log_tail()}")
            time.sleep(0.2)
        return records

    def check(self, records, expected):
        scenario.check_contract(self, records)
        found = sorted((r["definition"], r["transition"], r["reason"], r["origin"] == "definition_change")
                       for r in records)
        wanted = sorted(key for key, count in expected.items() for _ in range(count))
        self.assertEqual(found, wanted)

    def test_forward_and_back(self):
        job = self.configure("change", 1, BEFORE)
        job.create_input()
        job.produce(events("login", ACCOUNTS, 1) + events("login", ACCOUNTS, 2) + events("login", ACCOUNTS[:10], 3)
                    + events("upload", ACCOUNTS, 3))
        program = job.run()
        n = len(ACCOUNTS)
        expected = {("busy", "entered", "condition", False): n, ("gone", "entered", "condition", False): n}
        self.check(self.wait_records(job, program, 2 * n), expected)

        # What is wrong, and what forgets the revision, changes nothing.
        self.configure("change", 2, '{ name = "busy"; qualify = "cuont(login, 7d) >= 3"; }')
        program.process.send_signal(signal.SIGHUP)
        self.wait_for(program, "the configuration is wrong")
        self.assertIn("did you mean 'count'", program.log_tail())
        self.configure("change", 1, AFTER)
        program.process.send_signal(signal.SIGHUP)
        self.wait_for(program, "raise `revision`")
        self.check_shown(["busy", "gone"], 1)

        # SIGHUP: members leave with their reason, what is new is not complete yet.
        self.configure("change", 2, AFTER)
        program.process.send_signal(signal.SIGHUP)
        expected.update({("busy", "left", "definition_changed", True): n - 10,
                         ("gone", "left", "definition_removed", True): n})
        self.check(self.wait_records(job, program, sum(expected.values())), expected)
        self.check_shown(["busy", "new"], 2)
        job.produce(events("upload", ACCOUNTS[:5], 4))
        expected[("new", "entered", "condition", False)] = 5
        records = self.wait_records(job, program, sum(expected.values()))
        self.check(records, expected)
        since = {r["complete_since"] for r in records if r["definition"] == "new"}
        self.assertEqual(since, {r["clock"] for r in records if r["reason"] == "definition_removed"})
        self.assertEqual(program.stop(), 0, program.log_tail())

        # Back, by a restart: the old text with a higher number. Signals that were there all the time are whole.
        self.configure("change", 3, BEFORE)
        program = job.run()
        expected[("busy", "entered", "condition", True)] = n - 10
        expected[("gone", "entered", "condition", True)] = n
        expected[("new", "left", "definition_removed", True)] = 5
        records = self.wait_records(job, program, sum(expected.values()))
        self.check(records, expected)
        self.assertEqual({r["complete_since"] for r in records if r["definition"] == "busy"}, {None})

        # An older process may not undo it.
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.configure("change", 2, AFTER)
        self.check_verified(job)
        program = job.run()
        self.wait_for(program, "goes on with its own, newer program")
        job.produce(events("login", ["late"], 5))
        job.wait_done(program, 60)
        expected[("gone", "entered", "condition", False)] += 1
        self.check(self.wait_records(job, program, sum(expected.values())), expected)
        self.assertEqual(program.stop(), 0, program.log_tail())

    def test_a_shadow_is_promoted(self):
        """What is in shadow is published there and nowhere else. Promoted, its members enter without an alarm, and what
        is new from then on is an alert, once, also across a kill."""
        topics = ("pqa", "state", "alerts", "shadow")
        busy = '{{ name = "busy"; subject = "account"; mode = "{}"; alert = true; qualify = "count(login, 7d) >= 2"; }}'
        now = int(time.time()) - START // 1000  # what is older than an hour is no alert

        def published(records):
            return {topic: len(records[topic]) for topic in topics}

        def enter(accounts):
            job.produce(events("login", accounts, now) + events("login", accounts, now + 1))
            job.wait_done(program, 60)

        job = self.configure("promoted", 1, busy.format("shadow"))
        job.create_input()
        program = job.run()
        enter(ACCOUNTS[:20])
        records = job.records(topics)
        self.assertEqual(published(records), {"pqa": 0, "state": 0, "alerts": 0, "shadow": 20})
        self.assertEqual({r["transition"] for r in records["shadow"]}, {"entered"})

        self.configure("promoted", 2, busy.format("live"))
        program.process.send_signal(signal.SIGHUP)
        self.wait_records(job, program, 20)
        records = job.records(topics)
        self.assertEqual(published(records), {"pqa": 20, "state": 20, "alerts": 0, "shadow": 40})
        self.assertEqual({r["reason"] for r in records["shadow"] if r["transition"] == "left"}, {"definition_removed"})
        self.assertEqual({r["origin"] for r in records["pqa"]}, {"definition_change"})

        enter(ACCOUNTS[20:30])
        program.kill()
        program = job.run()
        enter(ACCOUNTS[30:])
        self.assertEqual(program.stop(), 0, program.log_tail())
        records = job.records(topics)
        self.assertEqual(published(records), {"pqa": 40, "state": 40, "alerts": 20, "shadow": 40})
        for topic in topics:
            scenario.check_contract(self, records[topic])
        self.assertEqual({r["account_id"] for r in records["alerts"]}, set(ACCOUNTS[20:]))
        live = {r["event_id"]: r for r in records["pqa"] if r["origin"] == "live"}
        self.assertEqual({r["event_id"]: r for r in records["alerts"]}, live)


if __name__ == "__main__":
    unittest.main()
