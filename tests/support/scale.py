"""The story of a group under load: instances come and go, are killed, frozen and left without a broker. Shared by the
short and the long test; what every step cost is printed."""
import os
import random
import shutil
import time

import client
import dataset
import fleet
import oracle
import scenario

EVENT_MS = 200  # of event time between two events: 300 of them a second at fleet.SPEED
DISORDER = 10 * oracle.MINUTE
WAITING = 110 * oracle.MINUTE  # below the lateness by what the load makes while it is taken
SETTLED = 90
BY_INTERLEAVING = ("clock",)  # says how far a task was when it made the record
SESSION_MS = 6000  # the least that a broker allows


def seed_of_run():
    seed = int(os.environ.get("PQL_TEST_SEED", 1))
    print(f"PQL_TEST_SEED={seed}", flush=True)
    return seed


def kept_directory(app):
    """Beside the program, and left there until the next run: of a story that fails the logs are all there is."""
    path = os.path.join(os.path.dirname(os.environ["PQL_TEST_BINARY"]), "runs", app)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    print(f"logs in {path}", flush=True)
    return path


def worst(gaps):
    return f" (longest pause {max(gaps):.2f} s)" if gaps else ""


class Story:
    """One run. Each step acts on the fleet, waits until every partition is committed on again, and prints the longest
    standstill of partitions that stayed where they were, and of those that changed hands."""

    def __init__(self, test, app, *, delivery, static, broker=None, settings=()):
        self.test, self.broker, self.delivery = test, broker, delivery
        self.seed = seed_of_run()
        self.rng = random.Random(self.seed)
        self.job = fleet.TwoInputs(app, kept_directory(app), settings=f'delivery = "{delivery}";')
        self.job.create_input()
        events = dataset.disturbed(dataset.teams(self.seed, EVENT_MS), self.seed + 1, DISORDER, 0.05)
        self.load = fleet.Load(self.job, events, 1000 * fleet.SPEED / EVENT_MS)
        self.watch = fleet.Watch(self.job)
        self.fleet = fleet.Fleet(test, self.job, static=static,
                                 settings=[f"kafka.consumer.session_timeout_ms={SESSION_MS}", *settings])
        self.began, self.stayed, self.moved = time.monotonic(), [], []

    def begin(self, name):
        """One instance first takes what is there: nearly as much as waits for earlier events, so that records come
        from the first seconds of the load on."""
        self.load.produce_at_once(WAITING // EVENT_MS)
        first = self.fleet.start(name)
        self.job.wait_done(first, 120)
        self.load.start()
        self.watch.start()
        self.began = time.monotonic()
        self.step(f"0 -> 1: {name}", lambda: None, hold=4)

    def step(self, what, act, *victims, hold=0.0):
        """act(), `hold` seconds, then until all partitions were committed three times more and every instance commits
        some. A partition is affected if a victim had it before or if it changed hands; the others should not notice."""
        since, before = time.monotonic(), self.watch.writers()
        hit = {self.fleet.writer(name) for name in victims}
        act()
        time.sleep(hold)
        counts = self.watch.counts()
        self.fleet.wait(what, SETTLED, lambda: self.have_all_moved(counts, 3) and set(self.watch.writers().values()) ==
                        {self.fleet.writer(name) for name in self.fleet.running})
        gaps, after = self.watch.gaps(since), self.watch.writers()
        affected = {p for p in gaps if p not in before or before[p] != after[p] or before[p] in hit}
        stayed, moved = [gaps[p] for p in gaps if p not in affected], [gaps[p] for p in affected]
        self.stayed += stayed
        self.moved += moved
        print(f"{since - self.began:6.1f} s  {what:<34} {len(stayed)} unaffected{worst(stayed)}, {len(moved)} affected"
              f"{worst(moved)}", flush=True)

    def have_all_moved(self, counts, times):
        return all(b - a >= times for a, b in zip(counts, self.watch.counts()))

    # --- steps ---

    def start(self, *names):
        for name in names:
            count = len(self.fleet.running)
            self.step(f"{count} -> {count + 1}: start {name}", lambda name=name: self.fleet.start(name), hold=4)

    def stop(self, *names):
        for name in names:
            count = len(self.fleet.running)
            self.step(f"{count} -> {count - 1}: stop {name}", lambda name=name: self.fleet.stop(name), name, hold=4)

    def kill(self, number):
        """Started again at once, or after its partitions went to others."""
        name = self.rng.choice(sorted(self.fleet.running))
        later = len(self.fleet.running) > 1 and self.rng.random() < 0.4
        self.step(f"kill -9 {number}: {name}{', back later' if later else ''}", lambda: self.killed(name, later), name, hold=1)

    def killed(self, name, later):
        time.sleep(self.rng.random())
        self.fleet.kill(name)
        if later:
            counts = self.watch.counts()
            self.fleet.wait("takeover", SETTLED, lambda: self.have_all_moved(counts, 2))
        self.fleet.start(name)

    def freeze(self, number):
        """Past the end of its session; it wakes up when others have taken over, or about then."""
        name = self.rng.choice(sorted(self.fleet.running))
        zombie = len(self.fleet.running) > 1 and self.rng.random() < 0.7
        seconds = SESSION_MS / 1000 + 3 * self.rng.random()

        def act():
            counts = self.watch.counts()
            self.fleet.freeze(name)
            time.sleep(seconds)
            if zombie:
                self.fleet.wait("takeover", SETTLED, lambda: self.have_all_moved(counts, 2))
            self.fleet.thaw(name)

        self.step(f"SIGSTOP {number}: {name}{', back as a zombie' if zombie else ''}", act, name, hold=1)

    def restart_broker(self, number):
        def act():
            self.broker.kill()
            time.sleep(1)
            self.broker.run()
            self.broker.wait_ready()

        self.step(f"broker restart {number}", act, *self.fleet.running, hold=2)

    # --- the end ---

    def finish(self):
        """Everything taken; then the clock past every expiry. Returns the events."""
        sent = self.load.stop()
        last = self.fleet.running[sorted(self.fleet.running)[0]]
        self.job.wait_done(last, 120)
        self.job.produce([dataset.closing_clock(sent)])
        self.job.wait_done(last, 120)
        self.watch.stop()
        for name in sorted(self.fleet.running):
            self.fleet.stop(name)
        print(f"{time.monotonic() - self.began:6.1f} s  {len(sent)} events; partitions that stayed paused"
              f"{worst(self.stayed)}, changed hands {len(self.moved)} times{worst(self.moved)}", flush=True)
        return sent

    def check(self, sent):
        self.test.assertEqual(client.read_committed(self.job.broker, f"{self.job.app}.dlq"), [],
                              "an event was late: this machine is too slow for the lateness")
        topics = self.job.records()
        if self.delivery == "at_least_once":
            topics = {suffix: self.once(suffix, records) for suffix, records in topics.items()}
        for records in topics.values():
            scenario.check_contract(self.test, records)
        found = [*topics["pql"], *topics["pqa"]]
        scenario.check_transitions(self.test, found, oracle.teams(sent))
        in_order = sorted({e["message_id"]: e for e in sent}.values(), key=lambda e: e["occurred_at"])
        expected = self.job.replay([*in_order, dataset.closing_clock(sent)])
        scenario.check_same_records(self.test, found, expected, BY_INTERLEAVING)
        print(f"{len(found)} records, all as the oracle's and as those of replay", flush=True)

    def once(self, suffix, records):
        """What a reader keeps who knows each event_id: the first of each, and the others must not differ from it."""
        kept = {}
        for r in records:
            scenario.check_same_records(self.test, [r], [kept.setdefault(r["event_id"], r)], BY_INTERLEAVING)
        print(f"{self.job.app}.{suffix}: {len(records)} records, {len(records) - len(kept)} of them again", flush=True)
        return sorted(kept.values(), key=lambda r: r["version"])
