"""Members of a group on a broker of their own, by either protocol: what the tests of both do with them. How long it
took until all partitions were committed on is printed; every output is compared."""
import os
import tempfile
import time
import unittest

import client
import dataset
import fleet
import oracle
import scenario
import services

EVENTS = dataset.generate(seed=83, accounts=100, days=30)
EXPECTED = oracle.acceptance(EVENTS)
RATE = 250
SESSION_MS = 6000
PROTOCOLS = {
    "classic": [f"kafka.consumer.session_timeout_ms={SESSION_MS}"],
    "consumer": ["group_protocol=consumer"],
}
# The least that brokers allow; theirs to say with the protocol `consumer`.
BROKER = f"""
group.consumer.session.timeout.ms={SESSION_MS}
group.consumer.min.session.timeout.ms={SESSION_MS}
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
"""


class Members(unittest.TestCase):
    broker = None

    @classmethod
    def setUpClass(cls):
        cls.broker = services.Broker(BROKER)
        cls.broker.start()
        cls.broker.wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()

    def begin(self, app, protocol, static=(), broker=None, loads=True):
        self.at = (broker or self.broker).address
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        before = os.environ["PQL_TEST_BROKER"]
        os.environ["PQL_TEST_BROKER"] = self.at
        self.addCleanup(os.environ.__setitem__, "PQL_TEST_BROKER", before)
        self.job = scenario.Scenario(app, directory.name, settings='lateness = "1s";')
        self.job.create_input()
        self.fleet = fleet.Fleet(self, self.job, static=static, settings=PROTOCOLS[protocol])
        self.load = self.job.produce_paced(EVENTS, RATE) if loads else None
        self.app = app

    def assigned(self, name):
        with open(self.fleet.running[name].log_path, encoding="utf-8") as log:
            return log.read().count('msg="partitions assigned"')

    def moves_on(self, what, seconds=40):
        """Every partition that has something left is committed beyond where it stands now; prints how long that took."""
        began = time.monotonic()
        before = self.positions()
        ends = client.end_offsets(self.at, self.job.topic)
        self.fleet.wait(what, seconds, lambda: all(
            now > before.get(p, -1) or now >= ends[p] for p, now in self.positions().items()))
        print(f"{self.app}: {what}: {time.monotonic() - began:.2f} s", flush=True)

    def positions(self):
        try:
            return client.committed_offsets(self.at, self.app, self.job.topic)
        except client.KafkaException:
            return {0: -1}

    def finish(self, name):
        self.load.join()
        self.assertIsNone(self.load.failure)
        self.job.produce([dataset.closing_clock(EVENTS)])
        self.job.wait_done(self.fleet.running[name], 60)
        for left in list(self.fleet.running):
            self.fleet.stop(left)
        records = self.job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], EXPECTED)

    def second_joins(self):
        self.fleet.start("a")
        self.fleet.wait("first assignment", 30, lambda: self.assigned("a") > 0)
        self.moves_on("alone")
        self.fleet.start("b")
        self.fleet.wait("a share", 30, lambda: self.assigned("b") > 0)
        self.moves_on("joined")

    def check_dynamic(self, protocol):
        """Leaves in order, is killed, and comes again."""
        self.begin(f"group-dynamic-{protocol}", protocol)
        self.second_joins()
        self.fleet.stop("a")
        self.moves_on("a left in order")
        self.fleet.start("a")
        self.fleet.wait("a share", 30, lambda: self.assigned("a") > 1)
        self.fleet.kill("b")
        self.moves_on("b was killed")
        self.finish("a")

    def check_static(self, protocol):
        """Restarted in order and by kill: it has its partitions again, and the other one keeps its own."""
        self.begin(f"group-static-{protocol}", protocol, static=("a", "b"))
        self.second_joins()
        others = self.assigned("b")
        self.fleet.stop("a")
        self.fleet.start("a")
        self.moves_on("a restarted in order")
        self.fleet.kill("a")
        self.fleet.start("a")
        self.moves_on("a was killed and restarted")
        if protocol == "classic":  # there the broker gives up nobody in the meantime
            self.assertEqual(self.assigned("b"), others, self.fleet.running["b"].log_tail())
        self.finish("a")

    def check_zombie(self, protocol):
        """Frozen past its session: others take over; awake again it commits nothing of what it lost, and stays."""
        self.begin(f"group-zombie-{protocol}", protocol)
        self.second_joins()
        for _ in range(2):
            times, others = self.assigned("a"), self.assigned("b")
            self.fleet.freeze("a")
            self.fleet.wait("a takeover", 40, lambda: self.assigned("b") > others)
            self.moves_on("a was frozen and given up")
            self.fleet.thaw("a")
            self.fleet.wait("a share", 30, lambda: self.assigned("a") > times)
            self.moves_on("a woke up")
        self.finish("b")

    def two_of_one(self, protocol):
        """Instance a, and another process that runs as the same."""
        self.begin(f"group-two-{protocol}", protocol, static=("a",))
        self.fleet.start("a")
        self.fleet.wait("first assignment", 30, lambda: self.assigned("a") > 0)
        self.moves_on("alone")
        first = self.fleet.running["a"]
        second = scenario.Program(["run", "--config", self.job.config_path, "--set", "instance=a",
                                   *[part for s in PROTOCOLS[protocol] for part in ("--set", s)]],
                                  os.path.join(self.job.directory, "second.log"))
        self.addCleanup(lambda: second.process.poll() is None and second.kill())
        return first, second

    def ends_fenced(self, program, seconds):
        self.assertEqual(program.process.wait(seconds), 4, program.log_tail())
        with open(program.log_path, encoding="utf-8") as log:
            self.assertRegex(log.read().splitlines()[-1], "another process (runs as instance 'a'|has this instance)|"
                                                          "instance 'a' is held")
