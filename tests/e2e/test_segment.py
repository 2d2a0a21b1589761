"""Events as Segment's and RudderStack's libraries send them, by the shipped mapping with a few words of one's own."""
import json
import os
import subprocess
import tempfile
import unittest

BINARY = os.environ["PQL_TEST_BINARY"]

CONFIGURATION = """
app = "segment";
kafka = { bootstrap_servers = "127.0.0.1:1"; };
inputs = ( { topic = "segment"; format = "json"; mapping = "product"; } );
mappings = { product = {
  preset = "segment";
  rename = ( { from = "Invite Sent"; to = "invite_sent"; } );
  labels = ( { event = "invite_sent"; text = "teammates invited"; } );
}; };
definitions = (
  { name = "inviter"; subject = "user";    qualify = "count(invite_sent, 7d) >= 2"; include_attributes = [ "user.role" ]; },
  { name = "shopper"; subject = "account";
    qualify = "users(count(page_viewed where path = '/pricing', 7d) >= 1) >= 2 and account.plan = 'team'"; } );
"""

BROWSER = {"library": {"name": "analytics.js", "version": "2.11.1"}, "ip": "203.0.113.7", "locale": "en-US",
           "campaign": {"name": "launch", "source": "newsletter"}, "groupId": "acme-42",
           "page": {"path": "/pricing", "referrer": "", "search": "", "title": "Pricing", "url": "https://app.example/pricing"},
           "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \"quoted\" \u00e9\u4e2d\U0001f600"}


def message(kind, number, at, **fields):
    return {"anonymousId": "507f191e810c19729de860ea", "channel": "browser", "context": BROWSER,
            "integrations": {"All": True, "Mixpanel": False}, "messageId": f"022bb90c-bbac-11e4-8dfc-{number:012d}",
            "originalTimestamp": "2026-02-19T00:00:00.000Z", "sentAt": "2026-02-19T00:00:00.001Z",
            "receivedAt": "2026-02-19T00:00:01.000Z", "timestamp": at, "type": kind, "version": "1.1", **fields}


PRICING = {"name": "Pricing", "properties": {"path": "/pricing", "title": "Pricing", "search": None}}
MESSAGES = [
    message("identify", 1, "2026-02-19T09:00:00.000Z", userId="ann", traits={"role": "admin", "email": "ann@example.com",
                                                                           "address": {"city": "Oslo"}}),
    message("page", 2, "2026-02-19T09:00:01.500Z", userId="ann", **PRICING),
    message("page", 3, "2026-02-19T10:00:02.000+01:00", userId="", **PRICING),  # not signed in: the anonymous id
    message("group", 4, "2026-02-19T09:00:03Z", userId="ann", groupId="acme-42",
            traits={"name": "Acme Inc.", "plan": "team", "employees": 329}),
    message("track", 5, "2026-02-19T09:01:00.000Z", userId="ann", event="Invite Sent",
            properties={"invitee": "bob@example.com"}),
    message("track", 6, "2026-02-19T09:02:00.000Z", userId="ann", event="Invite Sent",
            properties={"invitee": "eve@example.com", "cost": 12.5}),
    message("track", 7, "2026-02-19T09:03:00.000Z", userId="bob", event="Invite Sent", context={}),
    message("screen", 8, "2026-02-19T09:04:00.000Z", userId="ann", name="Home"),
]


class Segment(unittest.TestCase):
    def test_the_shipped_mapping_reads_them(self):
        with tempfile.TemporaryDirectory() as folder:
            config, events = os.path.join(folder, "segment.conf"), os.path.join(folder, "events.jsonl")
            with open(config, "w", encoding="utf-8") as out:
                out.write(CONFIGURATION)
            with open(events, "w", encoding="utf-8") as out:
                out.writelines(json.dumps(event) + "\n" for event in MESSAGES)
            done = subprocess.run([BINARY, "replay", "--config", config, events], capture_output=True, timeout=60,
                                  check=False, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(r["definition"], r["account_id"], r["user_id"], r["transition"], r["occurred_at"],
                           r["source"]["message_id"][-1]) for r in records],
                         [("shopper", "acme-42", None, "entered", "2026-02-19T09:00:03.000Z", "4"),
                          ("inviter", "acme-42", "ann", "entered", "2026-02-19T09:02:00.000Z", "6")])
        self.assertEqual(records[1]["attributes"], {"user.role": "admin"})
        self.assertIn("2 teammates invited", records[1]["reason_text"])
        self.assertIn("no_account 1", done.stderr)  # bob's, whose message names no group


if __name__ == "__main__":
    unittest.main()
