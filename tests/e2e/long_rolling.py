"""A change of definitions rolled over three instances, forward and back, under load: the threshold of one definition,
two others untouched. Each task takes each change once; the changed definition's members are those of the threshold that
held, to the record; nobody else comes or goes because of it."""
import collections
import os
import re
import subprocess
import unittest

import dataset
import fleet
import oracle
import scale
import scenario

NAMES = ("a", "b", "c")
KEEN, KEENER = 3, 5
BACK = fleet.DEFINITIONS
FORWARD = BACK.replace(f"count(login, 30m) >= {KEEN}", f"count(login, 30m) >= {KEENER}")


class Rolling(unittest.TestCase):
    def test_forward_and_back(self):
        # Few snapshots, so that little of the journal is trimmed.
        self.story = scale.Story(self, "rolling", delivery="exactly_once", static=("a", "b"),
                                 settings=("checkpoint_interval=1h", "restore_target=1h"))
        self.story.begin("a")
        self.story.start("b", "c")
        self.roll(2, FORWARD)
        self.story.kill(1)
        self.roll(3, BACK)
        sent = self.story.finish()
        self.check_records(sent)

    def roll(self, revision, definitions):
        self.story.job.configure(definitions=definitions, revision=revision)
        for name in NAMES:
            def act(name=name):
                self.story.fleet.stop(name)
                self.story.fleet.start(name)

            self.story.step(f"revision {revision}: {name} again", act, name, hold=3)
        self.check_journal(revision)

    def check_journal(self, revision):
        """Each task took it once, whichever instance had it."""
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "checkpoint", "dump", "--config", self.story.job.config_path],
                              capture_output=True, timeout=120, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        taken = re.findall(rf"^(\d+)@\d+ journal \d+ .*: configuration of revision {revision}$", done.stdout, re.M)
        self.assertEqual(sorted(map(int, taken)), list(range(fleet.PARTITIONS)), done.stdout)

    def check_records(self, sent):
        topics = self.story.job.records()
        for records in topics.values():
            scenario.check_contract(self, records)
        records = [*topics["pql"], *topics["pqa"]]
        untouched = [r for r in records if r["definition"] != "keen"]
        scenario.check_transitions(self, untouched, [t for t in oracle.teams(sent) if t[0] != "keen"])
        self.assertEqual([r["event_id"] for r in untouched if is_of_change(r)], [])
        keen = [r for r in records if r["definition"] == "keen"]
        left, back = self.instants(keen, "left"), self.instants(keen, "entered")
        print(f"{sum(map(is_of_change, keen))} of {len(keen)} records because of the changes, at one instant of each"
              f" partition: {len(left)} partitions forward, {len(back)} back", flush=True)

        def count_wanted(account, at):
            p = fleet.client.partition_of(account, fleet.PARTITIONS)
            return KEENER if left[p] <= at < back[p] else KEEN

        expected = sorted(oracle.keen_by(sent, count_wanted, lambda account: (
            left[p := fleet.client.partition_of(account, fleet.PARTITIONS)], back[p])), key=str)
        scenario.check_transitions(self, keen, expected)

    def instants(self, keen, transition):
        """{partition: when its change happened}, by the records that it made: all of a partition at one instant."""
        found = collections.defaultdict(set)
        for r in keen:
            if is_of_change(r) and r["transition"] == transition:
                p = fleet.client.partition_of(r["account_id"], fleet.PARTITIONS)
                found[p].add(scenario.millis(r["occurred_at"]))
        self.assertEqual(sorted(found), list(range(fleet.PARTITIONS)), transition)
        self.assertEqual({p: len(of) for p, of in found.items() if len(of) > 1}, {}, transition)
        return {p: of.pop() for p, of in found.items()}


def is_of_change(record):
    return record["origin"] == "definition_change" or record["reason"] == "definition_changed"


if __name__ == "__main__":
    unittest.main()
