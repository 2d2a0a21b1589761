#!/usr/bin/env python3
"""Random definitions over random events, through the model and through `pqlstream replay`: the transitions must be the
same. A seed decides everything; a case that fails is made smaller and printed with the command that runs it again.

    run_random.py --cases-program build/asan/tests/model_cases              cases 1 to 300
    run_random.py --cases-program … --seed 17 --cases 1 --keep DIR          one case, its files left in DIR
    run_random.py --cases-program … --seconds 600 --seed 100000             as many as fit
"""
import argparse
import os
import random
import sys
import tempfile
import time

import pql_replay
import pql_zone

HOUR, DAY = 3600000, 86400000
START = 1767225600000           # 2026-01-01, a Thursday
NAMES = ("x", "y", "z")
REFUSED = ({"account_id": None, "type": "track"}, {"occurred_at": None}, {"account_id": "", "type": "track"}, {"type": "track", "event": None})
WORDS = ("a", "b", "ab", "7", "")
ZONES = (None, None, None, None, "America/New_York", "Europe/Berlin", "Africa/Cairo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham")
STARTS = (START, START + 65 * DAY, START + 86 * DAY, START + 111 * DAY, START + 296 * DAY, START + 303 * DAY, START + 363 * DAY)
SPANS = (1000, HOUR, 6 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY)
RARE_SPANS = (1, 250, 90 * DAY, 1000 * DAY)


def span_text(ms):
    for unit, size in (("d", DAY), ("h", HOUR), ("m", 60000), ("s", 1000)):
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


# ---- definitions: a condition is a text, or (operator, [conditions]) ----

class Conditions:
    def __init__(self, rng, spans, periods):
        self.rng, self.spans = rng, spans
        self.defined = []           # (name, subject) of definitions that may be referred to
        self.signals, self.parameters = {}, {}
        self.periods = periods or ["ever"]

    def tree(self, leaf, depth=0):
        rng = self.rng
        roll = rng.random()
        if depth >= 2 or roll < 0.45 + 0.2 * depth:
            return leaf()
        if roll < 0.93:
            return (rng.choice(("and", "and", "or")), [self.tree(leaf, depth + 1) for _ in range(rng.choice((2, 2, 3)))])
        if roll < 0.97:
            return ("not", [self.tree(leaf, depth + 1)])
        return ("at_least", [self.tree(leaf, 2) for _ in range(3)])

    def where(self):
        rng = self.rng
        return rng.choice((
            lambda: f"p {self.relation()} {rng.choice(('1', '2', '2.5', '0'))}",
            lambda: f"s = '{rng.choice(WORDS)}'",
            lambda: f"s != '{rng.choice(WORDS)}'",
            lambda: f"s {rng.choice(('', 'not '))}in ('a', 'b')",
            lambda: f"p {rng.choice(('', 'not '))}between 1 and 2.5",
            lambda: f"hour() {rng.choice(('', 'not '))}between 6 and 12",
            lambda: f"weekday() {self.relation()} {rng.randint(1, 7)}",
            lambda: f"user.role = '{rng.choice(WORDS)}'",
            lambda: f"account.plan {rng.choice(('=', '!='))} '{rng.choice(WORDS)}'",
            lambda: f"p is {rng.choice(('', 'not '))}null",
            lambda: f"s {rng.choice(('', 'not '))}{rng.choice(('starts with', 'ends with', 'contains'))} '{rng.choice(('a', 'b'))}'",
            lambda: f"s matches '{rng.choice(('a*', '*b', '?', '*'))}'",
            lambda: f"user = '{rng.choice(('u1', 'u2'))}'",
            lambda: f"event = '{rng.choice(NAMES)}'",
            lambda: f"p = q {rng.choice(('and', 'or'))} q {self.relation()} 1",
            lambda: f"not s = '{rng.choice(WORDS)}'",
            lambda: f"coalesce(p, q, 1) {self.relation()} 2",
            lambda: f"p + 1 {self.relation()} q * 2",
        ))()

    def relation(self):
        return self.rng.choice((">=", ">=", ">", "<", "<=", "=", "!="))

    def events(self):
        rng = self.rng
        return rng.choice((rng.choice(NAMES),) * 4 + ("any", "one_of(x, y)"))

    def selector(self, path=None):
        text = self.events() + (f".{path}" if path else "")
        return text + (f" where {self.where()}" if self.rng.random() < 0.3 else "")

    def window(self):
        rng = self.rng
        if rng.random() < 0.03:
            self.parameters["w"] = self.parameters.get("w", span_text(rng.choice(self.spans)))
            return rng.choice(("$w", "first $w"))
        return rng.choice((span_text(rng.choice(self.spans)),) * 5 + ("ever", f"first {span_text(rng.choice(self.spans))}",
                                                                      f"first {span_text(rng.choice(self.spans))}",
                                                                      rng.choice(("today", "this week", "this month", "this quarter")),
                                                                      rng.choice(self.periods)))

    def window_or_prev(self):
        rng = self.rng
        return f"prev {span_text(rng.choice(self.spans))}" if rng.random() < 0.2 else self.window()

    def number(self):
        rng = self.rng
        return rng.choice((
            lambda: f"count({self.selector()}, {self.window_or_prev()})",
            lambda: f"count({self.selector()}, {self.window_or_prev()})",
            lambda: f"{rng.choice(('days', 'days', 'weeks', 'months'))}({self.selector()}, {self.window()})",
            lambda: f"streak({self.selector()})",
            lambda: f"distinct({self.selector(rng.choice(('p', 's', 'event')))}, {self.window()})",
            lambda: f"sum({self.selector('p')}, {self.window_or_prev()})",
            lambda: f"avg({self.selector('p')}, {self.window_or_prev()})",
            lambda: f"{rng.choice(('min', 'max'))}({self.selector('p')}, {self.window()})",
            self.trend,
        ))()

    def trend(self):
        """A window and the one before it: what is kept for the two is shared."""
        selector, span = self.selector(), span_text(self.rng.choice(self.spans))
        return f"{self.rng.choice(('0.5', '1', '2'))} * count({selector}, {span}) - count({selector}, prev {span})"

    def sequence(self):
        rng = self.rng
        text = " then ".join(self.selector() for _ in range(rng.choice((2, 2, 3, 3, 4))))
        text += f" by {rng.choice(('p', 's', 'user', 'event'))}" if rng.random() < 0.4 else ""
        text += f" within {span_text(rng.choice(self.spans))}" if rng.random() < 0.4 else ""
        window = rng.choice((None, span_text(rng.choice(self.spans)), span_text(rng.choice(self.spans)),
                             f"first {span_text(rng.choice(self.spans))}", rng.choice(self.periods)))
        return f"{rng.choice(('', '', 'not '))}sequence({text}{', ' + window if window else ''})"

    def of_events(self):
        """A comparison or boolean about the subject's events."""
        rng = self.rng
        if rng.random() < 0.05:
            if len(self.signals) < 2:
                self.signals[f"s{len(self.signals)}"] = f"{self.number()} {self.relation()} {rng.randint(0, 3)}"
            return "$" + rng.choice(sorted(self.signals))
        return rng.choice((
            lambda: f"{self.number()} {self.relation()} {rng.choice((0, 1, 1, 2, 2, 3, 4))}",
            lambda: f"{self.number()} {self.relation()} {rng.choice((1, 1, 2, 2, 3))}",
            lambda: f"{self.number()} >= {rng.choice((1, 2, 2, 3))}",
            lambda: f"{self.number()} >= {rng.choice((1, 2, 2, 3))}",
            lambda: f"{self.number()} {rng.choice(('', 'not '))}between 1 and {rng.choice((2, 3, 2.5))}",
            lambda: f"{self.number()} {rng.choice(('', 'not '))}in (1, 3)",
            lambda: f"ever({self.selector()})",
            lambda: f"not ever({self.selector()})",
            lambda: f"since({self.selector()}) {rng.choice(('<', '<=', '>', '>='))} {span_text(rng.choice(self.spans))}",
            lambda: f"usage({self.selector('p')}, {rng.choice(('2', '1', '0.5', 'account.limit'))}) {self.relation()} {rng.choice(('1', '0.5', '2'))}",
            lambda: f"{rng.choice(('', 'not '))}age() {rng.choice(('<', '<=', '>', '>='))} {span_text(rng.choice(self.spans))}",
            lambda: f"first_time({self.selector()}) {self.relation()} last_time({self.selector()})",
            lambda: f"last_time({self.selector()}) - first_time({self.selector()}) "
                    f"{rng.choice(('<', '>='))} {span_text(rng.choice(self.spans))}",
            lambda: f"{rng.choice(('latest', 'earliest'))}({self.selector('s')}) = '{rng.choice(WORDS)}'",
            lambda: f"{rng.choice(('latest', 'earliest'))}({self.selector(rng.choice('ps'))}, first "
                    f"{span_text(rng.choice(self.spans))}) {self.relation()} {rng.choice(('1', repr('a'), repr('b')))}",
            lambda: f"latest({self.selector('p')}, {span_text(rng.choice(self.spans))}) {self.relation()} {rng.choice((1, 2))}",
            lambda: f"{self.number()} {rng.choice(('>', '<', '>='))} {rng.choice(('0.5', '1', '2'))} * {self.number()}",
            lambda: f"{self.number()} {rng.choice('+-*/')} {self.number()} {self.relation()} {rng.choice((0, 1, 2))}",
            self.sequence,
            self.sequence,
            lambda: f"nth({self.selector()}, {rng.randint(1, 4)}) {self.relation()} {rng.choice(('first', 'last'))}_time({self.selector()})",
            lambda: f"nth({self.selector()}, {rng.randint(2, 3)}) is {rng.choice(('', 'not '))}null",
            lambda: f"if({self.number()} >= 2, 'many', 'few') = '{rng.choice(('many', 'few'))}'",
            lambda: f"avg({self.selector('p')}, {self.window()}) is null",
        ))()

    def of_user(self):
        rng = self.rng
        return rng.choice((
            lambda: f"user.role {rng.choice(('=', '!='))} '{rng.choice(WORDS)}'",
            lambda: f"user.level {self.relation()} {rng.choice((1, 2))}",
            lambda: f"user.role is {rng.choice(('', 'not '))}null",
            lambda: f"coalesce(user.role, 'b') = '{rng.choice(WORDS)}'",
            lambda: f"account.plan {rng.choice(('=', '!=', '>'))} '{rng.choice(WORDS)}'",
        ) + (self.of_events,) * 8)()

    def of_account(self):
        """A condition about the account in a user's definition."""
        rng = self.rng
        return rng.choice((
            lambda: f"account.count({self.selector()}, {self.window_or_prev()}) {self.relation()} {rng.randint(1, 3)}",
            lambda: f"account.days({self.selector()}, {self.window()}) + account.members() >= {rng.randint(2, 4)}",
            lambda: f"account.ever({self.selector()})",
            lambda: f"account.users({self.of_user()}) {self.relation()} {rng.randint(1, 2)}",
            lambda: f"account.any_user({self.of_user()})",
            lambda: f"account.share({self.of_user()}) >= 0.5",
            lambda: f"account.spread(user.role, {self.of_user()}) >= {rng.randint(1, 2)}",
            lambda: f"account.sum({self.selector('p')}, {self.window()}) {self.relation()} account.limit",
            lambda: f"account.since({self.selector()}) {rng.choice(('<', '>='))} {span_text(rng.choice(self.spans))}",
            lambda: f"account.age() {rng.choice(('<', '>='))} {span_text(rng.choice(self.spans))}",
        ))()

    def leaf_of_user(self):
        if self.rng.random() < 0.12:
            return self.of_account()
        if self.rng.random() < 0.13 and self.defined:
            return self.reference(("user", "account"))
        return self.of_user()

    def reference(self, subjects):
        found = [name for name, subject in self.defined if subject in subjects]
        if found and self.rng.random() < 0.2:
            return f"in_state_for({self.rng.choice(found)}) {self.rng.choice(('<', '<=', '>', '>='))} {span_text(self.rng.choice(self.spans))}"
        return f"{self.rng.choice(('is', 'is', 'is', 'was'))}({self.rng.choice(found)})" if found else self.of_events()

    def inner(self):
        rng = self.rng
        if rng.random() < 0.3 and any(subject == "user" for _, subject in self.defined):
            return self.reference(("user",))
        one = self.of_user()
        return one if rng.random() < 0.7 else f"{one} {rng.choice(('and', 'or'))} {self.of_user()}"

    def leaf_of_account(self):
        rng = self.rng
        roll = rng.random()
        if roll < 0.45:
            return rng.choice((
                lambda: f"users({self.inner()}) {self.relation()} {rng.randint(1, 3)}",
                lambda: f"users({self.inner()}) >= {rng.randint(1, 2)}",
                lambda: f"any_user({self.inner()})",
                lambda: f"all_users({self.inner()})",
                lambda: f"share({self.inner()}) {self.relation()} {rng.choice(('0.5', '1/3', '1', '0'))}",
                lambda: f"share({self.inner()} of {self.inner()}) >= {rng.choice(('0.5', '1'))}",
                lambda: f"spread(user.{rng.choice(('role', 'level'))}, {self.inner()}) {self.relation()} {rng.randint(1, 2)}",
                lambda: f"spread(user.{rng.choice(('role', 'level'))}, {self.inner()}) >= {rng.randint(1, 2)}",
                lambda: f"members() {self.relation()} {rng.randint(1, 3)}",
                lambda: f"2 * users({self.inner()}) >= members()",
            ))()
        if roll < 0.55 and self.defined:
            return self.reference(("account",))
        if roll < 0.62:
            return f"account.plan {rng.choice(('=', '!='))} '{rng.choice(WORDS)}'"
        if roll < 0.66:
            return f"distinct({self.events()}.user, {self.window()}) >= {rng.randint(1, 3)}"
        return self.of_events()


def make_definitions(rng, spans, periods):
    conditions = Conditions(rng, spans, periods)
    found = []
    for number in range(rng.choice((1, 1, 2, 2, 3, 4))):
        subject = rng.choice(("user", "account"))
        leaf = conditions.leaf_of_user if subject == "user" else conditions.leaf_of_account
        definition = {"name": f"d{number}", "subject": subject, "qualify": conditions.tree(leaf)}
        zone = rng.choice(ZONES)
        if zone:
            definition["timezone"] = zone
        if rng.random() < 0.25:
            definition["stay"] = ("or", [definition["qualify"], conditions.tree(leaf, 1)]) if rng.random() < 0.5 else \
                conditions.tree(leaf, 1)
        if rng.random() < 0.2:
            definition["eligible"] = conditions.tree(leaf, 1)
        if rng.random() < 0.25:
            definition["min_stay"] = rng.choice(spans)
        if rng.random() < 0.25:
            definition["cooldown"] = rng.choice(spans)
        if rng.random() < 0.08:
            definition["once"] = True
        if rng.random() < 0.5:
            definition["publish_missed"] = True
        found.append(definition)
        conditions.defined.append((definition["name"], subject))
    rng.shuffle(found)
    return found, conditions


def render(tree):
    if isinstance(tree, str):
        return tree
    op, parts = tree
    texts = [render(p) for p in parts]
    if op == "not":
        return f"not ({texts[0]})"
    if op == "at_least":
        return f"at_least(2, {', '.join(texts)})"
    return "(" + f") {op} (".join(texts) + ")"


# ---- events ----

def make_times(rng, spans, count, start, zones):
    times = [start + rng.choice((0, 12 * HOUR, 23 * HOUR + 3599999))]
    while len(times) < count:
        old = rng.choice(times[-8:])
        roll = rng.random()
        if roll < 0.45:
            times.append(old + rng.choice(spans) + rng.choice((-1, 0, 0, 1)))
        elif roll < 0.6:
            times.append(old + rng.choice((0, 0, 1)))
        elif roll < 0.7:
            zone = rng.choice(zones)
            unit = rng.choice(("day", "day", "day", "week", "month", "quarter"))
            edge = pql_zone.period(zone, unit, old)[1]
            times.append((edge if edge - old < 60 * DAY else pql_zone.period(zone, "day", old)[1]) + rng.choice((-1, 0, 1)))
        else:
            times.append(max(times) + rng.randint(0, rng.choice(spans)))
    return sorted(times)


def make_event(rng, at, number, users, accounts):
    roll = rng.random()
    event = {"type": "track", "message_id": f"m{number}", "event": rng.choice(NAMES + ("other",) if roll < 0.1 else NAMES),
             "user_id": rng.choice(users), "account_id": rng.choice(accounts), "occurred_at": at}
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


def make_events(rng, spans, settings, start, zones):
    users = rng.choice((("u1",), ("u1", "u2"), ("u1", "u2", "u3")))
    accounts = rng.choice((("A",), ("A",), ("A", "B"), ("A", "b/1", "C")))
    times = make_times(rng, spans, rng.choice((4, 12, 25, 40, 60, 60, 120)), start, zones)
    events = [make_event(rng, at, number, users, accounts) for number, at in enumerate(times)]
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
    if settings["start_grace"] < 365 * DAY:
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
    if settings["start_grace"] == 365 * DAY:
        return []
    return [{"type": "track", "message_id": f"first-{account}-{user}", "event": "other", "user_id": user, "account_id": account,
             "occurred_at": start} for account in accounts for user in users]


def make_case(seed):
    """Most random conditions never change; the first of a few attempts in which something happens is taken."""
    for attempt in range(6):
        case = attempt_case(random.Random(f"{seed}/{attempt}"))
        wanted = pql_replay.model_records(rendered(case))
        if sum(len(records) for records in wanted) > 2:
            break
    return case, wanted


def attempt_case(rng):
    spans = rng.sample(SPANS, rng.choice((1, 2, 3)))
    if rng.random() < 0.15:
        spans.append(rng.choice(RARE_SPANS))
    settings = {"start_grace": 365 * DAY}
    if rng.random() < 0.45:
        settings["lateness"] = min(rng.choice((1, 1000, HOUR, rng.choice(spans), DAY)), 30 * DAY)
    if rng.random() < 0.35:
        settings["dedup_horizon"] = rng.choice((10, 1000, HOUR, 10 * DAY))
        settings["dedup_ids_max"] = rng.choice((0, 0, 1, 5, 30))
    if rng.random() < 0.2:
        settings["late_policy"] = rng.choice(("drop", "drop", "dead_letter"))
    if rng.random() < 0.4:
        settings["evidence_max"] = rng.choice((1, 1, 2))
    if rng.random() < 0.3:
        settings["activity"] = rng.choice((["x"], ["x", "z"], ["other", "y"]))
    if rng.random() < 0.35 and max(spans) <= 7 * DAY:
        settings["start_events"] = rng.choice((["z"], ["kind:identify"], ["z", "kind:identify"], ["kind:group"]))
    if rng.random() < 0.15:
        settings["ignore"] = rng.choice(("p = 2", "s = 'ab' or user.role = 'b'", "hour() >= 20"))
    if "start_events" not in settings and rng.random() < 0.2:
        settings["start_grace"] = rng.choice((1, HOUR, spans[0], 7 * DAY))
    periods = []
    if settings["start_grace"] == 365 * DAY and max(spans) <= 7 * DAY and rng.random() < 0.5:
        periods = [{"name": "trial", "start": "trial_start", "length": rng.choice(spans)},
                   {"name": "pilot", "start": "trial_start", "end": "trial_end"}]
    settings["periods"] = periods
    definitions, conditions = make_definitions(rng, spans, [p["name"] for p in periods])
    if settings["start_grace"] < 365 * DAY:
        definitions.append({"name": "early", "subject": rng.choice(("user", "account")), "publish_missed": True,
                            "qualify": f"count(one_of(x, y, z), first {span_text(spans[0])}) >= {rng.randint(1, 5)}"})
    settings.update(signals=conditions.signals, parameters=conditions.parameters)
    zones = [d.get("timezone") for d in definitions]
    start = rng.choice(STARTS) if any(zones) else START
    case = {"settings": settings, "definitions": definitions, "events": make_events(rng, spans, settings, start, zones),
            "advance": rng.choice((None, spans[0], 30 * DAY, 30 * DAY, "end")), "partitions": rng.choice((1, 1, 1, 2, 3)),
            "save": rng.choice((0, 0, 1, 2, 7, 30)), "limit": rng.choice((0, 0, 1, 5)), "refresh": False}
    if case["advance"] != "end":        # else where the clock stands is the product's own affair
        case["refresh"] = rng.random() < 0.3
    return case


def rendered(case):
    definitions = [{k: render(v) if k in ("qualify", "stay", "eligible") else v for k, v in d.items()}
                   for d in case["definitions"]]
    return dict(case, definitions=definitions)


# ---- running and shrinking ----

def smaller(case):
    """Cases with something left out, the big steps first."""
    events, definitions = case["events"], case["definitions"]
    for at in range(len(definitions)):
        rest = definitions[:at] + definitions[at + 1:]
        name = definitions[at]["name"]
        if rest and not any(f"({name})" in render(d[k]) for d in rest for k in ("qualify", "stay", "eligible") if k in d):
            yield dict(case, definitions=rest)
    size = len(events) // 2
    while size:
        for at in range(0, len(events), size):
            yield dict(case, events=events[:at] + events[at + size:])
        size //= 2
    if case["partitions"] > 1:
        yield dict(case, partitions=1)
    if case["advance"] is not None:
        yield dict(case, advance=None)
    for name in ("save", "limit", "refresh"):
        if case[name]:
            yield dict(case, **{name: 0})
    for name in case["settings"]:
        if name in ("signals", "parameters", "periods"):
            continue
        yield dict(case, settings={k: v for k, v in case["settings"].items() if k != name})
    for at, definition in enumerate(definitions):
        for name in ("stay", "eligible", "min_stay", "cooldown", "once", "publish_missed"):
            if name in definition:
                yield dict(case, definitions=definitions[:at] + [{k: v for k, v in definition.items() if k != name}]
                           + definitions[at + 1:])
        for name in ("qualify", "stay", "eligible"):
            for tree in simpler(definition.get(name, "")):
                yield dict(case, definitions=definitions[:at] + [dict(definition, **{name: tree})] + definitions[at + 1:])
    for at, event in enumerate(events):
        if event.get("properties"):
            yield dict(case, events=events[:at] + [{k: v for k, v in event.items() if k != "properties"}] + events[at + 1:])


def simpler(tree):
    if isinstance(tree, str):
        return
    op, parts = tree
    yield from parts
    for at, part in enumerate(parts):
        for one in simpler(part):
            yield (op, parts[:at] + [one] + parts[at + 1:])


def shrink(product, case, folder, seconds):
    until = time.monotonic() + seconds
    best = pql_replay.mismatch(product, rendered(case), folder)
    found = True
    while found and time.monotonic() < until:
        found = False
        for candidate in smaller(case):
            if time.monotonic() > until:
                break
            problem = pql_replay.mismatch(product, rendered(candidate), folder)
            if problem and problem.startswith("exit") == best.startswith("exit"):
                case, best, found = candidate, problem, True
                break
    return case, best


def report(seed, case, problem):
    final = rendered(case)
    print(f"seed {seed}: model and replay differ")
    print(pql_replay.config_text(final) + pql_replay.events_text(final) + problem)
    print(f"advance {final['advance']}, partitions {final['partitions']}")
    print(f"save {final['save']}, limit {final['limit']}, refresh {final['refresh']}")
    print(f"again: tests/model/run_random.py --cases-program PROGRAM --seed {seed} --cases 1 --keep DIR", flush=True)


def main():
    parser = argparse.ArgumentParser(description="random definitions and events, against the model")
    parser.add_argument("--cases-program", required=True, help="model_cases of the build")
    parser.add_argument("--seed", type=int, default=1, help="of the first case")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seconds", type=float, help="as many cases as fit, instead of a number")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many")
    parser.add_argument("--shrink-seconds", type=float, default=60)
    parser.add_argument("--keep", help="folder for the files of the last case")
    options = parser.parse_args()
    product = pql_replay.CasesProgram(os.path.abspath(options.cases_program))
    began = time.monotonic()
    ran = failed = records = 0
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or scratch
        seed = options.seed
        while (time.monotonic() - began < options.seconds) if options.seconds else ran < options.cases:
            case, wanted = make_case(seed)
            problem = pql_replay.mismatch(product, rendered(case), folder, wanted)
            ran += 1
            records += sum(map(len, wanted))
            if problem:
                failed += 1
                case, problem = shrink(product, case, scratch, options.shrink_seconds)
                report(seed, case, problem)
                if failed >= options.failures:
                    break
            seed += 1
    product.stop()
    print(f"{ran} cases from seed {options.seed}, {records} transitions, {failed} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
