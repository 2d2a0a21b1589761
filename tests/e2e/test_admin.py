"""The admin endpoint of a running instance: health, metrics, status, definitions; who may ask, and what a wrong question gets."""
import json
import os
import socket
import ssl
import subprocess
import unittest
import urllib.parse
import urllib.request

import client
import dataset
import endpoint
import scenario
import services
from endpoint import ask, metrics

BINARY = os.environ["PQL_TEST_BINARY"]
EVENTS = dataset.generate(seed=8, accounts=15, days=20)
END = [dataset.closing_clock(EVENTS)]


def raw(port, data):
    """The first line that is answered to these bytes, or "" where the connection is closed without."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(data)
        try:
            return connection.recv(4096).split(b"\r\n")[0].decode()
        except ConnectionResetError:
            return ""


class Admin(endpoint.Endpoint):
    def test_health_metrics_status_and_definitions(self):
        job, program = self.start("admin-open")
        self.wait(lambda: ask(self.port, "/live")[0] == 200)
        self.wait(lambda: ask(self.port, "/ready")[2].startswith(f"ready, {job.partitions} partitions"))
        job.produce([*EVENTS, *END])
        job.wait_done(program, 60)
        self.wait(lambda: metrics(ask(self.port, "/metrics")[2])['pqlstream_task_lag_records{partition="0"}'] == 0)
        status, headers, text = ask(self.port, "/metrics")
        self.assertIn("application/openmetrics-text", headers["Content-Type"])
        samples = metrics(text)
        sent = sum(client.end_offsets(job.broker, job.topic).values())
        self.assertEqual(samples["pqlstream_events_total"], sent)
        committed = len(job.records()["pql"]) + len(job.records()["pqa"])
        self.assertEqual(samples["pqlstream_transitions_total"], committed)
        self.assertEqual(sum(v for k, v in samples.items() if k.startswith("pqlstream_task_live{")), job.partitions)
        found = json.loads(ask(self.port, "/status")[2])
        self.assertEqual([t["phase"] for t in found["tasks"]], ["live"] * job.partitions)
        self.assertEqual(sum(t["committed"][job.topic] for t in found["tasks"]), sent)
        self.assertEqual(found["app"], "admin-open")
        self.check_scores(job, samples)
        self.check_lookups(job)
        definitions = json.loads(ask(self.port, "/definitions")[2])
        self.assertTrue(all(d["qualify"] and d["explained"] for d in definitions))
        for path in ("/", "/status", "/definitions", "/metrics"):
            self.assertIn("default-src 'none'", ask(self.port, path)[1]["Content-Security-Policy"])
        program.stop()
        with self.assertRaises(OSError):
            ask(self.port, "/live")
        # Another process: members are those of the state, counters begin again.
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        self.wait(lambda: ask(self.port, "/ready")[0] == 200)
        again = metrics(ask(self.port, "/metrics")[2])
        members = lambda all_of: {k: v for k, v in all_of.items() if k.startswith("pqlstream_members{")}
        self.assertEqual(members(again), members(samples))
        self.assertEqual([k for k in again if k.startswith("pqlstream_qualified_total")], [])
        program.stop()

    def check_scores(self, job, samples):
        """Entries, members and sign-ups of the metrics against the records and events."""
        records = [r for topic in ("pql", "pqa") for r in job.records()[topic]]
        for name in {r["definition"] for r in records}:
            labels = f'{{definition="{name}",version="1"}}'
            entered = sum(r["definition"] == name and r["transition"] == "entered" for r in records)
            left = sum(r["definition"] == name and r["transition"] == "left" for r in records)
            self.assertEqual(samples["pqlstream_qualified_total" + labels], entered)
            self.assertEqual(samples["pqlstream_members" + labels], entered - left)
        users = {(e["account_id"], e["user_id"]) for e in EVENTS if e["event"] == "signed_up"}
        self.assertEqual(samples['pqlstream_sign_ups_total{subject="user"}'], len(users))

    def check_lookups(self, job):
        """Every key's last record against what a look-up of its subject says, and wrong ids."""
        last = {}
        for record in [r for topic in ("pql", "pqa") for r in job.records()[topic]]:
            last[scenario.record_key(record)] = record
        self.assertGreater(len(last), 10)
        for record in last.values():
            path = "/accounts/" + urllib.parse.quote(record["account_id"], safe="")
            if record["user_id"]:
                path += "/users/" + urllib.parse.quote(record["user_id"], safe="")
            status, _, text = ask(self.port, path)
            self.assertEqual(status, 200, text)
            subject = json.loads(text)["subject"]
            found = [d["record"] for d in subject["definitions"] if d["record"]["definition"] == record["definition"]]
            for name in ("status", "version", "qualification_count", "account_id", "user_id"):
                self.assertEqual(found[0][name], record[name], path)
            self.assertEqual([e["signal"] for e in found[0]["evidence"]], [e["signal"] for e in record["evidence"]])
        known = next(iter(last.values()))["account_id"]
        for path, status, error in (("nobody", 404, "no_account"), (f"{known}/users/nobody", 404, "no_user"),
                                    ("%zz", 400, "bad_path"), ("", 400, "bad_path"), (f"{known}/users/", 400, "bad_path"),
                                    (f"{known}/other", 400, "bad_path"), ("%00%ff", 404, "no_account")):
            answer = ask(self.port, "/accounts/" + path)
            self.assertEqual((answer[0], json.loads(answer[2])["error"]), (status, error), path)

    def test_who_else_has_an_account(self):
        """Of two instances one has the account; the other names it."""
        job = scenario.Scenario("admin-two", self.directory)
        job.create_input()
        job.produce(EVENTS)
        ports = {name: services.free_port() for name in ("one", "two")}
        for name, port in ports.items():
            program = scenario.Program(["run", "--config", job.config_path, "--set", f"instance={name}", "--set", f"http=127.0.0.1:{port}"],
                                       os.path.join(self.directory, f"{name}.log"))
            self.addCleanup(lambda p=program: p.process.poll() is None and p.kill())
        parts = lambda port: [t["partition"] for t in json.loads(ask(port, "/status")[2])["tasks"]]
        self.wait(lambda: all(ask(p, "/ready")[0] == 200 and len(parts(p)) == job.partitions // 2 for p in ports.values()), 90)
        names = list(ports)
        for account in ("acct-0", "acct-1", "acct-2", "acct-3"):
            partition = client.partition_of(account, job.partitions)
            has = next(n for n in names if partition in parts(ports[n]))
            other = next(n for n in names if n != has)
            self.wait(lambda: ask(ports[has], f"/accounts/{account}")[0] == 200)
            status, _, text = ask(ports[other], f"/accounts/{account}")
            self.assertEqual(status, 421, text)
            found = json.loads(text)
            self.assertEqual((found["error"], found["partition"]), ("elsewhere", partition))
            self.assertEqual(found["owner"], {"instance": has, "host": "127.0.0.1"})

    def test_wrong_questions(self):
        _, program = self.start("admin-wrong")
        self.wait(lambda: ask(self.port, "/ready")[0] == 200)
        self.assertEqual(ask(self.port, "/nothing")[0], 404)
        self.assertEqual(ask(self.port, "/../etc/passwd")[0], 404)
        self.assertEqual(ask(self.port, "/metrics", "POST", data=b"x")[0], 403)
        self.assertEqual(ask(self.port, "/metrics", "DELETE")[0], 405)
        self.assertEqual(ask(self.port, "/metrics", "HEAD")[2], "")
        self.assertIn(" 431 ", raw(self.port, b"GET /live HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 60000 + b"\r\n\r\n"))
        self.assertEqual(raw(self.port, b"nonsense\r\n\r\n"), "")  # closed: there is no request to answer
        self.assertEqual(raw(self.port, b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + b"z" * 200000), "")
        slow = [socket.create_connection(("127.0.0.1", self.port), timeout=5) for _ in range(8)]
        for connection in slow:  # they say nothing more
            connection.sendall(b"GET /live HTTP/1.1\r\n")
        self.assertEqual(ask(self.port, "/live")[0], 200)
        for connection in slow:
            connection.close()
        program.stop()

    def test_a_token(self):
        job, program = self.start("admin-token", 'http_token = "open sesame";')
        self.wait(lambda: ask(self.port, "/ready")[0] == 200)  # probes need none
        self.assertEqual(ask(self.port, "/metrics")[0], 401)
        self.assertEqual(ask(self.port, "/nothing")[0], 401)
        self.assertEqual(ask(self.port, "/metrics", token="open")[0], 401)
        self.assertEqual(ask(self.port, "/metrics", token="open sesame")[0], 200)
        status, headers, _ = ask(self.port, "/metrics", "POST", token="open sesame", data=b"")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(ask(self.port, "/refresh")[0], 401)
        self.assertEqual(ask(self.port, "/refresh", "POST", token="wrong", data=b"")[0], 401)
        self.assertEqual(ask(self.port, "/refresh", token="open sesame")[0], 405)
        job.produce([*EVENTS, *END])
        job.wait_done(program, 60)
        state = lambda: [json.loads(m.value()) for m in client.read_committed(job.broker, "admin-token.state")]
        members = {}
        for record in sorted(state(), key=lambda r: r["version"]):
            members[scenario.record_key(record)] = record["status"] == "qualified"
        self.assertTrue(any(members.values()))
        self.assertEqual(ask(self.port, "/refresh", "POST", token="open sesame", data=b"")[0], 202)
        self.wait(lambda: sorted(scenario.record_key(r) for r in state() if r["transition"] == "snapshot") ==
                  sorted(key for key, is_member in members.items() if is_member))
        self.assertNotIn("sesame", program.log_tail())
        program.stop()

    def test_it_answers_before_there_is_a_broker(self):
        config = os.path.join(self.directory, "away.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f'app = "away"; kafka = {{ bootstrap_servers = "127.0.0.1:{services.free_port()}"; }};\n'
                      f'http = "127.0.0.1:{self.port}"; inputs = ( {{ topic = "t"; format = "json"; mapping = "flat"; }} );\n'
                      'definitions = ( { name = "d"; subject = "user"; qualify = "count(x, 7d) >= 1"; } );\n')
        process = subprocess.Popen([BINARY, "run", "--config", config], stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait(lambda: ask(self.port, "/live")[0] == 200)
        status, _, text = ask(self.port, "/ready")
        self.assertEqual(status, 503)
        self.assertIn("starting", text)

    def test_tls(self):
        """With a certificate nothing but TLS is answered, and who checks it is content."""
        pem, key = (os.path.join(self.directory, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", pem], check=True, capture_output=True, timeout=60)
        job, program = self.start("admin-tls", f'http_certificate = "{pem}"; http_key = "{key}";')
        trust = ssl.create_default_context(cafile=pem)

        def is_ready():
            with urllib.request.urlopen(f"https://127.0.0.1:{self.port}/ready", timeout=10, context=trust) as answer:
                return answer.status == 200
        self.wait(is_ready)
        with self.assertRaises(OSError):
            ask(self.port, "/live")
        subprocess.run([BINARY, "health", "--ready", "--config", job.config_path], check=True, timeout=60, capture_output=True)
        program.stop()

    def test_refused_at_start(self):
        taken = socket.create_server(("127.0.0.1", self.port))
        self.addCleanup(taken.close)
        key = os.path.join(self.directory, "no.pem")
        with open(key, "w", encoding="utf-8") as out:
            out.write("nothing")
        cases = [(f'http = "127.0.0.1:{self.port}";', "in use; choose another address or port"),
                 ('http = "localhost";', "it is written 127.0.0.1:8090"),
                 (f'http = "127.0.0.1:0"; http_key = "{key}"; http_certificate = "{key}";', "no certificate or key (PEM) in it"),
                 ('http = "127.0.0.1:0"; http_key = "/none.pem"; http_certificate = "/none.pem";', "/none.pem: No such file"),
                 ('http = "127.0.0.1:0"; http_key = "x.pem";', "http_certificate and http_key are given together")]
        for number, (settings, words) in enumerate(cases):
            job = scenario.Scenario(f"admin-refused-{number}", self.directory, settings=settings)
            done = subprocess.run([BINARY, "run", "--config", job.config_path], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
