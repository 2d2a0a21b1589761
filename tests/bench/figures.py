"""Figures of runs, and the one table that they make: on the terminal, as Markdown and as JSON."""
import dataclasses
import json
import os
import statistics
import typing

UNITS = {  # of a figure: how it is told, and the unit
    "cpu_ns": ("{:,.0f}", "ns CPU/event"),
    "ns": ("{:,.1f}", "ns"),
    "over_ns": ("{:,.0f}", "ns more than none"),
    "cold_cpu_ns": ("{:,.0f}", "ns CPU/event with the start"),
    "events_s": ("{:,.0f}", "events/s"),
    "account_bytes": ("{:,.0f}", "B/account"),
    "user_bytes": ("{:,.0f}", "B/user"),
    "resident_account_bytes": ("{:,.0f}", "B resident/account"),
    "page_bytes": ("{:,.0f}", "B/account in a snapshot"),
    "id_bytes": ("{:,.1f}", "B/remembered id"),
    "bytes_each": ("{:,.1f}", "B each"),
    "resident_mb": ("{:,.0f}", "MB resident"),
    "own_mb": ("{:,.0f}", "MB by own account"),
    "seconds": ("{:,.2f}", "s"),
    "all_seconds": ("{:,.2f}", "s until all"),
    "longest_ms": ("{:,.0f}", "ms longest"),
    "p50_ms": ("{:,.1f}", "ms p50"),
    "p99_ms": ("{:,.1f}", "ms p99"),
    "p999_ms": ("{:,.1f}", "ms p99.9"),
    "max_ms": ("{:,.1f}", "ms longest"),
    "mb_minute": ("{:,.1f}", "MB/minute"),
    "mb": ("{:,.1f}", "MB"),
    "mb_s": ("{:,.0f}", "MB/s"),
    "slip_ms": ("{:,.1f}", "ms late to send"),
    "records": ("{:,.0f}", "records"),
    "core_percent": ("{:,.2f}", "% of a core"),
    "longest_us": ("{:,.1f}", "us longest"),
}
PARTS = {
    "a": "micro", "b": "engine in memory", "c": "topic to topic", "d": "latency", "e": "restore and checkpoint",
    "f": "memory", "g": "scaling",
}


@dataclasses.dataclass
class Bar:
    """What is aimed at: a figure of the row, by itself or as a ratio of that of another row of the same part."""
    limit: float
    figure: str = "cpu_ns"
    against: str = ""
    at_least: bool = False

    def text(self):
        sign, limit = ("≥" if self.at_least else "≤"), f"{self.limit:g}"
        return f"{sign} {limit} x {self.against}" if self.against else f"{sign} {limit} {UNITS[self.figure][1]}"


@dataclasses.dataclass
class Case:
    """One row: run() gives the figures of one run; of those in `shows` the median and spread are told. The name of the
    part and of the row say all that differs from the settings in the conditions."""
    name: str
    run: typing.Callable[[], dict]
    shows: tuple = ("cpu_ns",)
    against: str = ""
    bars: tuple = ()
    once: bool = False
    samples: list = dataclasses.field(default_factory=list)
    problem: str = ""
    took: float = 0


def spread(values):
    """{median, min, max, runs} of the runs of one figure."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": list(values)}


def middle(case, figure):
    values = [s[figure] for s in case.samples if s.get(figure) is not None]
    return statistics.median(values) if values else None


def is_wrong(case):
    return any(s.get("digest") != s["expected"] for s in case.samples if s.get("expected"))


def judged(bar, own, other):
    """(the value that the bar is about, whether it is met), or None where there is nothing to judge."""
    if own is None or (bar.against and not other):
        return None
    value = own / other if bar.against else own
    return value, (value >= bar.limit if bar.at_least else value <= bar.limit)


def row_of(part, case, cases):
    """The row as it is written as JSON."""
    row = {"part": part, "name": case.name, "runs": len(case.samples), "problem": case.problem,
           "figures": {f: spread([s[f] for s in case.samples if s.get(f) is not None])
                       for f in case.shows if any(s.get(f) is not None for s in case.samples)}}
    for key in ("cpu_s", "wall_s", "events", "accounts", "bytes"):
        row[key] = middle(case, key)
    by_name = {c.name: c for c in cases}
    if case.against in by_name and middle(by_name[case.against], case.shows[0]) and row["figures"]:
        row["ratio"] = middle(case, case.shows[0]) / middle(by_name[case.against], case.shows[0])
        row["against"] = case.against
    checked = [s for s in case.samples if s.get("expected")]
    if checked:
        row["digest"], row["is_right"] = checked[0]["digest"], not is_wrong(case)
    row["bars"] = []
    for bar in case.bars:
        other = by_name.get(bar.against)
        found = judged(bar, middle(case, bar.figure), other and middle(other, bar.figure))
        row["bars"].append({"text": bar.text(), "value": found and found[0], "is_met": found and found[1]})
    row["histogram"] = [s["histogram"] for s in case.samples if "histogram" in s]
    return row


def told_figure(name, found):
    form, unit = UNITS[name]
    text = form.format(found["median"])
    if found["max"] != found["min"]:
        text += f" [{form.format(found['min'])}–{form.format(found['max'])}]"
    return f"{text} {unit}"


def told_count(value):
    return "" if value is None else f"{value:,.0f}"


def told_bar(bar):
    if bar["value"] is None:
        return f"{bar['text']}: not measured"
    return f"{bar['text']}: {bar['value']:.3g}, {'met' if bar['is_met'] else 'MISSED'}"


HEAD = ["what", "median [spread]", "against", "CPU s", "wall s", "runs", "events", "accounts", "bytes", "output", "bar"]


def cells(row):
    output = ""
    if "digest" in row:
        output = f"{row['digest']} {'right' if row['is_right'] else 'WRONG'}"
    ratio = f"{row['ratio']:.2f} x {row['against']}" if "ratio" in row else ""
    figures = "; ".join(told_figure(name, found) for name, found in row["figures"].items())
    return [row["name"], row["problem"] or figures, ratio,
            "" if row["cpu_s"] is None else f"{row['cpu_s']:.2f}", "" if row["wall_s"] is None else f"{row['wall_s']:.2f}",
            str(row["runs"]), told_count(row["events"]), told_count(row["accounts"]), told_count(row["bytes"]), output,
            "; ".join(map(told_bar, row["bars"]))]


def table_text(rows):
    """For a terminal: columns as wide as they must be, without those that are empty in all rows."""
    lines = [HEAD, *(cells(row) for row in rows)]
    used = [c for c in range(len(HEAD)) if any(line[c] for line in lines[1:])]
    widths = {c: max(len(line[c]) for line in lines) for c in used}
    out, part = [], None
    for line, row in zip(lines, [None, *rows]):
        if row and row["part"] != part:
            part = row["part"]
            out.append(f"{part}: {PARTS[part]}")
        out.append("  ".join(line[c].ljust(widths[c]) for c in used).rstrip())
    return "\n".join(out) + "\n"


def table_markdown(rows):
    used = [c for c in range(len(HEAD)) if any(cells(row)[c] for row in rows)]
    out = ["| part | " + " | ".join(HEAD[c] for c in used) + " |", "|---" * (len(used) + 1) + "|"]
    for row in rows:
        out.append(f"| {row['part']} | " + " | ".join(cells(row)[c].replace("|", "\\|") for c in used) + " |")
    return "\n".join(out) + "\n"


PAGE = """Printed by the command below; [README.md](README.md) says how. A figure is the median and [least–most] of its runs; CPU and wall
time are those of the process that is measured. `right`: the output has the digest that the second implementation gives. A
ratio of less than 1.2 is noise.
"""


def write(folder, conditions, rows):
    """bench.json and bench.md in folder; their paths."""
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, name) for name in ("bench.json", "bench.md")]
    with open(paths[0], "w", encoding="utf-8") as out:
        json.dump({"conditions": conditions, "rows": rows}, out, indent=1)
        out.write("\n")
    with open(paths[1], "w", encoding="utf-8") as out:
        out.write("# What was measured\n\n" + PAGE + "\n| condition | |\n|---|---|\n")
        out.writelines(f"| {name} | {value} |\n" for name, value in conditions.items())
        out.write("\n" + table_markdown(rows))
    return paths
