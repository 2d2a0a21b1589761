"""The package as it is installed: unpacked anywhere, the program finds its own librdkafka and runs; the unit is sound. The image as
docker/Dockerfile makes it: each of its steps is done here, and the root file system that comes out is entered read-only, by its
user, with what docker/compose.yml runs."""
import glob
import json
import os
import re
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest

import client
import containers
import services

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEV = os.path.join(ROOT, "dev")


# Mounts are those of one process: what is written goes into memory, and is gone with it.
INSTALL = r"""
mount -t tmpfs tmpfs /mnt
mkdir /mnt/new /mnt/work /mnt/over
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/new,workdir=/mnt/work /mnt/over
mount -t proc proc /mnt/over/proc
mount --bind /dev /mnt/over/dev
cp "$1" /mnt/over/package.deb
exec chroot /mnt/over sh -ec '
    mkdir -p /run/systemd/system /stub
    printf "#!/bin/sh\necho systemctl: \"\$@\"\n" >/stub/systemctl
    chmod +x /stub/systemctl
    export PATH=/stub:$PATH LC_ALL=C.UTF-8
    dpkg -i /package.deb
    dpkg -i /package.deb
    pqlstream --version
    man -w pqlstream pqlstream.conf
    zsh -fc "autoload -Uz compinit; compinit -u -D; print completion of zsh: \$_comps[pqlstream]"
    fish -c "complete -C \"pqlstream checkp\""
    dpkg -r pqlstream
    dpkg -P pqlstream
    echo left: $(find /usr /etc /var/lib/systemd -name "*pqlstream*" | wc -l)
'
"""


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, **more)
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def system_calls(sets):
    """Those of systemd's sets, as "@system-service", and of the sets in them."""
    found = set()
    for name in sets.split():
        words = re.findall(r"^ +([@\w-]+)", run("systemd-analyze", "syscall-filter", name), re.M)
        found |= {word for word in words if word[0] != "@"} | system_calls(" ".join(word for word in words if word[0] == "@"))
    return found


def setUpModule():
    run(DEV, "package")


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = folder.name
        (package,) = glob.glob(os.path.join(ROOT, "build", "release", "pqlstream_*.deb"))
        run("dpkg-deb", "-x", package, cls.root)
        cls.control = run("dpkg-deb", "-f", package)
        cls.binary = os.path.join(cls.root, "usr/bin/pqlstream")

    def test_the_program_runs_where_it_was_unpacked(self):
        libraries = run("ldd", self.binary)
        self.assertIn(os.path.join(self.root, "usr/bin/../lib/pqlstream/librdkafka.so.1"), libraries)
        self.assertNotIn("not found", libraries)
        self.assertIn("pqlstream 0.1.0", run(self.binary, "--version"))
        self.assertIn("active_team", run(self.binary, "demo", "--seconds", "2"))

    def test_its_documents_are_there(self):
        documents = os.path.join(self.root, "usr/share/doc/pqlstream")
        with open(os.path.join(documents, "pqlstream.conf"), "rb") as shipped, \
                open(os.path.join(ROOT, "conf", "pqlstream.conf"), "rb") as kept:
            self.assertEqual(shipped.read(), kept.read())
        self.assertTrue(os.listdir(os.path.join(documents, "rules")))

    def test_manual_and_completions_are_what_it_prints(self):
        for thing, path in {"pqlstream.1": "man/man1/pqlstream.1", "pqlstream.conf.5": "man/man5/pqlstream.conf.5",
                            "bash": "bash-completion/completions/pqlstream", "zsh": "zsh/vendor-completions/_pqlstream",
                            "fish": "fish/vendor_completions.d/pqlstream.fish"}.items():
            with open(os.path.join(self.root, "usr/share", path), encoding="utf-8") as installed:
                self.assertEqual(installed.read(), run(self.binary, "manual", thing))

    def test_installed_upgraded_and_removed(self):
        """By dpkg, over this machine's files but not into them, beside a systemd that only notes what it is asked."""
        (package,) = glob.glob(os.path.join(ROOT, "build", "release", "pqlstream_*.deb"))
        words = run("unshare", "--mount", "sh", "-ec", INSTALL, "-", package)
        self.assertIn("pqlstream 0.1.0", words)
        self.assertIn("/usr/share/man/man5/pqlstream.conf.5", words)
        self.assertIn("completion of zsh: _pqlstream", words)
        self.assertIn("checkpoint\t", words)  # what fish offers
        self.assertEqual(re.findall("^systemctl: (.*)$", words, re.M),
                         ["daemon-reload", "daemon-reload", "try-restart pqlstream.service", "disable --now pqlstream.service",
                          "daemon-reload"])
        self.assertEqual(words.strip().splitlines()[-1], "left: 0")

    def test_what_it_needs_is_named(self):
        for library in ("libavro23", "libconfig9", "libjansson4", "libmicrohttpd12", "libcurl4"):
            self.assertIn(library, self.control)
        self.assertNotIn("librdkafka", self.control)

    def test_the_tarball_is_the_same(self):
        (path,) = glob.glob(os.path.join(ROOT, "build", "release", "pqlstream-*.tar.gz"))
        with tarfile.open(path) as tarball:
            there = {re.sub(r"^[^/]+/", "", name) for name in tarball.getnames()}
        for program in ("bin/pqlstream", "lib/pqlstream/librdkafka.so.1", "share/man/man1/pqlstream.1", "lib/systemd/system/pqlstream.service"):
            self.assertIn(program, {re.sub("^usr/", "", name) for name in there})

    def test_the_unit_is_hardened(self):
        """Of what systemd counts, little is left open: the network, and what the kind of service brings."""
        unit = os.path.join(self.root, "usr/lib/systemd/system/pqlstream.service")
        words = run("systemd-analyze", "security", "--offline=true", unit, env=os.environ | {"SYSTEMD_COLORS": "0"})
        exposure = float(re.search(r"Overall exposure level for pqlstream.service: ([0-9.]+) OK", words)[1])
        self.assertLessEqual(exposure, 1.5, words)

    def test_the_unit_allows_what_the_program_calls(self):
        """Every system call of a demo is in the sets that the unit allows, and in none that it takes away."""
        calls = os.path.join(self.root, "calls")
        run("strace", "-f", "-c", "-S", "name", "-U", "name", "-o", calls, self.binary, "demo", "--seconds", "1")
        with open(calls, encoding="utf-8") as text:
            used = set(re.findall(r"^ *(\w+) *$", text.read(), re.M)) - {"syscall", "total", "execve"}
        self.assertLessEqual({"read", "futex", "connect"}, used)
        with open(os.path.join(ROOT, "conf", "pqlstream.service"), encoding="utf-8") as unit:
            allowed, denied = re.findall(r"^SystemCallFilter=(.*)$", unit.read(), re.M)
        self.assertLessEqual(used, system_calls(allowed))
        self.assertEqual(used & system_calls(denied.removeprefix("~")), set())

    def test_the_unit(self):
        with open(os.path.join(self.root, "usr/lib/systemd/system/pqlstream.service"), encoding="utf-8") as unit:
            text = unit.read()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pqlstream.service")
            with open(path, "w", encoding="utf-8") as out:
                out.write(text.replace("/usr/bin/pqlstream", self.binary))
            self.assertEqual(run("systemd-analyze", "verify", "--man=no", path), "")


class Image(unittest.TestCase):
    """The steps of docker/Dockerfile, of which the first is that of this module."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        places = {" /package": f" {folder.name}/package", " /image": f" {folder.name}/image"}
        build, unpack = [words for name, words in containers.steps() if name == "RUN"]
        assert build == "./dev package", build
        for place, here in places.items():
            unpack = unpack.replace(place, here)
        run("sh", "-ec", unpack, cwd=ROOT)
        cls.root = os.path.join(folder.name, "image")
        cls.port = services.free_port()
        cls.overrides = {"KAFKA__BOOTSTRAP_SERVERS": os.environ["PQL_TEST_BROKER"], "REGISTRY__URL": os.environ["PQL_TEST_REGISTRY"],
                         "HTTP": f"127.0.0.1:{cls.port}", "APP": "image"}

    def enter(self, *words):
        """As a container would: mounts of its own, the root read-only, the user of the image, and nothing of this environment."""
        mounts = ('cd "$1"; mount --bind . .; cd "$1"; mount -t proc proc proc; mount --bind /dev dev; '
                  'touch etc/pqlstream/pqlstream.conf; mount --bind "$2" etc/pqlstream/pqlstream.conf; mount -o remount,ro,bind .; '
                  'user=$3; shift 3; exec chroot --userspec="$user" . "$@"')
        (user,) = containers.step("USER")
        configuration = os.path.join(containers.DOCKER, "compose", "pqlstream.conf")
        return subprocess.Popen(["unshare", "--mount", "sh", "-ec", mounts, "-", self.root, configuration, user, *words],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={"PATH": os.environ["PATH"], **{f"PQLSTREAM_{name}": value for name, value in self.overrides.items()}})

    def done(self, *words):
        process = self.enter(*words)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def generate(self, stopped):
        """What the generator prints, to the topic, until it is told to stop: a line is a key, a tab and a value."""
        generator = subprocess.Popen([os.path.join(containers.DOCKER, "compose", "generator.sh"), "200", "120", "1"],
                                     stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            for line in generator.stdout:
                key, value = line.rstrip("\n").split("\t")
                self.producer.produce("product-events", value, key, partition=client.partition_of(key, 4))
                self.producer.poll(0)
                if stopped.is_set():
                    return
        finally:
            os.killpg(generator.pid, signal.SIGTERM)
            generator.wait()
            generator.stdout.close()
            self.producer.flush(60)

    def test_it_is_small_and_has_no_shell(self):
        size = sum(os.lstat(os.path.join(where, name)).st_size for where, _, names in os.walk(self.root) for name in names)
        self.assertLess(size, 60e6)
        self.assertEqual(os.listdir(os.path.join(self.root, "usr/bin")), ["pqlstream"])
        self.assertIn("libssl3", os.listdir(os.path.join(self.root, "var/lib/dpkg/status.d")))

    def test_what_compose_runs(self):
        """Topics, the service under the generator's events until all its topics have records, its health check, and its end."""
        code, words = self.done(*containers.step("ENTRYPOINT"), *containers.services()["topics"]["command"])
        self.assertEqual(code, 0, words)
        self.producer = client.Producer({"bootstrap.servers": os.environ["PQL_TEST_BROKER"]})
        service, stopped = self.enter(*containers.step("ENTRYPOINT"), *containers.step("CMD")), threading.Event()
        said = []
        reader = threading.Thread(target=lambda: said.extend(service.stdout), daemon=True)
        reader.start()
        traffic = threading.Thread(target=self.generate, args=(stopped,), daemon=True)
        traffic.start()
        try:
            deadline = time.monotonic() + 110
            while not all(sum(client.end_offsets(os.environ["PQL_TEST_BROKER"], f"image.{topic}").values()) for topic in ("pql", "pqa", "state", "alerts")):
                self.assertIsNone(service.poll(), "".join(said[-20:]))
                self.assertLess(time.monotonic(), deadline, "".join(said[-20:]))
                time.sleep(1)
            check = containers.step("HEALTHCHECK")
            self.assertEqual(self.done(*check)[0], 0)
        finally:
            stopped.set()
            traffic.join(60)
            service.terminate()
            code = service.wait(60)
            reader.join(10)
            service.stdout.close()
        self.assertEqual(code, 0, "".join(said[-20:]))
        self.assertEqual(self.done(*check)[0], 1)
        (state,) = [json.loads(message.value()) for message in client.read_committed(os.environ["PQL_TEST_BROKER"], "image.state")][:1]
        self.assertEqual(state["schema"]["type"], "struct")

    def test_nothing_can_be_written(self):
        code, words = self.done("/usr/bin/pqlstream", "demo", "--seconds", "1")  # which wants a folder in /tmp
        self.assertEqual(code, 1, words)
        self.assertIn("no folder for the demo's configuration can be made in /tmp", words)


class Prometheus(unittest.TestCase):
    def test_the_configuration_of_compose(self):
        """With the rules where the container has them."""
        with tempfile.TemporaryDirectory() as folder:
            text = containers.text(os.path.join(containers.DOCKER, "compose", "prometheus.yml"))
            path = os.path.join(folder, "prometheus.yml")
            with open(path, "w", encoding="utf-8") as out:
                out.write(text.replace("/etc/prometheus/alerts.yml", os.path.join(ROOT, "conf/monitoring/alerts.yml")))
            run(os.path.join(os.environ["PQL_TEST_PROMETHEUS"], "promtool"), "check", "config", path)


if __name__ == "__main__":
    unittest.main()
