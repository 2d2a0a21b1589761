"""New definitions under a state, filled from the input: whoever they would have had all along is there, once."""
import os
import tempfile
import time
import unittest

import scenario

START = 1_767_225_600_000
ACCOUNTS = [f"acme-{n}" for n in range(40)]

BEFORE = """
  { name = "busy"; subject = "account"; qualify = "count(login, 7d) >= 2"; }
"""
AFTER = """
  { name = "busy";   subject = "account"; qualify = "count(login, 7d) >= 2"; },
  { name = "new";    subject = "account"; qualify = "count(upload, 7d) >= 2"; },
  { name = "person"; subject = "user";    qualify = "count(upload, 7d) >= 2"; }
"""


def events(name, accounts, at):
    return [{"type": "track", "event": name, "account_id": account, "user_id": "u", "occurred_at": START + 1000 * at,
             "message_id": f"{name}-{account}-{at}"} for account in accounts]


HISTORY = (events("login", ACCOUNTS, 1) + events("login", ACCOUNTS, 2) + events("upload", ACCOUNTS[:30], 3)
           + events("upload", ACCOUNTS[:20], 4) + events("login", ACCOUNTS, 5))
LATER = events("upload", ACCOUNTS[20:30], 6) + events("login", ACCOUNTS, 7)


def members(records):
    """Who is in what in the end."""
    last = {r["key"]: r["transition"] for r in sorted(records, key=lambda r: r["version"])}
    return sorted(key for key, transition in last.items() if transition != "left")


class BackFill(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def configure(self, revision, definitions, settings=""):
        return scenario.Scenario("filled", self.directory, input_format="json", definitions=definitions,
                                 settings=settings, revision=revision)

    def run_until(self, job, count):
        """Runs until everything is committed and so many records are there, and stops in order."""
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        deadline = time.monotonic() + 60
        job.wait_done(program, 60)
        while len(found := [r for records in job.records().values() for r in records]) < count:
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, f"{len(found)} of {count}:\n{program.log_tail()}")
            time.sleep(0.2)
        self.assertEqual(program.stop(), 0, program.log_tail())
        with open(os.path.join(self.directory, "filled.log"), encoding="utf-8") as log:
            self.log = log.read()
        return found

    def test_a_new_definition_has_the_members_of_a_replay(self):
        job = self.configure(1, BEFORE)
        job.create_input()
        job.produce(HISTORY)
        before = self.run_until(job, 40)
        self.assertEqual({r["definition"] for r in before}, {"busy"})

        encode, job = job.encode, self.configure(2, AFTER, 'backfill_from = "earliest";')
        job.encode = encode
        filled = self.run_until(job, 80)
        self.assertIn("back-fill begins", self.log)
        self.assertIn("back-fill done", self.log)
        new = [r for r in filled if r["definition"] != "busy"]
        self.assertEqual(len(filled), 80)  # nothing of the fill itself, and nothing of what did not change
        self.assertEqual({(r["transition"], r["origin"], r["complete_since"]) for r in new},
                         {("entered", "definition_change", None)})
        self.assertEqual(members(filled), members(job.replay(HISTORY)))

        job.produce(LATER)
        found = self.run_until(job, 100)
        self.assertEqual(len(found), 100)
        self.assertEqual(members(found), members(job.replay(HISTORY + LATER)))


if __name__ == "__main__":
    unittest.main()
