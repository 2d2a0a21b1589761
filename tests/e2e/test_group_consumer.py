"""The protocol of KIP-848: dynamic and static members that are asked to go, killed, frozen past their session, two that
run as one instance, and a broker that does not have it."""
import time
import unittest

import members
import services


class Consumer(members.Members):
    def test_dynamic(self):
        self.check_dynamic("consumer")

    def test_static(self):
        self.check_static("consumer")

    def test_zombie(self):
        self.check_zombie("consumer")

    def test_of_two_with_one_instance_the_newer_waits(self):
        """The broker holds the instance for the older, who notices nothing; once that one is dead, the newer has it."""
        older, newer = self.two_of_one("consumer")
        deadline = time.monotonic() + 30
        while "waiting for the instance" not in newer.log_tail():
            self.assertLess(time.monotonic(), deadline, newer.log_tail())
            time.sleep(0.1)
        self.moves_on("a newer waits")
        self.assertIsNone(older.process.poll(), older.log_tail())
        self.assertNotIn("transaction failed", older.log_tail())
        self.fleet.kill("a")
        self.fleet.running["a"] = newer
        self.moves_on("the older was killed")
        self.finish("a")

    def test_a_broker_without_it_is_named(self):
        broker = services.Broker("group.coordinator.rebalance.protocols=classic\n")
        self.addCleanup(broker.stop)
        broker.start()
        broker.wait_ready()
        self.begin("group-without", "consumer", broker=broker, loads=False)
        program = self.fleet.start("a")
        self.assertEqual(program.process.wait(40), 2, program.log_tail())
        self.assertIn('does not have the group protocol `consumer`', program.log_tail())


if __name__ == "__main__":
    unittest.main()
