"""replay over the other data sets and rules gives their exact answers: inviters of relax, users of sparkify_log, accounts
of ravenstack (RavenStack data by River @ Rivalytics)."""
import tempfile
import unittest

import dataset
import scenario


class OtherReplay(unittest.TestCase):
    def check(self, events, definition, expected, partitions=scenario.PARTITIONS, **options):
        """One definition named `rule`; expected is its table, of which the first column is the subject."""
        with tempfile.TemporaryDirectory() as directory:
            definitions = "{ name = \"rule\"; " + definition + " }"
            job = scenario.Scenario("other", directory, definitions=definitions, **options)
            records = job.replay([*events, dataset.closing_clock(events)], partitions)
        scenario.check_contract(self, records)
        found = [(user or account, at, change) for _, account, user, at, change in scenario.transitions(records)]
        wanted = [(next(iter(row.values())), *dataset.change(row)) for row in dataset.rows(*expected)]
        self.assertEqual(sorted(found), sorted(wanted))

    def test_relax_inviters(self):
        self.check(dataset.relax(), 'subject = "user"; qualify = "count(invite_accepted, 30d) >= 3";',
                   ("relax", "i1_inviter_transitions.csv"))

    def test_sparkify_users(self):
        """No accounts there: each user is one. Rows of nobody are refused, and nothing else is."""
        events = dataset.converted("sparkify_log")
        mine = 'account = [ "user_id" ];'
        rules = {
            "s1": "days(any, 7d) >= 3",
            "s2": "count(NextSong where level = 'free', 7d) >= 20",
            "s3": "count(NextSong where level = 'free', 7d) >= 10 and days(NextSong where level = 'free', 7d) >= 2"
                  " or count(Upgrade where level = 'free', 7d) >= 1",
        }
        for name, condition in rules.items():
            with self.subTest(name):
                self.check(events, f'subject = "user"; qualify = "{condition}";',
                           ("sparkify_log", f"{name}_user_transitions.csv"), account=mine)

    def test_ravenstack_accounts(self):
        """Where the id of a row is shared by two accounts, one partition sees both."""
        rules = {"v1": "distinct(feature_used.feature_name, 30d) >= 8", "v2": "sum(feature_used.usage_count, 30d) >= 80"}
        readings = {"keep": (4, [], ""), "drop_earliest": (1, ["--id", "usage_id"], 'dedup_horizon = "800d";')}
        for reading, (partitions, options, settings) in readings.items():
            events = dataset.converted("ravenstack", *options)
            for name, condition in rules.items():
                with self.subTest(f"{name} {reading}"):
                    self.check(events, f'subject = "account"; qualify = "{condition}";',
                               ("ravenstack", f"{name}_account_transitions_{reading}.csv"),
                               partitions, settings='lateness = "1s"; ' + settings)


if __name__ == "__main__":
    unittest.main()
