#!/usr/bin/env python3
"""Random definitions over random events, through the model and through `pqlstream replay`: the transitions must be the
same. A seed decides everything; a case that fails is made smaller and printed with the command that runs it again.

    run_random.py --cases-program build/asan/tests/model_cases              cases 1 to 300
    run_random.py --cases-program … --seed 17 --cases 1 --keep DIR          one seed, its files left in DIR
    run_random.py --cases-program … --seconds 600 --seed 100000             as many as fit
    run_random.py --cases-program … --seeds 5000 --seed 100000 --coverage   all that these seeds make, and what was in it
"""
import argparse
import concurrent.futures
import os
import random
import sys
import tempfile
import time

import pql_replay
from coverage import Coverage
from pql_model import OwnAffair, TooLong
from random_events import make_events
from random_names import DAY, FEATURES, HOUR, LONG_GRACE, RARE_SPANS, SPANS, START, STARTS, span_text
from random_rules import make_definitions, render


ATTEMPTS = 6        # for one seed
INSTANTS_MAX = 400  # of one case: a few that are long cost as much as all others


def attempt_case(rng):
    spans = rng.sample(SPANS, rng.choice((1, 2, 3)))
    if rng.random() < 0.15:
        spans.append(rng.choice(RARE_SPANS))
    settings = {"start_grace": LONG_GRACE}
    if rng.random() < 0.45:
        settings["lateness"] = min(rng.choice((1, 1000, HOUR, rng.choice(spans), DAY)), 30 * DAY)
    if rng.random() < 0.35:
        settings["dedup_horizon"] = rng.choice((10, 1000, HOUR, 10 * DAY))
        settings["dedup_ids_max"] = rng.choice((0, 0, 1, 5, 30))
    if rng.random() < 0.2:
        settings["late_policy"] = rng.choice(("drop", "drop", "dead_letter"))
    if rng.random() < 0.4:
        settings["evidence_max"] = rng.choice((1, 1, 2))
    if rng.random() < 0.3:
        settings["activity"] = rng.choice((["x"], ["x", "z"], ["other", "y"]))
    if rng.random() < 0.35 and max(spans) <= 7 * DAY:
        settings["start_events"] = rng.choice((["z"], ["kind:identify"], ["z", "kind:identify"], ["kind:group"]))
    if rng.random() < 0.15:
        settings["ignore"] = rng.choice(("p = 2", "s = 'ab' or user.role = 'b'", "hour() >= 20", "user.role = 'a' and p = 1",
                                         "account.plan = 'a' and (s = 'b' or user.level = 2)", "p = 1 and user.role is null"))
    if rng.random() < 0.1:
        settings["labels"] = [{"event": "x", "text": "x done"}]
    if "start_events" not in settings and rng.random() < 0.2:
        settings["start_grace"] = rng.choice((1, HOUR, spans[0], 7 * DAY))
    periods = []
    if settings["start_grace"] == LONG_GRACE and max(spans) <= 7 * DAY and rng.random() < 0.5:
        periods = [{"name": "trial", "start": "trial_start", "length": rng.choice(spans)},
                   {"name": "pilot", "start": "trial_start", "end": "trial_end"}]
    settings["periods"] = periods
    features = {name for name, share in FEATURES.items() if rng.random() < share}
    if "panes" in features and "decay" in features:
        features -= {"panes"}
    if "panes" in features and rng.random() < 0.7:
        settings["exact_max"] = rng.choice((1, 2, 3, 5))
    definitions, conditions = make_definitions(rng, spans, [p["name"] for p in periods], features)
    if settings["start_grace"] < LONG_GRACE:
        definitions.append({"name": "early", "subject": rng.choice(("user", "account")), "publish_missed": True,
                            "qualify": f"count(one_of(x, y, z), first {span_text(spans[0])}) >= {rng.randint(1, 5)}"})
    settings.update(signals=conditions.signals, parameters=conditions.parameters)
    if "lateness" in settings or "start_events" in settings:
        features -= {"forget"}      # erasures in the middle of an instant, and of explicit starts, are the unit tests'
    if any(kind in features for kind in ("alias", "forget")):
        settings["start_grace"] = LONG_GRACE
    zones = [d.get("timezone") for d in definitions]
    start = rng.choice(STARTS) if any(zones) else START
    case = {"settings": settings, "definitions": definitions, "events": make_events(rng, spans, settings, start, zones, features),
            "advance": rng.choice((None, spans[0], 30 * DAY, 30 * DAY, "end")), "partitions": rng.choice((1, 1, 1, 2, 3)),
            "save": rng.choice((0, 0, 1, 2, 7, 30)), "limit": rng.choice((0, 0, 1, 5)), "refresh": False}
    if case["advance"] != "end":        # else where the clock stands is the product's own affair
        case["refresh"] = rng.random() < 0.3
    return case


def rendered(case):
    return dict(case, definitions=render(case["definitions"]))


# ---- running and shrinking ----

def smaller(case):
    """Cases with something left out, the big steps first."""
    events, definitions = case["events"], case["definitions"]
    for at in range(len(definitions)):
        rest = definitions[:at] + definitions[at + 1:]
        name = definitions[at]["name"]
        if rest and f"({name})" not in repr(rest):
            yield dict(case, definitions=rest)
    size = len(events) // 2
    while size:
        for at in range(0, len(events), size):
            yield dict(case, events=events[:at] + events[at + size:])
        size //= 2
    if case["partitions"] > 1:
        yield dict(case, partitions=1)
    if case["advance"] is not None:
        yield dict(case, advance=None)
    for name in ("save", "limit", "refresh"):
        if case[name]:
            yield dict(case, **{name: 0})
    for name in case["settings"]:
        if name in ("signals", "parameters", "periods", "start_grace"):
            continue
        yield dict(case, settings={k: v for k, v in case["settings"].items() if k != name})
    for at, definition in enumerate(definitions):
        for name in definition:
            if name not in ("name", "subject", "qualify", "score"):
                yield dict(case, definitions=definitions[:at] + [{k: v for k, v in definition.items() if k != name}]
                           + definitions[at + 1:])
        for name in ("qualify", "stay", "eligible"):
            for tree in simpler(definition.get(name, "")):
                yield dict(case, definitions=definitions[:at] + [dict(definition, **{name: tree})] + definitions[at + 1:])
        for name in ("score", "multiply", "tiers", "routes"):
            for gone in range(len(definition.get(name, ())) if len(definition.get(name, ())) > 1 else 0):
                rows = definition[name][:gone] + definition[name][gone + 1:]
                yield dict(case, definitions=definitions[:at] + [dict(definition, **{name: rows})] + definitions[at + 1:])
    for at, event in enumerate(events):
        if event.get("properties"):
            yield dict(case, events=events[:at] + [{k: v for k, v in event.items() if k != "properties"}] + events[at + 1:])


def simpler(tree):
    if isinstance(tree, str):
        return
    op, parts = tree
    yield from parts
    for at, part in enumerate(parts):
        for one in simpler(part):
            yield (op, parts[:at] + [one] + parts[at + 1:])


def kind_of(problem):
    return "refused" if "is refused" in problem else "exit" if problem.startswith("exit") else "different"


def shrink(product, case, folder, seconds):
    until = time.monotonic() + seconds
    best = pql_replay.mismatch(product, rendered(case), folder)
    found = True
    while found and time.monotonic() < until:
        found = False
        for candidate in smaller(case):
            if time.monotonic() > until:
                break
            try:
                problem = pql_replay.mismatch(product, rendered(candidate), folder)
            except (ValueError, KeyError, StopIteration, OwnAffair):
                continue            # no case any more
            if problem and kind_of(problem) == kind_of(best):
                case, best, found = candidate, problem, True
                break
    return case, best


def report(seed, case, problem):
    final = rendered(case)
    print(f"seed {seed}: model and replay differ")
    print(pql_replay.config_text(final) + pql_replay.events_text(final) + problem)
    print(f"advance {final['advance']}, partitions {final['partitions']}")
    print(f"save {final['save']}, limit {final['limit']}, refresh {final['refresh']}")
    print(f"again: tests/model/run_random.py --cases-program PROGRAM --seed {seed} --cases 1 --keep DIR", flush=True)


class Share:
    """The cases of one process: every jobs-th from a seed on."""

    def __init__(self, options, index):
        self.options = options
        self.seed, self.cases = options.seed + index, -(-(options.cases - index) // options.jobs)
        self.end = None if options.seeds is None else options.seed + options.seeds
        self.ran = self.failed = self.records = self.hopeless = self.left_out = 0
        self.coverage = Coverage()

    def run(self):
        began = time.monotonic()
        options = self.options
        product = pql_replay.CasesProgram(os.path.abspath(options.cases_program))
        with tempfile.TemporaryDirectory() as scratch:
            while not self.is_done(time.monotonic() - began):
                self.one(product, options.keep or scratch, scratch)
                self.seed += options.jobs
                if self.failed >= options.failures:
                    break
        product.stop()
        return self

    def is_done(self, seconds):
        if self.end is not None:
            return self.seed >= self.end
        return seconds >= self.options.seconds if self.options.seconds else self.ran >= self.cases

    def one(self, product, folder, scratch):
        """Most random conditions never change: attempts are made until something happens. All are compared."""
        for attempt in range(ATTEMPTS):
            case = attempt_case(random.Random(f"{self.seed}/{attempt}"))
            try:
                wanted = pql_replay.model_records(rendered(case), INSTANTS_MAX)
            except (OwnAffair, TooLong):
                self.left_out += 1
                continue
            self.compare(product, case, wanted, folder, scratch)
            if sum(map(len, wanted)) > 2:
                break

    def compare(self, product, case, wanted, folder, scratch):
        problem = pql_replay.mismatch(product, rendered(case), folder, wanted)
        if problem and kind_of(problem) == "refused" and "can never" in problem:
            self.hopeless += 1      # the checker saw it; nothing ran
            return
        self.ran += 1
        self.records += sum(map(len, wanted))
        if self.options.coverage:
            self.coverage.note(rendered(case), wanted)
        if problem:
            self.failed += 1
            report(self.seed, *shrink(product, case, scratch, self.options.shrink_seconds))


def main():
    parser = argparse.ArgumentParser(description="random definitions and events, against the model")
    parser.add_argument("--cases-program", required=True, help="model_cases of the build")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PQL_TEST_SEED", 1)), help="of the first case")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seeds", type=int, help="these many seeds from the first on, whatever they make, instead of a number of cases")
    parser.add_argument("--coverage", action="store_true", help="a table of what the cases contained")
    parser.add_argument("--seconds", type=float, help="as many cases as fit, instead of a number")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many")
    parser.add_argument("--shrink-seconds", type=float, default=60)
    parser.add_argument("--keep", help="folder for the files of the last case")
    parser.add_argument("--jobs", type=int, default=1, help="processes; the cases are shared out")
    options = parser.parse_args()
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    began = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        shares = [pool.submit(Share(options, index).run) for index in range(options.jobs)]
        done = [share.result() for share in shares]
    ran, failed, records, hopeless, left_out = (sum(getattr(share, name) for share in done)
                                                for name in ("ran", "failed", "records", "hopeless", "left_out"))
    if options.coverage:
        for share in done[1:]:
            done[0].coverage.add(share.coverage)
        print(done[0].coverage.table())
    print(f"{ran} cases from seed {options.seed}, {records} transitions, {failed} failed, {hopeless} refused as hopeless, "
          f"{left_out} left out as too long or undetermined, {time.monotonic() - began:.0f} s")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
