"""A program: settings and definitions as plain data, read and worked through once."""
from decimal import Decimal

import pql_zone
from pql_lang import SCALE, children, decimal_micros, parse, shared, walk, with_bits
from pql_score import weighed, weight
from pql_value import where_holds

DAY = 86400000
HOUR = 3600000
COUNTED = ("count", "distinct", "days", "weeks", "months", "streak")  # functions that keep no more than k
DISTINCT_MAX = 10000
CHOICES = ("routes", "segment", "motion", "priority")


def micros_of(value):
    return decimal_micros(format(Decimal(str(value)), "f"))


class Program:
    """settings: lateness, dedup_horizon, start_grace (ms), dedup_ids_max, late_policy, evidence_max, exact_max, activity, start_events
    (lists), ignore (text), signals (name to text), parameters (name to text, or to by, default and values), periods.
    definitions: dicts of the fields of a definition, durations in ms."""

    DEFAULTS = {"lateness": 0, "dedup_horizon": 0, "dedup_ids_max": 0, "start_grace": 7 * DAY, "late_policy": "apply",
                "evidence_max": 50, "exact_max": 1000, "activity": None, "start_events": [], "ignore": None, "signals": {},
                "parameters": {}, "periods": []}

    where_holds = staticmethod(where_holds)

    def __init__(self, settings, definitions):
        self.__dict__.update(self.DEFAULTS)
        self.__dict__.update(settings)
        names = dict(self.signals, **{n: parameter(p) for n, p in self.parameters.items()})
        if self.ignore is not None:
            self.ignore = parse(self.ignore, names)
        of_accounts = {d["name"] for d in definitions if d["subject"] == "account"}
        known = {}          # equal parts of all conditions are one object
        self.definitions = [Definition(d, names, of_accounts, known) for d in definitions if d.get("mode") != "off"]
        self.by_name = {d.name: d for d in self.definitions}
        self.order = self.evaluation_order()
        self.trees = trees = {id(t): t for d in self.definitions for c in d.conditions + d.others for t in walk(c)}.values()
        calls = [t for t in trees if t[0] == "fn"]
        self.rolling = sorted({t[4][1] for t in calls if t[4] and t[4][0] == "rolling"})
        self.prevs = sorted({t[4][1] for t in calls if t[4] and t[4][0] == "prev"})
        self.firsts = sorted({t[4] for t in calls if t[4] and t[4][0] in ("first", "period")})
        self.periods = {p["name"]: p for p in self.periods}
        self.has_ages = any(t[0] == "age" for t in trees)
        self.calendars = {(t[5], t[4][1]) for t in calls if t[4] and t[4][0] == "calendar"}
        self.streaks = {t[5] for t in calls if t[2] == "streak"}
        self.durations = sorted({t[1] for t in trees if t[0] == "dur"})
        self.quantifiers = list({t: None for d in self.definitions for c in d.conditions for t in walk(c) if t[0] in ("quant", "spread")})
        self.bits = list({t: None for d in self.definitions for c in d.conditions for t in walk(c) if t[0] == "bit"})
        self.counts, self.numbers, self.prev_keys, self.exact = {}, set(), set(), {}
        self.keeps = self.how_much_is_kept()
        self.plain = {}
        self.has_panes = min([self.exact_max] + [d.exact_max or self.exact_max for d in self.definitions]) < 100

    def evaluation_order(self):
        """Always the first definition of the configuration whose dependencies are done."""
        done = []
        while len(done) < len(self.definitions):
            done.append(next(d for d in self.definitions if d not in done and
                             all(self.by_name[n] in done for n in d.needs)))
        for d in done:
            d.may_miss |= any(t[0] == "scoreof" and self.by_name[t[-1]].may_miss
                              for c in [d.qualify] + d.score_trees for t in walk(c))
        return done

    def how_much_is_kept(self):
        """k of each signal, from all its readers. A signal is (subject, call)."""
        keeps = {}

        def read(subject, call, k, as_number):
            key = ("account" if call[1] else subject, call[2:])
            self.exact[key] = max(self.exact.get(key, 0), exact_max)
            if as_number:
                self.numbers.add(key)
            if call[4] and call[4][0] == "prev":
                self.prev_keys.add(key)
            if call[2] in COUNTED:
                keeps[key] = max(keeps.get(key, self.evidence_max), k)

        def visit(subject, tree):
            if tree[0] in ("quant", "spread"):
                for condition in children(tree):
                    visit("user", condition)
                return
            left = tree[2] if tree[0] in ("cmp", "in", "between") else None
            constants = self.constants(tree)
            if left is not None and left[0] == "fn" and constants is not None:
                read(subject, left, constants, left[2] in ("sum", "avg"))
                return
            if tree[0] == "fn":
                read(subject, tree, DISTINCT_MAX if tree[2] == "distinct" else exact_max, True)
            for child in children(tree):
                visit(subject, child)

        for definition in self.definitions:
            exact_max = definition.exact_max or self.exact_max
            for condition in definition.conditions + definition.others:
                visit(definition.subject, condition)
        return keeps

    def instants_after(self, time):
        """When something that happened then may come to count otherwise."""
        found = {time + w for w in self.rolling} | {time + w * n for w in self.prevs for n in (1, 2)}
        if self.has_panes:              # then there are panes, and they leave when their ends do
            found |= {(time // -(-w // 1024) + 1) * -(-w // 1024) + w * n for w in self.rolling + self.prevs for n in (1, 2)}
        found |= {time + d + extra for d in self.durations for extra in (0, 1)}
        found |= {pql_zone.period(zone, unit, time)[1] for zone, unit in self.calendars}
        found |= {pql_zone.day_start(zone, pql_zone.day(zone, time) + 2) for zone in self.streaks}
        return found

    def is_exact_number(self, subject, call):
        """Whether nothing cuts its value: what is read as a number keeps all, a count some of it in panes; distinct stops."""
        return call[2] != "distinct" and ("account" if call[1] else subject, call[2:]) in self.numbers

    def keeps_of(self, subject, call):
        return self.keeps["account" if call[1] else subject, call[2:]] * SCALE

    def counted(self, quantifier):
        """The conditions whose users it counts: share(c of c2) is users(c and c2) / users(c2)."""
        if id(quantifier) not in self.counts:
            condition, of = quantifier[3:] if quantifier[0] == "quant" else (quantifier[3], None)
            self.counts[id(quantifier)] = (condition,) if of is None else (("and", condition, of), of)
        return self.counts[id(quantifier)]

    def kept_one_by_one(self, subject, call):
        """How many of a signal's newest occurrences are, and how far back it reaches; (None, None): all that matter."""
        name, selector, window, zone = call[2:]
        subject = "account" if call[1] else subject
        prev = (subject, (name, selector, ("prev", window[1]), zone))
        alone = window[0] == "rolling" and prev not in self.prev_keys
        if name not in ("count", "sum", "avg") or (alone and (subject, call[2:]) not in self.numbers) or \
                (name == "count" and window[0] == "rolling" and (subject, call[2:]) not in self.numbers):
            return None, None
        keys = [(subject, call[2:]), prev, (subject, (name, selector, ("rolling", window[1]), zone))]
        most = max(max(self.exact.get(key, 0), self.keeps.get(key, 0)) for key in keys[:1 if alone else 3])
        return most, window[1] * (1 if alone else 2)

    def still_decays(self, view, item, definition, now):
        for user in view.users if definition.subject == "user" and not item.per[1] else [None]:
            occurrences = weighed(view, user, item.per, now, self)
            if any(value and weight(item, now // item.step - time // item.step) for time, value in occurrences):
                return True
        return False

    def is_of_events_alone(self, tree):
        """Whether a condition reads no state of a definition, so that it has one value at an instant."""
        if id(tree) not in self.plain:
            self.plain[id(tree)] = not any(t[0] in ("isdef", "instate", "scoreof", "tierof", "score") for t in walk(tree))
        return self.plain[id(tree)]

    @staticmethod
    def constants(tree):
        """k that a comparison with constants asks for, or None if it is not one. A parameter counts with its largest."""
        others = {"cmp": tree[3:4], "in": tree[3] if tree[0] == "in" else (), "between": tree[3:5]}[tree[0]] \
            if tree[0] in ("cmp", "in", "between") else ()
        numbers = [n for t in others for n in ((row[1] for row in t[2]) if t[0] == "param" else (t,))] + \
            [t[3] for t in others if t[0] == "param"]
        if not others or any(t[0] != "num" for t in numbers):
            return None
        most = max(-(-t[1] // SCALE) for t in numbers)
        return most if tree[0] == "cmp" and tree[1] in (">=", "<") else most + 1


def parameter(value):
    """As the parser takes it: a text, or by and its rows as texts."""
    def text(v):
        return "true" if v is True else "false" if v is False else v if isinstance(v, str) else format(Decimal(str(v)), "f")
    if not isinstance(value, dict):
        return text(value)

    def constant(v):
        is_duration = isinstance(v, str) and v and v[0].isdigit() and v[-1] in "smhdw"
        return text(v) if not isinstance(v, str) or is_duration else "'" + v.replace("'", "''") + "'"
    return {"by": value["by"], "default": constant(value["default"]),
            "values": [(constant(row["is"]), constant(row["value"])) for row in value.get("values", [])]}


class Item:
    """Of a score."""

    def __init__(self, source, read, decay_step):
        self.family = source.get("family")
        self.points = micros_of(source["points"])
        self.when = read(source["when"]) if "when" in source else None
        self.per = read(source["per"]) if "per" in source else None
        self.max = micros_of(source["max"]) if "max" in source else None
        self.half_life, self.fades_over = source.get("half_life"), source.get("fades_over")
        self.decays = bool(self.half_life or self.fades_over)
        if self.decays:
            self.step = decay_step or (DAY if (self.half_life or self.fades_over) >= 7 * DAY else HOUR)

    def most(self):
        """The most that it can give; None: no end."""
        if self.per is None:
            return self.points
        return None if self.max is None else self.points * self.max // SCALE


class Definition:
    def __init__(self, source, names, of_accounts, known):
        self.name = source["name"]
        self.subject = source["subject"]
        self.version = source.get("version", 1)
        zone = source.get("timezone")

        def read(text):
            tree = parse(text, names, zone)
            return shared(with_bits(tree, of_accounts) if self.subject == "user" else tree, known)

        self.qualify = read(source["qualify"])
        self.stay = read(source["stay"]) if source.get("stay") else self.qualify
        self.eligible = read(source["eligible"]) if source.get("eligible") else None
        self.min_stay = source.get("min_stay", 0)
        self.cooldown = source.get("cooldown", 0)
        self.once = source.get("once", False)
        self.exact_max = source.get("exact_max", 0)
        self.mode = source.get("mode", "live")
        self.publish = dict(source.get("publish", {}))
        if source.get("publish_missed"):
            self.publish["missed"] = True
        self.items = [Item(i, read, source.get("decay_step")) for i in source.get("score", [])]
        self.multiply = [(read(m["when"]) if "when" in m else None, read(str(m["by"]))) for m in source.get("multiply", [])]
        self.caps = self.family_caps(source.get("caps", {}))
        self.tiers = sorted(((micros_of(t["at"]), t["name"]) for t in source.get("tiers", [])), reverse=True)
        self.decays = any(i.decays for i in self.items)
        self.convert_on, self.disqualify_on, self.reopen_on, self.acknowledge_on = (
            source.get(n, []) for n in ("convert_on", "disqualify_on", "reopen_on", "acknowledge_on"))
        self.disqualify_for = source.get("disqualify_for", 90 * DAY)
        self.sla = source.get("sla", 0)
        self.choices = {n: [(read(row["when"]) if "when" in row else None, row.get("to", row.get("is"))) for row in source[n]]
                        if isinstance(source[n], (list, tuple)) else [(None, source[n])] for n in CHOICES if source.get(n)}
        self.score_trees = [t for i in self.items for t in (i.when, i.per) if t] + \
            [t for pair in self.multiply for t in pair if t]
        self.may_miss = any(t[0] == "fn" and t[4] and t[4][0] in ("first", "period") for c in [self.qualify] + self.score_trees for t in walk(c))
        self.conditions = [c for c in (self.eligible, self.qualify, self.stay) if c] + self.score_trees
        self.context = [read(text) for text in source.get("context", [])]
        self.others = [when for rows in self.choices.values() for when, _ in rows if when] + self.context     # decide nothing
        self.needs = {t[-1] for c in self.conditions + self.others for t in walk(c)
                      if t[0] in ("isdef", "instate", "scoreof", "tierof")}

    def family_caps(self, given):
        caps = {}
        for family in {i.family for i in self.items if i.family}:
            most = [i.most() for i in self.items if i.family == family and i.points > 0]
            caps[family] = None if not most or None in most else max(most)
            if family in given:
                caps[family] = None if given[family] == "none" else micros_of(given[family])
        return caps
