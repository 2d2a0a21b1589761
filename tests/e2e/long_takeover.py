"""How long the partitions of an instance stand still when it is killed or stopped, with and without `instance`, started
again at once or left to the others. The figures are printed; conf/operations.md has them."""
import tempfile
import time
import unittest

import dataset
import fleet
import oracle

EVENT_MS = 200
RATE = 1000 * fleet.SPEED / EVENT_MS


class Takeover(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def pause_of(self, what, group, watch, act):
        """The longest standstill of the partitions of "a" from before the act until they move again."""
        victim, before, since = group.writer("a"), watch.writers(), time.monotonic()
        hit = [p for p, writer in before.items() if writer == victim]
        self.assertTrue(hit)
        counts = watch.counts()
        act()
        time.sleep(1)
        gone = lambda: victim not in watch.writers().values() and all(
            b - a >= 3 for a, b in zip(counts, watch.counts()))
        group.wait(what, 90, gone)
        gaps = watch.gaps(since)
        print(f"    {what:<44} {max(gaps[p] for p in hit):5.1f} s, the other partitions "
              f"{max([gap for p, gap in gaps.items() if p not in hit], default=0):4.1f} s", flush=True)
        if "a" not in group.running:
            group.start("a")
        group.wait("both again", 90, lambda: set(watch.writers().values()) ==
                   {group.writer(name) for name in group.running} and len(set(watch.writers().values())) == 2)

    def figures(self, app, static):
        job = fleet.TwoInputs(app, self.directory)
        job.create_input()
        load = fleet.Load(job, dataset.disturbed(dataset.teams(7, EVENT_MS), 8, 10 * oracle.MINUTE, 0.05), RATE)
        watch, group = fleet.Watch(job), fleet.Fleet(self, job, static=static)
        load.produce_at_once(int(20 * RATE))
        group.start("a")
        group.start("b")
        load.start()
        watch.start()
        group.wait("both", 120, lambda: len(set(watch.writers().values())) == 2)
        time.sleep(5)  # a snapshot each
        print(f"\n{'with' if static else 'without'} instance", flush=True)

        def restart(end):
            end("a")
            group.start("a")

        self.pause_of("killed, started again at once", group, watch, lambda: restart(group.kill))
        self.pause_of("killed, not started again", group, watch, lambda: group.kill("a"))
        self.pause_of("SIGTERM, started again at once", group, watch, lambda: restart(group.stop))
        self.pause_of("SIGTERM, not started again", group, watch, lambda: group.stop("a"))
        load.stop()
        watch.stop()
        for name in sorted(group.running):
            group.stop(name)

    def test_with_instance(self):
        self.figures("takeover-static", ("a", "b"))

    def test_without_instance(self):
        self.figures("takeover-drawn", ())


if __name__ == "__main__":
    unittest.main()
