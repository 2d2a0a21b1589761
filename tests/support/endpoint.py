"""What tests of the admin endpoint begin with: a folder, a port, and a program that answers there."""
import tempfile
import unittest

import scenario
import services


class Endpoint(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.port = services.free_port()

    def start(self, app, settings=""):
        job = scenario.Scenario(app, self.directory, settings=f'lateness = "1s"; http = "127.0.0.1:{self.port}"; {settings}')
        job.create_input()
        program = job.run()
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return job, program
