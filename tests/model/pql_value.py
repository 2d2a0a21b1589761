"""Values of the definition language and what operators make of them. A number is a whole count of millionths; times and
durations are ms.
"""
import datetime
import re
from collections import namedtuple

import pql_zone
from pql_lang import SCALE, children, decimal_micros, round_half_even

Duration = namedtuple("Duration", "ms")
Time = namedtuple("Time", "ms")
Open = namedtuple("Open", "value")      # of a property or attribute: int millionths, str or bool
UNKNOWN = object()
OPERATORS = frozenset("num str bool null dur and or not neg bit usage arith cmp in between text isnull if param coalesce at_least".split())


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
    kind = tree[0]
    if kind not in OPERATORS:
        return leaf(tree)
    value = value or (lambda part: evaluate(part, leaf))
    if kind == "cmp":
        return compare(tree[1], value(tree[2]), value(tree[3]))
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
    if kind == "param":
        of = value(tree[1])
        return value(next((v for is_, v in tree[2] if compare("=", of, value(is_))), tree[3]))
    if kind == "coalesce":
        return next((v for v in (value(t) for t in tree[1]) if v is not None), None)
    assert kind == "at_least"
    return sum(truth(value(t)) for t in tree[2]) >= tree[1]


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
