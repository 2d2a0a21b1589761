"""A case (settings, definitions, events in the order read, advance, partitions) run through the model and through
`pqlstream replay`, and the comparison of the two.

    {"settings": {...}, "definitions": [...], "events": [...], "advance": None | ms | "end", "partitions": 1}
"""
import datetime
import json
import os
import subprocess
import tempfile
import threading
from decimal import Decimal

from pql_conf import setting
from pql_lang import SCALE
from pql_model import Model
from pql_program import Program
from pql_value import UNKNOWN, Duration, Open, Time

TOPIC = "product-events"
PLAIN = ("lateness", "dedup_horizon", "start_grace", "late_policy", "evidence_max", "exact_max", "dedup_ids_max")


def murmur2(data):
    """As Java clients place keys."""
    mask, m = 0xffffffff, 0x5bd1e995
    h = 0x9747b28c ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at:at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(account, partitions):
    return (murmur2(account.encode()) & 0x7fffffff) % partitions


def config_text(case):
    settings = case["settings"]
    lines = ['app = "model";', 'kafka = { bootstrap_servers = "127.0.0.1:1"; };']
    lines += [setting(name, settings[name]) for name in PLAIN if name in settings]
    lines.append(f'inputs = ( {{ topic = "{TOPIC}"; format = "json"; mapping = "events"; }} );')
    lines.append('mappings = { events = { kind = "type"; event = "event"; account = "account_id"; user = "user_id";')
    lines.append('  time = "occurred_at"; id = "message_id"; properties = [ "properties.*" ]; attributes = [ "traits.*" ];')
    if any(event["type"] == "alias" for event in case["events"]):
        lines.append('  previous_user = "previous_id";')
    lines += ["  " + setting(name, settings[name]) for name in ("activity", "start_events", "ignore", "labels") if settings.get(name)]
    if settings.get("periods"):
        lines.append("  " + setting("periods", [period_row(p) for p in settings["periods"]]))
    lines.append("}; };")
    if settings.get("signals"):
        lines += ["signals = {"] + ["  " + setting(*pair) for pair in settings["signals"].items()] + ["};"]
    if settings.get("parameters"):
        lines.append(setting("parameters", [dict(v, name=n) if isinstance(v, dict) else {"name": n, "default": v}
                                            for n, v in settings["parameters"].items()]))
    if settings.get("files"):
        lines.append(setting("definition_files", settings["files"]))
    lines.append("definitions = (")
    lines.append(",\n".join("  { " + definition_text(d) + " }" for d in case["definitions"] if not d.get("of_file")))
    lines.append(");")
    return "\n".join(lines) + "\n"


def period_row(period):
    row = {"name": period["name"], "start": "account." + period["start"]}
    return dict(row, length=period["length"]) if "length" in period else dict(row, end="account." + period["end"])


def definition_text(definition):
    definition = dict(definition)
    if definition.pop("publish_missed", False):
        definition["publish"] = dict(definition.get("publish", {}), missed=True)
    return " ".join(("" if name in ("name", "subject", "version") else "\n    ") + setting(name, value)
                    for name, value in definition.items())


def events_text(case):
    def plain(value):
        if isinstance(value, Decimal):
            return format(value, "f")
        raise TypeError(value)
    lines = []
    for event in case["events"]:
        text = json.dumps(event, default=lambda v: "\0" + plain(v) + "\0", separators=(",", ":"))
        lines.append(text.replace('"\\u0000', "").replace('\\u0000"', ""))      # decimals by their digits
    return "".join(line + "\n" for line in lines)


def program_of(case):
    settings = dict(case["settings"])
    for name, values in settings.pop("of_files", {}).items():
        settings[name] = dict(settings.get(name, {}), **values)
    return Program(settings, case["definitions"])


def is_refused(event):
    """What never reaches the engine and leaves no trace there, its id included."""
    if event.get("occurred_at") is None:
        return True
    if event["type"] == "clock":
        return False
    return not event.get("account_id") or (event["type"] == "track" and not event.get("event")) or \
        (event["type"] == "identify" and not event.get("user_id"))


def model_records(case, instants_max=None):
    """One list of records per partition."""
    program = program_of(case)
    partitions = case.get("partitions", 1)
    models = [Model(program, instants_max) for _ in range(partitions)]
    for event in case["events"]:
        if is_refused(event):
            continue
        account = event.get("account_id")
        for at in range(partitions) if not account else [partition_of(account, partitions)]:
            models[at].feed(event)
    for model in models:
        model.finish(case.get("advance"))
        if case.get("refresh"):
            model.refresh()
    return [model.records for model in models]


class ReplayError(Exception):
    pass


def write_case(case, folder):
    """The command that replays the case, after writing its two files."""
    config, events = os.path.join(folder, "case.conf"), os.path.join(folder, "events.jsonl")
    with open(config, "w", encoding="utf-8") as out:
        out.write(config_text(case))
    with open(events, "w", encoding="utf-8") as out:
        out.write(events_text(case))
    command = ["replay", "--config", config]
    if case.get("partitions", 1) > 1:
        command += ["--partitions", str(case["partitions"])]
    if case.get("advance") is not None:
        command += ["--advance", case["advance"] if case["advance"] == "end" else f"{case['advance']}ms"]
    return command + [events]


def replay_records(binary, case, folder):
    command = [binary] + write_case(case, folder)
    done = subprocess.run(command, capture_output=True, timeout=120)
    if done.returncode != 0:
        raise ReplayError(f"exit {done.returncode}: {done.stderr.decode(errors='replace')[-3000:]}")
    return by_partition(case, done.stdout.decode().splitlines())


def by_partition(case, lines):
    partitions = case.get("partitions", 1)
    found = [[] for _ in range(partitions)]
    for line in lines:
        record = json.loads(line, parse_float=Decimal)
        found[partition_of(record["account_id"], partitions)].append(record)
    return found


class CasesProgram:
    """Many cases in one process, see cases.c. A case may say save and limit (state is saved and loaded on the way, work is
    cut) and refresh."""

    def __init__(self, program):
        self.program = program
        self.process = None

    def start(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def stop(self):
        if self.process:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.kill()
            self.process.wait()
            self.errors.close()
            self.process = None

    def __call__(self, case, folder):
        if self.process is None:
            self.start()
        write_case(case, folder)
        advance = {None: -1, "end": -2}.get(case.get("advance"), case.get("advance"))
        self.process.stdin.write(f"{folder}/case.conf {folder}/events.jsonl {case.get('partitions', 1)} {advance} {case.get('save', 0)} "
                                 f"{case.get('limit', 0)} {int(case.get('refresh', False))}\n")
        self.process.stdin.flush()
        lines = []
        watch = threading.Timer(120, self.process.kill)
        watch.start()
        for line in self.process.stdout:
            if line == ".\n":
                watch.cancel()
                return by_partition(case, lines)
            if line.startswith("!"):
                break
            lines.append(line)
        else:
            self.process.wait()     # it ended, or was ended
        watch.cancel()
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace")[-3000:]
        problem = line if lines or self.process.poll() is None else ""
        self.stop()
        raise ReplayError(f"exit: {problem}{said}")


def ms_of(value):
    if isinstance(value, str):
        moment = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return (since.days * 86400 + since.seconds) * 1000 + since.microseconds // 1000
    return value


def rfc3339(ms):
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def evidence_of_model(row):
    value = row["value"].value if isinstance(row["value"], Open) else row["value"]
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int):
        value = Decimal(value) / SCALE
    elif isinstance(value, (Duration, Time)):
        value = "a time"
    found = {"value": value, "met": row["met"], "at_least": row["at_least"]}
    found.update({name: row[name] for name in ("approximate", "points") if row.get(name) is not None})
    if isinstance(row["threshold"], int) and not isinstance(row["threshold"], bool):
        found["threshold"] = Decimal(row["threshold"]) / SCALE
    if row["times"] is not None:
        found["first_at"], found["last_at"] = (min(row["times"]), max(row["times"])) if row["times"] else (None, None)
    return found


def evidence_of_replay(row):
    value = row.get("value")
    if value is not None:
        value = Decimal(value)
    else:
        value = row.get("value_text")
    threshold = row.get("threshold")
    return {"value": value, "met": row["met"], "at_least": row["at_least"],
            "approximate": row["approximate"], "points": row.get("points"), "threshold": None if threshold is None else Decimal(threshold),
            "first_at": ms_of(row.get("first_at")), "last_at": ms_of(row.get("last_at"))}


def differences(wanted, got, has_versions=True):
    """Names of the fields in which a record of the product differs from the model's, with both values."""
    found = []

    def check(name, a, b):
        if a != b:
            found.append(f"{name}: model {a!r}, replay {b!r}")

    nothing_left = wanted["reason"] in ("merged", "forgotten")
    for name in ("definition", "definition_version", "subject", "account_id", "user_id", "transition", "status",
                 "previous_status", "qualification_count", "tier", "previous_tier", *(() if nothing_left else ("score",)), "previous_score", "route", "segment", "motion", "priority"):
        check(name, wanted.get(name), got.get(name))
    if has_versions:
        check("version", wanted["version"], got.get("version"))
    if wanted["reason"] is not None:
        check("reason", wanted["reason"], got.get("reason"))
    for name in ("occurred_at", "first_qualified_at", "qualified_at", "left_at", "clock", "sla_due_at"):
        check(name, show_time(wanted[name]), show_time(ms_of(got.get(name))))
    if wanted["expires_at"] is not UNKNOWN:
        check("expires_at", show_time(wanted["expires_at"]), show_time(ms_of(got.get("expires_at"))))
    source = got.get("source")
    check("source", wanted["source"], source.get("message_id") if source else None)
    if nothing_left:
        return found
    mine = [evidence_of_model(row) for row in wanted["evidence"]]
    theirs = [evidence_of_replay(row) for row in got.get("evidence") or []]
    for a, b in zip(mine, theirs):
        if a["value"] == "a time":
            b["value"] = a["value"]
        for name in set(b) - set(a):        # what the model does not say
            del b[name]
    check("evidence", mine, theirs)
    return found


def show_time(ms):
    return None if ms is None else rfc3339(ms)


def brief(record):
    """A record in one line, for messages."""
    source = record.get("source")
    who = record["account_id"] + ("/" + record["user_id"] if record.get("user_id") else "")
    return " ".join(str(v) for v in (
        rfc3339(ms_of(record["occurred_at"])), record["definition"], who, record["transition"], record["reason"],
        "from", record["previous_status"], "source", source.get("message_id") if isinstance(source, dict) else source))


def mismatch(product, case, folder, wanted=None):
    """None if model and product agree, else a text that says where they do not. product(case, folder): its records."""
    wanted = model_records(case) if wanted is None else wanted
    try:
        got = product(case, folder)
    except (ReplayError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    # Of who was forgotten nothing is kept, but a floor under all versions of the task.
    has_versions = not any(event["type"] == "forget" for event in case["events"])
    for partition, (mine, theirs) in enumerate(zip(wanted, got)):
        for at in range(max(len(mine), len(theirs))):
            a = mine[at] if at < len(mine) else None
            b = theirs[at] if at < len(theirs) else None
            if a is None or b is None:
                return (f"partition {partition}, record {at}: model {len(mine)} records, replay {len(theirs)}\n"
                        f"  model:  {brief(a) if a else '-'}\n  replay: {brief(b) if b else '-'}")
            found = differences(a, b, has_versions)
            if found:
                return (f"partition {partition}, record {at}:\n  model:  {brief(a)}\n  replay: {brief(b)}\n  "
                        + "\n  ".join(found))
    return None
