"""Manual pages and completions: without a complaint of those who check them, complete, and right in the shells."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ["PQL_TEST_BINARY"]
PAGES = ["pqlstream.1", "pqlstream.conf.5"]
SECONDS = 60  # more than any of it takes


def run(*command, status=0, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)
    if done.returncode != status:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def commands():
    return re.findall(r"^  ([a-z]+) ", run(BINARY, "--help"), re.M)


def flags_of(command):
    return re.findall(r"^  (?:-\w,|   ) (--[a-z-]+)", run(BINARY, command, "--help"), re.M)


class Printed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        for thing in [*PAGES, "bash", "zsh", "fish"]:
            with open(cls.path(thing), "w", encoding="utf-8") as out:
                out.write(run(BINARY, "manual", thing))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)


class Manual(Printed):
    def text(self, page):
        """As a person sees it, on one line."""
        shown = run("man", "-l", self.path(page), env=os.environ | {"MANWIDTH": "400", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"})
        return " ".join(shown.split())

    def test_nobody_complains_of_the_pages(self):
        for page in PAGES:
            self.assertEqual(run("mandoc", "-T", "lint", self.path(page)), "")
            self.assertEqual(run("groff", "-man", "-ww", "-z", "-T", "utf8", self.path(page)), "")
            self.assertRegex(run("lexgrog", self.path(page)), rf'"{re.escape(page[:-2])} - [a-z]')

    def test_every_command_and_flag_is_on_the_page(self):
        page = self.text("pqlstream.1")
        self.assertGreater(len(commands()), 9)
        for command in commands():
            self.assertIn(f"pqlstream {command} ", page)
            for flag in flags_of(command):
                self.assertIn(f"{flag}", page)

    def test_every_setting_is_on_the_page(self):
        page = self.text("pqlstream.conf.5")
        settings = re.findall(r"^(\S+)", run(BINARY, "check", "--settings"), re.M)
        self.assertGreater(len(settings), 150)
        for setting in settings:
            self.assertIn(f" {setting.split('.')[-1]} ", page)
        self.assertIn("revision = 1 Number of this configuration.", page)

    def test_the_command_says_what_it_has(self):
        self.assertIn("which one: pqlstream.1, pqlstream.conf.5, bash", run(BINARY, "manual", status=2))
        self.assertIn("which one:", run(BINARY, "manual", "csh", status=2))


class Completion(Printed):
    """What is typed, a tab for each >, and the arguments that the program would then get."""

    TYPED = {
        "pqlstream checkp> ver> -": "checkpoint verify -",
        "pqlstream dlq li>--rea>x": "dlq list --reason x",
        "pqlstream explain --format js>": "explain --format json",
        "pqlstream run --config te>": "run --config team.conf",
        "pqlstream run -s log_level=deb>": "run -s log_level=debug",
        "pqlstream run --set kafka.boot>x:1": "run --set kafka.bootstrap_servers=x:1",
        "pqlstream replay eve>": "replay events.jsonl",
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ["team.conf", "events.jsonl"]:
            with open(cls.path(name), "w", encoding="utf-8"):
                pass

    def typed(self, shell, setup):
        """Types into a shell on a terminal of its own; what the program is given there."""
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.folder)
            os.execvpe(shell[0], shell, {"PATH": os.environ["PATH"], "HOME": self.folder, "TERM": "dumb", "LC_ALL": "C.UTF-8"})
        try:
            os.write(terminal, (setup + "; pqlstream() { printf '(%s)\\n' \"$*\"; }; pqlstream ready\r").encode())
            self.answer(terminal, "(ready)")
            for typed, expected in self.TYPED.items():
                os.write(terminal, (typed.replace(">", "\t") + "\r").encode())
                self.answer(terminal, f"({expected})")
        finally:
            os.close(terminal)
            os.kill(process, signal.SIGKILL)  # where closing its terminal does not end it
            os.waitpid(process, 0)

    def answer(self, terminal, expected):
        shown, until = "", time.monotonic() + SECONDS
        while f"\n{expected}" not in shown.replace("\r", "\n"):
            if not select.select([terminal], [], [], max(0, until - time.monotonic()))[0]:
                self.fail(f"no {expected} in {shown!r}")
            shown += os.read(terminal, 4096).decode(errors="replace")
            if re.search(r"\n\(.*\)\r", shown) and expected not in shown:
                self.fail(f"no {expected} in {shown!r}")

    def test_bash_on_a_terminal(self):
        self.typed(["bash", "--norc", "--noprofile", "-i"], "source ./bash")

    def test_zsh_on_a_terminal(self):
        os.makedirs(self.path("functions"))
        shutil.copy(self.path("zsh"), self.path("functions/_pqlstream"))
        self.typed(["zsh", "-f", "-i"], "fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D")

    def test_fish(self):
        for typed, expected in self.TYPED.items():
            line = re.sub(r"^(.*?) ?>(.*)$", r"\1", typed)
            if typed.count(">") == 1:
                offered = run("fish", "--no-config", "-c", "source ./fish; complete -C $argv[1]", line, cwd=self.folder)
                wanted = expected.split()[-1].removesuffix("x:1")
                self.assertIn(wanted, [row.split("\t")[0] for row in offered.splitlines()])

    def test_bash_has_every_command_and_flag(self):
        script = self.path("bash")
        self.assertEqual(run("bash", "-c", 'source "$1"; COMP_LINE="pqlstream "; COMP_POINT=10; _pqlstream; echo "${COMPREPLY[*]}"',
                             "-", script).split(), [*commands(), "--help", "--version"])
        for command in commands():
            offered = run("bash", "-c", 'source "$1"; _pqlstream_flags "$2"', "-", script, command).split()
            self.assertEqual([flag.rstrip("=") for flag in offered], [*flags_of(command), "--help"])

    def test_the_scripts_are_sound(self):
        self.assertEqual(run("shellcheck", "-s", "bash", self.path("bash")), "")
        run("zsh", "-n", self.path("zsh"))
        run("fish", "--no-execute", self.path("fish"))


if __name__ == "__main__":
    unittest.main()
