"""Two input topics of eight partitions under a paced load: 1 -> 2 -> 4 -> 3 -> 1 instances, each step while the others
work; then kill -9 of a random instance twenty times, SIGSTOP past the session ten times, the broker restarted three
times, in an order that the seed decides. What is committed at the end equals the oracle, in both ways of delivery as
each promises. PQL_TEST_SEED repeats a run's choices; PQL_TEST_FAULTS=5,2,1 makes it shorter."""
import os
import unittest

import scale
import services


class Scale(unittest.TestCase):
    def setUp(self):
        """A broker of its own, since it is restarted."""
        broker = services.Broker()
        self.addCleanup(broker.stop)
        broker.start()
        broker.wait_ready()
        shared = os.environ["PQL_TEST_BROKER"]
        os.environ["PQL_TEST_BROKER"] = broker.address
        self.addCleanup(os.environ.__setitem__, "PQL_TEST_BROKER", shared)
        self.broker = broker

    def check(self, app, delivery):
        story = scale.Story(self, app, delivery=delivery, static=("a", "b"), broker=self.broker)
        story.begin("a")
        story.start("b")
        story.start("c", "d")
        story.stop("a")
        story.stop("c", "d")
        story.start("a", "c")
        kills, stops, restarts = map(int, os.environ.get("PQL_TEST_FAULTS", "20,10,3").split(","))
        faults = [story.kill] * kills + [story.freeze] * stops + [story.restart_broker] * restarts
        story.rng.shuffle(faults)
        for number, fault in enumerate(faults, 1):
            fault(number)
        story.check(story.finish())

    def test_exactly_once(self):
        self.check("long-scale-exactly", "exactly_once")

    def test_at_least_once(self):
        self.check("long-scale-atleast", "at_least_once")


if __name__ == "__main__":
    unittest.main()
