"""What the independent client sends in a round: a stream of events that pauses where it is told to, with clock events and
new writer schemas in between; and a reader that is there all the time."""
import collections
import threading

import client
import fleet
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition


class Load(fleet.Load):
    """As fleet.Load; what is for a silent partition waits and comes all at once when the partition speaks again."""

    def __init__(self, job, events, rate):
        super().__init__(job, events, rate)
        self.silent, self.backlog, self.lock = set(), collections.defaultdict(list), threading.Lock()
        self.latest, self.clocks = 0, 0
        self.producer = Producer({"bootstrap.servers": job.broker, "enable.idempotence": True, "linger.ms": 5,
                                  "message.timeout.ms": 120000, "log_level": 2})

    def produce(self, events, rate):
        pace = client.Pace(rate)
        for event in events:
            if self.ends.is_set():
                break
            self.say(event)
            self.producer.poll(0)
            pace.step()
        if self.producer.flush(120):
            raise RuntimeError("not everything was delivered in 120 s")

    def say(self, event):
        with self.lock:
            self.sent.append(event)
            self.latest = max(self.latest, event["occurred_at"])
            for partition, key, value in self.job.messages([event]):
                if partition in self.silent:
                    self.backlog[partition].append((key, value))
                else:
                    self.send(partition, key, value)

    def send(self, partition, key, value):
        self.producer.produce(self.job.topic, value, key, partition, on_delivery=self.delivered)

    def hush(self, partitions):
        with self.lock:
            self.silent |= set(partitions)

    def speak(self, partitions):
        with self.lock:
            self.silent -= set(partitions)
            for partition in partitions:
                for key, value in self.backlog.pop(partition, ()):
                    self.send(partition, key, value)

    def tick(self):
        """A clock event at the newest time so far, in every partition."""
        self.clocks += 1
        self.say({"type": "clock", "message_id": f"clock{self.clocks}", "occurred_at": self.latest})

    def new_schema(self, encode):
        with self.lock:
            self.job.encode = encode


class Tail(threading.Thread):
    """Reads what is committed while it is being committed."""

    def __init__(self, broker, topics, partitions):
        super().__init__(daemon=True)
        self.ends, self.seen, self.failure = threading.Event(), collections.defaultdict(list), None
        self.consumer = Consumer({"bootstrap.servers": broker, "group.id": "independent-tail", "log_level": 0,
                                  "enable.auto.commit": False, "isolation.level": "read_committed",
                                  "auto.offset.reset": "earliest"})
        self.consumer.assign([TopicPartition(topic, p, 0) for topic in topics for p in range(partitions)])

    def run(self):
        while not self.ends.is_set():
            try:
                for message in self.consumer.consume(1000, 0.2):
                    if message.error() is None:
                        self.seen[message.topic(), message.partition()].append((message.offset(), message.value()))
            except KafkaException:
                pass  # a broker that is away
        self.consumer.close()

    def stop(self):
        self.ends.set()
        self.join()
