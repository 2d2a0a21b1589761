"""Random definitions. A condition is a text, or (operator, [conditions]), so that it can be made smaller."""
from decimal import Decimal

from random_names import NAMES, WORDS, ZONES, span_text


class Conditions:
    def __init__(self, rng, spans, periods, features):
        self.rng, self.spans, self.features = rng, spans, features
        self.defined = []           # (name, subject) of definitions that may be referred to
        self.scored = []            # those of them that have a score
        self.tiered = set()         # names of those that have tiers
        self.signals, self.parameters = {}, {}
        self.subject = "account"    # of the definition at hand
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
            lambda: f"property('p') {self.relation()} 1",
            lambda: f"event {rng.choice(('', 'not '))}in ('x', 'y')",
            lambda: f"user is {rng.choice(('', 'not '))}null",
            lambda: f"if(p > 1, s, 'a') = '{rng.choice(WORDS)}'",
            lambda: f"-p {self.relation()} -1",
            lambda: f"account.limit - p {self.relation()} p / q",
        ))()

    def relation(self):
        return self.rng.choice((">=", ">=", ">", "<", "<=", "=", "!="))

    def events(self):
        rng = self.rng
        return rng.choice((rng.choice(NAMES),) * 8 + ("any", "one_of(x, y)") * 2 + ("'x'", "one_of('z', y)"))

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
        if "parameters" in self.features and rng.random() < 0.2:
            return f"{self.number()} {self.relation()} ${self.parameter()}"
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
            lambda: f"{rng.choice(('avg', 'min', 'max'))}({self.selector('p')}, {self.window()}) is {rng.choice(('', 'not '))}null",
            lambda: f"coalesce(latest({self.selector('p')}), {self.number()}) {self.relation()} {rng.choice((0, 1, 2))}",
            lambda: f"-({self.number()}) {self.relation()} -{rng.choice((1, 2))}",
            lambda: f"first_time({self.selector()}) + {span_text(rng.choice(self.spans))} {self.relation()} last_time({self.selector()})",
            lambda: f"if(ever({self.selector()}), {self.number()}, 1) {self.relation()} {rng.choice((1, 2))}",
            lambda: f"(ever({self.selector()})) {rng.choice(('=', '!='))} {rng.choice(('true', 'false'))}",
            lambda: f"at_least({rng.randint(1, 3)}, ever({self.selector()}), {self.number()} >= 1, {self.number()} >= 2)",
            lambda: f"latest({self.selector('s')}) {rng.choice(('', 'not '))}{rng.choice(('starts with', 'ends with', 'contains', 'matches'))} "
                    f"'{rng.choice(('a', 'b', '*b'))}'",
        ))()

    def parameter(self):
        """By an attribute; in definitions of both subjects by one of the account."""
        name = self.rng.choice(("bar", "low"))
        if name not in self.parameters:
            words = self.rng.sample([w for w in WORDS if w], 2)
            self.parameters[name] = {"by": "account.plan", "default": self.rng.randint(0, 3),
                                     "values": [{"is": word, "value": self.rng.randint(0, 4)} for word in words]}
        return name

    def of_user(self):
        rng = self.rng
        return rng.choice((
            lambda: f"user.role {rng.choice(('=', '!='))} '{rng.choice(WORDS)}'",
            lambda: f"user.level {self.relation()} {rng.choice((1, 2))}",
            lambda: f"user.role is {rng.choice(('', 'not '))}null",
            lambda: f"coalesce(user.role, 'b') = '{rng.choice(WORDS)}'",
            lambda: f"user.role {rng.choice(('', 'not '))}in ('a', 'b')",
            lambda: f"user.level {rng.choice(('', 'not '))}between 1 and 2",
            lambda: f"user.role {rng.choice(('', 'not '))}{rng.choice(('starts with', 'ends with', 'contains', 'matches'))} '{rng.choice(('a', 'b', 'a*'))}'",
            lambda: f"account.plan {rng.choice(('=', '!=', '>'))} '{rng.choice(WORDS)}'",
        ) + (self.of_events,) * 8)()

    def of_account(self):
        """A condition about the account in a user's definition."""
        rng = self.rng
        return rng.choice((
            lambda: f"account.count({self.selector()}, {self.window_or_prev()}) {self.relation()} {rng.randint(1, 3)}",
            lambda: f"account.days({self.selector()}, {self.window()}) + account.members() >= {rng.randint(2, 4)}",
            lambda: f"account.ever({self.selector()})",
            lambda: f"account.{self.sequence().removeprefix('not ')}",
            lambda: f"account.all_users({self.of_user()})",
            *(lambda name=name: f"account.{name}({self.selector('p')}, {self.window()}) >= 1" for name in ("avg", "min", "max")),
            *(lambda name=name: f"account.{name}({self.selector('s')}) = '{rng.choice(WORDS)}'" for name in ("latest", "earliest")),
            lambda: f"account.distinct({self.selector(rng.choice(('p', 's', 'user')))}, {self.window()}) {self.relation()} {rng.randint(1, 3)}",
            *(lambda name=name: f"account.{name}({self.selector()}, {self.window()}) >= {rng.randint(1, 2)}" for name in ("weeks", "months")),
            lambda: f"account.streak({self.selector()}) >= {rng.randint(1, 2)}",
            *(lambda name=name: f"account.{name}({self.selector()}) is {rng.choice(('', 'not '))}null" for name in ("first_time", "last_time")),
            lambda: f"account.usage({self.selector('p')}, 2) >= 1",
            lambda: f"account.users({self.of_user()}) {self.relation()} {rng.randint(1, 2)}",
            lambda: f"account.any_user({self.of_user()})",
            lambda: f"account.share({self.of_user()}) >= 0.5",
            lambda: f"account.spread(user.role, {self.of_user()}) >= {rng.randint(1, 2)}",
            lambda: f"account.sum({self.selector('p')}, {self.window()}) {self.relation()} account.limit",
            lambda: f"account.since({self.selector()}) {rng.choice(('<', '>='))} {span_text(rng.choice(self.spans))}",
            lambda: f"account.age() {rng.choice(('<', '>='))} {span_text(rng.choice(self.spans))}",
        ))()

    def leaf_of_user(self):
        if self.rng.random() < 0.25:
            return self.of_account()
        if self.rng.random() < 0.16 and self.defined:
            return self.reference(("user", "account"))
        return self.of_user()

    def reference(self, subjects):
        found = [name for name, subject in self.defined if subject in subjects]
        scored = [name for name, subject in self.scored if subject in subjects]
        if scored and self.rng.random() < 0.75:
            return self.of_score(self.rng.choice(scored))
        if found and self.rng.random() < 0.2:
            return f"in_state_for({self.rng.choice(found)}) {self.rng.choice(('<', '<=', '>', '>='))} {span_text(self.rng.choice(self.spans))}"
        return f"{self.rng.choice(('is', 'is', 'is', 'was'))}({self.rng.choice(found)})" if found else self.of_events()

    def of_score(self, name):
        rng = self.rng
        if name in self.tiered and rng.random() < 0.6:
            return rng.choice((f"tier({name}) {rng.choice(('=', '!='))} '{rng.choice(('hot', 'warm'))}'",
                               f"tier({name}) is {rng.choice(('', 'not '))}null"))
        return rng.choice((
            lambda: f"score({name}) {self.relation()} {rng.choice(('0', '1', '2.5', '4'))}",
            lambda: f"score({name}) >= {rng.randint(1, 6)}",
        ))()

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


def make_score(rng, spans, conditions, leaf, subject):
    """Fields of a definition, and the bar of its score."""
    items = []
    families = rng.choice(((), ("f",), ("f", "g")))
    for _ in range(rng.choice((1, 2, 2, 3, 4))):
        item = {"points": rng.choice((1, 1, 2, 3, 5, -1, -4, Decimal("0.5"), Decimal("1.25")))}
        if families and rng.random() < 0.7:
            item["family"] = rng.choice(families)
        if rng.random() < 0.45:
            item["when"] = conditions.tree(leaf, 1)
        else:
            make_per(rng, spans, conditions, item, subject)
        items.append(item)
    if all(item["points"] < 0 for item in items):
        items[0]["points"] = 3
    found = {"score": items}
    if rng.random() < 0.3:
        by = rng.choice((2, Decimal("1.5"), Decimal("0.5"), 3))
        found["multiply"] = [{"when": conditions.tree(leaf, 2), "by": by} for _ in range(rng.choice((1, 2)))]
    if families and rng.random() < 0.4:
        found["caps"] = {family: rng.choice((1, 2, 5, Decimal("2.5"), "none")) for family in families
                         if any(i.get("family") == family and i["points"] > 0 for i in items)}
    if rng.random() < 0.5:
        found["tiers"] = [{"name": "hot", "at": rng.choice((3, 4, 5))}, {"name": "warm", "at": rng.choice((1, 2))}]
        rng.shuffle(found["tiers"])
    if "publish" in conditions.features:
        found["publish"] = {"min_delta": rng.choice((1, 2, Decimal("0.5")))}
        if rng.random() < 0.7:
            found["publish"]["scores"] = rng.choice(("all", "qualified"))
        if rng.random() < 0.6:
            found["publish"]["min_interval"] = max(1000, rng.choice(spans))
    if any("half_life" in item or "fades_over" in item for item in items) and rng.random() < 0.6:
        found["decay_step"] = rng.choice([s for s in spans if s >= 3600000] + [3600000, 86400000])
    return found


def make_per(rng, spans, conditions, item, subject):
    if "decay" in conditions.features and rng.random() < 0.6:
        window = rng.choice([span_text(s) for s in spans] * 2 + [f"first {span_text(rng.choice(spans))}", "ever"])
        item["per"] = rng.choice((f"count({conditions.selector()}, {window})", f"sum({conditions.selector('p')}, {window})",
                                  f"days({conditions.selector()}, {window})", f"distinct({conditions.selector('s')}, {window})"))
        item[rng.choice(("half_life", "half_life", "fades_over"))] = rng.choice([s for s in spans if s >= 3600000] + [86400000, 7 * 86400000])
    elif subject == "account" and rng.random() < 0.3:
        item["per"] = rng.choice((f"users({conditions.inner()})", "members()", f"share({conditions.inner()})"))
    else:
        item["per"] = conditions.number() if rng.random() < 0.8 else f"{conditions.number()} - {conditions.number()}"
    if rng.random() < 0.5:
        item["max"] = rng.choice((1, 2, 3, Decimal("2.5")))


def make_outcomes(rng, spans, features):
    found = {}
    if "outcomes" in features:
        for name, words in (("convert_on", ("won",)), ("disqualify_on", ("lost",)), ("reopen_on", ("again",))):
            if rng.random() < 0.6 and (name != "reopen_on" or "convert_on" in found):
                found[name] = list(words)
        if "disqualify_on" in found and rng.random() < 0.8:
            found["disqualify_for"] = max(1000, rng.choice(spans))
    if "sla" in features and rng.random() < 0.7:
        found["sla"] = max(1000, rng.choice(spans))
        found["acknowledge_on"] = rng.choice((["seen"], ["seen", "won"]))
    return found


def make_choices(rng, conditions, leaf):
    found = {}
    for name in ("routes", "segment", "motion", "priority"):
        if rng.random() < 0.3:
            rows = [{"to": word, "when": conditions.tree(leaf, 2)} for word in ("one", "two")[:rng.choice((1, 2))]]
            found[name] = rows + ([{"to": "other"}] if rng.random() < 0.5 else [])
    return found


def make_definitions(rng, spans, periods, features):
    conditions = Conditions(rng, spans, periods, features)
    found = []
    for number in range(rng.choice((1, 1, 2, 2, 3, 4))):
        subject = rng.choice(("user", "account"))
        leaf = conditions.leaf_of_user if subject == "user" else conditions.leaf_of_account
        conditions.subject = subject
        definition = {"name": f"d{number}", "subject": subject, "qualify": conditions.tree(leaf)}
        if "scores" in features and rng.random() < 0.7:
            definition.update(make_score(rng, spans, conditions, leaf, subject))
            bar = rng.choice((">= 1", ">= 2", ">= 3", "> 0.5", "< 2", "between 1 and 4"))
            definition["qualify"] = rng.choice((f"score {bar}", f"score {bar}", ("and", [f"score {bar}", conditions.tree(leaf, 1)]),
                                                ("or", [f"score {bar}", conditions.tree(leaf, 2)])))
            if rng.random() < 0.3:
                definition["stay"] = f"score >= {rng.choice(('0.5', '1', '-1'))}"
        definition.update(make_outcomes(rng, spans, features))
        if "routes" in features:
            definition.update(make_choices(rng, conditions, leaf))
        zone = rng.choice(ZONES)
        if zone:
            definition["timezone"] = zone
        if "stay" not in definition and rng.random() < 0.25:
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
        if rng.random() < 0.06:
            definition["mode"] = "shadow"
        if "panes" in features and rng.random() < 0.5:
            definition["exact_max"] = rng.choice((1, 2, 4))
        if "context" in features and rng.random() < 0.7:
            definition["context"] = [conditions.number() for _ in range(rng.choice((1, 2)))]
        if rng.random() < 0.1:
            definition["reason"] = rng.choice(("since {1}", "'{1}'"))
        if rng.random() < 0.1:
            definition["include_attributes"] = ["account.plan"] + (["user.role"] if subject == "user" else [])
        found.append(definition)
        conditions.defined.append((definition["name"], subject))
        if "score" in definition:
            conditions.scored.append((definition["name"], subject))
        if "tiers" in definition:
            conditions.tiered.add(definition["name"])
    rng.shuffle(found)
    return found, conditions


def render(tree):
    """The text of a condition; of the fields of a definition all that are conditions as texts."""
    if isinstance(tree, dict):
        return {k: render(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [render(v) for v in tree]
    if not isinstance(tree, tuple):
        return tree
    op, parts = tree
    texts = [render(p) for p in parts]
    if op == "not":
        return f"not ({texts[0]})"
    if op == "at_least":
        return f"at_least(2, {', '.join(texts)})"
    return "(" + f") {op} (".join(texts) + ")"


