"""From conditions to transitions: one evaluation of an account."""
from decimal import Decimal

from pql_account import State
from pql_evaluate import CONDITION, EXPIRED, REASONS, Evaluation, is_plain, rows
from pql_functions import folded, inside
from pql_lang import SCALE, leaves, walk
from pql_program import COUNTED, micros_of
from pql_score import decayed_units, item_value, tier_of
from pql_value import UNKNOWN, evaluate

CHANGES_MAX = 64        # that the product follows to find expires_at
COMPARISONS = {"cmp": 2, "in": 2, "between": 2, "text": 3, "isnull": 2}     # and where their left side is


class Step(Evaluation):
    def run(self):
        self.written = set()
        for definition, user in self.subjects():
            state = self.account.state(definition, user)
            gone = self.account.gone.get(user, self.account.gone.get(None))
            if gone:
                if state.status == "qualified":
                    state.score = self.score(definition, user) if definition.items else 0
                    self.leave(definition, user, state, gone, CONDITION)
                self.account.states[definition.name, user] = State(state.version)
            else:
                self.step(definition, user, state)
                self.publish_score(definition, user, state)
                self.breach(definition, user, state)
            state.outcome = None
        self.account.gone = {}
        self.account.was = self.values_now()

    def refresh(self):
        self.written = set()
        for definition, user in self.subjects():
            state = self.account.state(definition, user)
            if state.status == "qualified" and definition.mode != "shadow":
                self.record(definition, user, state, "snapshot", "qualified", None)

    def subjects(self):
        """In the order of an evaluation."""
        users = sorted(self.after.users | {u for u in self.account.gone if u is not None}, key=str.encode)
        found = [(d, u) for d in self.program.order for u in (users if d.subject == "user" else [None])]
        return sorted(found, key=lambda pair: (pair[1] is None, pair[1] or "")) if None in self.account.gone else found

    def step(self, definition, user, state):
        if definition.items:
            self.note_score(definition, user, state)
        if state.status == "qualified":
            self.step_qualified(definition, user, state)
            return
        eligible = self.is_eligible(definition, user)
        cooling = state.left_at is not None and self.now < state.left_at + definition.cooldown
        disqualified = state.disqualified_until is not None and self.now < state.disqualified_until
        if eligible and not cooling and not state.converted and not disqualified and \
                self.holds(definition.stay, user, definition=definition) and \
                self.holds(definition.qualify, user, definition=definition):
            self.enter(definition, user, state)
        elif state.status == "not_yet" and definition.may_miss and self.is_missed(definition, user):
            state.status, state.changed_at = "missed", self.now
            self.misses[(definition.name, user)] = self.cause(definition, user)
            self.plan_after()
            if definition.publish.get("missed"):
                self.record(definition, user, state, "missed", "not_yet", None)

    def note_score(self, definition, user, state):
        score = self.score(definition, user)
        if score != state.score:
            self.scores[(definition.name, user)] = self.cause(definition, user)
        state.score = score

    def publish_score(self, definition, user, state):
        """A change worth a record of its own, once enough time has passed since the last one."""
        publish = definition.publish
        if not definition.items or "min_delta" not in publish or (definition.name, user) in self.written or \
                (state.status != "qualified" and publish.get("scores") != "all") or \
                abs(state.score - (state.sent or 0)) < micros_of(publish["min_delta"]):
            state.held = None
            return
        cause = self.cause(definition, user)
        if state.sent_at is not None and self.now < state.sent_at + publish.get("min_interval", 0):
            state.held = cause if state.held is None else state.held
            self.plan(state.sent_at + publish["min_interval"])
            return
        cause, state.held = max(cause, state.held or EXPIRED), None
        self.record(definition, user, state, "score_changed", state.status, REASONS[cause])

    def is_eligible(self, definition, user):
        return (user is None or user in self.after.members) and \
            self.holds(definition.eligible, user, definition=definition)

    def step_qualified(self, definition, user, state):
        if state.outcome:
            self.leave(definition, user, state, state.outcome, CONDITION)
            return
        if not definition.once:
            if not self.is_eligible(definition, user):
                self.leave(definition, user, state, "ineligible", max(self.cause(definition, user), self.membership_changed(user)))
                return
            if self.holds(definition.stay, user, definition=definition):
                state.pending = None
            else:
                state.pending = self.cause(definition, user) if state.pending is None else state.pending
                if self.now >= state.entered_at + definition.min_stay:
                    self.leave(definition, user, state, REASONS[state.pending], state.pending)
                    return
        self.change_tier(definition, user, state)

    def breach(self, definition, user, state):
        if state.sla_due is not None and self.now >= state.sla_due:
            self.record(definition, user, state, "sla_breached", "qualified", "expired")
            state.sla_due = None

    def membership_changed(self, user):
        return CONDITION if user is not None and (user in self.before.members) != (user in self.after.members) else EXPIRED

    def change_tier(self, definition, user, state):
        tier = tier_of(definition, state.score)
        if tier == state.tier:
            return
        previous, state.tier = state.tier, tier
        cause = self.cause(definition, user)
        self.scores[(definition.name, user)] = max(cause, self.scores.get((definition.name, user), EXPIRED))
        self.record(definition, user, state, "tier_changed", "qualified", REASONS[cause], previous)

    def enter(self, definition, user, state):
        previous = state.status
        self.flips[(definition.name, user)] = self.cause(definition, user)
        state.status, state.entered_at, state.changed_at, state.pending = "qualified", self.now, self.now, None
        self.plan_after()
        state.first_at = self.now if state.first_at is None else state.first_at
        state.count += 1
        state.tier = tier_of(definition, state.score)
        if definition.min_stay:
            self.plan(self.now + definition.min_stay)
        if definition.sla:
            state.sla_due = self.now + definition.sla
            self.plan(state.sla_due)
        self.record(definition, user, state, "entered", previous, "condition", None)

    def leave(self, definition, user, state, reason, cause):
        self.flips[(definition.name, user)] = cause
        state.status, state.left_at, state.changed_at, state.pending = "left", self.now, self.now, None
        previous, state.tier, state.sla_due = state.tier, None, None
        self.plan_after()
        if definition.cooldown:
            self.plan(self.now + definition.cooldown)
        self.record(definition, user, state, "left", "qualified", reason, previous)

    def plan(self, at):
        self.model.plan(self.account, self.now, at)

    def plan_after(self):
        for after in self.program.durations:
            self.plan(self.now + after)
            self.plan(self.now + after + 1)

    # ---- records ----

    def record(self, definition, user, state, transition, previous, reason, *previous_tier):
        state.version = max(state.version + 1, self.now)
        previous_score, state.sent, state.sent_at = state.sent, state.score, self.now
        found = {
            "definition": definition.name, "definition_version": definition.version, "subject": definition.subject,
            "account_id": self.account.name, "user_id": user, "transition": transition, "status": state.status,
            "previous_status": previous, "reason": reason, "occurred_at": self.now, "version": state.version,
            "qualification_count": state.count, "first_qualified_at": state.first_at, "qualified_at": state.entered_at,
            "left_at": state.left_at, "clock": self.model.seen, "tier": state.tier, "previous_tier": previous_tier[0] if previous_tier else state.tier,
            "score": Decimal(state.score) / SCALE if definition.items else None,
            "previous_score": None if previous_score is None or not definition.items else Decimal(previous_score) / SCALE, "sla_due_at": state.sla_due,
            "expires_at": self.expires_at(definition, user) if state.status == "qualified" else None,
            "source": self.source.id if self.source else None,
            "evidence": self.all_evidence(definition, user),
        }
        found.update({name.removesuffix("s"): self.choice(among, user) for name, among in definition.choices.items()})
        self.written.add((definition.name, user))
        self.model.records.append(found)

    def choice(self, choices, user):
        return next((to for when, to in choices if when is None or self.holds(when, user)), None)

    def all_evidence(self, definition, user):
        """Rows of qualify in the order of its text; the items stand where the score is first compared, or at the end."""
        found, items = [], [self.item_evidence(definition, user, item) for item in definition.items]
        for row in rows(definition.qualify):
            if row[0] in COMPARISONS and ("score",) in row:
                found, items = found + items, []
            else:
                found.append(self.evidence(definition, user, row))
        return found + items + [dict(self.evidence(definition, user, row), met=True) for row in definition.context]

    def item_evidence(self, definition, user, item):
        leaf = self.leaf(self.after, user, definition=definition)
        points = item_value(item, lambda tree: evaluate(tree, leaf), self.weighed(self.after, user, self.now), self.now)
        when = item.when[1] if item.when and item.when[0] == "bit" else item.when
        if item.per is None and when[0] in COMPARISONS:
            found = self.evidence(definition, user, when)
        elif item.per is None:
            found = {"value": self.holds(item.when, user), "times": None, "approximate": None, "threshold": None, "at_least": False,
                     "met": self.holds(item.when, user)}
        else:
            found = dict(self.evidence(definition, user, item.per), met=points != 0)
            if item.decays:
                found["value"] = decayed_units(item, self.weighed(self.after, user, self.now)(item.per), self.now)
        return dict(found, points=Decimal(points) / SCALE)

    def evidence(self, definition, user, row):
        """Of a comparison or bare boolean call; times are those of all occurrences counted, where that is plain."""
        leaf = self.leaf(self.after, user, definition=definition)
        left = row[COMPARISONS.get(row[0], 0)]
        left = row if isinstance(left, str) else left
        value = evaluate(left, leaf)
        at_least = left[0] == "fn" and left[2] in COUNTED and not self.program.is_exact_number(definition.subject, left) and \
            value >= self.program.keeps_of(definition.subject, left)
        times, approximate = None, False
        if left[0] == "fn" and left[2] in ("count", "sum", "avg") and left[4][0] in ("rolling", "prev"):
            events = inside(self.after, None if left[1] else user, left, self.now, self.program)
            found = self.after.occurrences(None if left[1] else user, left[3], None)
            approximate = any(e.order in folded(self.after, found, None if left[1] else user, left, self.program) for e in events)
            if left[2] == "count" and left[4][0] == "rolling" and not at_least and not approximate:
                times = [e.time for e in events]
        return {"value": value, "times": times, "approximate": approximate, "threshold": evaluate(row[3], leaf) if row[0] == "cmp" else None,
                "met": self.holds(row, user, definition=definition), "at_least": at_least}

    def expires_at(self, definition, user):
        """When the condition would lapse if nothing more happened; None if it never would, and for other conditions
        than and/or over comparisons of one signal, or the score, with constants."""
        if definition.once or not is_plain(definition.stay) or not self.holds(definition.stay, user, definition=definition):
            return None
        scored = any(t[0] == "score" for t in walk(definition.stay))
        if scored and any(leaf[0] not in ("fn", "attr", "age") for t in definition.score_trees for leaf in leaves(t)):
            return UNKNOWN
        times = {at for e in self.after.events for at in self.program.instants_after(e.time)}
        for start in (self.after.start(user), self.after.start(None)):
            times |= {start + d + extra for d in self.program.durations for extra in (0, 1)}
        for step in {item.step for item in definition.items if scored and item.decays}:
            times |= {(self.now // step + 1 + n) * step for n in range(CHANGES_MAX)}
        found = next((t for t in sorted(times) if t > self.now and not self.holds(definition.stay, user, now=t, definition=definition)), None)
        steps = [item.step for item in definition.items if scored and item.decays]
        too_far = steps and (found is None or sum(found // step - self.now // step for step in steps) > CHANGES_MAX - 14)
        return UNKNOWN if too_far else found
