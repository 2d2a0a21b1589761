"""A link to a broker on which one program's plain producers are slow: everything passes, but the Produce requests of a
client id that carry no transactional id are given on at so many bytes a second. Clients must be told its address as the
broker's own (advertised.listeners)."""
import socket
import struct
import threading
import time

PRODUCE = 0


class SlowLink:
    def __init__(self, client_id):
        self.client_id, self.bytes_per_s, self.target = client_id, None, None
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.server.close()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self.target), 10)
            except OSError:
                client.close()
                continue
            broker.settimeout(None)
            threading.Thread(target=self.give_on, args=(client, broker, self.requests), daemon=True).start()
            threading.Thread(target=self.give_on, args=(broker, client, self.answers), daemon=True).start()

    @staticmethod
    def give_on(source, sink, pieces):
        try:
            for piece in pieces(source):
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    @staticmethod
    def answers(source):
        while data := source.recv(65536):
            yield data

    def requests(self, source):
        with source.makefile("rb") as stream:
            while len(size := stream.read(4)) == 4:
                frame = stream.read(struct.unpack(">i", size)[0])
                if self.bytes_per_s and self.is_slow(frame):
                    self.creep(len(frame))
                yield size + frame

    def creep(self, size):
        """As long as the link is slow: that may end in between."""
        while (pace := self.bytes_per_s) and size > 0:
            time.sleep(0.1)
            size -= pace / 10

    def is_slow(self, frame):
        """By the request's header and the first field of Produce: a nullable string, from version 9 on a compact one
        behind the header's tagged fields."""
        key, version, _, length = struct.unpack_from(">hhih", frame)
        at = 10 + max(length, 0)
        if key != PRODUCE or frame[10:at].decode() != self.client_id:
            return False
        return frame[at + 1] == 0 if version >= 9 else struct.unpack_from(">h", frame, at)[0] < 0
