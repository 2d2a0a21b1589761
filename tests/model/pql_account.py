"""What happened in an account, and views of it: now, or before the events of an instant."""
from pql_value import Open, flatten, time_of


class Event:
    """An accepted event, with what `where` saw when it was applied."""

    def __init__(self, raw, order):
        self.kind = raw["type"]
        self.name = raw.get("event")
        self.user = raw.get("user_id") or None          # once applied: whom an alias had made of it by then
        self.previous = raw.get("previous_id") or None
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

    def __init__(self, version=0):
        self.status = "not_yet"
        self.entered_at = self.first_at = self.left_at = self.pending = self.changed_at = None
        self.count = 0
        self.version = version
        self.score, self.tier = 0, None
        self.sent = self.sent_at = None         # the score last published, and when
        self.held = None                        # the cause of a change that waits to be published
        self.converted, self.disqualified_until = False, None
        self.outcome = None                     # why this instant's outcomes make it leave
        self.sla_due = None

    def take(self, definition, event, now):
        """An outcome."""
        if event.name in definition.convert_on:
            self.converted, self.outcome = True, "converted"
        if event.name in definition.disqualify_on:
            self.disqualify(event.time + definition.disqualify_for, now)
        if event.name in definition.reopen_on:
            self.converted, self.outcome = False, None
        if event.name in definition.acknowledge_on:
            self.sla_due = None

    def disqualify(self, until, now):
        self.disqualified_until = max(until, self.disqualified_until or until)
        if until > now and self.outcome is None:
            self.outcome = "disqualified"

    def pass_on(self, to, now):
        """In an alias."""
        if self.converted:
            to.converted, to.outcome = True, "converted"
        if self.disqualified_until is not None:
            to.disqualify(self.disqualified_until, now)


class Account:
    def __init__(self, name):
        self.name = name
        self.last_view = None
        self.events = []            # applied, in the order applied
        self.aliases = {}           # previous user -> user
        self.erased = set()         # orders of the events of which the person was forgotten
        self.forgets = ()           # (order, user) of those who were
        self.due = []               # sorted instants at which something may change
        self.states = {}            # (definition, user) -> State
        self.gone = {}              # users who leave at this instant, None the account itself: why
        self.was = {}               # value of each quantifier and of each condition per user, at the last evaluation

    def state(self, definition, user):
        key = (definition.name, user)
        if key not in self.states:
            self.states[key] = State()
        return self.states[key]

    def resolve(self, user):
        while user in self.aliases:
            user = self.aliases[user]
        return user

    # What an event of its kind does at once; the times at which something more may change.

    def merge(self, event, program, now):
        event.previous = self.resolve(event.previous)
        if event.previous is None or event.user is None or event.previous == event.user:
            return
        for definition in program.definitions:
            if definition.subject == "user" and (definition.name, event.previous) in self.states:
                self.states[definition.name, event.previous].pass_on(self.state(definition, event.user), now)
        self.aliases[event.previous] = event.user
        self.gone[event.previous] = "merged"
        yield from ()

    def forget(self, event, program, now):
        if event.user is None:
            self.gone = dict.fromkeys(self.view(program).users | {None}, "forgotten")
            self.events, self.aliases, self.erased, self.forgets, self.due, self.was = [], {}, set(), (), [], {}
            return
        view = self.view(program)
        self.erased |= {e.order for e in view.of(event.user)}
        self.forgets += ((event.order, event.user),)
        self.aliases = {a: b for a, b in self.aliases.items() if view.resolve(a) != event.user}
        self.gone[event.user] = "forgotten"
        yield from ()

    def outcome(self, event, program, now):
        users = self.view(program).users if event.user is None else {event.user}
        for definition in program.definitions:
            subjects = users if definition.subject == "user" else {None} if event.user is None else ()
            for user in subjects:
                self.state(definition, user).take(definition, event, now)
                if event.name in definition.disqualify_on:
                    yield event.time + definition.disqualify_for

    def view(self, program):
        """Of what is there now. The last one is gone on with where only events were added since."""
        known = self.last_view
        if known is None or (known.aliases, known.erased, known.forgets) != (self.aliases, self.erased, self.forgets) or \
                known.events != self.events[:len(known.events)]:
            known = View(program, dict(self.aliases), set(self.erased), self.forgets)
        for event in self.events[len(known.events):]:
            known = known.plus(event)
        self.last_view = known
        return known


class View:
    """An account's events up to some number of them."""

    def __init__(self, program, aliases, erased, forgets):
        self.program, self.aliases, self.erased, self.forgets = program, aliases, erased, forgets
        self.events, self.by_user, self.members = [], {}, set()
        self.cache, self.taken = {}, {}

    def plus(self, event):
        """The view with one more event."""
        view = View(self.program, self.aliases, self.erased, self.forgets)
        view.events, view.by_user, view.members = self.events + [event], self.by_user, self.members
        view.taken = dict(self.taken)
        user = view.owner(event)
        if user is not None:
            view.by_user = dict(self.by_user)
            view.by_user[user] = view.by_user.get(user, []) + [event]
            view.members = self.members - {user} | ({user} if view.is_member(user) else set())
        return view

    @property
    def users(self):
        return set(self.by_user)

    def occurrences(self, user, selector, takes):
        """The events of a subject that a selector takes, in the order applied."""
        events, key = self.of(user), (user, id(selector))
        size, found = self.taken.get(key, (0, []))
        if size < len(events):
            found = found + [e for e in events[size:] if takes(e)]
            self.taken[key] = (len(events), found)
        return found

    def resolve(self, user):
        while user in self.aliases:
            user = self.aliases[user]
        return user

    def hops(self, event):
        """How many aliases lie between the user of an event and whose it is now."""
        count, user = 0, event.user
        while user in self.aliases:
            count, user = count + 1, self.aliases[user]
        return count

    def in_time(self, events):
        """By time; of equal times a user's own after those that an alias brought, else in the order applied."""
        return sorted(events, key=lambda e: (e.time, -self.hops(e))) if self.aliases else sorted(events, key=lambda e: e.time)

    def owner(self, event):
        return None if event.user is None or event.order in self.erased else self.resolve(event.user)

    def is_member(self, user):
        """By what came last, in time, of what makes a member and what ends it."""
        deciding = [e for e in self.by_user[user] if e.kind in ("track", "identify", "group", "leave_group")]
        return bool(deciding) and self.in_time(deciding)[-1].kind != "leave_group"

    def of(self, user):
        """The events of a subject, in the order applied."""
        return self.events if user is None else self.by_user.get(user, [])

    def explicit_start(self, user):
        names = self.program.start_events
        times = []
        for e in self.of(user) if names else ():
            of_account = e.user is None or e.kind == "group"      # a group with a user is the account's
            if of_account == (user is None):
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
        return self.attributes(user).get(path)

    def attributes(self, user):
        """The last values by time; of equal times the one that came later."""
        key = ("attributes", user)
        if key not in self.cache:
            kind, best = "group" if user is None else "identify", {}
            for e in self.in_time([e for e in self.of(user) if e.kind == kind]):
                best.update({path: e for path, value in e.traits.items() if value is not None})
            self.cache[key] = {path: Open(e.traits[path]) for path, e in best.items()}
        return self.cache[key]
