"""A naive second implementation of what definitions mean. It keeps every event, and at each instant at which anything
can change it computes every condition anew from the whole list. Slow and simple on purpose; it shares no code with the
product, so that a mistake would have to be made twice.

    model = Model(program)            # program: settings and definitions as plain data, see pql_program
    model.feed(event)                 # events in the order read, each a dict as in the event stream
    model.finish(advance)             # end of file: None, a number of ms, or "end"
    model.records                     # transitions in order, dicts

    pql_lang       texts to trees                 pql_functions   what counts of a list of events
    pql_program    settings and definitions       pql_score       items, families, decay
    pql_value      values and operators           pql_evaluate    conditions, and why they changed
    pql_account    what happened in an account    pql_states      transitions and their records

A time is ms since 1970. A number is a whole count of millionths. Subjects are (account, user) with user None for the
account itself.
"""
import bisect

from pql_account import Account, Event
from pql_program import DAY
from pql_states import Step
from pql_value import where_holds


class OwnAffair(Exception):
    """What the product may do as it likes: a window moved onto ground of which not everything is kept."""


class TooLong(Exception):
    pass


class Model:
    def __init__(self, program, instants_max=None):
        self.instants, self.instants_max = 0, instants_max
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

    def refresh(self):
        """A record of every member."""
        for name in sorted(self.accounts, key=str.encode):
            account = self.accounts[name]
            view = account.view(self.program)
            Step(self, account, self.done, view, view, None).refresh()

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
        self.instants += 1
        if self.instants_max is not None and self.instants > self.instants_max:
            raise TooLong
        account = self.accounts.setdefault(name, Account(name))
        for event in events:
            event.user = account.resolve(event.user)
        if events and self.program.lateness == 0 and all(self.is_ignored(account, e) for e in events):
            if not account.events:
                del self.accounts[name]
            return
        before = account.view(self.program)
        source = None
        for event in events:
            event.user = account.resolve(event.user)
            if self.is_ignored(account, event):
                continue
            self.apply(account, event, now)
            source = event
        if not account.events and None not in account.gone:     # nothing is known of it, or not any more
            account.gone = {}
            if not account.states:
                del self.accounts[name]
            return
        after = account.view(self.program)
        if self.program.has_panes:
            self.check_moves(before, after)
        self.plan_windows(account, after, now)
        account.due = [t for t in account.due if t > now]
        Step(self, account, now, before, after, source).run()
        if not account.events:      # all of it was forgotten
            account.due = []
        self.plan_decay(account, after, now)

    def check_moves(self, before, after):
        for user in list(after.users) + [None]:
            for window in self.program.firsts if len(after.of(user)) > 1 else ():
                was = before.window(user, window)
                if was != after.window(user, window) and (was is not None or window[0] == "period"):
                    raise OwnAffair

    def plan_windows(self, account, view, now):
        for user in list(view.users) + [None]:
            for window in self.program.firsts:
                place = view.window(user, window)
                if place and place[1] < float("inf"):
                    self.plan(account, now, place[1])
            for after_start in self.program.durations if self.program.has_ages and view.start(user) is not None else ():
                self.plan(account, now, view.start(user) + after_start)
                self.plan(account, now, view.start(user) + after_start + 1)

    def plan_decay(self, account, view, now):
        """The next step boundary, as long as something decays."""
        for definition in self.program.definitions:
            for item in definition.items if definition.decays else ():
                if item.decays and self.program.still_decays(view, item, definition, now):
                    self.plan(account, now, (now // item.step + 1) * item.step)

    def is_ignored(self, account, event):
        if self.program.ignore is None:
            return False
        self.look(account, event)
        return where_holds(event, self.program.ignore)

    def look(self, account, event):
        """What `where` sees: the attributes as they are, an identify's or group's own included."""
        account.events.append(event)
        view = account.view(self.program)
        account.events.pop()
        event.seen_user = view.attributes(event.user) if event.user else {}
        event.seen_account = view.attributes(None)

    def apply(self, account, event, now):
        self.look(account, event)
        event.applied = now
        account.events.append(event)
        special = {"alias": account.merge, "forget": account.forget, "outcome": account.outcome}.get(event.kind)
        if special:
            for at in special(event, self.program, now):
                self.plan(account, now, at)
        if event.kind == "forget":
            account.events = [e for e in account.events if e is not event]
            return
        view = account.view(self.program)
        for user in {event.user, None} if self.program.firsts else ():
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
