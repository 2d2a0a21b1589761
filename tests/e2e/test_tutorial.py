"""conf/tutorial.md, step by step, on a fresh broker: every command, and what it is said to print; without the part that needs a
database, which long_tutorial.py has."""
import os
import unittest

import pages
import tutorial


class Tutorial(unittest.TestCase):
    def test_each_step(self):
        run = tutorial.run(os.environ["PQL_TEST_BROKER"])
        sections = {block.section for block in pages.blocks(tutorial.PAGE)}
        self.assertIn(tutorial.CRM, sections)
        self.assertGreater(run.all(without=[tutorial.CRM]), 8)


if __name__ == "__main__":
    unittest.main()
