"""run on a real broker over the relax data, Avro by registry id on 4 partitions: the published answers."""
import tempfile
import unittest

import dataset
import scenario

EVENTS = dataset.relax()
EXPECTED = dataset.relax_expected(EVENTS)
END = [dataset.closing_clock(EVENTS)]


class RelaxRun(unittest.TestCase):
    def check(self, app, events, settings, compare_replay=False):
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario(app, directory, settings=settings)
            job.create_input()
            job.produce(events + END)
            program = job.run()
            job.wait_done(program, 100)
            self.assertEqual(program.stop(), 0, program.log_tail())
            records = job.records()
            for suffix in records:
                scenario.check_contract(self, records[suffix])
            both = [*records["pql"], *records["pqa"]]
            scenario.check_transitions(self, both, EXPECTED)
            if compare_replay:
                scenario.check_same_records(self, both, job.replay(events + END))

    def test_sorted_and_the_records_of_replay(self):
        self.check("relax", EVENTS, 'lateness = "1s";', compare_replay=True)

    def test_shuffled_and_delivered_twice(self):
        events = dataset.relax("--shuffle", "3600", "--duplicate", "10", "--seed", "1")
        self.check("relax-twice", events, 'lateness = "1h"; dedup_horizon = "800d";')


if __name__ == "__main__":
    unittest.main()
