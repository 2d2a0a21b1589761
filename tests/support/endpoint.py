"""What tests of the admin endpoint begin with: a folder, a port, and a program that answers there."""
import re
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import scenario
import services


def ask(port, path, method="GET", token=None, data=None):
    """(status, headers, text)"""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=data)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def metrics(text):
    """OpenMetrics as samples {name{labels}: value}; every sample belongs to a family that was declared before it."""
    samples, families = {}, {}
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""], lines[-2:]
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families, line
            families[name] = kind
        elif not line.startswith("#"):
            found = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (\S+)', line)
            assert found, line
            name = found[1]
            kinds = {"_total": "counter", "_bucket": "histogram", "_count": "histogram", "_sum": "histogram"}
            suffix = next((s for s, kind in kinds.items() if families.get(name.removesuffix(s)) == kind
                           and name.endswith(s)), "")
            assert families[name[:len(name) - len(suffix)]] == kinds.get(suffix, "gauge"), line
            samples[found[1] + (found[2] or "")] = float(found[3])
    return samples


class Endpoint(unittest.TestCase):
    PATIENCE = 40

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.port = services.free_port()

    def start(self, app, settings=""):
        job = scenario.Scenario(app, self.directory, settings=f'lateness = "1s"; http = "127.0.0.1:{self.port}"; {settings}')
        job.create_input()
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return job, program

    def wait(self, what, seconds=None):
        deadline = time.monotonic() + (seconds or self.PATIENCE)
        while True:
            try:
                if what():
                    return
            except OSError:
                pass
            self.assertLess(time.monotonic(), deadline, "it did not come about")
            time.sleep(0.2)
