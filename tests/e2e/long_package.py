"""The package as it is installed: unpacked anywhere, the program finds its own librdkafka and runs; the unit is sound."""
import glob
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEV = os.path.join(ROOT, "dev")


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **more)
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = folder.name
        run(DEV, "package")
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

    def test_what_it_needs_is_named(self):
        for library in ("libavro23", "libconfig9", "libjansson4", "libmicrohttpd12", "libcurl4"):
            self.assertIn(library, self.control)
        self.assertNotIn("librdkafka", self.control)

    def test_the_unit(self):
        with open(os.path.join(self.root, "usr/lib/systemd/system/pqlstream.service"), encoding="utf-8") as unit:
            text = unit.read()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pqlstream.service")
            with open(path, "w", encoding="utf-8") as out:
                out.write(text.replace("/usr/bin/pqlstream", self.binary))
            self.assertEqual(run("systemd-analyze", "verify", "--man=no", path), "")


if __name__ == "__main__":
    unittest.main()
