"""TLS and SASL to a real broker: it works to the record, what does not fit is told with place and remedy, and no secret is
seen anywhere."""
import base64
import json
import os
import resource
import stat
import subprocess
import tempfile
import time
import unittest
import urllib.request

import client
import scenario
import secured
import services

CONFIGURATION = """
app = "{app}"; create_topics = true; replication_factor = 1; checkpoint_interval = "1s"; lateness = "0s"; {settings}
kafka = {{
  bootstrap_servers = "{host}:{port}";
  security_protocol = "{protocol}";
  {kafka}
}};
inputs = ( {{ topic = "{app}.events"; format = "json"; }} );
definitions = ( {{ name = "d"; subject = "account"; qualify = "count(login, 7d) >= 2"; }} );
"""
EVENT = '{{"type":"track","event":"login","message_id":"{n}","user_id":"u","account_id":"{account}","occurred_at":{at}}}'
PATIENCE = 120


class Security(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = secured.SecuredBroker()
        cls.addClassCleanup(cls.broker.stop)
        cls.broker.start()
        cls.broker.wait_ready()
        cls.broker.set_password(secured.PASSWORD)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name

    def login(self, mechanism="SCRAM-SHA-256", user=secured.USER, password=secured.PASSWORD):
        return f'sasl_mechanism = "{mechanism}"; sasl_username = "{user}";\n  sasl_password = "{password}";'

    def trust(self, authority="ca"):
        return f'ssl_ca_location = "{self.broker.file(authority + ".crt")}";\n  '

    def show(self, name="client", key="client"):
        return (f'ssl_certificate_location = "{self.broker.file(name + ".crt")}";\n  '
                f'ssl_key_location = "{self.broker.file(key + ".key")}";')

    def configure(self, app, listener, kafka, protocol="SASL_SSL", settings="", host="127.0.0.1"):
        port = self.broker.port if listener == "plain" else self.broker.ports[listener]
        path = os.path.join(self.folder, f"{app}.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(app=app, host=host, port=port, protocol=protocol, kafka=kafka, settings=settings))
        return path

    def start(self, path, *flags):
        program = scenario.Program(["run", "--config", path, *flags], path + ".log")
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program

    def produce(self, app, accounts):
        at = int(time.time() * 1000) - 5000
        client.produce(self.broker.address, f"{app}.events", [
            (client.partition_of(a, 2), a, EVENT.format(n=f"{a}{n}", account=a, at=at + n).encode())
            for a in accounts for n in range(2)])

    def entered(self, app):
        return sorted(json.loads(m.value())["account_id"] for m in client.read_committed(self.broker.address, f"{app}.pqa"))

    def wait_until(self, program, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            program.check_alive()
            self.assertLess(time.monotonic(), deadline, program.log_tail())
            time.sleep(0.2)

    def runs(self, app, listener, kafka, protocol="SASL_SSL", host="127.0.0.1"):
        """Records come once each, over a kill and a restart in order."""
        path = self.configure(app, listener, kafka, protocol, host=host)
        client.create_topics(self.broker.address, 2, f"{app}.events")
        self.produce(app, ["a", "b"])
        program = self.start(path)
        self.wait_until(program, lambda: "the task is live" in program.log_tail() and self.entered(app) == ["a", "b"])
        program.kill()
        self.produce(app, ["c"])
        program = self.start(path)
        self.wait_until(program, lambda: self.entered(app) == ["a", "b", "c"])
        self.assertEqual(program.stop(), 0, program.log_tail())
        self.assertEqual(self.entered(app), ["a", "b", "c"])
        self.assertNotIn("level=error", program.log_tail())
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "topics", "--config", path], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, "all topics are there and fit\n"), done.stderr)

    def test_scram_sha_256(self):
        self.runs("scram256", "sasl", self.trust() + self.login())

    def test_scram_sha_512_by_name(self):
        """localhost is a name of the certificate; the broker then names itself by its address, which is one, too."""
        self.runs("scram512", "sasl", self.trust() + self.login("SCRAM-SHA-512"), host="localhost")

    def test_plain(self):
        self.runs("plainlogin", "sasl", self.trust() + self.login("PLAIN"))

    def test_certificates_on_both_sides(self):
        self.runs("mutual", "mutual", self.trust() + self.show(), "SSL")

    # --- what does not fit ---

    def refused(self, app, listener, kafka, protocol, line, words):
        """Ends by itself, with exit code 2, and says where and what."""
        path = self.configure(app, listener, kafka, protocol)
        program = self.start(path)
        try:
            code = program.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail(f"still there after {PATIENCE} s:\n{program.log_tail()}")
        said = program.log_tail()
        self.assertEqual(code, 2, said)
        self.assertRegex(said, f"{path}:{line}:[0-9]+: ")
        for word in words:
            self.assertIn(word, said)
        self.assertNotIn(secured.PASSWORD, said)

    def test_what_does_not_fit_is_told_with_place_and_remedy(self):
        brokers, protocol, first, second, third = 4, 5, 6, 7, 8  # lines of the configuration
        tls, sasl = self.trust() + self.login(), "SASL_SSL"
        nowhere = 'ssl_ca_location = "/nonexistent/ca.crt";\n  '
        cases = {
            "wrong-password": ("sasl", self.trust() + self.login(password="wrong"), sasl, third,
                               ["does not accept user and password", "sasl_password", "SCRAM-SHA-256"]),
            "wrong-plain": ("sasl", self.trust() + self.login("PLAIN", password="wrong"), sasl, third,
                            ["does not accept user and password"]),
            "unknown-user": ("sasl", self.trust() + self.login(user="nobody"), sasl, third,
                             ["does not accept user and password", "kafka-configs.sh"]),
            "no-mechanism": ("sasl", self.trust() + 'sasl_mechanism = "OAUTHBEARER";\n  sasl_oauthbearer_config = "principal=x";\n'
                             '  enable_sasl_oauthbearer_unsecure_jwt = true;', sasl, second,
                             ["does not know this sasl_mechanism"]),
            "wrong-authority": ("sasl", self.trust("other") + self.login(), sasl, first,
                                ["of an authority that is not known here", "ssl_ca_location"]),
            "no-authority": ("sasl", self.login(), sasl, protocol, ["of an authority that is not known here"]),
            "no-file": ("sasl", nowhere + self.login(), sasl, first, ["/nonexistent/ca.crt cannot be read", "nothing was touched"]),
            "expired": ("expired", tls, sasl, brokers, ["its certificate has expired", "renewed"]),
            "other-name": ("elsewhere", tls, sasl, brokers, ["its certificate is not for this address", "bootstrap_servers"]),
            "plain-to-tls": ("sasl", "", "PLAINTEXT", protocol, ["it speaks TLS", "SASL_SSL"]),
            "sasl-plain-to-tls": ("sasl", self.login(), "SASL_PLAINTEXT", protocol, ["it speaks TLS", "SASL_SSL"]),
            "tls-to-plain": ("plain", tls, sasl, protocol, ["it does not speak TLS", "PLAINTEXT"]),
            "sasl-to-plain": ("plain", self.login(), "SASL_PLAINTEXT", first, ["without SASL if it names none"]),
            "no-certificate": ("mutual", self.trust(), "SSL", protocol, ["wants a certificate of its clients"]),
            "strange-certificate": ("mutual", self.trust() + self.show("stranger", "stranger"), "SSL", second,
                                    ["one that it trusts", "ssl_certificate_location"]),
            "wrong-key": ("mutual", self.trust() + self.show("client", "stranger"), "SSL", third,
                          ["key values mismatch", "nothing was touched"]),
            "no-password": ("sasl", self.trust() + 'sasl_mechanism = "PLAIN"; sasl_username = "scout";', sasl, second,
                            ["sasl.username and sasl.password must be set", "nothing was touched"]),
        }
        for name, (listener, kafka, chosen, line, words) in cases.items():
            with self.subTest(name):
                self.refused(name, listener, kafka, chosen, line, words)

    # --- secrets ---

    def secrets(self):
        words = [secured.PASSWORD, "sesame-of-http", "hush-registry"]
        return words + [base64.b64encode(word.encode()).decode().rstrip("=") for word in words]

    def assert_silent(self, text, where):
        for secret in self.secrets():
            self.assertNotIn(secret, text, where)

    def ask(self, address, path):
        request = urllib.request.Request(f"http://{address}{path}", headers={"Authorization": "Bearer sesame-of-http"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()

    def secret_configuration(self, app, more=""):
        port = services.free_port()
        path = self.configure(app, "sasl", self.trust() + 'sasl_mechanism = "PLAIN"; sasl_username = "scout";\n'
                              '  sasl_password = "${env:PQL_TEST_PASSWORD}"; debug = "all";',
                              settings=f'log_level = "debug"; http = "127.0.0.1:{port}"; http_token = "sesame-of-http"; '
                                       f'registry = {{ url = "http://joe:hush-registry@127.0.0.1:1"; }}; {more}'
                                       'outputs = { pqa = { format = "json"; }; pql = { format = "json"; }; '
                                       'state = { format = "json"; }; alerts = { format = "json"; }; };')
        return path, f"127.0.0.1:{port}"

    def test_secrets_are_seen_nowhere(self):
        """With every debug line of the client on: log, command line, core, admin endpoint, check, a mistake beside a secret."""
        app = "silent"
        os.environ["PQL_TEST_PASSWORD"] = secured.PASSWORD
        self.addCleanup(os.environ.pop, "PQL_TEST_PASSWORD")
        path, address = self.secret_configuration(app)
        before = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))  # which the program inherits
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, before)
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":disable_coredump=0"  # a sanitizer does it, too
        client.create_topics(self.broker.address, 2, f"{app}.events")
        self.produce(app, ["a"])
        program = self.start(path, "--set", f"kafka.ssl_key_password={secured.PASSWORD}")
        self.wait_until(program, lambda: self.entered(app) == ["a"])
        with open(f"/proc/{program.process.pid}/cmdline", encoding="utf-8") as line:
            shown = line.read()
        self.assertIn("kafka.ssl_key_password=***", shown)
        self.assert_silent(shown, "command line")
        with open(f"/proc/{program.process.pid}/limits", encoding="utf-8") as limits:
            self.assertRegex(limits.read(), r"Max core file size\s+0\s")
        for page in ("/status", "/metrics", "/definitions", "/recent", "/", "/accounts/a"):
            self.assert_silent(self.ask(address, page), page)
        self.assertEqual(program.stop(), 0)
        with open(program.log_path, encoding="utf-8") as log:
            text = log.read()
        self.assertIn("level=debug", text)
        self.assertIn("command line is seen by others", text)
        self.assert_silent(text, "log")

    def test_check_shows_no_secret(self):
        os.environ["PQL_TEST_PASSWORD"] = secured.PASSWORD
        self.addCleanup(os.environ.pop, "PQL_TEST_PASSWORD")
        path, _ = self.secret_configuration("checked")
        for flags in ([], ["--set", f"kafka.sasl_password={secured.PASSWORD}"], ["--set", "http=nonsense"]):
            done = subprocess.run([os.environ["PQL_TEST_BINARY"], "check", "--config", path, *flags], capture_output=True,
                                  text=True, timeout=PATIENCE)
            self.assert_silent(done.stdout + done.stderr, flags)
        # a mistake on the very line of literal secrets
        path, _ = self.secret_configuration("mistaken", more="cuont = 3; ")
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "check", "--config", path], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown setting 'cuont'", done.stderr)
        self.assertIn('"http://*****************@127', done.stderr)
        self.assert_silent(done.stdout + done.stderr, "a mistake")

    def test_files_are_its_own(self):
        """What it makes on disk, whatever the umask: the registry's cache and a sample are for its user alone."""
        stub_cache = os.path.join(self.folder, "cache")
        path = self.configure("files", "sasl", self.trust() + self.login(),
                              settings=f'registry = {{ url = "{os.environ["PQL_TEST_REGISTRY"]}"; cache_dir = "{stub_cache}"; }};')
        with open(path, encoding="utf-8") as read:
            text = read.read().replace('format = "json"; }', 'format = "avro"; mapping = "own"; }')
        text += 'mappings = { own = { event = "event"; account = "account_id"; user = "user_id"; time = "occurred_at"; }; };\n'
        text += 'outputs = { pql = { schema = "register"; }; pqa = { schema = "register"; }; state = { schema = "register"; };' \
                ' alerts = { schema = "register"; }; };\n'
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        client.create_topics(self.broker.address, 2, "files.events")
        schema = client.register_schema(os.environ["PQL_TEST_REGISTRY"], "files.events-value", scenario.EVENT_SCHEMA)
        write, at = client.avro_writer(scenario.EVENT_SCHEMA, schema), int(time.time() * 1000) - 5000
        client.produce(self.broker.address, "files.events", [(client.partition_of("a", 2), "a", write(
            {"type": "track", "message_id": str(n), "event": "login", "user_id": "u", "account_id": "a", "occurred_at": at + n,
             "properties": {}, "traits": {}})) for n in range(2)])
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        program = self.start(path)
        self.wait_until(program, lambda: len(client.read_committed(self.broker.address, "files.pqa")) == 1)
        self.assertEqual(program.stop(), 0)
        sample = os.path.join(self.folder, "sample.avro")
        done = subprocess.run([os.environ["PQL_TEST_BINARY"], "sample", "--config", path, "--accounts", "10", "--output",
                               sample], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        made = [sample] + [os.path.join(at, name) for at, folders, files in os.walk(stub_cache) for name in folders + files]
        self.assertGreater(len(made), 2)
        for name in made + [stub_cache]:
            self.assertEqual(stat.S_IMODE(os.stat(name).st_mode) & 0o077, 0, name)


if __name__ == "__main__":
    unittest.main()
