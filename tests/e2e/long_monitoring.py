"""What conf/monitoring ships: the alert rules and their own tests, every expression of the dashboard, and a real Prometheus that
scrapes a real instance with the shipped configuration and finds each metric that rules and dashboard name."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import dataset
import scenario
import services

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONF = os.path.join(ROOT, "conf", "monitoring")
PROMETHEUS = os.environ.get("PQL_TEST_PROMETHEUS", "/usr/bin")
EVENTS = dataset.generate(seed=8, accounts=15, days=20)


def promtool(*arguments):
    done = subprocess.run([os.path.join(PROMETHEUS, "promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def dashboard_expressions():
    with open(os.path.join(CONF, "grafana-dashboard.json"), encoding="utf-8") as text:
        panels = json.load(text)["panels"]
    return [target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*") for panel in panels for target in panel["targets"]]


class Monitoring(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def test_rules(self):
        for arguments in (("check", "rules", os.path.join(CONF, "alerts.yml")), ("test", "rules", os.path.join(ROOT, "tests", "monitoring", "alerts.yml")),
                          ("check", "config", os.path.join(CONF, "prometheus.yml"))):
            code, words = promtool(*arguments)
            self.assertEqual(code, 0, words)

    def test_dashboard(self):
        expressions = dashboard_expressions()
        self.assertGreater(len(expressions), 10)
        path = os.path.join(self.directory, "rules.yml")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"groups": [{"name": "g", "rules": [{"record": f"r{i}", "expr": e} for i, e in enumerate(expressions)]}]}, out)
        code, words = promtool("check", "rules", path)
        self.assertEqual(code, 0, words)

    def test_a_real_scrape(self):
        http, own = services.free_port(), services.free_port()
        job = scenario.Scenario("monitored", self.directory, settings=f'lateness = "1s"; http = "127.0.0.1:{http}";')
        job.create_input()
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        job.produce(EVENTS)
        job.wait_done(program, 60)
        shutil.copy(os.path.join(CONF, "alerts.yml"), self.directory)
        with open(os.path.join(CONF, "prometheus.yml"), encoding="utf-8") as text:
            shipped = text.read().replace("127.0.0.1:8090", f"127.0.0.1:{http}").replace("15s", "1s")
        with open(os.path.join(self.directory, "prometheus.yml"), "w", encoding="utf-8") as out:
            out.write(shipped)
        server = subprocess.Popen([os.path.join(PROMETHEUS, "prometheus"), f"--config.file={self.directory}/prometheus.yml",
                                   f"--storage.tsdb.path={self.directory}/data", f"--web.listen-address=127.0.0.1:{own}"], stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)

        def query(expression):
            url = f"http://127.0.0.1:{own}/api/v1/query?query={urllib.parse.quote(expression)}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return [float(sample["value"][1]) for sample in json.load(answer)["data"]["result"]]

        made = sum(len(records) for records in job.records().values())
        deadline = time.monotonic() + 60
        while True:
            try:
                if query("pqlstream_transitions_total") == [made]:
                    break
            except OSError:
                pass
            self.assertLess(time.monotonic(), deadline, "it was not scraped")
            time.sleep(0.5)
        self.assertEqual(query('up{job="pqlstream"}'), [1])
        with open(os.path.join(CONF, "alerts.yml"), encoding="utf-8") as text:
            named = {name for name in re.findall(r"\bpqlstream_\w+", text.read() + " ".join(dashboard_expressions()))}
        unseen = {name for name in named if not query(f'{{__name__="{name}"}}') and not query(f'{{__name__="instance:{name}:sum"}}')}
        # Of tasks that restore, definitions with tiers, and conversions: none are here.
        self.assertLessEqual(unseen, {"pqlstream_task_restored_ratio", "pqlstream_tier_members"})
        program.stop()


if __name__ == "__main__":
    unittest.main()
