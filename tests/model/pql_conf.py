"""Configuration files as the model reads and writes them: libconfig texts to plain data and back. Durations are whole
numbers of ms in the data. Reads correct texts only.
"""
import re
from decimal import Decimal

from pql_lang import duration_ms

DURATIONS = {"lateness", "dedup_horizon", "start_grace", "min_stay", "cooldown", "sla", "disqualify_for", "decay_step", "half_life",
             "fades_over", "min_interval", "length"}
TOKEN = re.compile(r"(?:\s|//[^\n]*|#[^\n]*|/\*.*?\*/)*(?:(?P<str>\"(?:[^\"\\]|\\.)*\")|(?P<num>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_*][\w*]*)"
                   r"|(?P<sym>[={}()\[\];:,])|(?P<end>$))", re.S)


class Reader:
    def __init__(self, text):
        self.tokens = []
        at = 0
        while not self.tokens or self.tokens[-1][0] != "end":
            match = TOKEN.match(text, at)
            if not match:
                raise ValueError(f"cannot read {text[at:at + 40]!r}")
            self.tokens.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()
        self.at = 0

    def peek(self):
        return self.tokens[self.at]

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def skip(self, *symbols):
        while self.peek()[0] == "sym" and self.peek()[1] in symbols:
            self.at += 1

    def settings(self, end):
        found = {}
        while self.peek() != end:
            name = self.take()[1]
            self.skip("=", ":")
            value = self.value()
            found[name] = duration_ms(value) if name in DURATIONS and isinstance(value, str) else value
            self.skip(";", ",")
        self.take()
        return found

    def value(self):
        kind, text = self.take()
        if kind == "str":
            parts = [text]
            while self.peek()[0] == "str":
                parts.append(self.take()[1])
            return "".join(re.sub(r"\\(.)", r"\1", part[1:-1]) for part in parts)
        if kind == "num":
            return Decimal(text) if "." in text else int(text)
        if text in ("true", "false"):
            return text == "true"
        if text == "{":
            return self.settings(("sym", "}"))
        if text in ("(", "["):
            found, close = [], {"(": ")", "[": "]"}[text]
            while self.peek() != ("sym", close):
                found.append(self.value())
                self.skip(",")
            self.take()
            return found
        raise ValueError(f"unexpected {text!r}")


def read(text):
    return Reader(text).settings(("end", ""))


def read_value(text):
    return Reader(text).value()


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(value, name=None):
    if name in DURATIONS:
        return f'"{value}ms"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + " ".join(f"{k} = {written(v, k)};" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(written(v) for v in value)
        return f"( {inside} )" if value and isinstance(value[0], dict) else f"[ {inside} ]"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, int) else quoted(value)


def setting(name, value):
    return f"{name} = {written(value, name)};"
