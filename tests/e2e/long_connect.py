"""From the output topics into other people's systems, with what conf/connect ships, as it is: Kafka Connect with Debezium's JDBC
sink upserts the current state into PostgreSQL, as Avro through the registry and as JSON, and the reference consumer posts alerts to
a webhook. Both stories include that each of the parts is killed, and that everything is read again."""
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import client
import scenario
import services
import warehouse
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dataset import START, attributes, track
from oracle import DAY

PATIENCE_SECONDS = 240
HOUR = DAY // 24
FORMS = ("avro", "json")

DEFINITIONS = """
  { name = "inviter"; subject = "user"; alert = true; qualify = "count(invite_sent, 7d) >= 2"; include_attributes = [ "user.role" ]; },
  { name = "heat"; subject = "account"; alert = true; qualify = "score >= 10";
    score = ( { points = 10; per = "count(report_run, 30d)"; } ); tiers = ( { name = "hot"; at = 30; }, { name = "warm"; at = 10; } ); },
  { name = "called"; subject = "user"; alert = true; qualify = "ever(demo_asked)"; sla = "2h"; acknowledge_on = [ "contacted" ]; }
"""
STATE = {"avro": 'format = "avro"; schema = "register";', "json": 'format = "json"; connect_schema = true; json_times = "ms";'}


def outputs(form):
    plain = 'format = "json";'
    return f"pql = {{ {plain} }}; pqa = {{ {plain} }}; alerts = {{ {plain} }}; state = {{ {STATE[form]} }};"


def clock(at):
    """Time goes on in every partition."""
    return {"type": "clock", "message_id": f"clock:{at}", "occurred_at": at}


def invites(user, account, at):
    return [track(f"i:{user}:{at + n}", "invite_sent", user, account, at + n * HOUR, {}) for n in range(2)]


def utc(text):
    """A timestamp without time zone, as milliseconds."""
    return scenario.millis(f"{text}+00:00")


class Form:
    """One application, and a table that a worker of its own fills."""

    def __init__(self, form, directory, database):
        self.form, self.app, self.database, self.table = form, f"crm_{form}", database, f"crm_{form}_state"
        self.http = services.free_port()
        self.job = scenario.Scenario(self.app, directory, input_format="json", definitions=DEFINITIONS, outputs=outputs(form), settings=(
            f'lateness = "0s"; alert_max_age = "36500d"; tombstones = true; instance = "one"; http = "127.0.0.1:{self.http}";'))
        self.events, self.decode = [], client.AvroReader(self.job.registry)
        self.job.create_input()
        self.program = self.job.run()
        self.worker = warehouse.Connect(form, KAFKA_BROKERS=self.job.broker, STATE_TOPIC=f"{self.app}.state", STATE_TABLE=self.table,
                                        JDBC_URL=database.url, JDBC_USER="postgres", JDBC_PASSWORD="",
                                        REGISTRY_API=self.job.registry.replace("/ccompat/v7", "/registry/v2"))

    def end(self):
        self.worker.stop()
        if self.program.process.poll() is None:
            self.program.kill()

    def produce(self, events):
        self.events += events
        self.job.produce(events)

    def rows(self):
        return self.database.rows(self.table)

    def state(self):
        """{key: record} of what the state topic says last, without the keys that are gone."""
        last = {}
        for message in client.read_committed(self.job.broker, f"{self.app}.state"):
            value = message.value()
            last[message.key().decode()] = value and (self.decode(value) if self.form == "avro" else json.loads(value)["payload"])
        return {key: record for key, record in last.items() if record}

    def differences(self):
        """Where the table is not what the state topic says: each column of each row."""
        rows, state = self.rows(), self.state()
        found = [key for key in rows.keys() ^ state.keys()]
        for key in rows.keys() & state.keys():
            columns = set(rows[key]) - {"state_key"}
            left_out = set(state[key]) - columns
            if left_out != {"evidence", "source", "attributes"}:
                found.append((key, left_out))
            for column in columns:
                is_time = column.endswith("_at") or column in ("clock", "complete_since")
                value, expected = rows[key][column], state[key][column]
                if value is not None and is_time:
                    value, expected = utc(value), scenario.millis(expected)
                if value != expected:
                    found.append((key, column, value, expected))
        return found

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ready", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False


class HandOver(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.database = warehouse.Database()
        self.addCleanup(self.database.stop)
        self.database.start()
        self.forms = []
        for form in FORMS:
            self.forms.append(Form(form, directory.name, self.database))
            self.addCleanup(self.forms[-1].end)

    def start_workers(self):
        for form in self.forms:
            form.worker.start()
        for form in self.forms:
            form.worker.wait_ready()

    def wait_until(self, is_so, form, what):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            form.program.check_alive()
            if time.monotonic() > deadline:
                self.fail(f"{form.form}: {what()}\n{form.worker.log_text()[-3000:]}")
            time.sleep(0.3)

    def step(self, events, key, **expected):
        """Produces, and waits until the row of the key says this, in both tables."""
        for form in self.forms:
            form.produce(events)
        for form in self.forms:
            def row(form=form):
                found = form.rows().get(key, {})
                return {column: utc(found[column]) if column.endswith("_at") and found.get(column) else found.get(column) for column in expected}

            self.wait_until(lambda: row() == expected, form, lambda: f"{key} is {row()}, not {expected}")

    def wait_same(self):
        for form in self.forms:
            form.job.wait_done(form.program, PATIENCE_SECONDS)
            self.wait_until(lambda: not form.differences(), form, lambda: f"differs: {form.differences()[:5]}")

    def test_state_into_a_database_and_alerts_to_a_webhook(self):
        self.start_workers()
        first, again = START + HOUR, START + 10 * DAY
        key = "inviter/Acme%2FBerlin/änn"
        self.step([attributes("a", "änn", "Acme/Berlin", START, {"role": "admin"}), *invites("änn", "Acme/Berlin", START)], key,
                  status="qualified", transition="entered", qualification_count=1, first_qualified_at=first, qualified_at=first, left_at=None,
                  account_id="Acme/Berlin", user_id="änn")
        self.tiers()
        self.aborted(key)
        self.step([clock(START + 8 * DAY)], key, status="left", reason="expired", qualification_count=1, first_qualified_at=first, qualified_at=first,
                  left_at=START + 7 * DAY)
        self.step(invites("änn", "Acme/Berlin", again), key, status="qualified", previous_status="left", qualification_count=2,
                  first_qualified_at=first, qualified_at=again + HOUR)
        self.deadline_and_erasure(again + DAY)
        self.everything_is_killed(again + 2 * DAY)
        self.connect_and_database_away(again + 3 * DAY)
        self.read_again()
        for form in self.forms:
            self.check_records(form)
            self.assertEqual(form.program.stop(), 0)
        self.webhook(self.forms[0])

    def tiers(self):
        def runs(*at):
            return [track(f"r:{n}", "report_run", "bob", "Globex", START + n * HOUR, {}) for n in at]

        warm = dict(qualification_count=1, first_qualified_at=START, qualified_at=START, status="qualified")
        self.step(runs(0), "heat/Globex", tier="warm", score=10, **warm)
        self.step(runs(1, 2), "heat/Globex", tier="hot", previous_tier="warm", score=30, transition="tier_changed", **warm)
        for form in self.forms:
            self.assertEqual(form.differences(), [])

    def aborted(self, key):
        """A record of a transaction that does not come to be, before the next one of the key: a row that is never made."""
        for form in self.forms:
            topic = f"{form.app}.state"
            found = next(m for m in client.read_committed(form.job.broker, topic) if m.key().decode() == key)
            client.produce(form.job.broker, topic, [(found.partition(), b"inviter/nobody/nobody", found.value())],
                           transactional_id=f"{form.app}-aborted", commit=False)

    def deadline_and_erasure(self, at):
        self.step([track("d", "demo_asked", "cyd", "Initech", at, {})], "called/Initech/cyd", status="qualified", sla_due_at=at + 2 * HOUR)
        forget = {"type": "forget", "message_id": "f", "user_id": "cyd", "account_id": "Initech", "occurred_at": at + 4 * HOUR}
        for form in self.forms:
            form.produce([clock(at + 3 * HOUR), forget])
        for form in self.forms:
            self.wait_until(lambda: "called/Initech/cyd" not in form.rows(), form, lambda: "the erased row is still there")

    def everything_is_killed(self, at):
        """The program, the workers and the database, while rows are on their way."""
        crowd = [event for n in range(300) for event in invites(f"u{n}", f"acct-{n % 40}", at + n)]
        crowd.sort(key=lambda event: event["occurred_at"])
        threads = []
        for form in self.forms:
            form.events += crowd
            threads.append(form.job.produce_paced(crowd, rate=200))
        some = self.forms[0]
        self.wait_until(lambda: len(some.rows()) > 20, some, lambda: "nobody of the crowd arrives")
        for form in self.forms:
            form.worker.kill()
            form.program.kill()
        self.database.crash()
        for form in self.forms:
            form.program = form.job.run()
        for thread in threads:
            thread.join()
            self.assertIsNone(thread.failure)
        for form in self.forms:
            form.job.wait_done(form.program, PATIENCE_SECONDS)

    def connect_and_database_away(self, at):
        """They have been since the last step: the program goes on and is ready, and they catch up."""
        crowd = [event for n in range(100) for event in invites(f"v{n}", f"acct-{n % 40}", at + n)]
        for form in self.forms:
            said = os.path.getsize(form.program.log_path)
            form.produce(crowd)
            form.job.wait_done(form.program, PATIENCE_SECONDS)
            self.wait_until(form.ready, form, lambda: "not ready")
            with open(form.program.log_path, encoding="utf-8") as log:
                log.seek(said)
                self.assertNotIn("level=error", log.read())
        self.database.run()
        self.start_workers()
        self.wait_same()

    def read_again(self):
        """Tables that a mistake has spoilt, and connectors that begin again: every row is as it was, none is there twice, and a
        column that was not there is."""
        for form in self.forms:
            before = {key: row["version"] for key, row in form.rows().items()}
            self.assertEqual(self.database.psql(f"update {form.table} set status = 'spoilt', version = 0;"
                                                f" alter table {form.table} drop column route").returncode, 0)
            self.assertNotEqual(form.differences(), [])
            form.worker.replay()
            self.wait_until(lambda: not form.differences(), form, lambda: f"differs: {form.differences()[:5]}")
            self.assertEqual({key: row["version"] for key, row in form.rows().items()}, before)

    def check_records(self, form):
        """The topics are those of a program that nothing ever happened to."""
        found = form.job.records(("pql", "pqa", "alerts"))
        transitions = found["pql"] + found["pqa"]
        scenario.check_contract(self, transitions)
        scenario.check_contract(self, found["alerts"])
        scenario.check_same_records(self, transitions, form.job.replay(form.events))
        self.assertIn("sla_breached", {r["transition"] for r in found["alerts"]})
        alerted = {r["event_id"] for r in transitions if r["transition"] in ("entered", "sla_breached") or r["tier"] == "hot"}
        self.assertEqual({r["event_id"] for r in found["alerts"]}, alerted)

    # --- alerts ---

    def webhook(self, form):
        """An unwilling receiver, a consumer that is killed while it posts, and a topic that is read again."""
        expected = [r["event_id"] for r in form.job.records(("alerts",))["alerts"]]
        receiver = Receiver()
        self.addCleanup(receiver.stop)
        consumer = Consumer(form, receiver)
        self.addCleanup(consumer.end)

        receiver.refuse(3)
        receiver.kill_at(10, consumer, answers=False)
        consumer.start()
        self.wait_for_webhook(consumer, lambda: consumer.process.poll() is not None)
        self.assertEqual(len(set(receiver.taken)), 9)
        unanswered = receiver.posted[-1]
        receiver.kill_at(10, consumer, answers=True)
        consumer.start()
        self.wait_for_webhook(consumer, lambda: consumer.process.poll() is not None)
        self.assertIn(unanswered, receiver.taken)
        unread = receiver.taken[-1]
        consumer.start()
        self.wait_for_webhook(consumer, lambda: len(receiver.taken) > len(expected))
        # Only the one whose answer nobody lived to read has come twice.
        self.assertEqual(sorted(receiver.taken), sorted([*expected, unread]))

        # Written twice, as by a program that lost its state and reads its input again; then read again from the beginning.
        messages = client.read_committed(form.job.broker, f"{form.app}.alerts")
        client.produce(form.job.broker, f"{form.app}.alerts", [(m.partition(), m.key(), m.value()) for m in messages])
        consumer.wait_done(self)
        consumer.end()
        consumer.forget_offsets(self)
        consumer.start()
        consumer.wait_done(self)
        self.assertEqual(sorted(receiver.taken), sorted([*expected, unread]))

        second = Consumer(form, receiver)
        self.addCleanup(second.end)
        second.start()
        self.wait_for_webhook(consumer, lambda: consumer.process.poll() is not None)
        self.assertIsNone(second.process.poll(), second.log())

    def wait_for_webhook(self, consumer, is_so):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            self.assertLess(time.monotonic(), deadline, consumer.log())
            time.sleep(0.1)


class Receiver:
    """A webhook that keeps the keys of what it was posted, and of what it has taken, in order."""

    def __init__(self):
        self.posted, self.taken, self.refusals, self.kill = [], [], 0, None
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert body["event_id"] == self.headers["Idempotency-Key"]
                receiver.take(body["event_id"], self)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuse(self, posts):
        self.refusals = posts

    def kill_at(self, post, consumer, answers):
        """At so many posts from now its sender is killed: before the answer is sent, or after it and before it is read."""
        self.kill = (len(self.taken) + post, consumer, answers)

    def take(self, event_id, handler):
        self.posted.append(event_id)
        if self.refusals:
            self.refusals -= 1
            handler.send_error(503)
            return
        if self.kill and len(self.taken) + 1 == self.kill[0]:
            _, consumer, answers = self.kill
            self.kill = None
            os.kill(consumer.process.pid, signal.SIGSTOP)
            if answers:
                self.answer(event_id, handler)
            consumer.process.kill()
            return
        self.answer(event_id, handler)

    def answer(self, event_id, handler):
        self.taken.append(event_id)
        handler.send_response(204)
        handler.end_headers()
        handler.wfile.flush()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Consumer:
    """conf/connect/alerts_to_webhook.py, as a process."""

    def __init__(self, form, receiver):
        self.broker, self.topic, self.process = form.job.broker, f"{form.app}.alerts", None
        self.group = f"{self.topic}-webhook"
        self.log_path = os.path.join(form.job.directory, "webhook.log")
        self.environment = dict(os.environ, KAFKA_BROKERS=self.broker, ALERTS_TOPIC=self.topic, WEBHOOK_URL=receiver.url,
                                SEEN_FILE=os.path.join(form.job.directory, "seen.sqlite"))

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([sys.executable, os.path.join(warehouse.CONFIGURATIONS, "alerts_to_webhook.py")],
                                            env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=services.end_with_parent)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()[-3000:]

    def wait_done(self, test):
        """Until it has come to the end of the topic, whose last records are no markers of transactions."""
        def is_done():
            committed = client.committed_offsets(self.broker, self.group, self.topic)
            return all(end in (0, committed[p]) for p, end in client.end_offsets(self.broker, self.topic).items())

        test.wait_for_webhook(self, is_done)

    def forget_offsets(self, test):
        """Once the broker no longer counts on the process that was killed."""
        admin = AdminClient({"bootstrap.servers": self.broker})

        def is_gone():
            try:
                admin.delete_consumer_groups([self.group])[self.group].result(30)
            except KafkaException:
                return False
            return True

        test.wait_for_webhook(self, is_gone)


if __name__ == "__main__":
    unittest.main()
