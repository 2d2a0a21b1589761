#!/usr/bin/env python3
"""The rules of this repository that a machine can check. Prints file:line: what for each breach; exit status 1 if any.

Includes go down the layers base <- core <- io <- app; embed stands beside app, on core and on what io has of
configurations. Outside libraries are met in io, one a file; core may use
xxhash and jansson. File names of C sources are unique. Some calls are banned, more of them in core, whose results may
depend on nothing but its input. Nothing unfinished and no path of somebody's machine stays behind.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ["processor", "tests", "conf", "schemas", "docker", ".ci"]
LAYERS = ["base", "core", "io", "app"]
EMBEDDED = r"(base|core|embed)/|io/(config|program_setup|record_outputs)"  # what embed may include

LIBRARIES = {  # how an include of each begins
    "librdkafka": "librdkafka/", "avro-c": "avro", "libconfig": "libconfig", "libcurl": "curl/", "lz4": "lz4",
    "zstd": "zstd", "jansson": "jansson", "xxhash": "xxhash", "libmicrohttpd": "microhttpd",
}
EVERYWHERE_BELOW_IO = {"core": {"jansson", "xxhash"}}
NOT_COUNTED_IN_IO = {"jansson", "xxhash"}

BANNED = "strcpy strcat sprintf vsprintf strtok gets atoi atol atoll atof alloca strncpy".split()
BANNED_IN_CORE = ("strtod strtof strtold rand random srand drand48 time clock_gettime gettimeofday getenv localtime "
                  "localtime_r gmtime gmtime_r mktime strftime setlocale exp2 pow exp log log2").split()
BANNED_HEADERS_IN_CORE = ["math.h", "time.h", "sys/time.h", "locale.h", "pthread.h", "unistd.h", "fcntl.h"]

# Written in two halves, so that this file passes its own check.
LEFTOVERS = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "not imple" + "mented", "#if" + " 0"]
PRIVATE = ["/wo" + "rk/", "/tmp/" + "wt", "/ro" + "ot/", "deb.deb" + "ian.org", "npm" + "js.org", "maven" + ".org"]


def files():
    for name in sorted(os.listdir(ROOT)):
        if name != ".git" and os.path.isfile(os.path.join(ROOT, name)):
            yield name
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(ROOT, folder)):
            folders[:] = sorted(f for f in folders if f != "__pycache__")
            for name in sorted(names):
                yield os.path.relpath(os.path.join(where, name), ROOT)


def without_comments_and_strings(text):
    """The same text with their content blanked, so that lines keep their numbers."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def lines_matching(text, pattern):
    for match in re.finditer(pattern, text, re.M):
        yield text.count("\n", 0, match.start()) + 1, match


def check_words(path, text):
    for word in LEFTOVERS:
        for line, _ in lines_matching(text, r"\b%s\b" % re.escape(word) if word.isalpha() else re.escape(word)):
            yield line, f"'{word}' is left over"
    for word in PRIVATE:
        for line, _ in lines_matching(text, re.escape(word)):
            yield line, f"'{word}' is a place of one machine or network"


def check_layer(path, text):
    parts = path.split(os.sep)
    if parts[0] != "processor":
        return
    layer = parts[1]
    for line, match in lines_matching(text, r'^\s*#\s*include\s+"([^"]+)"'):
        target = match.group(1).split("/")[0]
        if layer == "embed":
            if not re.match(EMBEDDED, match.group(1)):
                yield line, f'embed may not include "{match.group(1)}"'
        elif target not in LAYERS:
            yield line, f'include "{match.group(1)}" by its path from processor/'
        elif LAYERS.index(target) > LAYERS.index(layer):
            yield line, f"{layer} may not include {target}"
    used = set()
    for line, match in lines_matching(text, r"^\s*#\s*include\s+<([^>]+)>"):
        header = match.group(1)
        library = next((name for name, start in LIBRARIES.items() if header.startswith(start)), None)
        if library and layer != "io" and library not in EVERYWHERE_BELOW_IO.get(layer, ()):
            yield line, f"{layer} may not include {library}"
        if layer == "core" and header in BANNED_HEADERS_IN_CORE:
            yield line, f"core may not include <{header}>"
        used |= {library} - {None} - NOT_COUNTED_IN_IO
    if len(used) > 1:
        yield 1, f"one outside library a file, not {', '.join(sorted(used))}"


def check_calls(path, text):
    banned = BANNED + (BANNED_IN_CORE if path.startswith(os.path.join("processor", "core")) else [])
    for line, match in lines_matching(without_comments_and_strings(text), r"(?<![\w.>])(%s)\s*\(" % "|".join(banned)):
        yield line, f"{match.group(1)}() may not be called here"


def named_tests(path, text):
    """Tests that tests/README.md names by function, rule or file, and that do not exist."""
    known = set()
    for folder, _, names in os.walk(os.path.join(ROOT, "tests")):
        for name in names:
            if name.endswith((".c", ".py", ".h")):
                known.add(name)
                with open(os.path.join(folder, name), encoding="utf-8") as source:
                    known.update(re.findall(r"(?:cmocka_unit_test(?:_setup_teardown)?\(|def |\[(?=[A-Z_]+\] = ))(\w+)", source.read()))
    with open(os.path.join(ROOT, "processor", "app", "pipeline.h"), encoding="utf-8") as source:
        known.update(re.findall(r"^    X\((\w+),", source.read(), re.M))
    for number, line in enumerate(text.split("\n"), 1):
        for word in re.findall(r"`(?:\w+/)?((?:test_|long_)\w+(?:\.c|\.py)?|\w+_\w+_\w+|[A-Z]+_[A-Z_]+)`", line):
            if word not in known:
                yield number, f"there is no test '{word}'"


def breaches():
    seen = {}
    for path in files():
        with open(os.path.join(ROOT, path), "rb") as source:
            data = source.read()
        if b"\0" in data:
            continue
        text = data.decode("utf-8", "replace")
        checks = [check_words] + ([named_tests] if path == os.path.join("tests", "README.md") else [])
        if path.endswith((".c", ".h")):
            checks += [check_layer, check_calls]
            name = os.path.basename(path)
            if name in seen:
                yield path, 1, f"{seen[name]} has the same name"
            seen[name] = path
        for check in checks:
            for line, what in check(path, text):
                yield path, line, what


def main():
    found = list(breaches())
    for path, line, what in found:
        print(f"{path}:{line}: {what}")
    print(f"tidy: {len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
