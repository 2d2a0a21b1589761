"""Two instances of one group over one stream: joined while it runs, one asked to leave, the other killed and started
again. The oracle's transitions, as from one."""
import tempfile
import time
import unittest

import dataset
import oracle
import scenario

EVENTS = dataset.generate(seed=31)
RATE = 350


class TwoInstances(unittest.TestCase):
    def test_joined_left_and_killed(self):
        events = [*dataset.shuffled(EVENTS, 5, 3600), dataset.closing_clock(EVENTS)]
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario("two", directory, settings='lateness = "1h";')
            job.create_input()
            producer = job.produce_paced(events, RATE)
            first = job.run()
            time.sleep(len(events) / RATE * 0.25)
            second = job.run()
            time.sleep(len(events) / RATE * 0.25)
            first.check_alive()
            second.check_alive()
            with open(first.log_path, encoding="utf-8") as log:
                assigned = log.read().count('msg="partitions assigned"')
            self.assertGreaterEqual(assigned, 2, "the second instance was given nothing")
            self.assertEqual(first.stop(), 0, first.log_tail())
            time.sleep(len(events) / RATE * 0.2)
            second.kill()
            third = job.run()
            producer.join()
            self.assertIsNone(producer.failure)
            job.wait_done(third, 120)
            self.assertEqual(third.stop(), 0, third.log_tail())
            records = job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], oracle.acceptance(EVENTS))


if __name__ == "__main__":
    unittest.main()
