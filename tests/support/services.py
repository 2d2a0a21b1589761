"""A real broker and a real schema registry on loopback, for one run of the tests.

Each is one JVM on a free port of 127.0.0.1 with its files in a temporary directory; both end with the process that
started them, however that ends. Where the jars lie is said by the environment (./dev deps test puts them there).
"""
import base64
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid

SMALL_JVM = ["java", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]

BROKER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}/log
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=2000
log.initial.task.delay.ms=1000
log.cleaner.dedupe.buffer.size=16777216
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def new_cluster_id():
    """The first byte is 0, since an id that begins with "-" would be read as an option."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


class Service:
    """A child process with a directory and a log; subclasses say how it is started and when it answers."""

    def __init__(self, name, ready_seconds=240):
        self.name = name
        self.directory = tempfile.mkdtemp(prefix=f"pqlstream-{name}-")
        self.log_path = os.path.join(self.directory, "output.log")
        self.process = None
        self.ready_seconds = ready_seconds

    def java(self, *arguments):
        return [*SMALL_JVM, f"-Djava.io.tmpdir={self.directory}", f"-Dvertx.cacheDirBase={self.directory}/vertx",
                *arguments]

    def spawn(self, command):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, preexec_fn=end_with_parent)

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait_ready(self):
        deadline = time.monotonic() + self.ready_seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.log_text()[-4000:]}")
            time.sleep(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Broker(Service):
    """Apache Kafka, one node, KRaft; settings: lines for its properties file."""

    def __init__(self, settings=""):
        super().__init__("broker")
        self.settings = settings
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.kafka = self.java("-Xmx512m", "-cp", os.path.join(os.environ["PQL_TEST_KAFKA"], "*"),
                               "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                               "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.utils.AppInfoParser=info")
        self.properties = os.path.join(self.directory, "server.properties")

    def start(self):
        self.format(new_cluster_id())
        self.run()

    def format(self, cluster_id):
        with open(self.properties, "w", encoding="utf-8") as out:
            out.write(BROKER_PROPERTIES.format(port=self.port, controller=free_port(), directory=self.directory))
            out.write(self.settings)
        subprocess.run([*self.kafka, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", self.properties],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def run(self):
        """Starts the process on the directory as it is: also after kill()."""
        self.spawn([*self.kafka, "kafka.Kafka", self.properties])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """In order, so that what is on its disk is not looked through at the next start."""
        self.process.terminate()
        self.process.wait(60)

    def is_ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return self.version() is not None

    def version(self):
        """What the broker itself says in its log, or None as long as it has not."""
        found = re.search(r"Kafka version: (\S+)", self.log_text())
        return found and found.group(1)


class Registry(Service):
    """Apicurio Registry, in memory, by its Confluent-compatible interface."""

    def __init__(self):
        super().__init__("registry")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def start(self):
        home = os.environ["PQL_TEST_APICURIO"]
        jar = next(name for name in os.listdir(home) if name.endswith("-runner.jar"))
        self.spawn(self.java("-Xmx400m", "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}",
                             "-jar", os.path.join(home, jar)))

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/subjects", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False
