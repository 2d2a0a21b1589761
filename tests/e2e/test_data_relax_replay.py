"""replay over the relax data gives the published answers, in order, shuffled and redelivered."""
import tempfile
import unittest

import dataset
import oracle
import scenario

EVENTS = dataset.relax()
EXPECTED = dataset.relax_expected(EVENTS)
END = [dataset.closing_clock(EVENTS)]


class RelaxReplay(unittest.TestCase):
    def check(self, events, settings, expected=EXPECTED, **options):
        with tempfile.TemporaryDirectory() as directory:
            records = scenario.Scenario("relax", directory, settings=settings, **options).replay(events + END)
        scenario.check_contract(self, records)
        scenario.check_transitions(self, records, expected)
        return records

    def test_the_oracle_gives_the_published_answers(self):
        self.assertTrue(oracle.acceptance(EVENTS) == EXPECTED)

    def test_sorted(self):
        records = self.check(EVENTS, 'lateness = "1s";')
        entered = [r for r in records if r["definition"] == "adopted" and r["transition"] == "entered"]
        self.assertEqual((len(entered), len({r["user_id"] for r in entered})), (17097, 1602))

    def test_shuffled(self):
        self.check(dataset.relax("--shuffle", "3600", "--seed", "1"), 'lateness = "1h";')

    def test_shuffled_and_delivered_twice(self):
        events = dataset.relax("--shuffle", "3600", "--duplicate", "10", "--seed", "2")
        self.check(events, 'lateness = "1h"; dedup_horizon = "800d";')

    def test_other_windows_and_thresholds(self):
        definitions = """
            { name = "adopted"; subject = "user"; qualify = "days(login, 10d) >= 4"; },
            { name = "half_adopted"; subject = "account";
              qualify = "share(was(adopted) of ever(signed_up)) >= 0.25 and users(ever(signed_up)) >= 6"; },
            { name = "active"; subject = "account"; qualify = "users(count(login, 36h) >= 1) >= 3"; }"""
        bar = {"days": 4, "window": 10 * oracle.DAY}
        expected = [*oracle.adopted(EVENTS, **bar), *oracle.half_adopted(EVENTS, share=0.25, members=6, **bar),
                    *oracle.active(EVENTS, users=3, window=36 * oracle.DAY // 24)]
        self.check(EVENTS, 'lateness = "1s";', sorted(expected, key=str), definitions=definitions)

    def test_members_where_an_invitation_makes_none(self):
        """An inviter who acts before signing up would be a member; signed-up users are what the answer counts."""
        definitions = """
            { name = "adopted"; subject = "user"; qualify = "days(login, 7d) >= 3"; },
            { name = "half_adopted"; subject = "account";
              qualify = "share(was(adopted)) >= 0.5 and members() >= 3"; }"""
        self.check(EVENTS, 'lateness = "1s";', [x for x in EXPECTED if x[0] != "active"], definitions=definitions,
                   mapping="ignore = \"event = 'invite_accepted'\";")


if __name__ == "__main__":
    unittest.main()
