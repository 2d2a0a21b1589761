"""The value of a function over the events that its window holds."""
import bisect

import pql_zone
from pql_lang import SCALE, round_half_even
from pql_value import Duration, Open, Time, canonical, number


def occurrences(view, user, selector, program):
    """The subject's events that a selector takes, in the order applied."""
    return view.of(user) if selector is None else view.occurrences(user, selector, lambda e: matches(e, selector, program))


def matches(event, selector, program):
    if event.kind != "track":
        return False
    if id(selector) not in event.matches:
        (kind, *names), _, where = selector
        named = event.name in names[0] if kind == "names" else program.activity is None or event.name in program.activity
        event.matches[id(selector)] = named and (where is None or program.where_holds(event, where))
    return event.matches[id(selector)]


def inside(view, user, call, now, program):
    selector, window, zone = call[3:]
    found = occurrences(view, user, selector, program)
    if window is None or window[0] in ("ever", "nth"):
        return found
    if window[0] in ("rolling", "prev"):
        counts_from = folded(view, found, user, call, program)
        if window[0] == "rolling":
            return [e for e in found if e.time <= now and counts_from.get(e.order, e.time) > now - window[1]]
        return [e for e in found if now - 2 * window[1] < counts_from.get(e.order, e.time) <= now - window[1]]
    if window[0] == "calendar":
        start, end = pql_zone.period(zone, window[1], now)
        return [e for e in found if start <= e.time < end]
    place = view.window(user, window)
    return [e for e in found if place and place[0] <= e.time < place[1] and (user, window) not in e.too_late_for]


def folded(view, found, user, call, program):
    """Of those beyond the newest that are kept one by one: the end of their pane, from which they count."""
    limit, span = program.kept_one_by_one("user" if user is not None else "account", call)
    if limit is None or len(found) <= limit:
        return {}
    if call[2] != "count":
        found = [e for e in found if number(Open(property_of(view, e, call[3][1]))) is not None]
    width = -(-call[4][1] // 1024)
    kept, left = [], {}
    for e in found:                 # one by one as long as it is among the newest; what has left meanwhile is no more folded
        if e.time > e.applied - span:
            kept = [k for k in kept if k[0] > e.applied - span]
            bisect.insort(kept, (e.time, e.order))
        if len(kept) > limit:
            time, order = kept.pop(0)
            left[order] = (time // width + 1) * width
    return left


def function_value(view, user, call, now, program):
    name, selector, window, zone = call[2:]
    if name == "sequence":
        return sequence(view, user, selector, window, now, program)
    return reduce_events(view, name, inside(view, user, call, now, program), selector[1], now, window, zone)


def reduce_events(view, name, events, path, now, window, zone):
    if name == "count":
        return len(events) * SCALE
    if name in ("days", "weeks", "months"):
        return len({pql_zone.period(zone, name[:-1], e.time) for e in events}) * SCALE
    if name == "streak":
        return streak([pql_zone.day(zone, e.time) for e in events], pql_zone.day(zone, now)) * SCALE
    in_order = view.in_time(events)
    if name == "earliest":
        in_order = sorted(in_order, key=lambda e: (e.time, view.hops(e)))
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
    values = [v for v in (property_of(view, e, path) for e in in_order) if v is not None]
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


def property_of(view, event, path):
    if path == "user":
        return view.owner(event)
    if path == "event":
        return event.name
    return event.properties.get(path)


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


# ---- sequences ----

class Partial:
    """What is kept of a sequence by one user: per value and step the match with the latest start."""

    def __init__(self):
        self.steps = {}         # value -> {step: (start, last)}
        self.starts = {}        # value -> {step: every start}, to check that nothing is lost
        self.whole = None
        self.in_order, self.newest = True, None

    def merge_value(self, into, steps):
        """The later start per step, of equal ones that with the earlier last event."""
        mine = self.steps.setdefault(into, {})
        for step, found in steps.items():
            if step not in mine or (found[0], -found[1]) > (mine[step][0], -mine[step][1]):
                mine[step] = found
        self.in_order = False

    def forget(self, value):
        self.steps.pop(value, None)
        self.in_order = False

    def merge(self, other):
        for value, steps in other.steps.items():
            self.merge_value(value, steps)
        if other.whole is not None:
            self.whole = other.whole if self.whole is None else max(self.whole, other.whole)
        self.in_order = False


def sequence(view, user, selector, window, now, program):
    """In the order applied; for each step the partial match with the latest start is kept. What is older than the
    last event of its partial match does not extend it. An alias puts two users' matches together as they are then."""
    by = selector[2]
    if window[0] in ("first", "period"):
        mine = sequence_kept(view, user, selector, window, program)
    else:
        found, forgets = {}, list(view.forgets) if by == "user" else []
        for e in view.of(user):
            while forgets and forgets[0][0] < e.order:      # who is forgotten goes, what the account matched stays
                found.setdefault(None, Partial()).forget(forgets.pop(0)[1])
            of = found.setdefault(e.user if user is not None else None, Partial())
            if e.kind == "alias" and e.previous != e.user and e.previous in (found if user is not None else of.steps):
                if user is not None:
                    of.merge(found.pop(e.previous))
                elif by == "user":
                    of.merge_value(e.user, of.steps.pop(e.previous))
            step_in(view, of, e, selector, program, e.user if by == "user" else None)
        mine = found.get(user, Partial())
    if mine.in_order:           # then nothing is lost by keeping the latest alone
        last = len(selector[1]) - 1
        assert mine.whole == max((s for m in mine.starts.values() for s in m.get(last, ())), default=None)
    return mine.whole is not None and (window[0] != "rolling" or mine.whole > now - window[1])


def sequence_kept(view, user, selector, window, program):
    """Where every occurrence is kept, all are matched anew: each user's in the order applied, between two users by time."""
    place, found = view.window(user, window), {}
    for e in view.of(user) if place else ():
        of = found.setdefault(e.user if user is not None else None, [])
        if e.kind == "alias" and user is not None and e.previous != e.user and e.previous in found:
            of[:] = merged_by_time(of, found.pop(e.previous))
        if place[0] <= e.time < place[1] and (user, window) not in e.too_late_for:
            of.append(e)
    partial, newest = Partial(), 0
    for e in found.get(user, ()):
        newest = max(newest, e.time)
        step_in(view, partial, e, selector, program, at=newest)
    return partial


def merged_by_time(mine, other):
    found = []
    while mine and other:
        found.append((mine if mine[0].time <= other[0].time else other).pop(0))
    return found + mine + other


def step_in(view, partial, e, selector, program, value=None, at=None):
    """at: the instant to which what is open of a value is looked at; else that at which the event was applied."""
    _, steps, by, within = selector
    served = [i for i, step in enumerate(steps) if matches(e, step, program)]
    value = value or (property_of(view, e, by) if by else None)
    if not served or (by and value is None):
        return
    partial.in_order = partial.in_order and (partial.newest is None or e.time >= partial.newest) and e.applied == e.time
    partial.newest = e.time if partial.newest is None else max(partial.newest, e.time)
    mine = partial.steps.setdefault(canonical(value) if by else None, {})
    starts = partial.starts.setdefault(canonical(value) if by else None, {})
    if by and within is not None and 0 in mine and mine[0][0] < (e.applied if at is None else at) - within:
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
            partial.whole = start if partial.whole is None else max(partial.whole, start)
        elif i not in mine or start > mine[i][0]:
            mine[i] = (start, e.time)
