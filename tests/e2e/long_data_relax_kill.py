"""The relax data, paced over two minutes and more, with the program killed ten times meanwhile: the published answers."""
import tempfile
import unittest

import dataset
import kill
import scenario

EVENTS = dataset.relax()
EXPECTED = dataset.relax_expected(EVENTS)
END = [dataset.closing_clock(EVENTS)]


class RelaxKilled(unittest.TestCase):
    def check(self, app, events, settings):
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario(app, directory, settings=settings + 'instance = "a";')
            job.create_input()
            program = kill.run_killed(self, job, events + END, rate=len(events) / 125, kills=10, seconds=300)
            self.assertEqual(program.stop(), 0, program.log_tail())
            records = job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], EXPECTED)

    def test_sorted(self):
        self.check("killed-sorted", EVENTS, 'lateness = "1s";')

    def test_shuffled(self):
        self.check("killed-shuffled", dataset.relax("--shuffle", "3600", "--seed", "1"), 'lateness = "1h";')

    def test_delivered_twice(self):
        events = dataset.relax("--shuffle", "3600", "--duplicate", "10", "--seed", "2")
        self.check("killed-twice", events, 'lateness = "1h"; dedup_horizon = "800d";')


if __name__ == "__main__":
    unittest.main()
