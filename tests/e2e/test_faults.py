"""Bad input and faults on a real broker: each gets what it must, and the good events beside it are unaffected."""
import http.server
import json
import os
import re
import struct
import tempfile
import threading
import time
import unittest

import client
import dataset
import oracle
import scenario
import services

EVENTS = dataset.generate(seed=5, accounts=25, days=30)
END = [dataset.closing_clock(EVENTS)]
EXPECTED = oracle.acceptance(EVENTS)


def track_of(events):
    return next(e for e in events if e["event"] == "login")


class StubRegistry:
    """Serves one schema under one id; nothing answers on its port until start()."""

    def __init__(self, schema_id, schema):
        self.port, self.schema_id, self.schema, self.server = services.free_port(), schema_id, schema, None
        self.url = f"http://127.0.0.1:{self.port}/base"

    def start(self):
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                known = re.match(rf"/base/schemas/ids/{stub.schema_id}(\?|$)", self.path)
                body = {"schema": json.dumps(stub.schema)} if known else {"error_code": 40403, "message": "no"}
                data = json.dumps(body).encode()
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()


class Faults(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def job(self, app, **options):
        return scenario.Scenario(app, self.directory, **options)

    def start(self, job):
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program

    def check_output(self, job, expected=EXPECTED):
        records = job.records()
        for suffix in records:
            scenario.check_contract(self, records[suffix])
        scenario.check_transitions(self, [*records["pql"], *records["pqa"]], expected)

    def wait_log(self, program, words, seconds=30):
        deadline = time.monotonic() + seconds
        while not all(word in program.log_tail() for word in words):
            self.assertLess(time.monotonic(), deadline, f"{words} not all said in {seconds} s:\n{program.log_tail()}")
            time.sleep(0.1)

    def refused(self, job, *words, code=2):
        """The program ends by itself, with a code and these words."""
        program = self.start(job)
        self.assertEqual(program.process.wait(40), code, program.log_tail())
        for word in words:
            self.assertIn(word, program.log_tail())

    def test_bad_records_go_to_the_dead_letters(self):
        job = self.job("bad")
        job.create_input()
        login = track_of(EVENTS)
        good = next(job.messages([login]))
        future = int(time.time() * 1000) + 86400000
        bad = {
            "bad_framing": b"\x07whatever",
            "unknown_schema": b"\0" + struct.pack(">I", 987654) + good[2][5:],
            "bad_avro": good[2][:-1],
            "no_account": job.encode(dict(login, account_id=None, message_id="b1")),
            "no_event": job.encode(dict(login, event=None, message_id="b2")),
            "future_time": job.encode(dict(login, occurred_at=future, message_id="b3")),
        }
        messages, reasons = [], {}
        values = list(job.messages(EVENTS + END))
        for n, message in enumerate(values):
            messages.append(message)
            if n % 200 == 100 and bad:
                reason, value = bad.popitem()
                reasons[value] = reason
                messages.append((good[0], good[1], value))
        client.produce(job.broker, job.topic, messages)
        program = self.start(job)
        job.wait_done(program, 90)
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.check_output(job)
        letters = client.read_committed(job.broker, "bad.dlq")
        found = {m.value(): dict(m.headers())["pqlstream.error.reason"].decode() for m in letters}
        self.assertEqual(found, reasons)
        self.assertEqual(len(letters), len(reasons))
        for m in letters:
            headers = dict(m.headers())
            self.assertEqual((m.key().decode(), headers["pqlstream.error.topic"].decode()), (good[1], job.topic))

    def test_registry_away_the_partition_waits(self):
        registry = StubRegistry(41, scenario.EVENT_SCHEMA)
        self.addCleanup(registry.stop)
        job = self.job("noregistry")
        job.create_input()
        job.encode = client.avro_writer(scenario.EVENT_SCHEMA, 41)
        job.produce(EVENTS + END)
        with open(job.config_path, "r+", encoding="utf-8") as config:
            text = config.read().replace(job.registry, registry.url)
            config.seek(0)
            config.truncate()
            config.write(text.replace('format = "avro"; schema = "register"', 'format = "json"'))
        program = self.start(job)
        self.wait_log(program, [str(registry.port)])
        time.sleep(1)
        program.check_alive()
        self.assertEqual(job.progress()[0], 0)
        registry.start()
        job.wait_done(program, 60)
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.check_output(job)
        self.assertEqual(client.read_committed(job.broker, "noregistry.dlq"), [])

    def test_broker_away_at_start_is_named(self):
        port = services.free_port()
        os.environ["PQLSTREAM_KAFKA__BOOTSTRAP_SERVERS"] = f"127.0.0.1:{port}"
        self.addCleanup(os.environ.pop, "PQLSTREAM_KAFKA__BOOTSTRAP_SERVERS")
        program = self.start(self.job("nobroker"))
        self.wait_log(program, [str(port)], 15)
        program.check_alive()
        self.assertIn(program.stop(), (0, 1))

    def test_broker_away_meanwhile(self):
        broker = services.Broker()
        self.addCleanup(broker.stop)
        broker.start()
        broker.wait_ready()
        shared = os.environ["PQL_TEST_BROKER"]
        os.environ["PQL_TEST_BROKER"] = broker.address
        self.addCleanup(os.environ.__setitem__, "PQL_TEST_BROKER", shared)
        job = self.job("restarted")
        job.create_input()
        half = len(EVENTS) // 2
        job.produce(EVENTS[:half])
        program = self.start(job)
        job.wait_done(program, 60)
        broker.kill()
        time.sleep(3)
        program.check_alive()
        broker.run()
        broker.wait_ready()
        job.produce(EVENTS[half:] + END)
        job.wait_done(program, 60)
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.check_output(job)

    def test_missing_input_is_refused(self):
        self.refused(self.job("missing"), "missing.events", "pqlstream topics")

    def test_unequal_partition_counts_are_refused(self):
        job = self.job("unequal")
        job.create_input()
        client.create_topics(job.broker, 3, "unequal.more")
        with open(job.config_path, encoding="utf-8") as config:
            text = config.read()
        text = text.replace("inputs = (", 'inputs = ( { topic = "unequal.events"; mapping = "test"; },').replace(
            'topic = "unequal.events"; format', 'topic = "unequal.more"; format')
        with open(job.config_path, "w", encoding="utf-8") as config:
            config.write(text)
        self.refused(job, "unequal.more")

    def test_input_by_another_key_is_refused(self):
        job = self.job("misplaced")
        job.create_input()
        login = track_of(EVENTS)
        placed = [message for n in range(5000) for message in job.messages([dict(login, account_id=f"a{n}")])]
        client.produce(job.broker, job.topic, ((n % 4, key, value) for n, (_, key, value) in enumerate(placed)))
        self.refused(job, "misplaced.events is not partitioned by account", code=3)

    def test_input_half_bad_blocks_the_task(self):
        job = self.job("halfbad")
        job.create_input()
        client.produce(job.broker, job.topic, [(0, "k", b"\x07junk")] * 5000)
        program = self.start(job)
        time.sleep(8)
        program.check_alive()
        done, lag = job.progress()
        self.assertGreater(lag, 3000)
        self.assertLessEqual(len(client.read_committed(job.broker, "halfbad.dlq")), 1500)
        program.stop()


if __name__ == "__main__":
    unittest.main()
