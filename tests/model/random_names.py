"""What random definitions and random events speak of."""
HOUR, DAY = 3600000, 86400000
START = 1767225600000           # 2026-01-01, a Thursday
NAMES = ("x", "y", "z")
OUTCOMES = ("won", "lost", "again", "seen")
WORDS = ("a", "b", "ab", "7", "")
ZONES = (None, None, None, None, "America/New_York", "Europe/Berlin", "Africa/Cairo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham")
# With zones: nights in which clocks are set, and the end of a year.
STARTS = (START, START + 65 * DAY, START + 86 * DAY, START + 111 * DAY, START + 296 * DAY, START + 303 * DAY, START + 363 * DAY)
LONG_GRACE = 365 * DAY
SPANS = (1000, HOUR, 6 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY)
RARE_SPANS = (1, 250, 90 * DAY)
FEATURES = {"routes": 0.15, "panes": 0.1, "parameters": 0.12, "scores": 0.35, "decay": 0.5, "publish": 0.22, "outcomes": 0.2, "sla": 0.15, "leave": 0.15,
            "forget": 0.12, "alias": 0.15, "context": 0.12}    # and how many cases have each


def span_text(ms):
    for unit, size in (("d", DAY), ("h", HOUR), ("m", 60000), ("s", 1000)):
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
