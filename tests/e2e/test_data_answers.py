"""replay gives the exact published answers of the data sets: rules of relax, sparkify_log and ravenstack, and the
confusion counts of their evaluations (RavenStack data by River @ Rivalytics). answers.py says which, and prints them."""
import os
import unittest

import answers


class Answers(unittest.TestCase):
    def check(self, name):
        jobs = [job for job in answers.JOBS if job.name.startswith(name)]
        self.assertTrue(jobs)
        for job in jobs:
            for mode in job.modes:
                for rule, found, wanted, same in answers.compare(os.environ["PQL_TEST_BINARY"], job, mode):
                    print(f"{job.name}: {rule}, {mode}: {found}", flush=True)
                    with self.subTest(job=job.name, rule=rule, mode=mode):
                        self.assertTrue(same, f"{found}; expected {wanted}")

    def test_relax(self):
        self.check("relax")

    def test_sparkify(self):
        self.check("sparkify")

    def test_ravenstack(self):
        self.check("ravenstack")


if __name__ == "__main__":
    unittest.main()
