"""Pages (*.md) as programs: their fenced blocks, run in order as a reader would.

The words behind the language of a block say what becomes of it; a browser does not show them:

    conf first.conf          a file of that name
    conf add to first.conf   its end
    sh                       commands: bash runs them in a folder with the page's files, and they end with code 0
    sh exits 2               they end with that code
    sh until it prints       again and again, until the output that follows is as it stands there
    sh try.sh                a file with commands
    sh background            they run while the page goes on, and end with code 0 when they are asked to at its end
    text output              what the commands before it print, … standing for anything
    text output of sh try.sh what this command prints
    text errors              what they say on standard error, or its beginning
    … not run: WHY           nothing
"""
import glob
import os
import re
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LANGUAGES = ("conf", "csv", "json", "python", "sh", "text")
COMMAND_SECONDS = 200
REPEAT_SECONDS = 300  # what starts meanwhile may be a JVM on a busy machine


class PageError(Exception):
    """What is wrong with a page, and where."""


class Block:
    """One fenced block, in the section of this title."""

    def __init__(self, page, section, line, language, note, body):
        self.page, self.section, self.line, self.language, self.note, self.body = page, section, line, language, note, body
        self.place = f"{page}:{line}"

    def use(self):
        """('file', name), ('add', name), ('run', code), ('until it prints', None), ('background', None), ('output', None),
        ('output of', command), ('errors', None), ('not run', why)"""
        note = self.note
        if note.startswith("not run: ") and len(note) > len("not run: "):
            return "not run", note[len("not run: "):]
        if self.language == "sh" and re.fullmatch(r"(exits \d)?", note):
            return "run", int(note[-1]) if note else 0
        if self.language == "sh" and note in ("background", "until it prints"):
            return note, None
        if self.language == "text" and note in ("output", "errors"):
            return note, None
        if self.language == "text" and note.startswith("output of "):
            return "output of", note[len("output of "):]
        if self.language != "sh" and re.fullmatch(r"add to \S+\.\w+", note):
            return "add", note[len("add to "):]
        if re.fullmatch(r"\S+\.\w+", note):
            return "file", note
        raise PageError(f"{self.place}: '```{self.language} {note}': neither run nor said why not")


def page_paths():
    found = glob.glob(os.path.join(ROOT, "*.md"))
    for folder in ("conf", "schemas", "docker", "tests"):
        found += glob.glob(os.path.join(ROOT, folder, "**", "*.md"), recursive=True)
    return sorted(os.path.relpath(path, ROOT) for path in found)


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as source:
        return source.read()


def blocks(page, text=None):
    """All fenced blocks, without the indentation that a list gives them. Code that only indentation sets apart is an
    error: it would escape."""
    found, opened, body, section = [], None, [], ""
    for number, line in enumerate((read(page) if text is None else text).split("\n"), 1):
        fence = re.fullmatch(r"( *)```(.*)", line)
        if opened and fence and not fence.group(2):
            indent, start, language, note = opened
            cut = [row[len(indent):] if row.startswith(indent) else row for row in body]
            found.append(Block(page, section, start, language, note, "\n".join(cut) + "\n"))
            opened = None
        elif opened:
            body.append(line)
        elif fence:
            language, _, note = fence.group(2).partition(" ")
            if language not in LANGUAGES:
                raise PageError(f"{page}:{number}: language '{language}' is none of {', '.join(LANGUAGES)}")
            opened, body = (fence.group(1), number, language, note.strip()), []
        elif line.startswith("## "):
            section = line[3:]
        elif line.startswith("    "):
            raise PageError(f"{page}:{number}: code stands between ```")
    if opened:
        raise PageError(f"{page}:{opened[1]}: ``` has no end")
    return found


def matches(expected, said):
    """Whether `said` is `expected`, where … stands for anything; blanks at the ends of lines and columns do not count."""
    def plain(text):
        return "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().splitlines())
    return re.fullmatch(".*".join(map(re.escape, plain(expected).split("…"))), plain(said), re.S) is not None


class Run:
    """One page, run in a folder of its own in which conf and schemas are those of the repository. `replace`: places of
    the text and what is there in this test, such as {"localhost:9092": broker}."""

    def __init__(self, page, binary, replace=None, path=()):
        self.page, self.replace = page, replace or {}
        self.home = tempfile.TemporaryDirectory(prefix="pqlstream-page-")
        self.folder = self.home.name
        for name in ("conf", "schemas", "docker", "tests"):
            os.symlink(os.path.join(ROOT, name), os.path.join(self.folder, name))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PQLSTREAM_")}
        self.environment["PATH"] = os.pathsep.join([os.path.dirname(os.path.abspath(binary)), *path, os.environ["PATH"]])
        self.environment["LSAN_OPTIONS"] = "print_suppressions=0"
        self.output = self.errors = ""
        self.running, self.sessions = [], []
        self.ran = 0

    def text_of(self, block):
        text = block.body
        for shown, here in self.replace.items():
            text = text.replace(shown, here)
        return text

    def step(self, block):
        use, more = block.use()
        if use in ("file", "add"):
            with open(os.path.join(self.folder, more), "w" if use == "file" else "a", encoding="utf-8") as out:
                out.write(self.text_of(block))
        elif use == "run":
            self.command(block, self.text_of(block), more)
        elif use == "background":
            log = open(os.path.join(self.folder, f"background-{block.line}.log"), "wb")
            self.running.append((block, log, subprocess.Popen(
                ["bash", "-c", "exec " + self.text_of(block)], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)))
        elif use == "output of":
            self.command(block, more, 0)
        if use.startswith("output") and not matches(self.text_of(block), self.output):
            raise PageError(f"{block.place}: the commands print\n{self.output}\n{self.errors}{self.logs()}")
        if use == "errors" and not matches(self.text_of(block) + "…", self.errors):
            raise PageError(f"{block.place}: the commands say\n{self.errors}")

    def command(self, block, text, code):
        self.ran += 1
        process = subprocess.Popen(["bash", "-e", "-o", "pipefail", "-c", text], cwd=self.folder, env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   encoding="utf-8", errors="replace", start_new_session=True)
        self.sessions.append(process.pid)
        try:
            self.output, self.errors = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill_sessions()
            self.output, self.errors = process.communicate()
            raise PageError(f"{block.place}: not done in {COMMAND_SECONDS} s\n{self.output}{self.errors}{self.logs()}") from None
        if code is not None and process.returncode != code:
            raise PageError(f"{block.place}: exit status {process.returncode}\n{self.output}{self.errors}{self.logs()}")

    def repeat(self, block, following):
        deadline = time.monotonic() + REPEAT_SECONDS
        self.command(block, self.text_of(block), None)
        while not matches(self.text_of(following), self.output) and time.monotonic() < deadline:
            time.sleep(0.5)
            self.command(block, self.text_of(block), None)

    def logs(self):
        said = ""
        for path in glob.glob(os.path.join(self.folder, "*.log")):
            with open(path, encoding="utf-8", errors="replace") as source:
                said += f"\n--- {os.path.basename(path)}:\n{source.read()[-3000:]}"
        return said

    def kill_sessions(self):
        """What commands have left running."""
        for session in self.sessions:
            try:
                os.killpg(session, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.sessions = []

    def end(self):
        """Asks what runs in the background to end."""
        try:
            for block, log, process in self.running:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                if process.wait(60) != 0:
                    raise PageError(f"{block.place}: ended with {process.returncode}{self.logs()}")
        finally:
            for _, log, process in self.running:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                log.close()
            self.running = []
            self.kill_sessions()
            self.home.cleanup()

    def all(self, without=()):
        """The number of commands run. `without`: titles of sections."""
        try:
            listed = [block for block in blocks(self.page) if block.section not in without]
            for number, block in enumerate(listed):
                self.step(block)
                if block.use()[0] == "until it prints":
                    self.repeat(block, listed[number + 1])
        finally:
            self.end()
        return self.ran
