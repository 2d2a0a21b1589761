#!/usr/bin/env python3
"""Branches of processor/core and of the committer that the tests took: coverage.py BUILD_FOLDER [--missing]

Lines of PQL_ASSERT do not count, since what they guard cannot happen."""
import collections
import gzip
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WANTED = ("processor/core/", *(f"processor/app/{name}.c" for name in
                               ("committer", "outputs", "snapshots", "restore", "task", "epoch", "fill", "park")))


def data_files(folder):
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            if name.endswith(".gcda") and any(w in path for w in WANTED):
                yield path


def main():
    folder, branches = os.path.abspath(sys.argv[1]), collections.defaultdict(lambda: collections.defaultdict(int))
    for path in data_files(folder):
        told = subprocess.run(["gcov", "-b", "-t", "--json-format", path], capture_output=True, cwd=folder).stdout
        text = gzip.decompress(told) if told[:2] == b"\x1f\x8b" else told
        for line in text.decode().splitlines():
            data = json.loads(line)
            for source in data["files"]:
                name = os.path.relpath(os.path.join(data["current_working_directory"], source["file"]), ROOT)
                if not name.startswith(WANTED):
                    continue
                for at in source["lines"]:
                    for i, branch in enumerate(at["branches"]):
                        branches[name][at["line_number"], at.get("function_name"), i] += branch["count"]
    taken = count = 0
    for name in sorted(branches):
        with open(os.path.join(ROOT, name), encoding="utf-8") as source:
            lines = source.read().split("\n")
        counted = {k: n for k, n in branches[name].items() if "PQL_ASSERT" not in lines[k[0] - 1]}
        missed = sorted({k[0] for k, n in counted.items() if not n})
        here = sum(1 for n in counted.values() if n)
        taken, count = taken + here, count + len(counted)
        print(f"{100 * here / max(1, len(counted)):6.1f} %  {here:5} of {len(counted):5}  {name}")
        if "--missing" in sys.argv:
            for line in missed:
                print(f"          {line}: {lines[line - 1].strip()}")
    print(f"{100 * taken / max(1, count):6.1f} %  {taken:5} of {count:5}  branches")


main()
