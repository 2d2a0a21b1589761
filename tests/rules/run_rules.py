#!/usr/bin/env python3
"""Runs the rules: *.test files of definitions, events and the transitions that must come of them.

    run_rules.py --binary build/asan/pqlstream [--only TEXT] [FILE ...]      through `replay` and `check`
    run_rules.py --model [FILE ...]                                          against tests/model alone

A file is a list of tests. # begins a comment line.

    %% 23 Late with lateness                 a test and its name
    lateness = 1h                            settings: of the configuration's top level or mapping; advance (100d),
    signal active = count(any, 7d) >= 3      partitions; period trial = trial_started_at 14d
    definition d user                        name, subject; below it its fields
        qualify = count(x, 1h) >= 2
        and ever(y)                          a line that begins with and/or goes on with the condition
    events                                   in the order read: time, name or kind, values
        10:00 x
        03T12:00 signed_up user=v account=B p=7 text='7' flag=true none=null id=m1
        04 x times=3 every=1h p=@            three events, one hour apart; @ is 1, 2, 3
        04 identify role=admin               kinds: identify, group, leave_group, forget, clock; outcome NAME; alias previous=v
    expect                                   all transitions in order: time, definition, transition, reason, fields
        10:59:59.999 d entered source=#3
        11:30 d left expired source=null

Times are of January 2026: 01, 01T06:00, 02-03T06:00 (2026), 10:00 (on the 1st). An event has user u and account A unless it
says otherwise; user=- is none. source=#n names the n-th event. Fields of an expected transition: user account source
count previous expires sla_due value (comma separated, of the evidence) at_least (true, false). `expect none` for no transition.

    %%FAIL unknown function                  a configuration that `check` refuses with exactly these messages
    definition d user
        qualify = cuont(x, 7d) >= 1
    errors
        qualify:1: unknown function 'cuont'; did you mean 'count'?        column within the text of the condition

    %%WARN never                             one that `check` takes, with exactly these warnings
    definition d user
        qualify = count(x, 7d) < 0
    warnings
        qualify:1: this can never hold: count is a whole number and never below 0
"""
import argparse
import datetime
import glob
import os
import re
import subprocess
import sys
import tempfile
from decimal import Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "model"))
import pql_conf  # noqa: E402
import pql_replay  # noqa: E402
from pql_lang import duration_ms  # noqa: E402

EPOCH = datetime.datetime(1970, 1, 1)
KINDS = ("identify", "group", "clock", "outcome", "leave_group", "alias", "forget")
SETTING_DURATIONS = ("lateness", "dedup_horizon", "start_grace")
SETTING_NUMBERS = ("evidence_max", "exact_max")
SETTING_LISTS = ("activity", "start_events")
DEFINITION_TEXTS = ("eligible", "qualify", "stay", "timezone", "mode", "reason")
DEFINITION_LISTS = ("convert_on", "disqualify_on", "reopen_on", "acknowledge_on")
DEFINITION_GROUPS = ("score", "multiply", "caps", "tiers", "publish", "routes", "segment", "motion", "priority")


def time_ms(text):
    match = re.fullmatch(r"(?:(?:(\d\d)-)?(\d\d)(?:T(?=.)|$))?(?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{3}))?)?)?", text)
    if not text or not match:
        raise ValueError(f"no time: {text!r}")
    month, day, hour, minute, second, ms = (int(v) if v else None for v in match.groups())
    moment = datetime.datetime(2026, month or 1, day or 1, hour or 0, minute or 0, second or 0)
    return round((moment - EPOCH).total_seconds()) * 1000 + (ms or 0)


def value_of(text):
    if text in ("true", "false"):
        return text == "true"
    if text == "null":
        return None
    if text.startswith("'"):
        return text[1:-1]
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return Decimal(text) if re.fullmatch(r"-?\d+\.\d+", text) else text


def pairs(words):
    return [tuple(word.split("=", 1)) for word in words]


def split_words(line):
    return re.findall(r"(?:[^\s']|'[^']*')+", line)


class Test:
    def __init__(self, name, must_fail, where, exit_code=0):
        self.name, self.must_fail, self.where, self.exit_code = name, must_fail, where, exit_code
        self.case = {"settings": {"signals": {}, "parameters": {}}, "definitions": [], "events": [],
                     "advance": duration_ms("100d"), "partitions": 1}
        self.expected, self.errors = [], []

    def file(self, name):
        """The very file that ships; definitions below it in the test are added to its own."""
        path = os.path.abspath(os.path.join(HERE, "..", "..", "conf", "rules", name))
        with open(path, encoding="utf-8") as source:
            found = pql_conf.read(source.read())
        settings = self.case["settings"]
        settings.setdefault("files", []).append(path)
        named = settings.setdefault("of_files", {"signals": {}, "parameters": {}})
        named["signals"].update(found.get("signals", {}))
        named["parameters"].update({p["name"]: p if "by" in p else p["default"] for p in found.get("parameters", [])})
        self.case["definitions"] += [dict(d, of_file=True) for d in found["definitions"] if d.get("mode") != "off"]

    def setting(self, name, value):
        settings = self.case["settings"]
        if name in ("advance", "partitions"):
            self.case[name] = int(value) if name == "partitions" else value if value == "end" else \
                None if value == "none" else duration_ms(value)
        elif name in SETTING_DURATIONS:
            settings[name] = duration_ms(value)
        elif name in SETTING_NUMBERS:
            settings[name] = int(value)
        elif name in SETTING_LISTS:
            settings[name] = value.split()
        elif name in ("late_policy", "ignore"):
            settings[name] = value
        else:
            raise ValueError(f"unknown setting {name!r}")

    def field(self, name, value):
        definition = self.case["definitions"][-1]
        if name in pql_conf.DURATIONS:
            definition[name] = duration_ms(value)
        elif name in ("once", "publish_missed", "alert"):
            definition[name] = value == "true"
        elif name in DEFINITION_TEXTS:
            definition[name] = value
        elif name in DEFINITION_LISTS:
            definition[name] = value.split()
        elif name in DEFINITION_GROUPS:
            definition[name] = pql_conf.read_value(value)
        else:
            raise ValueError(f"unknown field {name!r}")

    def events(self, line):
        """One line: an event, or several of the same kind."""
        words = split_words(line)
        repeat = dict(pair for pair in pairs(words[2:]) if pair[0] in ("times", "every"))
        words[2:] = [w for w in words[2:] if w.split("=", 1)[0] not in ("times", "every")]
        step = duration_ms(repeat.get("every", "0s"))
        for at in range(int(repeat.get("times", 1))):
            self.event(words[:2] + [w[:-1] + str(at + 1) if w.endswith("=@") else w for w in words[2:]])
            self.case["events"][-1]["occurred_at"] += at * step

    def event(self, words):
        number = len(self.case["events"]) + 1
        kind = words[1] if words[1] in KINDS else "track"
        event = {"type": kind, "message_id": f"#{number}", "occurred_at": time_ms(words[0])}
        if kind in ("track", "outcome"):
            event["event"] = words[1 if kind == "track" else 2].strip("'")
            words = words[:2] + words[2 if kind == "track" else 3:]
        if kind != "clock":
            event.update(user_id=None if kind == "group" else "u", account_id="A")
        values = {}
        for name, text in pairs(words[2:]):
            if name in ("user", "account"):
                event[name + "_id"] = None if text == "-" else text
            elif name == "previous":
                event["previous_id"] = text
            elif name == "id":
                event["message_id"] = text
            else:
                values[name] = value_of(text)
        if values:
            event["properties" if kind == "track" else "traits"] = values
        self.case["events"].append(event)

    def expectation(self, line):
        words = split_words(line)
        reason = words[3] if len(words) > 3 and "=" not in words[3] else "condition" if words[2] == "entered" else None
        self.expected.append((time_ms(words[0]), words[1], words[2], reason, pairs(words[3 + ("=" not in (words[3:] or ["="])[0]):])))


def read_tests(path):
    tests, block, text = [], None, ""
    with open(path, encoding="utf-8") as source:
        lines = source.read().split("\n")
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            if line.startswith("%%"):
                checks = line.startswith(("%%FAIL", "%%WARN"))
                tests.append(Test(line[6 if checks else 2:].strip(), checks, f"{os.path.basename(path)}:{number}",
                                  2 if line.startswith("%%FAIL") else 0))
                block = "settings"
                continue
            test = tests[-1]
            if raw[0] != " ":
                words = line.split()
                if words[0] == "definition":
                    test.case["definitions"].append({"name": words[1], "subject": words[2]})
                    block = "definition"
                elif line in ("events", "expect", "expect none", "errors", "warnings"):
                    block = words[0]
                elif words[0] == "period":      # period trial = trial_started_at 14d, or two attributes
                    start, end = words[3:]
                    how = {"length": duration_ms(end)} if re.fullmatch(r"\d+[a-z]+", end) else {"end": end}
                    test.case["settings"].setdefault("periods", []).append(dict(how, name=words[1], start=start))
                elif words[0] in ("signal", "parameter"):
                    name, value = line.split(" ", 1)[1].split(" = ", 1)
                    value = pql_conf.read_value(value) if value.startswith("{") else value
                    test.case["settings"][words[0] + "s"][name] = value
                elif words[0] == "file":        # the definitions, signals, parameters of conf/rules/NAME
                    test.file(words[1])
                else:
                    test.setting(*line.split(" = ", 1))
            elif block == "definition":
                if line.startswith(("and ", "or ")):
                    definition = test.case["definitions"][-1]
                    definition[list(definition)[-1]] += " " + line
                    continue
                text = text + " " + line if text else line
                if all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}")):
                    test.field(*text.split(" = ", 1))
                    text = ""
            elif block == "events":
                test.events(line)
            elif block == "expect":
                test.expectation(line)
            else:
                test.errors.append(line)
        except (ValueError, IndexError, KeyError) as problem:
            raise SystemExit(f"{path}:{number}: {problem}: {line}")
    return tests


# ---- what came out, in the words of the expectations ----

def evidence_values(record):
    rows = [(pql_replay.evidence_of_model if "threshold" in row and "signal" not in row else pql_replay.evidence_of_replay)(row)
            for row in record["evidence"]]
    return ",".join(format_value(row["value"]) for row in rows), any(row["at_least"] for row in rows)


def format_value(value):
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return "null" if value is None else str(value)


def shown(record, fields):
    """The record as (time, definition, transition, reason, fields), with the fields that the expectation names."""
    values, at_least = evidence_values(record)
    source = record.get("source")
    source = source.get("message_id") if isinstance(source, dict) else source
    known = {"user": record.get("user_id") or "-", "account": record["account_id"], "source": source or "null",
             "count": str(record["qualification_count"]), "previous": record["previous_status"], "value": values,
             "at_least": "true" if at_least else "false", "tier": record.get("tier") or "none",
             "score": format_value(record.get("score")), **{name: record.get(name) or "none" for name in ("route", "segment", "motion", "priority")}}
    times = {"expires": pql_replay.ms_of(record.get("expires_at")), "sla_due": pql_replay.ms_of(record.get("sla_due_at"))}
    reason = record["reason"] if record["transition"] != "missed" else None
    found = []
    for name, text in fields:
        if name in times:
            same = times[name] in (None if text == "none" else time_ms(text), pql_replay.UNKNOWN)
            found.append((name, text if same else str(times[name] and pql_replay.rfc3339(times[name]))))
        else:
            found.append((name, known[name]))
    return (pql_replay.ms_of(record["occurred_at"]), record["definition"], record["transition"], reason, found)


def line_of(row):
    time, definition, transition, reason, fields = row
    return " ".join([pql_replay.rfc3339(time), definition, transition, reason or ""] + [f"{n}={v}" for n, v in fields])


def compare(test, partitions):
    records = [record for partition in partitions for record in partition]
    wanted = test.expected
    got = [shown(r, wanted[i][4] if i < len(wanted) else []) for i, r in enumerate(records)]
    if [tuple(map(str, w)) for w in map(line_of, wanted)] == [tuple(map(str, g)) for g in map(line_of, got)]:
        return None
    return "\n".join(["  expected:"] + ["    " + line_of(w) for w in wanted] + ["  got:"] + ["    " + line_of(g) for g in got])


def run_check(binary, test, folder):
    """The messages of `check`, with columns counted in the condition's own text."""
    pql_replay.write_case(test.case, folder)
    config = os.path.join(folder, "case.conf")
    done = subprocess.run([binary, "check", "--config", config], capture_output=True, timeout=60, text=True)
    with open(config, encoding="utf-8") as source:
        lines = source.read().split("\n")
    found = []
    for match in re.finditer(r"^(?:.*case\.conf):(\d+):(\d+): (.*)$", done.stderr + done.stdout, re.M):
        line, column = int(match.group(1)), int(match.group(2))
        field = None
        for text in re.finditer(r'(\w+) = (?:\[ )?"', lines[line - 1]):
            field = text if text.end() < column else field
        where = f"{field.group(1)}:{column - field.end()}" if field else f"line {lines[line - 1].strip()}"
        found.append(f"{where}: {match.group(3) if test.exit_code else match.group(3).removeprefix('warning: ')}")
    if done.returncode == test.exit_code and found == test.errors:
        return None
    return "\n".join([f"  exit code {done.returncode}, expected {test.exit_code} and:"] + ["    " + e for e in test.errors]
                     + ["  got:"] + ["    " + f for f in found] + ([] if found else [done.stderr[-2000:]]))


def run(test, binary, folder):
    if test.must_fail:
        return run_check(binary, test, folder) if binary else None
    wanted = pql_replay.model_records(test.case)
    problem = compare(test, wanted)
    if problem or not binary:
        return problem and "  the model\n" + problem
    try:
        got = pql_replay.replay_records(binary, test.case, folder)
    except pql_replay.ReplayError as error:
        return str(error)
    return compare(test, got) or pql_replay.mismatch(lambda case, folder: got, test.case, folder, wanted)


def main():
    parser = argparse.ArgumentParser(description="runs the rules")
    parser.add_argument("--binary")
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--only", help="tests whose name contains this")
    parser.add_argument("--keep", help="folder for the files of the last test")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    if not options.binary and not options.model:
        parser.error("--binary or --model")
    files = options.files or sorted(glob.glob(os.path.join(HERE, "*.test")))
    tests = [t for f in files for t in read_tests(f) if not options.only or options.only in t.name]
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for test in tests:
            problem = run(test, options.binary and os.path.abspath(options.binary), options.keep or scratch)
            if problem:
                failed += 1
                print(f"{test.where}: {test.name}\n{problem}\n")
    print(f"{len(tests)} rules, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
