"""Links between the instances of the program under test and the brokers, which can be slow, dead or cut, and which can
hold the request that ends a transaction until its client has given up. Each instance has its own, so that faults strike
one and spare the others."""
import asyncio
import socket
import struct
import threading

END_TXN = 26
HOLD_MOST = 40


class Line:
    """How the links of one instance are now."""

    def __init__(self):
        self.delay = 0.0
        self.is_dead = False      # nothing passes, nobody is told
        self.hold_end = None      # the next EndTxn waits until its client is gone, and so many seconds more
        self.lose_end = None      # the answer to the next EndTxn is lost, and so many seconds later the connection
        self.connections = set()
        self.caught = 0           # of the two above


class Link:
    def __init__(self):
        self.lines, self.loop = {}, asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def open(self, name, target):
        """Listens for the instance `name`; what comes goes to the broker's port `target`. Returns the port."""
        line = self.lines.setdefault(name, Line())
        server = socket.create_server(("127.0.0.1", 0))

        async def serve():
            await asyncio.start_server(lambda r, w: self.connect(line, target, r, w), sock=server)

        asyncio.run_coroutine_threadsafe(serve(), self.loop).result(10)
        return server.getsockname()[1]

    def do(self, act):
        """Runs act() in the link's own thread and gives its answer."""
        async def call():
            return act()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)

    # --- faults ---

    def cut(self, name):
        def act():
            for connection in list(self.lines[name].connections):
                connection.cut()
        self.do(act)

    def set(self, name, **state):
        def act():
            for key, value in state.items():
                setattr(self.lines[name], key, value)
        self.do(act)

    def heal(self, name):
        """As if nothing had been; connections of a dead line lost something, so they end."""
        self.set(name, delay=0.0, hold_end=None, lose_end=None)
        if self.lines[name].is_dead:
            self.set(name, is_dead=False)
            self.cut(name)

    def caught(self, name):
        return self.lines[name].caught

    # --- connections ---

    async def connect(self, line, target, reader, writer):
        try:
            broker = await asyncio.open_connection("127.0.0.1", target, limit=1 << 26)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(line, (reader, writer), broker)
        line.connections.add(connection)
        try:
            await connection.run()
        finally:
            line.connections.discard(connection)
            connection.cut()


class Connection:
    def __init__(self, line, client, broker):
        self.line, self.client, self.broker = line, client, broker
        self.lost_answer = None  # correlation id
        self.is_held = False

    def cut(self):
        self.is_held = False
        for _, writer in (self.client, self.broker):
            writer.transport.abort()

    async def run(self):
        tasks = [asyncio.ensure_future(t) for t in (self.requests(), self.answers())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self.is_held:
                await tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def requests(self):
        await self.give_on(self.client[0], self.broker[1], self.take_request)

    async def answers(self):
        await self.give_on(self.broker[0], self.client[1], self.take_answer)

    async def give_on(self, source, sink, take):
        """Frame by frame, each as late as the line is slow, without holding up those behind it."""
        queue, loop = asyncio.Queue(1000), asyncio.get_running_loop()

        async def deliver():
            while (item := await queue.get()) is not None:
                await asyncio.sleep(max(0, item[0] - loop.time()))
                sink.write(item[1])
                await sink.drain()

        sender = asyncio.ensure_future(deliver())
        try:
            while True:
                size = await source.readexactly(4)
                frame = await source.readexactly(struct.unpack(">i", size)[0])
                if not self.line.is_dead and await take(frame):
                    await queue.put((loop.time() + self.line.delay, size + frame))
                if sender.done():
                    return
        except (asyncio.IncompleteReadError, OSError):
            await queue.put(None)
            await asyncio.wait([sender])
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def take_request(self, frame):
        key, _, correlation = struct.unpack_from(">hhi", frame)
        if key != END_TXN:
            return True
        if self.line.lose_end is not None:
            self.lost_answer, seconds = correlation, self.line.lose_end
            self.line.lose_end = None
            self.line.caught += 1
            asyncio.get_running_loop().call_later(seconds, self.cut)
        elif self.line.hold_end is not None:
            seconds, self.line.hold_end = self.line.hold_end, None
            self.line.caught += 1
            await self.hold(frame, seconds)
            return False
        return True

    async def hold(self, frame, seconds):
        """Until the client has closed the connection; what else it said there is not said any more."""
        self.is_held = True
        try:
            async with asyncio.timeout(HOLD_MOST):
                while await self.client[0].read(65536):
                    pass
        except (OSError, TimeoutError):
            pass
        await asyncio.sleep(seconds)
        self.broker[1].write(struct.pack(">i", len(frame)) + frame)
        await self.broker[1].drain()
        await asyncio.sleep(1)  # for its answer, which nobody hears
        self.is_held = False
        self.cut()

    async def take_answer(self, frame):
        return struct.unpack_from(">i", frame)[0] != self.lost_answer and not self.is_held
