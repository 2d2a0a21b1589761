"""What a CRM says comes back by a topic of its own: conversions, disqualifications, acknowledgements, erasures; the
program is killed in between, and the records are those of one that never was."""
import json
import tempfile
import time
import unittest

import client
import scenario

HOUR = 3_600_000
START = 1_767_225_600_000
INPUT = '{ topic = "outcomes.crm"; format = "json"; mapping = "crm"; }'
MAPPING = """
  crm = { kind = "action"; event = "stage"; account = [ "org" ]; user = [ "member" ]; time = "ts"; id = "msg";
          value = "amount"; };
"""
DEFINITIONS = """
  { name = "keen"; subject = "user"; qualify = "count(login, 30d) >= 1"; convert_on = [ "won" ];
    disqualify_on = [ "unfit" ]; disqualify_for = "2d"; },
  { name = "team"; subject = "account"; qualify = "users(is(keen)) >= 1 and members() >= 1"; sla = "24h";
    acknowledge_on = [ "contacted" ]; alert = true; }
"""


def login(account, user, hours):
    return {"type": "track", "event": "login", "account_id": account, "user_id": user, "message_id": f"l{account}{hours}",
            "occurred_at": START + hours * HOUR}


def crm(action, account, user, hours, stage=None):
    found = {"action": action, "org": account, "member": user, "ts": START + hours * HOUR, "stage": stage, "amount": 12.5,
             "msg": f"{action}{account}{hours}"}
    return {k: v for k, v in found.items() if v is not None}


class Outcomes(unittest.TestCase):
    def test_a_second_topic(self):
        with tempfile.TemporaryDirectory() as directory:
            self.job = job = scenario.Scenario(
                "outcomes", directory, input_format="json", definitions=DEFINITIONS, partitions=1, more_inputs=INPUT,
                more_mappings=MAPPING, settings='instance = "a"; tombstones = true; alert_max_age = "3650d";')
            job.create_input()
            client.create_topics(job.broker, 1, "outcomes.crm")
            self.program = job.run()
            self.addCleanup(lambda: self.program.process.poll() is None and self.program.kill())
            self.product(*[login(account, "u", n) for n, account in enumerate(("a", "b", "c", "d"))])
            self.answers(crm("outcome", "a", "u", 5, "won"), crm("outcome", "b", "u", 6, "unfit"),
                         crm("outcome", "c", None, 7, "contacted"))
            self.program.kill()
            self.program = job.run()
            self.answers(crm("leave_group", "c", "u", 8))
            self.product(login("a", "u", 9), {"type": "clock", "message_id": "end", "occurred_at": START + 60 * HOUR})
            self.answers(crm("forget", "d", None, 61))
            self.assertEqual(self.program.stop(), 0, self.program.log_tail())
            self.check()

    def product(self, *events):
        client.produce(self.job.broker, self.job.topic, [(0, None, self.job.encode(e)) for e in events])
        self.wait(self.job.topic)

    def answers(self, *events):
        client.produce(self.job.broker, "outcomes.crm", [(0, None, json.dumps(e).encode()) for e in events])
        self.wait("outcomes.crm")

    def wait(self, topic):
        """Until the topic is committed to its end: of two topics the order is that of arrival."""
        broker, deadline = self.job.broker, time.monotonic() + 60
        while self.committed(topic) != client.end_offsets(broker, topic):
            self.program.check_alive()
            self.assertLess(time.monotonic(), deadline, self.program.log_tail())
            time.sleep(0.2)

    def committed(self, topic):
        try:
            return client.committed_offsets(self.job.broker, self.job.app, topic)
        except client.KafkaException:
            return None

    def check(self):
        records = self.job.records()
        found = [(r["definition"], r["account_id"], (scenario.millis(r["occurred_at"]) - START) / HOUR, r["transition"],
                  r["reason"]) for kind in ("pql", "pqa") for r in records[kind]]
        entered = [("keen", account, n, "entered", "condition") for n, account in enumerate("abcd")]
        self.assertEqual(sorted(found), sorted(entered + [("team", *e[1:]) for e in entered] + [
            ("keen", "a", 5, "left", "converted"), ("team", "a", 5, "left", "condition"),
            ("keen", "b", 6, "left", "disqualified"), ("team", "b", 6, "left", "condition"),
            ("keen", "b", 54, "entered", "condition"), ("team", "b", 54, "entered", "condition"),
            ("keen", "c", 8, "left", "ineligible"), ("team", "c", 8, "left", "condition"),
            ("team", "d", 27, "sla_breached", "expired"),
            ("keen", "d", 61, "left", "forgotten"), ("team", "d", 61, "left", "forgotten")]))
        self.assertEqual(sum(r["transition"] == "sla_breached" for r in self.alerts()), 1)
        gone = [m.key() for m in client.read_committed(self.job.broker, "outcomes.state") if m.value() is None]
        self.assertEqual(sorted(gone), [b"keen/d/u", b"team/d"])
        self.assertEqual(client.read_committed(self.job.broker, "outcomes.dlq"), [])

    def alerts(self):
        return [json.loads(m.value()) for m in client.read_committed(self.job.broker, "outcomes.alerts")]


if __name__ == "__main__":
    unittest.main()
