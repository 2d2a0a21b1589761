"""What stands behind the output topics: a real Kafka Connect worker with the shipped configurations, and a real PostgreSQL.

Where they lie is said by the environment, as for the broker (services.py).
"""
import json
import os
import pwd
import signal
import subprocess
import time
import urllib.error
import urllib.request

import services

CONFIGURATIONS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "conf", "connect")


class Database(services.Service):
    """PostgreSQL in a folder of its own; as another user where this one is root, which it refuses."""

    def __init__(self):
        super().__init__("database")
        self.port = services.free_port()
        self.url = f"jdbc:postgresql://127.0.0.1:{self.port}/postgres"
        self.data = os.path.join(self.directory, "data")
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        if self.user:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)

    @staticmethod
    def program(name):
        return os.path.join(os.environ["PQL_TEST_POSTGRES"], name)

    def start(self):
        subprocess.run([self.program("initdb"), "-D", self.data, "-A", "trust", "-U", "postgres", "-N"], check=True, cwd=self.directory,
                       capture_output=True, timeout=120, **self.user)
        self.run()

    def run(self):
        """Starts it on what its folder holds: also after crash()."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.program("postgres"), "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", f"unix_socket_directories={self.directory}", "-c", "fsync=off"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, preexec_fn=services.end_with_parent, **self.user)
        self.wait_ready()

    def crash(self):
        """At once, without writing anything more: it recovers when it is started again."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(60)

    def psql(self, statement):
        return subprocess.run([self.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                               "-c", statement], capture_output=True, text=True, timeout=60, check=False)

    def is_ready(self):
        return self.psql("select 1").returncode == 0

    def rows(self, table):
        """{key: row} of a table that the connector made; empty as long as there is none."""
        done = self.psql(f"select row_to_json(t) from {table} t")
        if done.returncode != 0:
            if "does not exist" in done.stderr:
                return {}
            raise RuntimeError(done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {row["state_key"]: row for row in rows}


class Connect(services.Service):
    """A standalone worker with one of the shipped connectors, under these names in its environment."""

    def __init__(self, form, **names):
        super().__init__("connect")
        self.form, self.url = form, f"http://127.0.0.1:{services.free_port()}"
        self.environment = dict(os.environ, CONNECT_LISTENER=self.url, CONNECT_OFFSETS=os.path.join(self.directory, "offsets"), **names)
        os.symlink(os.environ["PQL_TEST_CONNECT_PLUGINS"], os.path.join(self.directory, "plugins"))

    def start(self):
        command = self.java("-Xmx512m", "-cp", os.path.join(os.environ["PQL_TEST_CONNECT"], "*"), "org.apache.kafka.connect.cli.ConnectStandalone",
                            os.path.join(CONFIGURATIONS, "worker.properties"), os.path.join(CONFIGURATIONS, f"state-{self.form}.json"))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                                            preexec_fn=services.end_with_parent)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, method, path):
        """What the worker's own interface answers about the connector."""
        request = urllib.request.Request(f"{self.url}/connectors/pqlstream-state-{self.form}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            body = answer.read()
            return json.loads(body) if body else None

    def is_ready(self):
        try:
            tasks = self.ask("GET", "status")["tasks"]
        except (urllib.error.URLError, OSError):
            return False
        return bool(tasks) and all(task["state"] == "RUNNING" for task in tasks)

    def replay(self):
        """As an operator would: the connector forgets how far it has read, and begins again."""
        self.ask("PUT", "stop")
        deadline = time.monotonic() + self.ready_seconds
        while True:
            try:
                self.ask("DELETE", "offsets")
                break
            except urllib.error.HTTPError:  # its task has not left yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        self.ask("PUT", "resume")
