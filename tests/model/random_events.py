"""Random events, at the instants at which something may be decided wrongly."""
import pql_replay
import pql_zone
from random_names import DAY, HOUR, LONG_GRACE, NAMES, OUTCOMES, SPANS, WORDS

REFUSED = ({"account_id": None, "type": "track"}, {"occurred_at": None}, {"account_id": "", "type": "track"}, {"type": "track", "event": None})

def make_times(rng, spans, count, start, zones):
    times = [start + rng.choice((0, 12 * HOUR, 23 * HOUR + 3599999))]
    while len(times) < count:
        old = rng.choice(times[-8:])
        roll = rng.random()
        if roll < 0.45:
            times.append(old + rng.choice(spans) + rng.choice((-1, 0, 0, 1)))
        elif roll < 0.6:
            times.append(old + rng.choice((0, 0, 1)))
        elif roll < 0.64:
            step = rng.choice((HOUR, DAY))
            times.append((old // step + rng.choice((1, 1, 2))) * step + rng.choice((-1, 0, 1)))
        elif roll < 0.72:
            zone = rng.choice(zones)
            unit = rng.choice(("day", "day", "day", "week", "month", "quarter"))
            edge = pql_zone.period(zone, unit, old)[1]
            times.append((edge if edge - old < 60 * DAY else pql_zone.period(zone, "day", old)[1]) + rng.choice((-1, 0, 1)))
        else:
            times.append(max(times) + rng.randint(0, rng.choice(spans)))
    return sorted(times)


def make_special(rng, event, users, features):
    """An event of a kind that a feature needs, or None."""
    kinds = [k for k, f in (("outcome", "outcomes"), ("outcome", "sla"), ("outcome", "outcomes"), ("leave_group", "leave"), ("forget", "forget"),
                            ("alias", "alias")) if f in features]
    if not kinds or rng.random() > 0.12:
        return None
    kind = rng.choice(kinds)
    if kind == "outcome":
        user = rng.choice(users) if rng.random() < 0.6 else None
        return dict(event, type=kind, event=rng.choice(OUTCOMES), user_id=user)
    event = dict(event, type=kind, user_id=rng.choice(users))
    del event["event"]
    if kind == "alias":
        event["previous_id"] = rng.choice(users + ("u9",))
    if kind == "forget" and rng.random() < 0.2:
        event["user_id"] = None
    return event


def make_event(rng, at, number, users, accounts, features):
    roll = rng.random()
    event = {"type": "track", "message_id": f"m{number}", "event": rng.choice(NAMES + ("other",) if roll < 0.1 else NAMES),
             "user_id": rng.choice(users), "account_id": rng.choice(accounts), "occurred_at": at}
    special = make_special(rng, event, users, features)
    if special:
        return special
    if rng.random() < 0.08:
        event["user_id"] = None
    if roll < 0.12:
        del event["event"]
        event["type"] = "identify"
        event["user_id"] = event["user_id"] or users[0]
        event["traits"] = {"role": rng.choice(WORDS + (None,)), "level": rng.choice((1, 2, "2", "b", None))}
    elif roll < 0.18:
        del event["event"]
        event["type"] = "group"
        event["traits"] = {"plan": rng.choice(WORDS + (None,)), "limit": rng.choice((1, 2, "2", None))}
        around = at + rng.choice((0, 0, -1, 1)) * rng.choice(SPANS) + rng.choice((-1, 0, 1))
        event["traits"]["trial_start"] = rng.choice((around, pql_replay.rfc3339(around), None, None, "soon"))
        event["traits"]["trial_end"] = rng.choice((around + rng.choice(SPANS), pql_replay.rfc3339(around), None, None, None))
    elif roll < 0.22:
        return {"type": "clock", "message_id": f"m{number}", "occurred_at": at}
    elif rng.random() < 0.8:
        event["properties"] = {"p": rng.choice((0, 1, 2, 2.5, "2", "a", None, -1)), "s": rng.choice(WORDS + (None, 7)),
                               "q": rng.choice((1, "1", None))}
    return event


def make_events(rng, spans, settings, start, zones, features):
    users = rng.choice((("u1",), ("u1", "u2"), ("u1", "u2", "u3")))
    accounts = rng.choice((("A",), ("A",), ("A", "B"), ("A", "b/1", "C")))
    times = make_times(rng, spans, rng.choice((4, 8, 8, 12, 16, 20, 30, 40, 60)), start, zones)
    events = [make_event(rng, at, number, users, accounts, features) for number, at in enumerate(times)]
    lateness = settings.get("lateness", 0)
    disorder = rng.choice((0, 0, 0.1, 0.3))
    arrival = []
    for event in events:
        delay = rng.randint(0, lateness) if lateness else 0
        if rng.random() < disorder:
            delay = rng.choice(spans) + rng.choice((-1, 0, 1))
        if rng.random() < 0.02:
            arrival.append((event["occurred_at"] + delay, dict(event, **rng.choice(REFUSED))))
        arrival.append((event["occurred_at"] + delay, event))
        if rng.random() < (0.15 if settings.get("dedup_horizon") else 0.02):
            arrival.append((event["occurred_at"] + delay + rng.choice(spans), dict(event)))
        if settings.get("dedup_horizon") and rng.random() < 0.15:
            arrival += again_when_forgotten(rng, event, settings["dedup_horizon"])
    if settings["start_grace"] < LONG_GRACE:
        arrival += around_the_grace(rng, spans[0] + settings["start_grace"] + (lateness + 1 if lateness else 0), spans[0],
                                    users, accounts, start)
    arrival.sort(key=lambda pair: pair[0])
    return first_events(settings, users, accounts, start) + [event for _, event in arrival]


def again_when_forgotten(rng, event, horizon):
    """A second delivery at about the instant at which the id is forgotten, and a clock that gets there."""
    at = (event["occurred_at"] // (horizon // 10) + 1) * (horizon // 10) + horizon + rng.choice((-1, 0, 1, 1))
    return [(at, {"type": "clock", "message_id": f"again-{event['message_id']}", "occurred_at": at}), (at, dict(event))]


def around_the_grace(rng, closes, window, users, accounts, start):
    """Late events for a first window at about the instant at which it closes."""
    found = []
    for number in range(3):
        at = start + closes + rng.choice((-1, 0, 0, 1))
        late = {"type": "track", "message_id": f"grace{number}", "event": rng.choice(NAMES), "user_id": rng.choice(users),
                "account_id": rng.choice(accounts), "occurred_at": start + rng.randint(0, window)}
        found += [(at, {"type": "clock", "message_id": f"clock{number}", "occurred_at": at}), (at, late)]
    return found


def first_events(settings, users, accounts, start):
    """Where first windows close soon, everybody's start is fixed: what a window that moves onto ground no longer kept
    counts is the product's own affair."""
    if settings["start_grace"] == LONG_GRACE:
        return []
    return [{"type": "track", "message_id": f"first-{account}-{user}", "event": "other", "user_id": user, "account_id": account,
             "occurred_at": start} for account in accounts for user in users]


