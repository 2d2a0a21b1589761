"""The budget of memory on a real broker: at its limit the program ends in time with the numbers, and with more it goes
on; every account qualifies once."""
import json
import os
import tempfile
import unittest

import client
import scenario

ACCOUNTS = 60000
CONFIGURATION = """
app = "{app}"; instance = "one"; workers = 1; create_topics = true; replication_factor = 1; memory = "{memory}";
kafka = {{ bootstrap_servers = "{broker}"; }};
inputs = ( {{ topic = "{app}.events"; format = "json"; mapping = "canonical"; }} );
definitions = ( {{ name = "twice"; subject = "user"; qualify = "count(any, 7d) >= 2"; }} );
"""


class Limits(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.broker = folder.name, os.environ["PQL_TEST_BROKER"]

    def run_with(self, memory):
        path = os.path.join(self.folder, "limits.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(app="limits", broker=self.broker, memory=memory))
        program = scenario.Program(["run", "--config", path], os.path.join(self.folder, "limits.log"))
        self.addCleanup(program.stop)
        return program

    def events(self):
        for n in range(ACCOUNTS):
            account = f"account-{n}"
            value = {"event": "login", "account_id": account, "user_id": "ann", "occurred_at": "2026-01-01T00:00:00Z"}
            for _ in range(2):
                yield client.partition_of(account, 2), account, json.dumps(value).encode()

    def test_state_at_the_budget_stops_and_goes_on_with_more(self):
        client.create_topics(self.broker, 2, "limits.events")
        client.produce(self.broker, "limits.events", self.events())
        program = self.run_with("24MB")
        self.assertEqual(program.process.wait(120), 3, program.log_tail())
        self.assertIn("of the 24.0 MB that `memory` allows: state ", program.log_tail())
        self.assertIn("memory is running out", program.log_tail())
        self.assertIn("forecast=", program.log_tail())
        program = self.run_with("1GB")
        job = scenario.Scenario.__new__(scenario.Scenario)
        job.broker, job.app, job.topic = self.broker, "limits", "limits.events"
        job.wait_done(program, 120)
        self.assertEqual(program.stop(), 0, program.log_tail())
        keys = [m.key() for m in client.read_committed(self.broker, "limits.pql")]
        self.assertEqual(len(keys), ACCOUNTS)
        self.assertEqual(len(set(keys)), ACCOUNTS)


if __name__ == "__main__":
    unittest.main()
