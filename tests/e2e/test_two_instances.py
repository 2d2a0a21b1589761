"""Two instances of one group over one stream: joined while it runs, one asked to leave, the other killed and started
again. The oracle's transitions, as from one."""
import tempfile
import time
import unittest

import dataset
import oracle
import scenario

EVENTS = dataset.generate(seed=31)
RATE = 250


class TwoInstances(unittest.TestCase):
    def wait_assigned(self, times, *programs):
        """Until so many assignments were given; all instances say so in one log."""
        deadline = time.monotonic() + 40
        while True:
            for program in programs:
                program.check_alive()
            with open(programs[0].log_path, encoding="utf-8") as log:
                if log.read().count('msg="partitions assigned"') >= times:
                    return
            self.assertLess(time.monotonic(), deadline, programs[0].log_tail())
            time.sleep(0.1)

    def test_joined_left_and_killed(self):
        events = [*dataset.shuffled(EVENTS, 5, 3600), dataset.closing_clock(EVENTS)]
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario("two", directory, settings='lateness = "1h";')
            job.create_input()
            producer = job.produce_paced(events, RATE)
            first = job.run()
            self.wait_assigned(1, first)
            time.sleep(len(events) / RATE * 0.2)
            second = job.run()
            self.wait_assigned(2, first, second)
            time.sleep(len(events) / RATE * 0.1)
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
