"""run on a real broker, over a generated stream: the oracle's transitions, the records of replay, the contract."""
import tempfile
import time
import unittest

import dataset
import kill
import oracle
import scenario

EVENTS = dataset.generate(seed=11)
END = [dataset.closing_clock(EVENTS)]
EXPECTED = oracle.acceptance(EVENTS)


class Run(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def check(self, job):
        records = job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], EXPECTED)
        return [*records["pql"], *records["pqa"]]

    def run_through(self, job, events):
        job.create_input()
        job.produce(events + END)
        program = job.run()
        job.wait_done(program, 90)
        self.assertEqual(program.stop(), 0, program.log_tail())
        return self.check(job)

    def test_avro_and_the_records_of_replay(self):
        job = scenario.Scenario("run-avro", self.directory)
        records = self.run_through(job, EVENTS)
        scenario.check_same_records(self, records, job.replay(EVENTS + END))

    def test_json_shuffled_and_delivered_twice(self):
        job = scenario.Scenario("run-json", self.directory, input_format="json",
                                settings='lateness = "1h"; dedup_horizon = "400d";')
        self.run_through(job, dataset.redelivered(dataset.shuffled(EVENTS, 1, 3600), 2, 0.1))

    def test_killed_three_times(self):
        job = scenario.Scenario("run-killed", self.directory,
                                settings='lateness = "1h"; dedup_horizon = "400d"; instance = "a";')
        job.create_input()
        events = dataset.redelivered(dataset.shuffled(EVENTS, 3, 3600), 4, 0.1)
        program = kill.run_killed(self, job, events + END, rate=400, kills=3, seconds=120)
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.check(job)

    def test_killed_where_the_clock_goes_on_by_itself(self):
        """Bursts of events with silences, in which ticks release what was buffered; killed in both."""
        job = scenario.Scenario("run-ticks", self.directory, clock="wall",
                                settings='lateness = "1h"; idle_after = "1s"; instance = "a";')
        job.create_input()
        program, size = job.run(), len(EVENTS) // 6 + 1
        for n in range(0, len(EVENTS), size):
            job.produce(EVENTS[n:n + size])
            if n % (2 * size):
                job.wait_done(program, 60)
                time.sleep(3)
            program.check_alive()
            program.kill()
            program = job.run()
        job.produce(END)
        job.wait_done(program, 60)
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.check(job)


if __name__ == "__main__":
    unittest.main()
