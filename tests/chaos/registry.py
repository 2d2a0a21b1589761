"""The schema registry of a run, which can be away: nothing answers at its address meanwhile, and it forgets nothing."""
import threading

import registry_stub
import cluster


class Registry:
    def __init__(self):
        self.port, self.server = cluster.lasting_port(), None
        self.url = f"http://127.0.0.1:{self.port}/ok"
        self.come()

    def come(self):
        if not self.server:
            self.server = registry_stub.Server(("127.0.0.1", self.port), registry_stub.Handler)
            threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def go(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
