#!/usr/bin/env python3
"""gcc -fanalyzer and cppcheck over processor/. A finding that findings.txt does not name with a reason is an error, and so is a
line of findings.txt that names none. Usage: analyse.py RDKAFKA_PREFIX [FILE...]; exit status 1 if anything is said."""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUPPORT = os.path.join("tests", "support")
FLAGS = ["-std=c17", "-Iprocessor", "-D_POSIX_C_SOURCE=200809L", '-DPQL_VERSION="0"']


def listed():
    """{(tool, finding, file): line of findings.txt}"""
    known = {}
    with open(os.path.join(ROOT, SUPPORT, "findings.txt"), encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split(None, 3)
            if not words or words[0].startswith("#"):
                continue
            if len(words) < 4:
                sys.exit(f"{SUPPORT}/findings.txt:{number}: TOOL FINDING FILE REASON")
            known[tuple(words[:3])] = number
    return known


def by_gcc(path, prefix):
    command = ["gcc", "-fanalyzer", "-O1", "-c", "-o", "/dev/null", "-fdiagnostics-path-format=none",
               "-isystem", os.path.join(prefix, "include"), *FLAGS, path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        return [("gcc", "failed", path, done.stderr.strip())]
    found = re.findall(r"^(\S+?):(\d+):\d+: warning: (.*) \[-Wanalyzer-([\w-]+)\]$", done.stderr, re.M)
    return [("gcc", name, path, f"{where}:{line}: {text}") for where, line, text, name in found]


def by_cppcheck(paths):
    template = "{file}:{line}:{id}:{message}"
    command = ["cppcheck", "--std=c11", "--quiet", "--enable=warning,portability", f"--include={SUPPORT}/cppcheck.h",
               f"--template={template}", f"-j{os.cpu_count()}", *FLAGS[1:], *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = re.findall(r"^([^:\n]+):(\d+):(\w+):(.*)$", done.stderr, re.M)
    return [("cppcheck", name, where, f"{where}:{line}: {text}") for where, line, name, text in found]


def main():
    prefix, paths = sys.argv[1], sys.argv[2:]
    everything = not paths
    paths = paths or sorted(os.path.relpath(p, ROOT) for p in glob.glob(f"{ROOT}/processor/**/*.c", recursive=True))
    known, used, bad = listed(), set(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [f for group in pool.map(lambda p: by_gcc(p, prefix), paths) for f in group]
    for tool, name, path, text in found + by_cppcheck(paths):
        if (tool, name, path) in known:
            used.add((tool, name, path))
            continue
        print(f"{text} [{tool} {name}]")
        bad += 1
    for key, number in known.items():
        if everything and key not in used:
            print(f"{SUPPORT}/findings.txt:{number}: {' '.join(key)} is not found any more")
            bad += 1
    print(f"analyse: {len(paths)} files, {bad} findings, {len(used)} known ones with a reason")
    sys.exit(1 if bad else 0)


main()
