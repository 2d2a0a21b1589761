#!/usr/bin/env python3
"""Keeps the pages (*.md) true.

    run_pages.py --binary build/asan/pqlstream [--only PAGE]

Every fenced block says what becomes of it (tests/support/pages.py); links lead somewhere; no paragraph stands twice;
conf/operations.md has each message of the log of level warn and error, each alert and no other; the pages that need no
brokers are run here, the others by tests/e2e.
"""
import argparse
import collections
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import pages  # noqa: E402

WITH_BROKERS = {  # page: the test that runs its blocks
    "README.md": "test_readme.py",
    "conf/operations.md": "test_operations.py",
    "conf/tutorial.md": "test_tutorial.py",
}
OPERATIONS = os.path.join("conf", "operations.md")


# --- the log ---

def arguments(text, start):
    """The arguments of the call whose opening parenthesis stands at start, as texts."""
    depth, found, here, at, quoted = 0, [], "", start, False
    while True:
        char = text[at]
        if quoted:
            here += char
            if char == "\\":
                at += 1
                here += text[at]
            quoted = char != '"'
        elif char == '"':
            quoted, here = True, here + char
        elif char in "([{" and depth == 0:
            depth = 1
        elif char == "," and depth == 1:
            found.append(here)
            here = ""
        else:
            depth += (char in "([{") - (char in ")]}")
            if depth == 0:
                return [*found, here]
            here += char
        at += 1


def literals(text):
    """Texts in it; those that follow each other are one, conversions become …"""
    joined = re.sub(r'"\s*PRI\w+\s*"', "d", text)
    joined = re.sub(r'"\s*"', "", joined)
    return [re.sub(r"%[-.*\d]*(?:ll|l|z|j)?[a-zA-Z]", "…", part) for part in re.findall(r'"((?:[^"\\]|\\.)*)"', joined)]


def differences_of_topics():
    """What `run` says of topics, level by level: the messages that are not literals of the call."""
    with open(os.path.join(pages.ROOT, "processor", "app", "topics.c"), encoding="utf-8") as source:
        text = source.read()
    for match in re.finditer(r"begin\(&difference, [^;]*?, (true|false|is_compacted)\);\s*SAY", text):
        call = text.index("(", match.end())
        levels = {"true": {"error"}, "false": {"warn"}, "is_compacted": {"warn", "error"}}[match.group(1)]
        yield literals(arguments(text, call)[1])[0], levels
    with open(os.path.join(pages.ROOT, "processor", "app", "topics_reach.c"), encoding="utf-8") as source:
        text = source.read()
    yield literals(arguments(text, text.index("(", text.index("snprintf(out->what")))[2])[0], {"warn"}


def messages_of_the_source():
    """Each msg of level warn and error, and its levels."""
    found = collections.defaultdict(set)
    for path in glob.glob(os.path.join(pages.ROOT, "processor", "**", "*.c"), recursive=True):
        with open(path, encoding="utf-8") as source:
            text = source.read()
        for call in re.finditer(r"\b(pql_log|pql_log_text|PQL_LOG_LIMITED)\(", text):
            words = arguments(text, call.end() - 1)
            level, message = words[1:3] if call.group(1) == "PQL_LOG_LIMITED" else words[:2]
            levels = {name.lower() for name in re.findall(r"PQL_LOG_(WARN|ERROR)\b", level)}
            said = literals(message)
            if not levels:
                continue
            if not said:
                assert message.strip() == "difference->what", f"{path}: a message that is no literal: {message}"
                for said, their_levels in differences_of_topics():
                    found[said] |= their_levels
            elif len(said) == len(levels):  # condition ? one : the other, of both
                for text_of_it, one in zip(said, re.findall(r"PQL_LOG_(WARN|ERROR)\b", level), strict=True):
                    found[text_of_it].add(one.lower())
            else:
                found[said[0]] |= levels
    return dict(found)


def section(text, title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.S | re.M).group(1)


def rows(text, title, head):
    """Cells of the table of a section that begins with this head."""
    table = re.search(rf"^\| {re.escape(head)} .*?(?=\n\n|\Z)", section(text, title), re.S | re.M).group(0)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.split("\n")[2:]]


def check_log():
    in_source = messages_of_the_source()
    on_page = {}
    for cells in rows(pages.read(OPERATIONS), "The log", "`msg`"):
        for message in re.findall(r"`([^`]+)`", cells[0]):
            on_page[message] = set(re.findall(r"warn|error", cells[1]))
    for message in sorted(set(in_source) - set(on_page)):
        yield f"{OPERATIONS}: the log can say '{message}', and the page does not explain it"
    for message in sorted(set(on_page) - set(in_source)):
        yield f"{OPERATIONS}: '{message}' is no message of level warn or error"
    for message in sorted(set(on_page) & set(in_source)):
        if on_page[message] != in_source[message]:
            yield f"{OPERATIONS}: '{message}' is of level {', '.join(sorted(in_source[message]))}"
    if len(in_source) < 40:
        yield f"only {len(in_source)} messages were found in the source"


def check_alerts():
    with open(os.path.join(pages.ROOT, "conf", "monitoring", "alerts.yml"), encoding="utf-8") as source:
        there = re.findall(r"- alert: (\w+)", source.read())
    on_page = [name for cells in rows(pages.read(OPERATIONS), "Alerts", "alert") for name in re.findall(r"`(\w+)`", cells[0])]
    if sorted(there) != sorted(on_page):
        yield f"{OPERATIONS}: alerts {sorted(on_page)}, in alerts.yml {sorted(there)}"


# --- the pages among each other ---

def anchors(text):
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}


def check_links():
    for page in pages.page_paths():
        prose = re.sub(r"^ *```.*?^ *```$", "", pages.read(page), flags=re.S | re.M)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"https?:", link):
                continue
            path, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(os.path.join(pages.ROOT, target)):
                yield f"{page}: no file {link}"
            elif anchor and anchor not in anchors(pages.read(target)):
                yield f"{page}: no heading {link}"


def check_repetition():
    """A paragraph, row or block of some length stands once in all pages."""
    seen = {}
    for page in pages.page_paths():
        for part in re.split(r"\n\s*\n|\n(?=\|)", pages.read(page)):
            words = " ".join(part.split())
            if len(words) < 120:
                continue
            if words in seen:
                yield f"{page}: stands in {seen[words]} too: {words[:80]}…"
            seen.setdefault(words, page)


def check_uses():
    """Each block is run, or says why not; and somebody runs it."""
    for page in pages.page_paths():
        try:
            uses = [block.use()[0] for block in pages.blocks(page)]
        except pages.PageError as error:
            yield str(error)
            continue
        needs = page in WITH_BROKERS
        if needs and not os.path.exists(os.path.join(pages.ROOT, "tests", "e2e", WITH_BROKERS[page])):
            yield f"{page}: there is no test {WITH_BROKERS[page]}"
        if not needs and "background" in uses:
            yield f"{page}: a program in the background needs a test among WITH_BROKERS"


def check_running(binary, only):
    for page in pages.page_paths():
        if page in WITH_BROKERS or only and only != page:
            continue
        try:
            ran = pages.Run(page, binary).all()
            print(f"{page}: {ran} blocks of commands run")
        except pages.PageError as error:
            yield str(error)


def main():
    parser = argparse.ArgumentParser(description="keeps the pages true")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only")
    options = parser.parse_args()
    failures = []
    for check in (check_log, check_alerts, check_links, check_repetition, check_uses):
        failures += check()
    if not failures:
        failures += check_running(os.path.abspath(options.binary), options.only)
    for failure in failures:
        print(failure)
    print(f"pages: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
