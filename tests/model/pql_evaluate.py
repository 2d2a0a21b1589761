"""What conditions are worth at one instant of an account, and why they changed."""
import pql_score
from pql_functions import function_value
from pql_lang import SCALE, children, leaves, round_half_even
from pql_program import COUNTED
from pql_value import UNKNOWN, Duration, canonical, evaluate, three_valued, truth

# Causes, the stronger the greater: time alone, a step of a decaying item, something that happened.
EXPIRED, DECAYED, CONDITION = range(3)
REASONS = ("expired", "decayed", "condition")


class Evaluation:
    """All definitions of an account at one instant. before and after: without and with the instant's events."""

    def __init__(self, model, account, now, before, after, source):
        self.model, self.program, self.account, self.now = model, model.program, account, now
        self.before, self.after, self.source = before, after, source
        self.flips = {}             # (definition, user) -> cause of the change of is()
        self.misses = {}            # the same, of being missed
        self.scores = {}            # the same, of a changed score
        self.cache = {}

    # ---- values ----

    def signal(self, view, user, call, now=None):
        """The true value of a function of events."""
        user = None if call[1] == "account" else user
        now = self.now if now is None else now
        key = (id(view), user, id(call), now)
        if key not in self.cache:
            self.cache[key] = function_value(view, user, call, now, self.program)
        return self.cache[key]

    def kept(self, view, user, call, now=None):
        """min(true value, k) of what keeps no more than k."""
        value = self.signal(view, user, call, now)
        if call[2] not in COUNTED:
            return value
        subject = "account" if call[1] or user is None else "user"
        return value if self.program.is_exact_number(subject, call) else min(value, self.program.keeps_of(subject, call))

    def leaf(self, view, user, now=None, definition=None):
        def value(tree):
            kind = tree[0]
            if kind == "fn":
                return self.kept(view, user, tree, now)
            if kind == "attr":
                return view.attribute(user if tree[1] == "user" else None, tree[2])
            if kind == "members":
                return len(view.members) * SCALE
            if kind == "age":
                start = view.start(None if tree[1] else user)
                return None if start is None else Duration((self.now if now is None else now) - start)
            if kind == "instate":
                changed = self.state_of(tree, user).changed_at
                return None if changed is None else Duration(self.now - changed)
            if kind == "isdef":
                return self.is_or_was(tree, user)
            if kind == "score":
                return self.score(definition, user, view, now)
            if kind == "scoreof":
                return self.state_of(tree, user).score
            if kind == "tierof":
                return self.state_of(tree, user).tier
            if kind in ("quant", "spread"):
                return self.quantifier(view, tree)
            raise ValueError(f"{tree} outside where")
        return value

    def score(self, definition, user, view=None, now=None):
        view, now = view or self.after, self.now if now is None else now
        key = ("score", id(view), user, definition.name, now)
        if key not in self.cache:
            leaf = self.leaf(view, user, now)
            self.cache[key] = pql_score.score_value(definition, lambda tree: evaluate(tree, leaf), self.weighed(view, user, now), now)
        return self.cache[key]

    def weighed(self, view, user, now):
        return lambda call: pql_score.weighed(view, None if call[1] == "account" else user, call, now, self.program)

    def state_of(self, tree, user):
        definition = self.program.by_name[tree[-1]]
        return self.account.state(definition, user if definition.subject == "user" else None)

    def is_or_was(self, tree, user):
        state = self.state_of(tree, user)
        return state.status == "qualified" if tree[1] == "is" else state.count > 0

    def holds(self, tree, user, view=None, now=None, definition=None):
        if tree is None:
            return True
        view = view or self.after
        if not self.program.is_of_events_alone(tree):
            return truth(evaluate(tree, self.leaf(view, user, now, definition)))
        key = ("holds", id(tree), id(view), user, now)
        if key not in self.cache:
            self.cache[key] = truth(evaluate(tree, self.leaf(view, user, now)))
        return self.cache[key]

    def quantifier(self, view, tree):
        if tree[0] == "spread":
            values = [view.attribute(u, tree[2]) for u in view.members if self.holds(tree[3], u, view)]
            return len({canonical(v.value) for v in values if v is not None}) * SCALE
        name, condition, of = tree[2:]
        users = sorted(view.members)
        among = [u for u in users if self.holds(of, u, view)]
        held = [u for u in among if self.holds(condition, u, view)]
        if name == "users":
            return len(held) * SCALE
        if name == "any_user":
            return bool(held)
        if name == "all_users":
            return bool(users) and len(held) == len(users)
        return round_half_even(len(held) * SCALE, len(among)) if among else None

    def values_now(self):
        found = {}
        for tree in self.program.quantifiers:
            found[id(tree)] = self.quantifier(self.after, tree)
            for condition in self.program.counted(tree):
                for user in self.after.members:
                    found[id(condition), user] = self.holds(condition, user)
        for bit in self.program.bits:
            found[id(bit)] = self.holds(bit, None)
        return found

    def is_missed(self, definition, user):
        ended = []

        def has_ended(tree, user):
            if tree[0] == "fn" and tree[4] and tree[4][0] in ("first", "period"):
                place = self.after.window(None if tree[1] else user, tree[4])
                if place and self.now >= place[1]:
                    ended.append(tree)
                    return True
            return False

        def leaf_of(definition, user):
            def leaf(tree):
                if tree[0] == "score":
                    return score(definition, user)
                if tree[0] == "scoreof":    # what it is made of, as where it stands by itself
                    other = self.program.by_name[tree[-1]]
                    return score(other, user if other.subject == "user" else None)
                return self.signal(self.after, user, tree) if has_ended(tree, user) else UNKNOWN
            return leaf

        def score(definition, user):
            leaf = leaf_of(definition, user)
            return pql_score.score_value(definition, lambda tree: three_valued(tree, leaf), lambda call:
                                         self.weighed(self.after, user, self.now)(call) if has_ended(call, user) else UNKNOWN, self.now)

        value = three_valued(definition.qualify, leaf_of(definition, user))
        return bool(ended) and value is not UNKNOWN and not truth(value)

    # ---- causes ----

    def caused(self, condition, user):
        """The strongest cause for which something that the condition reads changed at this instant."""
        return max((self.changed(leaf, user) for leaf in leaves(condition)), default=EXPIRED)

    def cause(self, definition, user):
        found = max((self.caused(c, user) for c in definition.conditions), default=EXPIRED)
        if user is not None and (user in self.before.members) != (user in self.after.members):
            found = CONDITION       # who is no member is not eligible
        if definition.decays and self.source is not None and self.is_younger(definition, user):
            found = CONDITION
        return max(found, DECAYED) if definition.decays and self.has_decayed(definition, user) else found

    def has_decayed(self, definition, user):
        """Whether this instant is a step of an item that just before had something which still weighed."""
        last = self.now - 1
        occurrences = self.weighed(self.before, user, last)
        return any(pql_score.weight(item, last // item.step - time // item.step)
                   for item in definition.items if item.decays and self.now % item.step == 0 for time, _ in occurrences(item.per))

    def is_younger(self, definition, user):
        """Whether an event made a day or value of a decaying item count from later on."""
        before, after = self.weighed(self.before, user, self.now), self.weighed(self.after, user, self.now)
        return any(pql_score.decayed_units(item, before(item.per), self.now) != pql_score.decayed_units(item, after(item.per), self.now)
                   for item in definition.items if item.decays)

    def changed(self, tree, user):
        kind = tree[0]
        if kind in ("isdef", "instate", "scoreof", "tierof"):
            return self.definition_changed(tree, user)
        if kind == "bit":
            if self.source is not None and user is not None and not self.before.of(user):
                return CONDITION
            return self.caused(tree[1], None) if self.holds(tree, None) != self.account.was.get(id(tree), False) else EXPIRED
        if kind in ("spread", "quant"):
            return self.quantifier_changed(tree)
        if self.source is None:
            return EXPIRED
        if kind == "fn" and not self.before.of(None if tree[1] else user):
            return CONDITION
        value = self.signal if kind == "fn" else lambda view, user, tree: self.leaf(view, user)(tree)
        return CONDITION if value(self.before, user, tree) != value(self.after, user, tree) else EXPIRED

    def definition_changed(self, tree, user):
        definition = self.program.by_name[tree[-1]]
        key = (definition.name, user if definition.subject == "user" else None)
        if tree[0] == "scoreof":        # whoever reads a score reads what it is made of
            found = max(self.caused(t, key[1]) for t in definition.score_trees)
            return max(found, DECAYED) if self.has_decayed(definition, key[1]) else found
        if tree[0] == "tierof":
            return max(self.scores.get(key, EXPIRED), self.flips.get(key, EXPIRED))
        return max(self.flips.get(key, EXPIRED), self.misses.get(key, EXPIRED) if tree[0] == "instate" else EXPIRED)

    def quantifier_changed(self, tree):
        if self.quantifier(self.after, tree) == self.account.was.get(id(tree), 0 if tree[0] == "spread" else None):
            return EXPIRED
        moved = self.after.members ^ self.before.members
        everybody_counts = tree[0] == "quant" and (tree[2] == "all_users" or (tree[2] == "share" and tree[4] is None))
        if moved and everybody_counts:
            return CONDITION
        found = EXPIRED
        for condition in self.program.counted(tree):
            for user in self.after.members | self.before.members:
                holds = user in self.after.members and self.holds(condition, user)
                if holds != self.account.was.get((id(condition), user), False):
                    found = max(found, CONDITION if user in moved else self.caused(condition, user))
                elif holds and tree[0] == "spread" and self.before.attribute(user, tree[2]) != self.after.attribute(user, tree[2]):
                    found = CONDITION
        return found


def rows(tree):
    """The comparisons and bare boolean calls of a condition, in the order of its text."""
    if tree[0] in ("and", "or", "not", "at_least", "bit"):
        for child in children(tree):
            yield from rows(child)
    else:
        yield tree


def is_plain(tree):
    """Built with and/or from comparisons of one function of events, or the score, with constants."""
    if tree[0] in ("and", "or"):
        return is_plain(tree[1]) and is_plain(tree[2])
    if tree[0] == "bit":
        return is_plain(tree[1])
    if tree[0] not in ("cmp", "in", "between"):
        return False
    others = tree[3] if tree[0] == "in" else tree[3:]
    is_signal = tree[2][0] in ("fn", "age", "score") or (tree[2][0] == "usage" and tree[2][2][0] == "num")
    return is_signal and all(t[0] in ("num", "dur", "str", "bool") for t in others)
