"""conf/tutorial.md, step by step, on a fresh broker: every command, and what it is said to print."""
import os
import sys
import unittest

import pages
import services

CONSOLE = os.path.join(pages.ROOT, "tests", "support", "console")


class Tutorial(unittest.TestCase):
    def test_each_step(self):
        replace = {"localhost:9092": os.environ["PQL_TEST_BROKER"], "product-events": "tutorial.events",
                   "127.0.0.1:8090": f"127.0.0.1:{services.free_port()}"}
        run = pages.Run(os.path.join("conf", "tutorial.md"), os.environ["PQL_TEST_BINARY"], replace,
                        path=[CONSOLE, os.path.dirname(sys.executable)])
        self.assertGreater(run.all(), 8)


if __name__ == "__main__":
    unittest.main()
