"""Exact answers for the acceptance definitions, computed the slow and obvious way from a list of events.

An event is a dict as on the input topic: type, event, user_id, account_id, occurred_at (ms). Every answer is a list of
transitions (definition, account, user or None, at in ms, 'entered' | 'left'), one evaluation per instant: whatever
expires at it and whatever happens at it are applied together. Expiries after the last event are part of the answer.
"""
import bisect
import collections

DAY = 86400000
MINUTE = 60000


def changes(instants, holds):
    """(at, 'entered' | 'left') wherever holds(at) differs from before; it is false at first."""
    state = False
    for at in sorted(instants):
        if holds(at) != state:
            state = not state
            yield at, "entered" if state else "left"


def inside(times, at, window):
    """Those of the sorted times that lie in (at - window, at]."""
    return times[bisect.bisect_right(times, at - window):bisect.bisect_right(times, at)]


def tracks(events, name):
    return [e for e in events if e["type"] == "track" and e["event"] == name]


def adopted(events, definition="adopted", days=3, window=7 * DAY):
    """days(login, window) >= days, per user."""
    logins = collections.defaultdict(list)
    for e in tracks(events, "login"):
        logins[e["account_id"], e["user_id"]].append(e["occurred_at"])
    for (account, user), times in logins.items():
        times.sort()
        instants = {t + d for t in times for d in (0, window)}
        for at, change in changes(instants, lambda t: len({x // DAY for x in inside(times, t, window)}) >= days):
            yield definition, account, user, at, change


def active(events, definition="active", users=5, window=7 * DAY):
    """users(count(login, window) >= 1) >= users, per account."""
    logins = collections.defaultdict(list)
    for e in tracks(events, "login"):
        logins[e["account_id"]].append((e["occurred_at"], e["user_id"]))
    for account, pairs in logins.items():
        pairs.sort()
        times = [t for t, _ in pairs]

        def holds(at):
            low, high = bisect.bisect_right(times, at - window), bisect.bisect_right(times, at)
            return len({user for _, user in pairs[low:high]}) >= users

        for at, change in changes({t + d for t in times for d in (0, window)}, holds):
            yield definition, account, None, at, change


def half_adopted(events, definition="half_adopted", share=0.5, members=3, of="adopted", **adopted_options):
    """share(was(adopted) of joined) >= share and users(joined) >= members, joined = ever(signed_up), per account."""
    joined, first = collections.defaultdict(list), {}
    for e in tracks(events, "signed_up"):
        joined[e["account_id"]].append((e["occurred_at"], e["user_id"]))
    for _, account, user, at, _ in adopted(events, of, **adopted_options):
        first[account, user] = min(at, first.get((account, user), at))
    for account, pairs in joined.items():
        users = {user: at for at, user in sorted(pairs, reverse=True)}

        def holds(at):
            present = [user for user, since in users.items() if since <= at]
            was = [user for user in present if first.get((account, user), at + 1) <= at]
            return len(present) >= members and len(was) >= share * len(present)

        instants = set(users.values()) | {first[account, user] for user in users if (account, user) in first}
        for at, change in changes(instants, holds):
            yield definition, account, None, at, change


def last_values(events, key, name):
    """{key(e): ([times], [values])} of the attribute `name`, in order of time."""
    found = collections.defaultdict(lambda: ([], []))
    for e in sorted(events, key=lambda e: e["occurred_at"]):
        if name in e.get("traits", {}):
            times, values = found[key(e)]
            times.append(e["occurred_at"])
            values.append(e["traits"][name])
    return found


def value_at(history, at):
    times, values = history
    known = bisect.bisect_right(times, at)
    return values[known - 1] if known else None


def keen(events, count=3, window=30 * MINUTE):
    """count(login, window) >= count, per user."""
    logins = collections.defaultdict(list)
    for e in tracks(events, "login"):
        logins[e["account_id"], e["user_id"]].append(e["occurred_at"])
    for (account, user), times in logins.items():
        times.sort()
        for at, change in changes({t + d for t in times for d in (0, window)},
                                  lambda t: len(inside(times, t, window)) >= count):
            yield "keen", account, user, at, change


def keen_by(events, wanted, changes_of, window=30 * MINUTE):
    """As keen, where count is wanted(account, at), which changes at the instants changes_of(account)."""
    once, logins = {e["message_id"]: e for e in events}.values(), collections.defaultdict(list)
    for e in tracks(once, "login"):
        logins[e["account_id"], e["user_id"]].append(e["occurred_at"])
    for (account, user), times in logins.items():
        times.sort()
        for at, change in changes({t + d for t in times for d in (0, window)} | set(changes_of(account)),
                                  lambda t: len(inside(times, t, window)) >= wanted(account, t)):
            yield "keen", account, user, at, change


def paid_active(events, users=3, window=60 * MINUTE):
    """users(count(login, window) >= 1) >= users, eligible while account.plan = 'paid'."""
    plans, logins = last_values(events, lambda e: e["account_id"], "plan"), collections.defaultdict(list)
    for e in tracks(events, "login"):
        logins[e["account_id"]].append((e["occurred_at"], e["user_id"]))
    for account, pairs in logins.items():
        pairs.sort()
        times = [t for t, _ in pairs]

        def holds(at):
            low, high = bisect.bisect_right(times, at - window), bisect.bisect_right(times, at)
            return value_at(plans[account], at) == "paid" and len({user for _, user in pairs[low:high]}) >= users

        for at, change in changes({t + d for t in times for d in (0, window)} | set(plans[account][0]), holds):
            yield "paid_active", account, None, at, change


def admins(events, count=2, window=60 * MINUTE):
    """count(login where user.role = 'admin', window) >= count, per account: the role is that at the login."""
    roles, logins = last_values(events, lambda e: (e["account_id"], e["user_id"]), "role"), collections.defaultdict(list)
    for e in tracks(events, "login"):
        if value_at(roles[e["account_id"], e["user_id"]], e["occurred_at"]) == "admin":
            logins[e["account_id"]].append(e["occurred_at"])
    for account, times in logins.items():
        times.sort()
        for at, change in changes({t + d for t in times for d in (0, window)},
                                  lambda t: len(inside(times, t, window)) >= count):
            yield "admins", account, None, at, change


def teams(events):
    """The definitions of fleet.DEFINITIONS together, sorted; an event sent twice counts once."""
    once = list({e["message_id"]: e for e in events}.values())
    return sorted([*keen(once), *paid_active(once), *admins(once)], key=str)


def acceptance(events):
    """The three definitions of scenario.DEFINITIONS together, sorted."""
    return sorted([*adopted(events), *active(events), *half_adopted(events)], key=str)
