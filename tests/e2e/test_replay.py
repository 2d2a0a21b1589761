"""replay over a generated stream gives the oracle's transitions: sorted, shuffled within lateness, redelivered."""
import tempfile
import unittest

import dataset
import oracle
import scenario

EVENTS = dataset.generate(seed=7)
END = [dataset.closing_clock(EVENTS)]
EXPECTED = oracle.acceptance(EVENTS)


class Replay(unittest.TestCase):
    def replayed(self, events, settings):
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario("replayed", directory, settings=settings)
            return job.replay(events + END)

    def check(self, events, settings):
        records = self.replayed(events, settings)
        scenario.check_contract(self, records)
        scenario.check_transitions(self, records, EXPECTED)

    def test_sorted(self):
        self.check(EVENTS, 'lateness = "1s";')

    def test_shuffled_within_lateness(self):
        self.check(dataset.shuffled(EVENTS, 1, 3600), 'lateness = "1h";')

    def test_tenth_delivered_twice(self):
        self.check(dataset.redelivered(EVENTS, 2, 0.1), 'lateness = "1s"; dedup_horizon = "400d";')

    def test_both(self):
        events = dataset.redelivered(dataset.shuffled(EVENTS, 3, 3600), 4, 0.1)
        self.check(events, 'lateness = "1h"; dedup_horizon = "400d";')

    def test_order_of_delivery_changes_no_record(self):
        """But for `clock`, which says how far the task had read."""
        settings = 'lateness = "1h";'
        shuffled = self.replayed(dataset.shuffled(EVENTS, 5, 3600), settings)
        scenario.check_same_records(self, shuffled, self.replayed(EVENTS, settings), ["clock"])


if __name__ == "__main__":
    unittest.main()
