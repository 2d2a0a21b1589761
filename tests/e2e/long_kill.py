"""Generated streams, paced, with the program killed again and again: the oracle's transitions."""
import os
import random
import tempfile
import time
import unittest

import dataset
import kill
import oracle
import scenario

SETTINGS = 'lateness = "2h"; dedup_horizon = "400d"; instance = "a";'


def disturbed(events, seed):
    """Shuffled by an hour, half of the lateness, so that a tick makes nothing late; a tenth delivered twice, ended by a clock event."""
    return [*dataset.redelivered(dataset.shuffled(events, seed, 3600), seed + 1, 0.1), dataset.closing_clock(events)]


class Killed(unittest.TestCase):
    def finish(self, job, program, events):
        self.assertEqual(program.stop(), 0, program.log_tail())
        records = job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], oracle.acceptance(events))

    def test_ten_kills_in_two_minutes(self):
        events = dataset.generate(seed=23, accounts=600, days=60)
        stream = disturbed(events, 1)
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario("killed-generated", directory, settings=SETTINGS)
            job.create_input()
            program = kill.run_killed(self, job, stream, rate=len(stream) / 125, kills=10, seconds=300)
            self.finish(job, program, events)

    def test_killed_at_any_moment(self):
        """Also while it joins, restores or commits, with many snapshots and a clock that goes on by itself."""
        seed = int(os.environ.get("PQL_TEST_SEED", 1))
        print(f"PQL_TEST_SEED={seed}", flush=True)
        rng, kills = random.Random(seed), 0
        events = dataset.generate(seed=seed, accounts=150)
        stream = disturbed(events, seed)
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario("killed-anywhere", directory, clock=rng.choice(("wall", "events")), settings=SETTINGS
                                    + 'checkpoint_interval = "1s"; restore_target = "1s"; idle_after = "1s";')
            job.create_input()
            producer, program = job.produce_paced(stream, len(stream) / 60), job.run()
            while producer.is_alive():
                time.sleep(rng.choice((0.05, 0.3, 0.8, 1.5, 3.0)))
                program.check_alive()
                program.kill()
                program, kills = job.run(), kills + 1
            self.assertIsNone(producer.failure)
            job.wait_done(program, 120)
            print(f"{kills} kills", flush=True)
            self.finish(job, program, events)


if __name__ == "__main__":
    unittest.main()
