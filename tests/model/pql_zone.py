"""Local days for the model, by Python's own reader of the time zone database. Good for years in which clocks are set at
whole quarters of an hour and never back over a midnight that has passed.
"""
import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = 86400000
QUARTER_HOUR = 900000
EPOCH = datetime.date(1970, 1, 1)


@lru_cache(maxsize=None)
def offset_of_quarter(zone, quarter):
    moment = datetime.datetime.fromtimestamp(quarter * 900, ZoneInfo(zone))
    return round(moment.utcoffset().total_seconds() * 1000)


def local(zone, ms):
    """What clocks show, in ms as if it were UTC. zone None: UTC."""
    return ms if zone is None else ms + offset_of_quarter(zone, ms // QUARTER_HOUR)


def day(zone, ms):
    return local(zone, ms) // DAY


@lru_cache(maxsize=None)
def day_start(zone, number):
    """The first instant of that local date, or of a later one if there is none."""
    if zone is None:
        return number * DAY
    return next(at for at in range(number * DAY - 64 * QUARTER_HOUR, number * DAY + 64 * QUARTER_HOUR, QUARTER_HOUR)
                if day(zone, at) >= number)


def first_day(unit, number):
    """The first day (since 1970) of the calendar period that the day lies in; with the one after it."""
    date = EPOCH + datetime.timedelta(days=number)
    if unit == "week":
        monday = number - date.weekday()
        return monday, monday + 7
    if unit == "day":
        return number, number + 1
    months = 1 if unit == "month" else 3
    index = (date.year * 12 + date.month - 1) // months * months
    return tuple((datetime.date(i // 12, i % 12 + 1, 1) - EPOCH).days for i in (index, index + months))


def period(zone, unit, ms):
    """The calendar period (day, week, month, quarter) around an instant, as [start, end) in ms."""
    return tuple(day_start(zone, d) for d in first_day(unit, day(zone, ms)))
