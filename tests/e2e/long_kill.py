"""A larger generated stream, paced over two minutes, with the program killed ten times: the oracle's transitions."""
import tempfile
import unittest

import dataset
import kill
import oracle
import scenario

EVENTS = dataset.generate(seed=23, accounts=600, days=60)


class Killed(unittest.TestCase):
    def test_ten_kills(self):
        events = dataset.redelivered(dataset.shuffled(EVENTS, 1, 3600), 2, 0.1)
        events.append(dataset.closing_clock(EVENTS))
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario("killed-generated", directory,
                                    settings='lateness = "1h"; dedup_horizon = "400d"; instance = "a";')
            job.create_input()
            program = kill.run_killed(self, job, events, rate=len(events) / 125, kills=10, seconds=300)
            self.assertEqual(program.stop(), 0, program.log_tail())
            records = job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], oracle.acceptance(EVENTS))


if __name__ == "__main__":
    unittest.main()
