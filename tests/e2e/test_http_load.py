"""The admin endpoint under what is wrong with its askers: a thousand of them at once, slow ones, those without the token. Right
answers, bounded memory and descriptors, and the pipeline does not notice. And what it says of what the pipeline stands on."""
import os
import socket
import struct
import subprocess
import threading
import time
import unittest
import urllib.parse

import client
import dataset
import endpoint
import scenario
import services
from endpoint import ask, metrics

EVENTS = dataset.generate(seed=8, accounts=15, days=20)
END = [dataset.closing_clock(EVENTS)]
CONNECTIONS = 1000
AT_ONCE_MAX = 64  # of all addresses, as processor/io/server.h says


def open_from(number, port):
    """A connection from one of many addresses of this machine, so that the limit of one address is not what is met; it may
    still be waiting to be let in."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.bind((f"127.0.{1 + number // 200}.{1 + number % 200}", 0))
    connection.connect_ex(("127.0.0.1", port))
    return connection


def answer_to(connection, data):
    """The status line, or "" where the connection is closed without."""
    try:
        connection.sendall(data)
        return connection.recv(4096).split(b"\r\n")[0].decode()
    except (ConnectionError, BrokenPipeError):
        return ""


def resident_kb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


class Forwarder:
    """A port that leads to another address until it is shut."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.there = (parts.hostname, parts.port)
        self.port = services.free_port()
        self.url = parts._replace(netloc=f"127.0.0.1:{self.port}").geturl()
        self.listener = None
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                near = listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(self.there)
            threading.Thread(target=self.forward, args=(near, far), daemon=True).start()

    def forward(self, near, far):
        back = threading.Thread(target=self.copy, args=(far, near), daemon=True)
        back.start()
        self.copy(near, far)
        back.join()
        near.close()
        far.close()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def shut(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Load(endpoint.Endpoint):
    PATIENCE = 60

    def test_a_thousand_connections(self):
        """Most wait in line, none is left open for ever, and meanwhile all events are processed and committed."""
        job, program = self.start("load")
        self.addCleanup(program.kill)
        self.wait(lambda: ask(self.port, "/ready")[0] == 200)
        ask(self.port, "/metrics")
        before_kb, before = resident_kb(program.process), descriptors(program.process)
        connections = [open_from(i, self.port) for i in range(CONNECTIONS)]
        self.wait(lambda: descriptors(program.process) >= before + AT_ONCE_MAX // 2)
        for connection in connections:  # half of a request each: the slowest askers there are
            try:
                connection.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            except OSError:
                pass  # not let in
        self.assertLess(descriptors(program.process), before + AT_ONCE_MAX + 40)
        self.assertLess(resident_kb(program.process), before_kb + 32 * 1024)
        job.produce([*EVENTS, *END])
        job.wait_done(program, 60)  # committed, while they are there
        for connection in connections:
            connection.close()
        self.wait(lambda: ask(self.port, "/ready")[0] == 200)
        self.wait(lambda: descriptors(program.process) < before + 40)  # those to brokers come as they are needed
        samples = metrics(ask(self.port, "/metrics")[2])
        self.assertEqual(samples["pqlstream_events_total"], sum(client.end_offsets(job.broker, job.topic).values()))
        self.assertEqual(samples["pqlstream_aborted_commits_total"], 0)
        self.check_health(samples)
        self.assertEqual(program.stop(), 0, program.log_tail())
        expected = job.replay([*EVENTS, *END])
        self.assertEqual(sorted(r["event_id"] for topic in job.records().values() for r in topic),
                         sorted(r["event_id"] for r in expected))

    def check_health(self, samples):
        """What a run on a healthy broker and registry says of them."""
        self.assertEqual((samples["pqlstream_brokers_up"], samples["pqlstream_registry_up"]), (1, 1))
        self.assertGreater(samples["pqlstream_brokers_answer_seconds"], 0)
        self.assertGreater(samples["pqlstream_registry_requests_total"], 0)
        self.assertEqual(samples["pqlstream_registry_failures_total"], 0)
        self.assertEqual(samples["pqlstream_registry_schemas_total"], 1)  # that of the events
        for name in ("client_errors", "client_warnings", "registry_copies"):
            self.assertGreaterEqual(samples[f"pqlstream_{name}_total"], 0)
        delays = samples["pqlstream_output_delay_seconds_count"]
        self.assertEqual(samples['pqlstream_output_delay_seconds_bucket{le="+Inf"}'], delays)
        self.assertTrue(delays > 0 and samples["pqlstream_output_delay_seconds_sum"] > 0)

    def test_wrong_askers(self):
        """With a token and without; whoever asks wrongly gets the right word, however often."""
        _, program = self.start("askers", 'http_token = "open sesame";')
        self.wait(lambda: ask(self.port, "/ready")[0] == 200)
        before = descriptors(program.process)
        cases = [(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", " 401 "),
                 (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \r\n\r\n", " 401 "),
                 (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic b3Blbg==\r\n\r\n", " 401 "),
                 (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer open sesame and more\r\n\r\n", " 401 "),
                 (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer open sesame\r\n\r\n", " 200 "),
                 (b"GET /live/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer open sesame\r\n\r\n", " 404 "),
                 (b"PUT /live HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", " 405 "),
                 (b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", " 405 "),
                 (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", " 401 "),
                 (b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", " 414 "),
                 (b"GET /live HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(9000)) + b"\r\n", " 431 ")]
        for turn in range(3):
            for data, status in cases:
                with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
                    self.assertIn(status, answer_to(connection, data), data[:60])
        for _ in range(200):  # gone in the middle of a request, with a reset
            with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
                connection.sendall(b"GET /metrics HT")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wait(lambda: descriptors(program.process) < before + 40)
        self.assertNotIn("sesame", program.log_tail())
        self.assertEqual(program.stop(), 0)

    def test_a_registry_that_goes_away_shows(self):
        job = scenario.Scenario("unregistered", self.directory, settings=f'lateness = "1s"; http = "127.0.0.1:{self.port}";')
        job.create_input()
        forwarder = Forwarder(job.registry)
        job.configure(registry=forwarder.url)
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        seen = lambda: metrics(ask(self.port, "/metrics")[2])
        self.wait(lambda: ask(self.port, "/ready")[0] == 200)
        self.assertEqual(seen()["pqlstream_registry_up"], 1)  # it gave the ids of the outputs
        forwarder.shut()
        client.produce(job.broker, job.topic, [(0, None, b"\0" + struct.pack(">I", 2147483646) + b"\2")])
        self.wait(lambda: seen()["pqlstream_registry_up"] == 0)
        self.assertGreater(seen()["pqlstream_registry_failures_total"], 0)
        self.assertEqual(seen()["pqlstream_brokers_up"], 1)
        forwarder.open()
        self.wait(lambda: seen()["pqlstream_registry_up"] == 1, 90)
        self.assertEqual(program.stop(), 0, program.log_tail())
        forwarder.shut()

    def test_files_of_tls_that_do_not_serve(self):
        names = [os.path.join(self.directory, name) for name in ("a.pem", "a.key", "b.pem", "b.key")]
        for pem, key in (names[:2], names[2:]):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-keyout", key, "-out", pem], check=True, capture_output=True, timeout=60)
        cases = [(names[0], names[3], "do http_certificate and http_key belong together?"),
                 (self.directory, names[1], self.directory),
                 (names[0], os.path.join(names[1], "x"), "Not a directory")]
        for number, (pem, key, words) in enumerate(cases):
            job = scenario.Scenario(f"tls-refused-{number}", self.directory,
                                    settings=f'http = "127.0.0.1:0"; http_certificate = "{pem}"; http_key = "{key}";')
            done = subprocess.run([os.environ["PQL_TEST_BINARY"], "run", "--config", job.config_path], capture_output=True,
                                  text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
