#!/usr/bin/env python3
"""The data sets' rules and their evaluations, as definitions, through `replay` and compared with the published answers.

  answers.py --binary build/release/pqlstream      prints what was found beside what is expected; exit status 1 if
                                                   anything differs. $PQL_DATA says where the data sets are.

Every rule is asked four times: events in order, shuffled by up to an hour, a tenth of them delivered twice, and both.
RavenStack data by River @ Rivalytics.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

import dataset

MODES = {
    "sorted": ([], "1s"),
    "shuffled": (["--shuffle", "3600", "--seed", "1"], "1h"),
    "redelivered": (["--duplicate", "10", "--seed", "2"], "1s"),
    "both": (["--shuffle", "3600", "--duplicate", "10", "--seed", "3"], "1h"),
}

CONFIGURATION = """
app = "answers"; lateness = "{lateness}"; dedup_horizon = "{horizon}";
inputs = ( {{ topic = "events"; format = "json"; mapping = "data"; }} );
mappings = {{ data = {{
  kind = "type"; event = "event"; account = [ "{account}" ]; user = [ "user_id" ]; time = "occurred_at";
  time_unit = "ms"; id = "message_id"; properties = [ "properties.*" ]; attributes = [ "traits.*" ]; {mapping}
}}; }};
definitions = ( {definitions} );
"""

# A job: one configuration over one stream. rules: definition -> (its text, table of its answer); evaluations: definition
# -> (its text, part of summary.json). The definitions of `others` are what evaluations are made by.
Job = collections.namedtuple("Job", "name data mapping rules evaluations others options modes order partitions flags account",
                             defaults=(MODES, None, 4, (), "account_id"))


def user(condition):
    return f'subject = "user"; qualify = "{condition}";'


def account(condition):
    return f'subject = "account"; qualify = "{condition}";'


def first_in_file(events):
    """Without the rows whose usage_id an earlier row of the file has: what a producer leaves that sends each id once."""
    rows = [e["message_id"] for e in dataset.converted("ravenstack")]
    ids = [e["message_id"] for e in dataset.converted("ravenstack", "--id", "usage_id")]
    uses = sorted((int(row.rsplit(":", 1)[1]), row, usage) for row, usage in zip(rows, ids) if row != usage)
    first = {}
    for _, row, usage in uses:
        first.setdefault(usage, row)
    second = {row for _, row, usage in uses if first[usage] != row}
    return [e for e in events if e["message_id"] not in second]


def with_trials(events):
    """Says of each account where its first trial begins, as a producer would: an event of its own, before the
    subscription."""
    trials, said = {}, set()
    for e in events:
        if e.get("event") == "subscription_started" and e["properties"]["is_trial"]:
            trials[e["account_id"]] = min(e["occurred_at"], trials.get(e["account_id"], e["occurred_at"]))
    for e in events:
        a, at = e["account_id"], e["occurred_at"]
        if e.get("event") == "subscription_started" and trials.get(a) == at and a not in said:
            said.add(a)
            yield dataset.track(f"trial:{a}", "trial_started", None, a, at, {})
        yield e


FEATURES, USES = "distinct(feature_used.feature_name{}, 30d) >= 8", "sum(feature_used.usage_count, 30d) >= 80"
PAID = "count(subscription_started where is_trial = false, first {})"

JOBS = [
    Job("relax", "relax", 'start_events = [ "signed_up" ];', {
        "R1": (user("days(login, 7d) >= 3"), "r1_transitions.csv"),
        "A1": (account("share(was(R1) of ever(signed_up)) >= 0.5 and users(ever(signed_up)) >= 3"),
               "a1_org_transitions.csv"),
        "A3": (account("users(count(login, 7d) >= 1) >= 5"), "a3_org_transitions.csv"),
        "I1": (user("count(invite_accepted, 30d) >= 3"), "i1_inviter_transitions.csv"),
    }, {}, {}, []),
    # Those who have been there for 56 days; invitations of somebody who has not signed up yet make no user.
    Job("relax, retained", "relax", 'start_events = [ "signed_up" ]; ignore = "event = \'invite_accepted\'";', {},
        {"E1": (user("days(login, first 7d) >= 2"), "E1")},
        {"old_enough": user("age() >= 56d"),
         "retained": user("count(login, first 56d) > count(login, first 28d)")}, [],
        partitions=1, flags=("--outcomes=retained", "--among", "old_enough")),
    # No accounts there: each user is one.
    Job("sparkify", "sparkify_log", "", {
        "S1": (user("days(any, 7d) >= 3"), "s1_user_transitions.csv"),
        "S2": (user("count(NextSong where level = 'free', 7d) >= 20"), "s2_user_transitions.csv"),
        "S3": (user("count(NextSong where level = 'free', 7d) >= 10 and days(NextSong where level = 'free', 7d) >= 2"
                    " or count(Upgrade where level = 'free', 7d) >= 1"), "s3_user_transitions.csv"),
    }, {}, {}, [], account="user_id"),
    Job("sparkify, upgraded", "sparkify_log", "", {}, {
        "S1": (user("days(any, 7d) >= 3"), "evaluate_S1"),
        "S2": (user("count(NextSong where level = 'free', 7d) >= 20"), "evaluate_S2"),
        "S3": (user("count(NextSong where level = 'free', 7d) >= 10 and days(NextSong where level = 'free', 7d) >= 2"
                    " or count(Upgrade where level = 'free', 7d) >= 1"), "evaluate_S3"),
    }, {"free": user("ever(any where level = 'free')")}, [], account="user_id",
        flags=("--outcomes=Submit Upgrade", "--among", "free")),
    Job("ravenstack, rows", "ravenstack", "", {
        "V1": (account(FEATURES.format("")), "v1_account_transitions_keep.csv"),
        "V2": (account(USES), "v2_account_transitions_keep.csv"),
    }, {}, {}, []),
    # What the group line says is known from sign-up on; where all of a day is one instant, its place in the order of
    # delivery decides.
    Job("ravenstack, signed up", "ravenstack", "", {
        "V3": (account(FEATURES.format(" where account.account_name is not null")),
               "v3_account_transitions_after_signup.csv"),
    }, {}, {}, []),
    # Where the id of a row is shared by two accounts, one partition sees both.
    Job("ravenstack, ids by time", "ravenstack", "", {
        "V1": (account(FEATURES.format("")), "v1_account_transitions_drop_earliest.csv"),
        "V2": (account(USES), "v2_account_transitions_drop_earliest.csv"),
    }, {}, {}, ["--id", "usage_id"], partitions=1),
    Job("ravenstack, ids by file", "ravenstack", "", {
        "V1": (account(FEATURES.format("")), "v1_account_transitions_drop.csv"),
        "V2": (account(USES), "v2_account_transitions_drop.csv"),
    }, {}, {}, [], order=first_in_file),
    # The account begins with its first trial; a subscription that is paid for begins after it, within 60 days.
    Job("ravenstack, paid", "ravenstack", 'start_events = [ "trial_started" ];', {},
        {"trial_to_paid": (account("ever(trial_started) and distinct(feature_used.feature_name, first 30d) >= 3"),
                           "evaluate_trial_to_paid")},
        {"old_enough": account("ever(trial_started) and age() >= 61d"),
         "paid": account(f"ever(trial_started) and age() >= 61d and {PAID.format('61d')} > {PAID.format('1d')}")}, [],
        order=lambda events: list(with_trials(events)), partitions=1,
        flags=("--outcomes=paid", "--among", "old_enough", "--horizon", "61d")),
]


def configuration(job, lateness):
    texts = {**{n: text for n, (text, _) in {**job.rules, **job.evaluations}.items()}, **job.others}
    definitions = ",\n".join(f'{{ name = "{name}"; {text} }}' for name, text in texts.items())
    return CONFIGURATION.format(lateness=lateness, account=job.account, horizon="3650d", mapping=job.mapping, definitions=definitions)


def replayed(binary, job, mode, directory):
    """Standard output of replay."""
    options, lateness = job.modes[mode]
    events = dataset.converted(job.data, *job.options, *options)
    events = job.order(events) if job.order else events
    ending = [] if job.flags else [dataset.closing_clock(events)]
    paths = [os.path.join(directory, name) for name in ("answers.conf", "events.jsonl")]
    with open(paths[0], "w", encoding="utf-8") as out:
        out.write(configuration(job, lateness))
    with open(paths[1], "w", encoding="utf-8") as out:
        out.writelines(json.dumps(event) + "\n" for event in [*events, *ending])
    flags = [*job.flags, "--json"] if job.flags else []
    done = subprocess.run([binary, "replay", "--config", paths[0], "--partitions", str(job.partitions), *flags, paths[1]],
                          capture_output=True, text=True, timeout=170, check=False)
    if done.returncode:
        raise AssertionError(f"replay ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def key(row):
    """(subject, at, change) of a row of an answer's table."""
    return (next(iter(row.values())), *dataset.change(row))


def rule_rows(job, output):
    """(rule, what was found, what is expected, are they the same) of a job's rules."""
    found = collections.defaultdict(list)
    for record in map(json.loads, output.splitlines()):
        at = dataset.change({"at": record["occurred_at"], "change": "enter"})[0]
        found[record["definition"]].append((record["user_id"] or record["account_id"], at, record["transition"]))
    for rule, (_, table) in job.rules.items():
        wanted = [key(row) for row in dataset.rows(job.data, table)]
        yield rule, counts(found[rule]), counts(wanted), sorted(found[rule]) == sorted(wanted)


def counts(transitions):
    entered = [who for who, _, change in transitions if change == "entered"]
    return f"ever {len(set(entered))}, enters {len(entered)}, exits {len(transitions) - len(entered)}"


def evaluation_rows(job, output):
    """The same of a job's evaluations: confusion counts, precision, recall, lift, days to convert."""
    with open(os.path.join(os.environ["PQL_DATA"], job.data, "expected", "summary.json"), encoding="utf-8") as lines:
        summary = json.load(lines)
    verdicts = {v["definition"]: v for v in json.loads(output)["definitions"]}
    for rule, (_, part) in job.evaluations.items():
        wanted, found = summary[part], verdicts[rule]
        names = [name for name in wanted if name in found]
        same = {n: found[n] for n in names} == {n: wanted[n] for n in names} and len(names) >= 8
        if "lead_days_of_true_positives" in wanted:
            days = {p["user_id"]: round((dataset.change({"at": p["converted_at"], "change": "enter"})[0] -
                                         dataset.change({"at": p["qualified_at"], "change": "enter"})[0]) / dataset.DAY, 3)
                    for p in found["true_positives"]}
            same = same and days == wanted["lead_days_of_true_positives"]
        yield rule, matrix(found), matrix(wanted), same


def matrix(verdict):
    return ", ".join(f"{name} {verdict[name]}" for name in ("n", "tp", "fp", "fn", "tn"))


def compare(binary, job, mode):
    with tempfile.TemporaryDirectory() as directory:
        output = replayed(binary, job, mode, directory)
    return [*rule_rows(job, output)] if job.rules else [*evaluation_rows(job, output)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", default="", help="jobs whose name contains this")
    options = parser.parse_args()
    if not os.path.isdir(os.environ.get("PQL_DATA", "")):
        sys.exit("PQL_DATA does not name the folder of the data sets")
    different = 0
    for job in [job for job in JOBS if options.only in job.name]:
        for mode in job.modes:
            for rule, found, wanted, same in compare(options.binary, job, mode):
                different += not same
                print(f"{'ok  ' if same else 'FAIL'} {job.name}: {rule}, {mode}: {found}"
                      + ("" if same else f"; expected {wanted}"), flush=True)
    sys.exit(different != 0)


if __name__ == "__main__":
    main()
