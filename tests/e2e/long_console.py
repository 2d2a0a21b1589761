"""The console page in a real browser: what it shows of a running instance, the look-up of an account, who may see it, a phone,
light and dark, a server that goes away and comes back. No error on its console and no breach of its content policy; screenshots
are left beside the program."""
import os
import re
import time
import unittest

from playwright.sync_api import Error, expect, sync_playwright

import client
import dataset
import endpoint
import scenario

BINARY = os.environ["PQL_TEST_BINARY"]
SHOTS = os.path.join(os.path.dirname(BINARY), "screenshots")
EVENTS = dataset.generate(seed=8, accounts=15, days=20)
BROWSER = {"executable_path": "/usr/bin/chromium", "args": [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync"]}
PATIENCE_MS = 60000


class Console(endpoint.Endpoint):
    @classmethod
    def setUpClass(cls):
        os.makedirs(SHOTS, exist_ok=True)
        cls.playwright = sync_playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        cls.browser = cls.playwright.chromium.launch(**BROWSER)
        cls.addClassCleanup(cls.browser.close)
        expect.set_options(timeout=PATIENCE_MS)

    def page(self, errors, **settings):
        """A page whose errors, breaches of its policy and requests to elsewhere come into the list."""
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce", **settings})
        self.addCleanup(context.close)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: message.type in ("error", "warning") and errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: request.url.startswith(f"http://127.0.0.1:{self.port}/") or errors.append(request.url))
        return page

    def wait_for(self, page, path):
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while True:
            try:
                if page.request.get(f"http://127.0.0.1:{self.port}{path}").ok:
                    return
            except Error:  # it does not listen yet
                pass
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def shoot(self, page, name):
        page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        page.screenshot(path=os.path.join(SHOTS, f"{name}.png"), full_page=True)

    def test_what_it_shows(self):
        job, program = self.start("console")
        errors = []
        page = self.page(errors)
        self.wait_for(page, "/ready")
        page.goto(f"http://127.0.0.1:{self.port}/console")
        expect(page.locator("#health")).to_have_text("ready")
        job.produce(EVENTS, rate=100)  # so that the charts have something to show
        client.produce(job.broker, job.topic, [(0, None, b"nothing of ours")] * 3)
        job.wait_done(program, 60)
        records = [r for topic in ("pql", "pqa") for r in job.records()[topic]]
        expect(page.locator("#tiles")).to_contain_text(f"{len(records):,} transitions committed")
        expect(page.locator("#partitions tr")).to_have_count(job.partitions)
        expect(page.locator("#partitions .pill.good")).to_have_count(job.partitions)
        for name in {r["definition"] for r in records}:
            members = sum((r["definition"] == name) * {"entered": 1, "left": -1}.get(r["transition"], 0) for r in records)
            card = page.locator("#cards article", has=page.get_by_role("heading", name=name, exact=True))
            expect(card.locator("dd").first).to_have_text(str(members))
            card.get_by_text("What").click()
            expect(card.locator("pre")).to_contain_text(name)
        expect(page.locator("#stream li")).to_have_count(min(100, len(records)))
        expect(page.locator("#letters .bars")).to_contain_text("bad_framing")
        page.locator("#letters summary").click()
        expect(page.locator("#letters tbody tr")).to_have_count(3)
        newest = max(records, key=lambda r: scenario.millis(r["produced_at"]))
        expect(page.locator("#stream")).to_contain_text(newest["reason_text"])
        self.shoot(page, "overview")
        self.check_lookup(page, records)
        self.assertEqual(errors, [])
        page.emulate_media(color_scheme="dark")
        self.shoot(page, "dark")
        phone = self.page(errors, viewport={"width": 390, "height": 844}, device_scale_factor=2)
        phone.goto(page.url)
        expect(phone.locator("#found article").first).to_be_visible()
        self.assertLessEqual(phone.evaluate("document.documentElement.scrollWidth"), 390)
        self.shoot(phone, "phone")
        self.assertEqual(errors, [])
        self.check_going_away(page, job, program)

    def check_lookup(self, page, records):
        """By keyboard: an account, one of its users, and one that is none."""
        last = {}
        for record in records:
            last[record["definition"], record["account_id"], record["user_id"]] = record
        user = next(r for r in last.values() if r["status"] == "qualified" and r["user_id"])
        page.locator("#account").focus()
        page.keyboard.type(user["account_id"])
        page.keyboard.press("Tab")
        page.keyboard.type(user["user_id"])
        page.keyboard.press("Enter")
        card = page.locator("#found article", has=page.get_by_role("heading", name=user["definition"], exact=True))
        expect(card.locator(".head .pill")).to_have_text("qualified")
        expect(card.locator(".words")).not_to_be_empty()
        expect(card.locator(".evidence li")).to_have_count(len(user["evidence"]))
        expect(card.locator("svg.need")).to_have_attribute("aria-label", re.compile("needs 3"))
        self.shoot(page, "user")
        page.get_by_role("button", name=user["account_id"], exact=True).first.click()
        expect(page.locator("#found h3").first).to_have_text(user["account_id"])
        expect(page.locator("#found .chips")).to_contain_text(user["user_id"])
        self.shoot(page, "account")
        page.go_back()
        expect(page.locator("#found h3").first).to_have_text(f"{user['user_id']} of {user['account_id']}")
        page.go_forward()
        expect(page.locator("#found h3").first).to_have_text(user["account_id"])

    def check_going_away(self, page, job, program):
        program.kill()
        expect(page.locator("#away")).to_contain_text("No answer since")
        expect(page.locator("#health")).to_have_text("no answer")
        self.shoot(page, "away")
        again = job.run()
        self.addCleanup(lambda: again.process.poll() is None and again.kill())
        expect(page.locator("#health")).to_have_text("ready")
        expect(page.locator("#away")).to_be_hidden()
        again.stop()

    def test_a_token(self):
        _, program = self.start("console-token", 'http_token = "open sesame";')
        errors = []
        page = self.page(errors)
        page.goto(f"http://127.0.0.1:{self.port}/console/")
        expect(page.locator("#login")).to_be_visible()
        page.locator("#token").fill("guess")
        page.keyboard.press("Enter")
        expect(page.locator("#refused")).to_have_text("That is not the token.")
        self.shoot(page, "token")
        page.locator("#token").fill("open sesame")
        page.keyboard.press("Enter")
        expect(page.locator("#health")).to_have_text("ready")
        expect(page.locator("#login")).to_be_hidden()
        # An answer that is no 200 is an error to the browser: without the token, and while the process starts.
        self.assertEqual([e for e in errors if not re.search("status of (401|503)", e)], [])
        program.stop()


if __name__ == "__main__":
    unittest.main()
