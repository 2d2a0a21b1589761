"""A naive second implementation of what definitions mean. It keeps every event, and at each instant at which anything
can change it computes every condition anew from the whole list. Slow and simple on purpose; it shares no code with the
product, so that a mistake would have to be made twice.

    model = Model(program)            # program: settings and definitions as plain data, see Program
    model.feed(event)                 # events in the order read, each a dict as in the event stream
    model.finish(advance)             # end of file: None, a number of ms, or "end"
    model.records                     # transitions in order, dicts

A time is ms since 1970. A number is a whole count of millionths. Subjects are (account, user) with user None for the
account itself.
"""
import bisect
import datetime
import re
from collections import namedtuple

import pql_zone
from pql_lang import SCALE, children, decimal_micros, leaves, parse, round_half_even, walk, with_bits

DAY = 86400000
Duration = namedtuple("Duration", "ms")
Time = namedtuple("Time", "ms")
Open = namedtuple("Open", "value")      # of a property or attribute: int millionths, str or bool
UNKNOWN = object()
COUNTED = ("count", "distinct", "days", "weeks", "months", "streak")  # functions that keep no more than k


class Program:
    """settings: lateness, dedup_horizon, start_grace (ms), dedup_ids_max, late_policy, evidence_max, exact_max, activity, start_events
    (lists), ignore (text), signals (name to text). definitions: dicts with name, subject, qualify and optionally
    eligible, stay, min_stay, cooldown (ms), once, publish_missed, timezone, version."""

    DEFAULTS = {"lateness": 0, "dedup_horizon": 0, "dedup_ids_max": 0, "start_grace": 7 * DAY,
                "late_policy": "apply", "evidence_max": 50, "exact_max": 1000, "activity": None, "start_events": [], "ignore": None, "signals": {}, "periods": []}

    def __init__(self, settings, definitions):
        self.__dict__.update(self.DEFAULTS)
        self.__dict__.update(settings)
        if self.ignore is not None:
            self.ignore = parse(self.ignore, self.signals)
        self.definitions = [Definition(d, self.signals) for d in definitions]
        self.by_name = {d.name: d for d in self.definitions}
        self.order = self.evaluation_order()
        trees = [t for d in self.definitions for c in d.conditions for t in walk(c)]
        calls = [t for t in trees if t[0] == "fn"]
        self.rolling = sorted({t[4][1] for t in calls if t[4] and t[4][0] == "rolling"})
        self.prevs = sorted({t[4][1] for t in calls if t[4] and t[4][0] == "prev"})
        self.firsts = sorted({t[4] for t in calls if t[4] and t[4][0] in ("first", "period")})
        self.periods = {p["name"]: p for p in self.periods}
        self.has_ages = any(t[0] == "age" for t in trees)
        self.calendars = {(t[5], t[4][1]) for t in calls if t[4] and t[4][0] == "calendar"}
        self.streaks = {t[5] for t in calls if t[2] == "streak"}
        self.durations = sorted({t[1] for t in trees if t[0] == "dur"})
        self.keeps = self.how_much_is_kept()

    def evaluation_order(self):
        """Always the first definition of the configuration whose dependencies are done."""
        done = []
        while len(done) < len(self.definitions):
            done.append(next(d for d in self.definitions if d not in done and
                             all(self.by_name[n] in done for n in d.needs)))
        return done

    def how_much_is_kept(self):
        """k of each signal, from all its readers. A signal is (subject, call)."""
        keeps = {}

        def read(subject, call, k):
            if call[2] in COUNTED:
                key = ("account" if call[1] else subject, call[2:])
                keeps[key] = max(keeps.get(key, self.evidence_max), k)

        def visit(subject, tree):
            if tree[0] in ("quant", "spread"):
                for condition in children(tree):
                    visit("user", condition)
                return
            left = tree[2] if tree[0] in ("cmp", "in", "between") else None
            constants = self.constants(tree)
            if left is not None and left[0] == "fn" and constants is not None:
                read(subject, left, constants)
                return
            if tree[0] == "fn":
                read(subject, tree, 10000 if tree[2] == "distinct" else self.exact_max)
            for child in children(tree):
                visit(subject, child)

        for definition in self.definitions:
            for condition in definition.conditions:
                visit(definition.subject, condition)
        return keeps

    def instants_after(self, time):
        """When something that happened then may come to count otherwise."""
        found = {time + w for w in self.rolling} | {time + w * n for w in self.prevs for n in (1, 2)}
        found |= {time + d + extra for d in self.durations for extra in (0, 1)}
        found |= {pql_zone.period(zone, unit, time)[1] for zone, unit in self.calendars}
        found |= {pql_zone.day_start(zone, pql_zone.day(zone, time) + 2) for zone in self.streaks}
        return found

    @staticmethod
    def constants(tree):
        """k that a comparison with constants asks for, or None if it is not one."""
        others = {"cmp": tree[3:4], "in": tree[3] if tree[0] == "in" else (), "between": tree[3:5]}[tree[0]] \
            if tree[0] in ("cmp", "in", "between") else ()
        if not others or any(t[0] != "num" for t in others):
            return None
        most = max(-(-t[1] // SCALE) for t in others)
        return most if tree[0] == "cmp" and tree[1] in (">=", "<") else most + 1


class Definition:
    def __init__(self, source, signals):
        self.name = source["name"]
        self.subject = source["subject"]
        self.version = source.get("version", 1)
        zone = source.get("timezone")
        self.qualify = parse(source["qualify"], signals, zone)
        self.stay = parse(source["stay"], signals, zone) if source.get("stay") else self.qualify
        self.eligible = parse(source["eligible"], signals, zone) if source.get("eligible") else None
        self.min_stay = source.get("min_stay", 0)
        self.cooldown = source.get("cooldown", 0)
        self.once = source.get("once", False)
        self.publish_missed = source.get("publish_missed", False)
        if self.subject == "user":
            self.qualify, self.stay = with_bits(self.qualify), with_bits(self.stay)
            self.eligible = self.eligible and with_bits(self.eligible)
        self.conditions = [c for c in (self.eligible, self.qualify, self.stay) if c]
        self.needs = {t[-1] for c in self.conditions for t in walk(c) if t[0] in ("isdef", "instate")}


class Event:
    """An accepted event, with what `where` saw when it was applied."""

    def __init__(self, raw, order):
        self.kind = raw["type"]
        self.name = raw.get("event")
        self.user = raw.get("user_id") or None
        self.account = raw.get("account_id") or None
        self.id = raw.get("message_id") or None
        self.time = raw["occurred_at"]
        self.properties = flatten(raw.get("properties"))
        self.traits = flatten(raw.get("traits"))
        self.order = order
        self.seen_user, self.seen_account = {}, {}
        self.too_late_for = set()      # first windows (subject, W) that were closed when it came
        self.matches = {}


class State:
    """Of one definition and subject."""

    def __init__(self):
        self.status = "not_yet"
        self.entered_at = self.first_at = self.left_at = self.pending = self.changed_at = None
        self.count = self.version = 0


class Account:
    def __init__(self, name):
        self.name = name
        self.events = []            # applied, in the order applied
        self.users = set()
        self.due = []               # sorted instants at which something may change
        self.states = {}            # (definition, user) -> State
        self.was = {}               # value of each quantifier and of each condition per user, at the last evaluation

    def state(self, definition, user):
        return self.states.setdefault((definition.name, user), State())


class View:
    """An account's events up to some number of them: now, or before those of this instant."""

    def __init__(self, program, events, users):
        self.events = events
        self.users = users
        self.cache = {}
        self.program = program

    def of(self, user):
        """The events of a subject, in the order applied."""
        if user is None:
            return self.events
        if user not in self.cache:
            self.cache[user] = [e for e in self.events if e.user == user]
        return self.cache[user]

    def explicit_start(self, user):
        names = self.program.start_events
        times = []
        for e in self.events:
            of_account = e.user is None or e.kind == "group"      # a group with a user is the account's
            if of_account if user is None else e.user == user and not of_account:
                if "kind:" + e.kind in names or (e.kind == "track" and e.name in names):
                    times.append(e.time)
        return min(times, default=None)

    def start(self, user):
        key = ("start", user)
        if key not in self.cache:
            start = self.explicit_start(user)
            if start is None and user is None:
                starts = [self.explicit_start(u) for u in self.users]
                start = min((s for s in starts if s is not None), default=None)
            if start is None:
                start = min((e.time for e in self.of(user)), default=None)
            self.cache[key] = start
        return self.cache[key]

    def window(self, user, window):
        """[start, end) of a first window or period; None if there is none yet."""
        if window[0] == "first":
            start = self.start(user)
            return None if start is None else (start, start + window[1])
        period = self.program.periods[window[1]]
        start = time_of(self.attribute(None, period["start"]))
        if start is None:
            return None
        if "length" in period:
            return start, start + period["length"]
        end = time_of(self.attribute(None, period["end"]))
        return start, float("inf") if end is None else end

    def attribute(self, user, path):
        kind = "group" if user is None else "identify"
        best = None
        for e in self.events:
            if e.kind == kind and (user is None or e.user == user) and e.traits.get(path) is not None:
                if best is None or e.time >= best.time:
                    best = e
        return Open(best.traits[path]) if best else None

    def attributes(self, user):
        kind = "group" if user is None else "identify"
        paths = {p for e in self.events if e.kind == kind and (user is None or e.user == user) for p in e.traits}
        return {p: self.attribute(user, p) for p in paths}


def time_of(value):
    """ms of an attribute: ISO 8601 in UTC, or a number; None if it is neither."""
    if value is None or isinstance(value.value, bool):
        return None
    if isinstance(value.value, int):
        return value.value // SCALE
    try:
        moment = datetime.datetime.fromisoformat(value.value.replace("Z", "+00:00"))
    except ValueError:
        micros = decimal_micros(value.value)
        return None if micros is None else micros // SCALE
    if len(value.value) == 10:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    if moment.tzinfo is None:
        return None
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (since.days * 86400 + since.seconds) * 1000 + since.microseconds // 1000


def flatten(values, prefix=""):
    """{'device': {'os': 1}} as {'device.os': 1}; numbers in millionths; lists are no values."""
    found = {}
    for key, value in (values or {}).items():
        if isinstance(value, dict):
            found.update(flatten(value, prefix + key + "."))
        elif isinstance(value, (bool, str)):
            found[prefix + key] = value
        elif isinstance(value, int):
            found[prefix + key] = value * SCALE
        elif value is not None and not isinstance(value, list):
            found[prefix + key] = decimal_micros(format(value, "f"))
    return found


# ---- values ----

def number(value):
    if isinstance(value, Open):
        value = value.value
        if isinstance(value, str):
            return decimal_micros(value)
    if isinstance(value, bool):
        return SCALE if value else 0
    return value if isinstance(value, int) else None


def truth(value):
    return value is True or (isinstance(value, Open) and (value.value is True or value.value == "true"))


def open_number(value):
    return None if isinstance(value.value, bool) else number(value)


def order(op, a, b):
    return {"=": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]


def compare(op, a, b):
    if a is None or b is None:
        return False
    if isinstance(a, Open) and isinstance(b, Open):
        x, y = open_number(a), open_number(b)
        if x is not None and y is not None:
            return order(op, x, y)
        if isinstance(a.value, str) and isinstance(b.value, str):
            return order(op, a.value, b.value)
        same_kind = isinstance(a.value, bool) and isinstance(b.value, bool)
        return same_kind and op in ("=", "!=") and order(op, a.value, b.value)
    if isinstance(b, Open):
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        return compare(turned, b, a)
    if not isinstance(a, Open):
        return order(op, a, b)
    if isinstance(b, bool):
        known = {"true": True, "false": False}.get(a.value, a.value)
        return isinstance(known, bool) and order(op, known, b)
    if isinstance(b, str):
        return order(op, a.value, b) if isinstance(a.value, str) else op == "!="
    if isinstance(b, int):
        x = open_number(a)
        return x is not None and order(op, x, b)
    return False                      # an open value against a time or a duration


def arithmetic(op, a, b):
    if isinstance(a, (Time, Duration)) or isinstance(b, (Time, Duration)):
        return time_arithmetic(op, a, b)
    a, b = number(a), number(b)
    if a is None or b is None:
        return None
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return round_half_even(a * b, SCALE)
    return None if b == 0 else round_half_even(a * SCALE, b)


def time_arithmetic(op, a, b):
    if a is None or b is None:
        return None
    if op == "-":
        if isinstance(a, Time) and isinstance(b, Time):
            return Duration(a.ms - b.ms)
        return type(a)(a.ms - b.ms)
    if op == "+":
        return (Time if isinstance(a, Time) or isinstance(b, Time) else Duration)(a.ms + b.ms)
    if isinstance(b, Duration) and isinstance(a, Duration):
        return None if b.ms == 0 else round_half_even(a.ms * SCALE, b.ms)
    if isinstance(a, Duration):
        factor = number(b)
        if factor is None or (op == "/" and factor == 0):
            return None
        return Duration(round_half_even(a.ms * factor, SCALE) if op == "*" else round_half_even(a.ms * SCALE, factor))
    return time_arithmetic(op, b, a)


def text_relation(op, a, b):
    a, b = (v.value if isinstance(v, Open) else v for v in (a, b))
    if not isinstance(a, str) or not isinstance(b, str):
        return None
    if op == "matches":
        pattern = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in b)
        return re.fullmatch(pattern, a, re.S) is not None
    return {"starts": a.startswith, "ends": a.endswith, "contains": a.__contains__}[op](b)


def canonical(value):
    """The text by which distinct compares."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        sign, value = ("-", -value) if value < 0 else ("", value)
        return (sign + f"{value // SCALE}.{value % SCALE:06d}").rstrip("0").rstrip(".")
    return value


def evaluate(tree, leaf, value=None):
    """A tree's value; leaf(tree) gives that of what is no operator, value(tree) that of a part."""
    value = value or (lambda part: evaluate(part, leaf))
    kind = tree[0]
    if kind == "num" or kind == "str" or kind == "bool":
        return tree[1]
    if kind == "null":
        return None
    if kind == "dur":
        return Duration(tree[1])
    if kind == "and":
        return truth(value(tree[1])) and truth(value(tree[2]))
    if kind == "or":
        return truth(value(tree[1])) or truth(value(tree[2]))
    if kind == "not":
        return not truth(value(tree[1]))
    if kind == "neg":
        return arithmetic("-", 0, value(tree[1]))
    if kind == "bit":
        return truth(value(tree[1]))
    if kind == "usage":
        return arithmetic("/", value(tree[1]), value(tree[2]))
    if kind == "arith":
        return arithmetic(tree[1], value(tree[2]), value(tree[3]))
    if kind == "cmp":
        return compare(tree[1], value(tree[2]), value(tree[3]))
    if kind == "in":
        left = value(tree[2])
        items = [value(t) for t in tree[3]]
        if tree[1]:
            return all(compare("!=", left, item) for item in items)
        return any(compare("=", left, item) for item in items)
    if kind == "between":
        middle, low, high = (value(t) for t in tree[2:])
        if middle is None or low is None or high is None:
            return False
        if tree[1]:
            return compare("<", middle, low) or compare(">", middle, high)
        return compare(">=", middle, low) and compare("<=", middle, high)
    if kind == "text":
        held = text_relation(tree[1], value(tree[3]), value(tree[4]))
        return held is not None and held != tree[2]
    if kind == "isnull":
        return (value(tree[2]) is None) != tree[1]
    if kind == "if":
        return value(tree[2] if truth(value(tree[1])) else tree[3])
    if kind == "coalesce":
        return next((v for v in (value(t) for t in tree[1]) if v is not None), None)
    if kind == "at_least":
        return sum(truth(value(t)) for t in tree[2]) >= tree[1]
    return leaf(tree)


def three_valued(tree, leaf):
    """As evaluate, where leaf may say UNKNOWN."""
    parts = () if tree[0] in ("quant", "spread") else children(tree)
    values = {id(part): three_valued(part, leaf) for part in parts}
    if tree[0] in ("and", "or"):
        decisive = tree[0] == "or"
        if any(v is not UNKNOWN and truth(v) == decisive for v in values.values()):
            return decisive
        return UNKNOWN if UNKNOWN in values.values() else not decisive
    if UNKNOWN in values.values():
        return UNKNOWN
    return evaluate(tree, leaf, lambda part: values[id(part)])


def where_holds(event, where):
    def leaf(tree):
        kind = tree[0]
        if kind == "prop":
            value = event.properties.get(tree[1])
            return None if value is None else Open(value)
        if kind == "attr":
            return (event.seen_user if tree[1] == "user" else event.seen_account).get(tree[2])
        if kind == "eventuser":
            return None if event.user is None else Open(event.user)
        if kind == "eventname":
            return Open(event.name)
        if kind == "hour":
            return pql_zone.local(tree[1], event.time) // 3600000 % 24 * SCALE
        if kind == "weekday":
            return ((pql_zone.day(tree[1], event.time) + 3) % 7 + 1) * SCALE     # 1970-01-01 was a Thursday
        raise ValueError(f"{tree} inside where")
    return truth(evaluate(where, leaf))


class Model:
    def __init__(self, program):
        self.program = program
        self.accounts = {}
        self.records = []
        self.seen = None            # the largest time accepted
        self.done = None            # every instant up to it is processed, as a whole if lateness > 0
        self.buffer = []
        self.buckets = {}           # bucket -> ids
        self.read = 0
        self.late = self.duplicates = 0

    # ---- the order of things ----

    def feed(self, raw):
        event = Event(raw, self.read)
        self.read += 1
        lateness = self.program.lateness
        if self.is_duplicate(event):
            self.duplicates += 1
            return
        if event.kind == "clock":
            self.rise(event.time)
            self.remember(event)
            self.advance_to(event.time - lateness - (1 if lateness else 0))
            return
        if self.done is not None and (event.time <= self.done if lateness else event.time < self.done):
            self.late += 1
            if self.program.late_policy == "apply":
                self.remember(event)
                self.process(event.account, self.done, [event])
            return
        self.rise(event.time)
        self.remember(event)
        if lateness:
            self.buffer.append(event)
            self.advance_to(self.seen - lateness - 1)
        else:
            self.fire_until(event.time, exactly=False)
            self.done = event.time
            self.process(event.account, event.time, [event])

    def finish(self, advance=None):
        if self.seen is None:
            return
        self.advance_to(self.seen)
        if advance == "end":
            limit = self.seen + 3650 * DAY
            while True:
                following = [a.due[0] for a in self.accounts.values() if a.due]
                if not following or min(following) > limit:
                    break
                self.rise(min(following))
                self.advance_to(self.seen)
        elif advance is not None:
            self.rise(self.seen + advance)
            self.advance_to(self.seen)

    def tick(self, to):
        """What an idle pipeline does: nothing, unless something becomes due."""
        reached = to - self.program.lateness - (1 if self.program.lateness else 0)
        if any(a.due and a.due[0] <= reached for a in self.accounts.values()) or \
                any(e.time <= reached for e in self.buffer):
            self.rise(to)
            self.advance_to(reached)

    def rise(self, to):
        self.seen = to if self.seen is None else max(self.seen, to)

    def advance_to(self, instant):
        """Everything at or before instant happens."""
        while self.buffer:
            first = min(e.time for e in self.buffer)
            if first > instant:
                break
            self.fire_until(first, exactly=False)
            now = [e for e in self.buffer if e.time == first]
            self.buffer = [e for e in self.buffer if e.time != first]
            due = {a.name for a in self.accounts.values() if a.due and a.due[0] <= first}
            for account in sorted(due | {e.account for e in now}, key=str.encode):
                self.process(account, first, [e for e in now if e.account == account])
        self.fire_until(instant, exactly=True)
        self.done = instant if self.done is None else max(self.done, instant)

    def fire_until(self, instant, exactly):
        """Timers due before instant, or at it if exactly, in order of (due, account)."""
        while True:
            due = [(a.due[0], a.name.encode(), a) for a in self.accounts.values() if a.due]
            if not due or min(due)[0] > instant or (min(due)[0] == instant and not exactly):
                return
            at, _, account = min(due)
            self.process(account.name, at, [])

    def remembered(self):
        horizon = self.program.dedup_horizon
        return {b: ids for b, ids in self.buckets.items() if self.seen <= (b + 1) * (horizon // 10) + horizon}

    def is_duplicate(self, event):
        if not self.program.dedup_horizon or event.id is None:
            return False
        self.buckets = self.remembered()
        return any(event.id in ids for ids in self.buckets.values())

    def remember(self, event):
        if self.program.dedup_horizon and event.id is not None:
            self.buckets.setdefault(self.seen // (self.program.dedup_horizon // 10), set()).add(event.id)
            self.buckets = self.remembered()
            while self.program.dedup_ids_max and len(self.buckets) > 1 and \
                    sum(map(len, self.buckets.values())) > self.program.dedup_ids_max:
                del self.buckets[min(self.buckets)]

    # ---- one account at one instant ----

    def process(self, name, now, events):
        account = self.accounts.setdefault(name, Account(name))
        if events and self.program.lateness == 0 and all(self.is_ignored(account, e) for e in events):
            if not account.events:
                del self.accounts[name]
            return
        before = View(self.program, list(account.events), set(account.users))
        source = None
        for event in events:
            if self.is_ignored(account, event):
                continue
            self.apply(account, event, now)
            source = event
        if not account.events:
            del self.accounts[name]
            return
        after = View(self.program, account.events, account.users)
        for user in list(account.users) + [None]:
            for window in self.program.firsts:
                place = after.window(user, window)
                if place and place[1] < float("inf"):
                    self.plan(account, now, place[1])
            for after_start in self.program.durations if self.program.has_ages else ():
                self.plan(account, now, after.start(user) + after_start)
                self.plan(account, now, after.start(user) + after_start + 1)
        account.due = [t for t in account.due if t > now]
        Evaluation(self, account, now, before, after, source).run()

    def is_ignored(self, account, event):
        if self.program.ignore is None:
            return False
        self.look(account, event)
        return where_holds(event, self.program.ignore)

    def look(self, account, event):
        """What `where` sees: the attributes as they are, an identify's or group's own included."""
        view = View(self.program, account.events + [event], None)
        event.seen_user = view.attributes(event.user) if event.user else {}
        event.seen_account = view.attributes(None)

    def apply(self, account, event, now):
        self.look(account, event)
        event.applied = now
        account.events.append(event)
        if event.user:
            account.users.add(event.user)
        view = View(self.program, account.events, account.users)
        for user in {event.user, None}:
            for window in self.program.firsts:
                place = view.window(user, window)
                inside = place and place[0] <= event.time < place[1]
                if now >= (place[1] if inside else event.time) + self.program.start_grace:
                    event.too_late_for.add((user, window))
        for at in self.program.instants_after(event.time):
            self.plan(account, now, at)

    @staticmethod
    def plan(account, now, at):
        if at >= now and (not account.due or at not in account.due):
            bisect.insort(account.due, at)


class Evaluation:
    """All definitions of an account at one instant. before and after: without and with the instant's events."""

    def __init__(self, model, account, now, before, after, source):
        self.model, self.program, self.account, self.now = model, model.program, account, now
        self.before, self.after, self.source = before, after, source
        self.flips = {}             # (definition, user) -> whether an event caused the change of is()
        self.misses = {}            # the same, of being missed
        self.cache = {}

    def run(self):
        for definition in self.program.order:
            users = sorted(self.account.users, key=str.encode) if definition.subject == "user" else [None]
            for user in users:
                self.step(definition, user, self.account.state(definition, user))
        self.account.was = self.values_now()

    # ---- values ----

    def signal(self, view, user, call, now=None):
        """The true value of a function of events."""
        scope, name, selector, window, zone = call[1:]
        if scope == "account":
            user = None
        now = self.now if now is None else now
        key = (id(view), user, call, now)
        if key not in self.cache:
            self.cache[key] = self.sequence(view, user, selector, window, now) if name == "sequence" else reduce_events(name, self.inside(view, user, selector, window, now, zone), selector[1], now, window,
                                            zone)
        return self.cache[key]

    def sequence(self, view, user, selector, window, now):
        """In the order applied; for each step the partial match with the latest start is kept. What is older than the
        last event of its partial match does not extend it."""
        _, steps, by, within = selector
        events = self.inside(view, user, None, window if window[0] in ("first", "period") else None, now)
        partial, every, whole, in_order, newest = {}, {}, None, True, None
        for e in events:
            served = [i for i, step in enumerate(steps) if self.matches(e, step)]
            value = property_of(e, by) if by else None
            if not served or (by and value is None):
                continue
            in_order = in_order and (newest is None or e.time >= newest) and e.applied == e.time
            newest = e.time if newest is None else max(newest, e.time)
            mine = partial.setdefault(canonical(value) if by else None, {})
            starts = every.setdefault(canonical(value) if by else None, {})
            if by and within is not None and 0 in mine and mine[0][0] < e.applied - within:
                mine.clear()        # nothing of this value is open any more
            for i in reversed(served):
                if i == 0:
                    starts.setdefault(0, set()).add(e.time)
                    if 0 not in mine or e.time > mine[0][0]:
                        mine[0] = (e.time, e.time)
                    continue
                fits = {s for s in starts.get(i - 1, ()) if within is None or e.time - s <= within}
                starts.setdefault(i, set()).update(fits)
                if i - 1 not in mine or mine[i - 1][1] > e.time or (within is not None and e.time - mine[i - 1][0] > within):
                    continue
                start = mine[i - 1][0]
                if i == len(steps) - 1:
                    whole = start if whole is None else max(whole, start)
                elif i not in mine or start > mine[i][0]:
                    mine[i] = (start, e.time)
        if in_order:                # then nothing is lost by keeping the latest alone
            assert whole == max((s for m in every.values() for s in m.get(len(steps) - 1, ())), default=None)
        return whole is not None and (window[0] != "rolling" or whole > now - window[1])

    def inside(self, view, user, selector, window, now, zone=None):
        found = [e for e in view.of(user) if selector is None or self.matches(e, selector)]
        if window is not None and window[0] == "prev":
            return [e for e in found if now - 2 * window[1] < e.time <= now - window[1]]
        if window is not None and window[0] == "calendar":
            start, end = pql_zone.period(zone, window[1], now)
            return [e for e in found if start <= e.time < end]
        if window is not None and window[0] == "rolling":
            return [e for e in found if now - window[1] < e.time <= now]
        if window is not None and window[0] in ("first", "period"):
            place = view.window(user, window)
            return [e for e in found if place and place[0] <= e.time < place[1] and (user, window) not in e.too_late_for]
        return found

    def matches(self, event, selector):
        if event.kind != "track":
            return False
        if selector not in event.matches:
            (kind, *names), _, where = selector
            named = event.name in names[0] if kind == "names" else \
                self.program.activity is None or event.name in self.program.activity
            event.matches[selector] = named and (where is None or where_holds(event, where))
        return event.matches[selector]

    def leaf(self, view, user, now=None):
        def value(tree):
            kind = tree[0]
            if kind == "fn":
                return self.signal(view, user, tree, now)
            if kind == "attr":
                return view.attribute(user if tree[1] == "user" else None, tree[2])
            if kind == "members":
                return len(view.users) * SCALE
            if kind == "age":
                start = view.start(None if tree[1] else user)
                return None if start is None else Duration((self.now if now is None else now) - start)
            if kind == "instate":
                changed = self.state_of(tree, user).changed_at
                return None if changed is None else Duration(self.now - changed)
            if kind == "isdef":
                return self.is_or_was(tree, user)
            if kind in ("quant", "spread"):
                return self.quantifier(view, tree)
            raise ValueError(f"{tree} outside where")
        return value

    def state_of(self, tree, user):
        definition = self.program.by_name[tree[-1]]
        return self.account.state(definition, user if definition.subject == "user" else None)

    def is_or_was(self, tree, user):
        state = self.state_of(tree, user)
        return state.status == "qualified" if tree[1] == "is" else state.count > 0

    def holds(self, tree, user, view=None, now=None):
        return tree is None or truth(evaluate(tree, self.leaf(view or self.after, user, now)))

    def quantifier(self, view, tree):
        if tree[0] == "spread":
            values = [view.attribute(u, tree[2]) for u in view.users if self.holds(tree[3], u, view)]
            return len({canonical(v.value) for v in values if v is not None}) * SCALE
        name, condition, of = tree[2:]
        users = sorted(view.users)
        held = [u for u in users if self.holds(condition, u, view) and self.holds(of, u, view)]
        among = [u for u in users if self.holds(of, u, view)]
        if name == "users":
            return len(held) * SCALE
        if name == "any_user":
            return bool(held)
        if name == "all_users":
            return bool(users) and len(held) == len(users)
        return round_half_even(len(held) * SCALE, len(among)) if among else None

    def quantifiers(self):
        return {t for d in self.program.definitions for c in d.conditions for t in walk(c) if t[0] in ("quant", "spread")}

    def bits(self):
        return {t for d in self.program.definitions for c in d.conditions for t in walk(c) if t[0] == "bit"}

    def values_now(self):
        found = {}
        for tree in self.quantifiers():
            found[tree[2:]] = self.quantifier(self.after, tree)
            for condition in counted(tree):
                for user in self.after.users:
                    found[(condition, user)] = self.holds(condition, user)
        for bit in self.bits():
            found[bit] = self.holds(bit, None)
        return found

    # ---- causes ----

    def caused(self, condition, user):
        """Whether an event changed something that the condition reads, at this instant."""
        return any(self.changed(leaf, user) for leaf in leaves(condition))

    def changed(self, tree, user):
        kind = tree[0]
        if kind in ("isdef", "instate"):
            definition = self.program.by_name[tree[-1]]
            key = (definition.name, user if definition.subject == "user" else None)
            return self.flips.get(key, False) or (kind == "instate" and self.misses.get(key, False))
        if kind == "bit":
            if self.source is not None and user is not None and not self.before.of(user):
                return True
            return self.holds(tree, None) != self.account.was.get(tree, False) and self.caused(tree[1], None)
        if kind == "spread":
            if self.quantifier(self.after, tree) == self.account.was.get(tree[2:], 0):
                return False
            joined = self.after.users - self.before.users
            c = tree[3]
            return any(self.holds(c, u) != self.account.was.get((c, u), False) and (u in joined or self.caused(c, u))
                       for u in self.after.users) or \
                any(self.account.was.get((c, u), False) and self.before.attribute(u, tree[2]) != self.after.attribute(u, tree[2])
                    for u in self.after.users)
        if kind == "quant":
            if self.quantifier(self.after, tree) == self.account.was.get(tree[2:], None):
                return False
            joined = self.after.users - self.before.users
            if joined and (tree[2] == "all_users" or (tree[2] == "share" and tree[4] is None)):
                return True         # each of the members counts, whether the condition holds or not
            return any(self.holds(c, u) != self.account.was.get((c, u), False) and (u in joined or self.caused(c, u))
                       for c in counted(tree) for u in self.after.users)
        if self.source is None:
            return False
        if kind == "fn" and not self.before.of(None if tree[1] else user):
            return True
        return self.leaf(self.before, user)(tree) != self.leaf(self.after, user)(tree)

    # ---- states ----

    def step(self, definition, user, state):
        eligible = self.holds(definition.eligible, user)
        stay = self.holds(definition.stay, user)
        if state.status == "qualified":
            if definition.once:
                return
            by_event = any(self.caused(c, user) for c in definition.conditions)
            if not eligible:
                self.leave(definition, user, state, "ineligible", by_event)
            elif stay:
                state.pending = None
            else:
                if state.pending is None:
                    state.pending = "condition" if by_event else "expired"
                if self.now >= state.entered_at + definition.min_stay:
                    self.leave(definition, user, state, state.pending, state.pending == "condition")
            return
        cooling = state.left_at is not None and self.now < state.left_at + definition.cooldown
        if eligible and stay and self.holds(definition.qualify, user) and not cooling:
            self.enter(definition, user, state)
        elif state.status == "not_yet" and self.is_missed(definition, user):
            state.status, state.changed_at = "missed", self.now
            self.misses[(definition.name, user)] = any(self.caused(c, user) for c in definition.conditions)
            self.plan_after()
            if definition.publish_missed:
                self.record(definition, user, state, "missed", "not_yet", None)

    def enter(self, definition, user, state):
        previous = state.status
        by_event = any(self.caused(c, user) for c in definition.conditions)
        self.flips[(definition.name, user)] = by_event
        state.status, state.entered_at, state.changed_at, state.pending = "qualified", self.now, self.now, None
        self.plan_after()
        state.first_at = self.now if state.first_at is None else state.first_at
        state.count += 1
        if definition.min_stay:
            self.model.plan(self.account, self.now, self.now + definition.min_stay)
        self.record(definition, user, state, "entered", previous, "condition")

    def leave(self, definition, user, state, reason, by_event):
        self.flips[(definition.name, user)] = by_event
        state.status, state.left_at, state.changed_at, state.pending = "left", self.now, self.now, None
        self.plan_after()
        if definition.cooldown:
            self.model.plan(self.account, self.now, self.now + definition.cooldown)
        self.record(definition, user, state, "left", "qualified", reason)

    def plan_after(self):
        for after in self.program.durations:
            self.model.plan(self.account, self.now, self.now + after)
            self.model.plan(self.account, self.now, self.now + after + 1)

    def is_missed(self, definition, user):
        ended = []

        def leaf(tree):
            if tree[0] == "fn" and tree[4] and tree[4][0] in ("first", "period"):
                place = self.after.window(None if tree[1] else user, tree[4])
                if place and self.now >= place[1]:
                    ended.append(tree)
                    return self.signal(self.after, user, tree)
            return UNKNOWN
        value = three_valued(definition.qualify, leaf)
        return bool(ended) and value is not UNKNOWN and not truth(value)

    # ---- records ----

    def record(self, definition, user, state, transition, previous, reason):
        state.version = max(state.version + 1, self.now)
        self.model.records.append({
            "definition": definition.name, "definition_version": definition.version, "subject": definition.subject,
            "account_id": self.account.name, "user_id": user, "transition": transition, "status": state.status,
            "previous_status": previous, "reason": reason, "occurred_at": self.now, "version": state.version,
            "qualification_count": state.count, "first_qualified_at": state.first_at, "qualified_at": state.entered_at,
            "left_at": state.left_at, "clock": self.model.seen,
            "expires_at": self.expires_at(definition, user) if transition == "entered" else None,
            "source": self.source.id if self.source else None,
            "evidence": [self.evidence(definition, user, row) for row in rows(definition.qualify)],
        })

    def evidence(self, definition, user, row):
        """Of a comparison or bare boolean call; times are those of all occurrences counted, where that is plain."""
        leaf = self.leaf(self.after, user)
        left = row[{"cmp": 2, "in": 2, "between": 2, "text": 3, "isnull": 2}.get(row[0], 0)]
        left = row if isinstance(left, str) else left
        value = evaluate(left, leaf)
        at_least = False
        if left[0] == "fn" and left[2] in COUNTED:
            keep = self.program.keeps["account" if left[1] else definition.subject, left[2:]] * SCALE
            at_least = value >= keep
            value = min(value, keep)
        times = None
        if left[0] == "fn" and left[2] == "count" and left[4][0] == "rolling" and not at_least:
            times = [e.time for e in self.inside(self.after, None if left[1] else user, left[3], left[4], self.now)]
        return {"value": value, "times": times, "threshold": evaluate(row[3], leaf) if row[0] == "cmp" else None,
                "met": self.holds(row, user), "at_least": at_least}

    def expires_at(self, definition, user):
        """When the condition would lapse if nothing more happened; None if it never would, and for other conditions
        than and/or over comparisons of one signal with constants."""
        if definition.once or not is_plain(definition.stay):
            return None
        events = self.after.events
        times = {at for e in events for at in self.program.instants_after(e.time)}
        for start in (self.after.start(user), self.after.start(None)):
            times |= {start + d + extra for d in self.program.durations for extra in (0, 1)}
        return next((t for t in sorted(times) if t > self.now and not self.holds(definition.stay, user, now=t)), None)


def rows(tree):
    """The comparisons and bare boolean calls of a condition, in the order of its text."""
    if tree[0] in ("and", "or", "not", "at_least", "bit"):
        for child in children(tree):
            yield from rows(child)
    else:
        yield tree


def counted(tree):
    """The conditions whose users a quantifier counts: share(c of c2) is users(c and c2) / users(c2)."""
    if tree[0] == "spread":
        return (tree[3],)
    condition, of = tree[3:]
    return (condition,) if of is None else (("and", condition, of), of)


def is_plain(tree):
    """Built with and/or from comparisons of one function of events with constants."""
    if tree[0] in ("and", "or"):
        return is_plain(tree[1]) and is_plain(tree[2])
    if tree[0] == "bit":
        return is_plain(tree[1])
    if tree[0] not in ("cmp", "in", "between"):
        return False
    others = tree[3] if tree[0] == "in" else tree[3:]
    is_signal = tree[2][0] in ("fn", "age") or (tree[2][0] == "usage" and tree[2][2][0] == "num")
    return is_signal and all(t[0] in ("num", "dur", "str") for t in others)


def streak(days, today):
    """days in the order applied; those 64 or more before the newest are not taken any more."""
    newest, known = None, set()
    for day in days:
        newest = day if newest is None else max(newest, day)
        if newest - day < 64:
            known.add(day)
    length = 0
    while newest is not None and newest >= today - 1 and newest - length in known:
        length += 1
    return length


def reduce_events(name, events, path, now, window, zone):
    """The value of a function over the events inside its window."""
    in_order = sorted(events, key=lambda e: e.time)      # stable: equal times in the order applied
    if name == "count":
        return len(events) * SCALE
    if name in ("days", "weeks", "months"):
        return len({pql_zone.period(zone, name[:-1], e.time) for e in events}) * SCALE
    if name == "streak":
        return streak([pql_zone.day(zone, e.time) for e in events], pql_zone.day(zone, now)) * SCALE
    if name == "nth":
        return Time(in_order[window[1] - 1].time) if len(in_order) >= window[1] else None
    if name == "ever":
        return bool(events)
    if name in ("first_time", "last_time", "since"):
        if not events:
            return None
        if name == "since":
            return Duration(now - in_order[-1].time)
        return Time(in_order[0 if name == "first_time" else -1].time)
    values = [v for v in (property_of(e, path) for e in in_order) if v is not None]
    if name == "distinct":
        return len({canonical(v) for v in values}) * SCALE
    if name in ("latest", "earliest"):
        return Open(values[-1 if name == "latest" else 0]) if values else None
    numbers = [n for n in (number(Open(v)) for v in values) if n is not None]
    if name == "sum":
        return sum(numbers)
    if name in ("min", "max"):
        return (min if name == "min" else max)(numbers, default=None)
    return round_half_even(sum(numbers), len(numbers)) if numbers else None


def property_of(event, path):
    if path == "user":
        return event.user
    if path == "event":
        return event.name
    return event.properties.get(path)
