#!/usr/bin/env python3
"""libpqlstream as a stranger meets it: installed into a prefix, found by pkg-config alone, built against, run.

The example program is built with the shared and with the static library; its records are those of `pqlstream replay`, in
one run and in three with the state saved between them. What the libraries let see is what the header declares. A second
program calls every function of the header, in C and as C++.
"""
import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXAMPLE = os.path.join(ROOT, "conf", "embed", "qualify.c")

CONFIG = """
app = "acme";
revision = 1;
inputs = ( { topic = "product-events"; format = "json"; mapping = "own"; } );
mappings = { own = {
  kind = "kind"; event = "event"; account = "account_id"; user = "user_id"; time = "occurred_at"; id = "event_id";
  properties = "properties.*"; attributes = "attributes.*";
}; };
lateness = "1h";
dedup_horizon = "1d";
definitions = (
  { name = "inviter"; subject = "user"; qualify = "count(invite_sent, 3d) >= 2"; },
  { name = "team"; subject = "account"; qualify = "users(count(any, 2d) >= 1) >= 3"; },
  { name = "big"; subject = "account"; qualify = "sum(paid.amount, 7d) >= 100 and account.size >= 5";
    include_attributes = [ "account.size" ]; },
  { name = "tried"; subject = "user"; mode = "shadow"; qualify = "ever(login)"; }
);
"""


def events():
    """The same in every run: of 2020, so that every record is one of a back-fill, here as in replay."""
    draw = random.Random(7)
    day = 86400000
    for i in range(3000):
        time = 1577836800000 + i * 700000 + draw.randrange(-3000000, 3000000)
        event = {"event": draw.choice(["login", "invite_sent", "paid"]), "event_id": str(i - i % 50 // 49),
                 "account_id": f"A-{draw.randrange(12)}", "user_id": f"u{draw.randrange(6)}",
                 "properties": {"amount": draw.randrange(1, 400) / 8},
                 "occurred_at": f"{time // day - 18262:d}" if i % 500 == 499 else time}
        if i % 40 == 0:
            event.update(kind="group", attributes={"size": draw.randrange(10)})
        yield ("{" if i % 333 == 332 else "") + json.dumps(event)


class Failed(Exception):
    pass


def run(words, text=None, **more):
    result = subprocess.run(words, input=text, capture_output=True, text=True, timeout=300, **more)
    if result.returncode != 0:
        raise Failed(f"{' '.join(words)}: exit code {result.returncode}\n{result.stdout[-3000:]}{result.stderr[-6000:]}")
    return result


def records(text):
    """What is compared: everything but when it was made."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        assert record.pop("produced_at")
    return found


def declared():
    with open(os.path.join(ROOT, "processor", "embed", "pqlstream.h"), encoding="utf-8") as header:
        return set(re.findall(r"^PQLSTREAM_API [^;]*?\b(pqlstream_\w+)\(", header.read(), re.M))


class Installed:
    """The installed tree, and how a program is built against it."""

    def __init__(self, build, prefix, compiler):
        self.prefix, self.compiler = prefix, compiler
        run(["cmake", "--install", build, "--prefix", prefix])
        library = [where for where, _, names in os.walk(prefix) if "pqlstream.pc" in names]
        assert len(library) == 1, library
        self.packages = library[0]
        self.libraries = os.path.dirname(library[0])

    def flags(self, *asked):
        """By pkg-config alone, for the tree where it is now: it may have been packed and moved."""
        environment = dict(os.environ, PKG_CONFIG_PATH=self.packages)
        return run(["pkg-config", f"--define-variable=prefix={self.prefix}", *asked, "pqlstream"],
                   env=environment).stdout.split()

    def build(self, source, program, is_static, language="c"):
        """-Bstatic for this library alone: not every other one is there as an archive."""
        flags = self.flags("--cflags", "--libs", *(["--static"] if is_static else []))
        if is_static:
            at = flags.index("-lpqlstream")
            flags[at:at + 1] = ["-Wl,-Bstatic", "-lpqlstream", "-Wl,-Bdynamic"]
        standard = ["-std=c99", "-pedantic", "-D_POSIX_C_SOURCE=200809L"] if language == "c" else ["-std=c++11"]
        version = run(["pkg-config", "--modversion", "pqlstream"],
                      env=dict(os.environ, PKG_CONFIG_PATH=self.packages)).stdout.strip()
        run([self.compiler, "-x", language, *standard, f'-DVERSION="{version}"', "-Wall", "-Wextra", "-Werror", source, "-x", "none", "-o", program,
             *flags])
        return [program]

    def environment(self, is_static):
        return dict(os.environ, LD_LIBRARY_PATH="" if is_static else self.libraries)


def check_symbols(installed, nm):
    """A host may have a pql_anything of its own."""
    for name, options in (("libpqlstream.so", ["-D"]), ("libpqlstream.a", ["-g"])):
        listed = run([nm, *options, "--defined-only", os.path.join(installed.libraries, name)]).stdout
        seen = set(re.findall(r"^[0-9a-f]+ [TDRVWi] (?!_)(\w+)$", listed, re.M))
        assert seen == declared(), (name, seen ^ declared())


def check_needs(installed, objdump):
    listed = run([objdump, "-p", os.path.join(installed.libraries, "libpqlstream.so")]).stdout
    needed = re.findall(r"NEEDED\s+(\S+)", listed)
    unwanted = [name for name in needed if re.search("rdkafka|curl|microhttpd|avro|lz4|zstd", name)]
    assert not unwanted, needed
    assert re.search(r"SONAME\s+libpqlstream\.so\.\d+$", listed, re.M), listed


def check_example(installed, is_static, folder, expected):
    program = installed.build(EXAMPLE, os.path.join(folder, f"qualify-{is_static:d}"), is_static)
    environment = installed.environment(is_static)
    config, state, lines = os.path.join(folder, "first.conf"), os.path.join(folder, f"state-{is_static:d}"), list(events())
    whole = run(program + [config], "\n".join(lines) + "\n", env=environment)
    assert records(whole.stdout) == expected, "one run differs from replay"
    parts = ""
    for begin, end in ((0, 1111), (1111, 1112), (1112, len(lines))):
        parts += run(program + [config, state], "\n".join(lines[begin:end]) + "\n", env=environment).stdout
    assert records(parts) == expected, "saved and loaded in between, the records differ"
    assert "refused: " in whole.stderr and "Sanitizer" not in whole.stderr, whole.stderr


def check_calls(installed, is_static, folder):
    """Every function of the header, its errors, and what a host may rely on: embed_calls.c, which also is C++."""
    for language in ("c", "c++"):
        program = installed.build(os.path.join(HERE, "embed_calls.c"), os.path.join(folder, f"calls-{is_static:d}-{language}"),
                                  is_static, language)
        run(program + [folder], env=installed.environment(is_static))


def main():
    options = argparse.ArgumentParser()
    for name in ("--build", "--compiler", "--nm", "--objdump"):
        options.add_argument(name, required=True)
    given = options.parse_args()
    folder = tempfile.mkdtemp(prefix="pqlstream-embed-")
    try:
        installed = Installed(given.build, os.path.join(folder, "prefix"), given.compiler)
        check_symbols(installed, given.nm)
        check_needs(installed, given.objdump)
        with open(os.path.join(folder, "first.conf"), "w", encoding="utf-8") as config:
            config.write(CONFIG)
        replayed = run([os.path.join(installed.prefix, "bin", "pqlstream"), "replay", "--config",
                        os.path.join(folder, "first.conf")], "\n".join(events()) + "\n").stdout
        assert len(replayed.splitlines()) > 100, replayed
        for is_static in (False, True):
            check_example(installed, is_static, folder, records(replayed))
            check_calls(installed, is_static, folder)
    except (Failed, AssertionError) as failure:
        print(f"embed: {failure!r}" if isinstance(failure, AssertionError) else f"embed: {failure}")
        return 1
    finally:
        shutil.rmtree(folder)
    print(f"embed: {len(records(replayed))} records as of replay, shared and static")
    return 0


if __name__ == "__main__":
    sys.exit(main())
