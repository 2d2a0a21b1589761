"""Scores: items, families, multiply, decay. Weights by decimals of 50 digits, rounded to 6 places at the end."""
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

import pql_zone
from pql_functions import inside, property_of
from pql_lang import SCALE, round_half_even
from pql_value import UNKNOWN, Open, arithmetic, canonical, number, truth

WIDE = Context(prec=50, rounding=ROUND_HALF_EVEN)


@lru_cache(maxsize=None)
def half_life_weight(steps, step, half_life):
    """2^(-steps * step / half_life) in millionths."""
    power = WIDE.divide(Decimal(-steps * step), Decimal(half_life))
    return int(WIDE.multiply(WIDE.power(Decimal(2), power), SCALE).quantize(Decimal(1), ROUND_HALF_EVEN, WIDE)) \
        if steps * step < 40 * half_life else 0


def weight(item, steps):
    if item.half_life:
        return half_life_weight(steps, item.step, item.half_life)
    return max(0, SCALE - round_half_even(steps * item.step * SCALE, item.fades_over))


def weighed(view, user, call, now, program):
    """(time, value) of what a decaying item adds up; a day or value ages from its last occurrence."""
    name, (_, path, _), _, zone = call[2:]
    events = inside(view, user, call, now, program)
    if name == "count":
        return [(e.time, SCALE) for e in events]
    if name == "sum":
        found = [(e.time, property_of(view, e, path)) for e in events]
        found = [(time, number(Open(v))) for time, v in found if v is not None]
        return [(time, n) for time, n in found if n is not None]
    last = {}
    for e in events:
        key = pql_zone.day(zone, e.time) if name == "days" else property_of(view, e, path)
        if key is not None:
            key = key if name == "days" else canonical(key)
            last[key] = max(last.get(key, e.time), e.time)
    return [(time, SCALE) for time in last.values()]


def decayed_units(item, occurrences, now):
    return round_half_even(sum(value * weight(item, now // item.step - time // item.step) for time, value in occurrences), SCALE)


def item_value(item, value, occurrences, now):
    """In millionths, or UNKNOWN; value(tree) gives that of a condition or number, occurrences(call) what decays."""
    if item.per is None:
        held = value(item.when)
        return UNKNOWN if held is UNKNOWN else item.points if truth(held) else 0
    if item.when is not None and not truth(value(item.when)):
        return 0
    units = occurrences(item.per) if item.decays else value(item.per)
    if units is UNKNOWN:
        return UNKNOWN
    units = decayed_units(item, units, now) if item.decays else number(units) or 0
    if item.max is not None:
        units = min(units, item.max)
    return arithmetic("*", units, item.points)


def score_value(definition, value, occurrences, now):
    """The whole score in millionths, or UNKNOWN."""
    families, total = {}, 0
    for item in definition.items:
        given = item_value(item, value, occurrences, now)
        if given is UNKNOWN:
            return UNKNOWN
        if item.family and item.points > 0:
            families[item.family] = families.get(item.family, 0) + given
        else:
            total += given
    for family, given in families.items():
        cap = definition.caps[family]
        total += given if cap is None else min(cap, given)
    for when, by in definition.multiply:
        held = True if when is None else value(when)
        factor = value(by)
        if held is UNKNOWN or (truth(held) and factor is UNKNOWN):
            return UNKNOWN
        if truth(held):
            factor = number(factor)
            total = arithmetic("*", total, SCALE if factor is None else factor)
    return total


def tier_of(definition, score):
    if not definition.tiers:
        return None
    return next((name for at, name in definition.tiers if score >= at), definition.tiers[-1][1])
