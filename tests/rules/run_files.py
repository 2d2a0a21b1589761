#!/usr/bin/env python3
"""Runs files.txt: configurations that `check` refuses or warns about, and all that it prints of them, to the byte.

    run_files.py --binary build/asan/pqlstream [--only TEXT]

    %% a name                     a test
    --- main.conf                 a file of that name as it stands; check reads main.conf. A line @head stands for one
    @head                         that names brokers and an input. ⇥ is a tab, ␍ a carriage return, ␀ a NUL, ⌘ a mark of
    definitions = ( …             UTF-8 at the beginning
    --- says                      what standard error is but for its last line, the number of errors
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = 'kafka = { bootstrap_servers = "localhost:1"; }; inputs = ( { topic = "e"; format = "json"; } );'
MARKS = {"⇥": "\t", "␍": "\r", "␀": "\0", "⌘": "\ufeff"}


def read_tests(path):
    tests, block = [], None
    with open(path, encoding="utf-8") as source:
        for number, line in enumerate(source.read().split("\n"), 1):
            if line.startswith("%% "):
                tests.append((line[3:], number, {}))
            elif line.startswith("--- ") and tests:
                block = tests[-1][2].setdefault(line[4:], [])
            elif block is not None and tests and tests[-1][2]:
                block.append(line)
    for name, number, blocks in tests:
        for lines in blocks.values():
            while lines and not lines[-1]:
                lines.pop()
        if "says" not in blocks or "main.conf" not in blocks:
            raise SystemExit(f"{path}:{number}: {name}: main.conf or says is missing")
    return tests


def check(binary, blocks):
    """Standard error of check in a folder with these files, and how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in blocks.items():
            if name == "says":
                continue
            text = "\n".join(HEAD if line == "@head" else line for line in lines) + "\n"
            for mark, byte in MARKS.items():
                text = text.replace(mark, byte)
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as out:
                out.write(text)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PQLSTREAM_")}
        environment["LSAN_OPTIONS"] = "print_suppressions=0"
        done = subprocess.run([binary, "check", "--config", "main.conf"], cwd=folder, capture_output=True, text=True,
                              encoding="utf-8", timeout=60, env=environment)
        return done.stderr, done.returncode


def problem(binary, blocks):
    said, code = check(binary, blocks)
    lines = [line.rstrip() for line in said.split("\n")]
    errors = sum(bool(re.match(r"[^ :]+(:\d+:\d+)?: (?!warning: )", line)) for line in lines)
    wanted = [line.rstrip() for line in blocks["says"]]
    if errors:
        wanted += [f"{errors} error{'s' if errors > 1 else ''}; nothing was touched"]
    if lines[:-1] == wanted and code == (2 if errors else 0):
        return None
    return "\n".join([f"  exit code {code}; expected:", *wanted, "  got:", *lines])


def main():
    parser = argparse.ArgumentParser(description="runs files.txt")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    tests, failed = [t for t in read_tests(os.path.join(HERE, "files.txt")) if options.only in t[0]], 0
    for name, number, blocks in tests:
        found = problem(os.path.abspath(options.binary), blocks)
        if found:
            failed += 1
            print(f"files.txt:{number}: {name}\n{found}\n")
    print(f"{len(tests)} files, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
