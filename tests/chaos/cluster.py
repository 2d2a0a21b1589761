"""One or three brokers that are killed and started again while others use them. Each is met directly by the tests, and
over one link of its own by each instance of the program under test."""
import concurrent.futures
import random
import socket
import struct
import time

import services
from confluent_kafka import ElectionType, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

# Later lines hold; sessions of the protocol `consumer` are the broker's to say.
NODE_PROPERTIES = """
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
inter.broker.listener.name=PLAINTEXT
num.network.threads=1
num.partitions=4
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
auto.leader.rebalance.enable=false
group.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=6000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
"""
INTERNAL = ("__consumer_offsets", "__transaction_state")


def lasting_port(taken=set()):
    """A port that nobody is given by chance while its owner is down."""
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        if port not in taken:
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            taken.add(port)
            return port


class Node(services.Broker):
    def __init__(self, node, links):
        super().__init__()
        self.node, self.links = node, links
        self.port, self.controller = lasting_port(), lasting_port()
        self.address = f"127.0.0.1:{self.port}"
        self.link_ports = {link: lasting_port() for link in links}

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def configure(self, voters, advertised):
        """advertised: {link: the port at which clients of that link meet this node}."""
        copies = len(voters.split(","))
        names = {link: f"LINK_{link.upper()}" for link in self.links}
        self.settings = NODE_PROPERTIES.format(
            node=self.node, voters=voters, port=self.port, controller=self.controller, copies=copies,
            in_sync=max(1, copies - 1),
            listeners="".join(f",{names[k]}://127.0.0.1:{self.link_ports[k]}" for k in self.links),
            advertised="".join(f",{names[k]}://127.0.0.1:{advertised[k]}" for k in self.links),
            protocols="".join(f",{names[k]}:PLAINTEXT" for k in self.links))


class Cluster:
    """`links` are the names of those who come over `link` (link.Link)."""

    def __init__(self, count, link, links):
        self.nodes = [Node(n + 1, links) for n in range(count)]
        voters = ",".join(f"{n.node}@127.0.0.1:{n.controller}" for n in self.nodes)
        self.addresses = {name: [] for name in links}
        for node in self.nodes:
            ports = {name: link.open(name, node.link_ports[name]) for name in links}
            node.configure(voters, ports)
            for name, port in ports.items():
                self.addresses[name].append(f"127.0.0.1:{port}")
        self.address = ",".join(n.address for n in self.nodes)
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def start(self):
        cluster_id = services.new_cluster_id()
        with concurrent.futures.ThreadPoolExecutor() as several:
            list(several.map(lambda node: node.format(cluster_id), self.nodes))
        for node in self.nodes:
            node.run()
        for node in self.nodes:
            node.wait_ready()
        self.wait_whole(120)

    def stop(self):
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.kill()
            node.stop()

    # --- what is where ---

    def describe(self, names):
        """{(topic, partition): (leader, replicas, in sync)}."""
        found = self.admin.describe_topics(TopicCollection(list(names)))
        answer = {}
        for name, future in found.items():
            for p in future.result(10).partitions:
                answer[name, p.id] = (p.leader.id if p.leader else -1, [r.id for r in p.replicas], [r.id for r in p.isr])
        return answer

    def wait_whole(self, seconds):
        """Until every broker is there and every partition has all its copies."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                metadata = self.admin.list_topics(timeout=5)
                partitions = [p for t in metadata.topics.values() for p in t.partitions.values()]
                if len(metadata.brokers) == len(self.nodes) and \
                        all(p.leader >= 0 and len(p.isrs) == len(p.replicas) for p in partitions):
                    return
            except KafkaException:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"the brokers are not whole within {seconds} s")
            time.sleep(0.2)

    # --- moves ---

    def move(self, names, rng):
        """Gives about half of the partitions of these topics another leader; how many moved."""
        places = {}
        for (name, p), (_, replicas, in_sync) in sorted(self.describe(names).items()):
            if rng.random() < 0.6 and len(in_sync) > 1:
                turn = 1 + rng.randrange(len(replicas) - 1)
                places[name, p] = replicas[turn:] + replicas[:turn]
        if not places:
            return 0
        reassign(next(n.address for n in self.nodes if n.process.poll() is None and n.answers()), places)
        elected = self.admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition(*place) for place in places])
        return sum(error is None for error in elected.result(20).values())


def compact(value):
    return struct.pack("B", len(value) + 1) + value


def reassign(address, places):
    """Another order of the copies, by the bare request (AlterPartitionReassignments v0): the client has no call for it."""
    def partition(p, replicas):
        return struct.pack(">i", p) + struct.pack("B", len(replicas) + 1) + \
            b"".join(struct.pack(">i", r) for r in replicas) + b"\0"

    names = sorted({name for name, _ in places})
    body = struct.pack(">iB", 20000, len(names) + 1)
    for name in names:
        of = [partition(p, replicas) for (t, p), replicas in places.items() if t == name]
        body += compact(name.encode()) + struct.pack("B", len(of) + 1) + b"".join(of) + b"\0"
    request = struct.pack(">hhih", 45, 0, 1, -1) + b"\0" + body + b"\0"
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            (size,) = struct.unpack(">i", answers.read(4))
            answer = answers.read(size)
    (error,) = struct.unpack_from(">h", answer, 9)
    if error:
        raise RuntimeError(f"leaders not moved: error {error}")
