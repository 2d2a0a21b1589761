"""conf/tutorial.md as it stands, from an empty cluster to a row in a CRM, with a real Kafka Connect and PostgreSQL."""
import os
import unittest

import services
import tutorial
import warehouse


class Tutorial(unittest.TestCase):
    def test_to_a_row(self):
        database = warehouse.Database()
        self.addCleanup(database.stop)
        database.start()
        self.assertEqual(database.psql("create database crm").returncode, 0)
        broker = services.Broker()
        self.addCleanup(broker.stop)
        broker.start()
        broker.wait_ready()
        run = tutorial.run(broker.address, {"localhost:5432": f"127.0.0.1:{database.port}",
                                            "127.0.0.1:8083": f"127.0.0.1:{services.free_port()}"})
        os.symlink(os.environ["PQL_TEST_CONNECT_PLUGINS"], os.path.join(run.folder, "plugins"))
        self.assertGreater(run.all(), 12)


if __name__ == "__main__":
    unittest.main()
