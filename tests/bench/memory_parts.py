"""Parts that need no broker: the engine in memory, and what state takes."""
import json
import os
import subprocess

from figures import Bar, Case

DAY_MS, HOUR_MS = 86_400_000, 3_600_000


class Failed(Exception):
    """A program did not come to its end; the text is what it said."""


def lines_of(bench, program, *arguments):
    """What a program of the build prints, one JSON object a line."""
    path = os.path.join(bench.build_folder, "tests", program)
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=max(60, bench.clock.left() + 600))
    if done.returncode:
        raise Failed(f"{program} {' '.join(map(str, arguments))} ended with {done.returncode}: {done.stderr[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def source(events, accounts, users=0, uniform=False, ordered=False):
    """The options that make the events, for every program alike."""
    return ["--events", events, "--accounts", accounts, *(["--users", users] if users else []),
            *(["--uniform"] if uniform else []), *(["--ordered"] if ordered else [])]


def engine(bench, events_of, *, lateness=0, more=()):
    """A run of the reference job in the engine, with the digest that it should have."""
    ordered = "--ordered" in events_of
    reference = [] if lateness or ordered else ["--partitions", 1]

    def run():
        found = lines_of(bench, "bench_engine", *events_of, "--lateness", lateness, "--runs", 1, *more)[0]
        found["expected"] = bench.expected(*events_of, *reference)
        found["bytes"] = found["accounts"] * found["account_bytes"]
        found["resident_account_bytes"] = found["resident_bytes"]
        if found["users"]:
            found["user_bytes"] = found["bytes"] / found["users"]
        return found

    return run


def engine_part(bench):
    size = bench.size
    n, a = size.events, size.accounts
    plain = source(n, a)
    name = f"{a:,} accounts"
    shows, bar = ("cpu_ns", "account_bytes"), Bar(120)
    cases = [
        Case(f"{name}, skewed", engine(bench, plain), shows, bars=(bar,)),
        Case(f"{name}, uniform", engine(bench, source(n, a, uniform=True)), shows, bars=(bar,)),
        Case(f"{name}, lateness 6 h", engine(bench, plain, lateness=6 * HOUR_MS), shows),
        Case(f"{name}, any order within 2 h, lateness 9 h",
             engine(bench, plain, lateness=9 * HOUR_MS, more=["--shuffle", 2 * HOUR_MS]), shows),
        Case(f"{name}, 10 % come twice, ids of 7 days", engine(bench, plain, more=["--duplicates", 10]), shows),
    ]
    few = source(n // 5, a // 10)
    one = f"{a // 10:,} accounts, 1 definition"
    cases.append(Case(one, engine(bench, few), shows))
    for count in (10, 100, 1000):
        cases.append(Case(f"{a // 10:,} accounts, {count:,} definitions that listen to the events",
                          engine(bench, few, more=["--touched", count - 1]), shows, against=one, once=count == 1000))
    for count in (10, 100, 1000):
        cases.append(Case(f"{a // 10:,} accounts, {count:,} definitions, others untouched",
                          engine(bench, few, more=["--untouched", count - 1]), shows, against=one,
                          bars=(Bar(1.05, against=one),)))
    for accounts, users in ((a, 1), (a // 10, 10), (max(a // 1000, 2), 1000), (1, 100_000)):
        cases.append(Case(f"{accounts:,} account{'s' * (accounts > 1)} of {users:,} user{'s' * (users > 1)}, state of each user",
                          engine(bench, source(n // 5, accounts, users=users, ordered=True), more=["--per-user"]),
                          ("cpu_ns", "account_bytes", "user_bytes")))
    bench.measure(cases)
    for accounts, limit in size.more_accounts:
        bench.measure([Case(f"{accounts:,} accounts, {'uniform' if u else 'skewed'}",
                            engine(bench, source(2 * accounts, accounts, uniform=u)), shows, bars=(Bar(limit),))
                       for u in (False, True)], rounds=1)


def functions(bench, group):
    """Lines of bench_functions; where it says what is meant to be kept, the name does too."""
    def lines():
        found = lines_of(bench, "bench_functions", "--events", bench.size.micro_events, group)
        return [dict(line, name=line["name"] + (f" (meant to keep {line['meant']})" if "meant" in line else ""))
                for line in found]

    return lines


def snapshots(bench):
    """The whole first snapshot, and of the shares after it what was worst."""
    found = lines_of(bench, "bench_snapshot", "--users", bench.size.accounts, "--accounts", 2 * bench.size.accounts)
    answer = []
    for name in dict.fromkeys(line["name"] for line in found):
        of = [line for line in found if line["name"] == name]
        answer.append({"name": name, "longest_us": max(line["longest_us"] for line in of),
                       "mb_s": min(line["mb_s"] for line in of), "mb": max(line["mb"] for line in of)})
    return answer


def micro_part(bench):
    rounds = 2 * bench.size.micro_events
    bench.collect(("ns", "bytes_each"), lambda: lines_of(bench, "bench_micro", "--rounds", rounds),
                  bars={"decode and map the reference record": (Bar(60, "ns"),)})
    for accounts in bench.size.tables:
        bench.collect(("ns", "bytes_each"), lambda n=accounts: lines_of(bench, "bench_micro", "--rounds", rounds, "--accounts", n))
    bench.collect(("over_ns", "account_bytes"), functions(bench, "--functions"))
    bench.collect(("ns", "bytes_each"), functions(bench, "--values"), rounds=1)
    bench.collect(("longest_us", "mb_s", "mb"), lambda: snapshots(bench))


MEMORY = ("account_bytes", "resident_account_bytes", "page_bytes", "user_bytes")


def ids(bench, events_of):
    """What remembering ids adds to the same state."""
    def run():
        plain = engine(bench, events_of)()
        found = engine(bench, events_of, more=["--duplicates", 1])()
        return dict(found, id_bytes=(found["bytes"] - plain["bytes"]) / found["dedup_ids"])

    return run


def memory_part(bench):
    n, a = bench.size.events, bench.size.accounts
    bars = Bar(300, "account_bytes"), Bar(400, "resident_account_bytes")
    short = [*source(n, a), "--span", 600_000]
    bench.measure([
        Case(f"reference definition, {a:,} accounts", engine(bench, source(n, a)), MEMORY, bars=bars),
        Case(f"the same, {n:,} events in 10 minutes", engine(bench, short), MEMORY, bars=bars),
        Case(f"reference definition, {10 * a:,} accounts", engine(bench, source(n, 10 * a)), MEMORY, bars=bars),
        Case("9 more that listen to the events", engine(bench, source(n, a), more=["--touched", 9]), MEMORY),
        Case("one more that keeps users", engine(bench, source(n, a), more=["--per-user"]), MEMORY),
        Case("ids of 7 days", ids(bench, source(n, a)), ("id_bytes",), bars=(Bar(12, "id_bytes"),)),
    ], rounds=1)
    bench.collect(("account_bytes", "ns"), functions(bench, "--definitions"), rounds=1)
    bench.collect(("user_bytes", "ns"), functions(bench, "--users"), rounds=1)
