"""Event streams for the acceptance runs: a generated one, and the data sets of $PQL_DATA where they are."""
import csv
import datetime
import heapq
import itertools
import json
import os
import random
import subprocess
import sys

from oracle import DAY

START = 1704067200000  # 2024-01-01


def track(message_id, name, user, account, at, properties):
    return {"type": "track", "message_id": message_id, "event": name, "user_id": user, "account_id": account,
            "occurred_at": at, "properties": properties}


def generate(seed, accounts=60, days=45):
    """Teams that sign up and log in, in order of time. A user logs in at the second of day of the sign-up, so that
    many logins are exactly a week apart and many of one account fall on one instant."""
    rng, events = random.Random(seed), []
    for a in range(accounts):
        second = rng.randrange(86400) * 1000
        for u in range(rng.choice((1, 2, 3, 4, 6, 9, 14))):
            account, user = f"acct-{a}", f"u{a}.{u}"
            signup = START + rng.randrange(days) * DAY + (second if u % 2 else rng.randrange(86400) * 1000)
            source = rng.choice(("invite", "search", "añadido"))
            events.append(track(f"s:{user}", "signed_up", user, account, signup, {"source": source}))
            keenness = rng.choice((0.02, 0.15, 0.35, 0.6))
            for day in range(0, days):
                if rng.random() < keenness:
                    events.append(track(f"l:{user}:{day}", "login", user, account, signup + day * DAY, {"day": day}))
                if rng.random() < 0.1:
                    at = signup + day * DAY + rng.randrange(DAY)
                    events.append(track(f"v:{user}:{day}", "page_viewed", user, account, at, {"page": "home"}))
    events.sort(key=lambda e: e["occurred_at"])
    return events


def iso(at):
    """An instant in ms as RFC 3339."""
    return datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")


def attributes(message_id, user, account, at, traits):
    """Of a user, or of the account if there is none."""
    return {"type": "identify" if user else "group", "message_id": message_id, "user_id": user, "account_id": account,
            "occurred_at": at, "traits": traits}


def crowd(users, accounts=200, step=10):
    """So many users, each of whom logs in once."""
    return [track(f"c{n}", "login", f"u{n}", f"acct-{n % accounts}", START + n * step, {}) for n in range(users)]


def teams(seed, step, accounts=120, users=6):
    """Without end: teams that log in, change their plan and their roles, an event every `step` ms, no two at one
    instant. About half of the accounts are busy and half seldom heard of."""
    rng = random.Random(seed)
    for n in itertools.count():
        at, a = START + n * step, int(accounts * rng.random() ** 2)
        account, user = f"acct-{a}", f"u{a}.{rng.randrange(users)}"
        kind = rng.random()
        if kind < 0.06:
            yield attributes(f"g{n}", None, account, at, {"plan": rng.choice(("paid", "paid", "trial"))})
        elif kind < 0.15:
            yield attributes(f"i{n}", user, account, at, {"role": rng.choice(("admin", "guest"))})
        else:
            yield track(f"t{n}", "login" if kind < 0.9 else "page_viewed", user, account, at, {"n": n})


def some_teams(seed, step, count):
    return itertools.islice(teams(seed, step), count)


def disturbed(events, seed, disorder, again):
    """A stream, each event up to `disorder` ms later than it occurred, and the share `again` of them once more within
    ten times of it."""
    rng, waiting, n = random.Random(seed), [], itertools.count()
    for event in events:
        at = event["occurred_at"]
        heapq.heappush(waiting, (at + rng.randrange(disorder + 1), next(n), event))
        if rng.random() < again:
            heapq.heappush(waiting, (at + rng.randrange(10 * disorder), next(n), event))
        while waiting and waiting[0][0] <= at:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def shuffled(events, seed, seconds):
    """Bounded disorder: each event is delivered between 0 and `seconds` after it occurred."""
    rng = random.Random(seed)
    late = [(e["occurred_at"] + rng.randrange(seconds * 1000 + 1), n) for n, e in enumerate(events)]
    return [events[n] for _, n in sorted(late)]


def redelivered(events, seed, share):
    """That share of the events comes a second time, unchanged, anywhere later."""
    rng = random.Random(seed)
    again = [(rng.uniform(n, len(events)), e) for n, e in enumerate(events) if rng.random() < share]
    placed = [(n, 0, e) for n, e in enumerate(events)] + [(n, 1, e) for n, e in again]
    return [e for _, _, e in sorted(placed, key=lambda p: p[:2])]


def closing_clock(events):
    """The event that ends a stream: past every expiry."""
    at = max(e["occurred_at"] for e in events) + 60 * DAY
    return {"type": "clock", "message_id": "end", "occurred_at": at}


def converted(name, *options):
    """The events of a data set; options as its to_events.py takes them."""
    converter = os.path.join(os.environ["PQL_DATA"], name, "to_events.py")
    lines = subprocess.run([sys.executable, converter, *options], check=True, capture_output=True).stdout
    return [json.loads(line) for line in lines.splitlines()]


def rows(name, table):
    """A table of a data set's answers."""
    with open(os.path.join(os.environ["PQL_DATA"], name, "expected", table), encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def change(row):
    """(at in ms, 'entered' | 'left') of a row of a table of transitions."""
    at = datetime.datetime.fromisoformat(row["at"].replace("Z", "+00:00"))
    return round(at.timestamp() * 1000), {"enter": "entered", "exit": "left"}[row["change"]]


def relax(*options):
    return converted("relax", *options)


def relax_expected(events):
    """The published answers, in the form of oracle.acceptance."""
    account = {e["user_id"]: e["account_id"] for e in events if e.get("event") == "signed_up"}
    found = [("adopted", account[r["user_id"]], r["user_id"], *change(r)) for r in rows("relax", "r1_transitions.csv")]
    found += [("half_adopted", r["org_id"], None, *change(r)) for r in rows("relax", "a1_org_transitions.csv")]
    found += [("active", r["org_id"], None, *change(r)) for r in rows("relax", "a3_org_transitions.csv")]
    return sorted(found, key=str)
