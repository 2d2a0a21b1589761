"""One tick after which two and a half million users leave, all in one partition: five million records, under the usual
time limit of a transaction. Nothing is aborted, nobody leaves twice, and other partitions go on meanwhile."""
import collections
import os
import tempfile
import time
import unittest

import client
import dataset
import scenario
from confluent_kafka import Consumer, KafkaError, TopicPartition

USERS = int(os.environ.get("PQL_TEST_USERS", 2_500_000))
ACCOUNT = "acct"


def keys_of(broker, topic, seconds):
    """How often each key was committed to a topic."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "independent-reader", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in client.partitions_of(broker, topic)])
    found, open_partitions = collections.Counter(), len(client.partitions_of(broker, topic))
    deadline = time.monotonic() + seconds
    while open_partitions:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{topic}: not read to its end in {seconds} s")
        for message in consumer.consume(10000, 0.2):
            if message.error() is None:
                found[message.key()] += 1
            elif message.error().code() == KafkaError._PARTITION_EOF:
                open_partitions -= 1
    consumer.close()
    return found


class Flood(unittest.TestCase):
    def test_midnight(self):
        with tempfile.TemporaryDirectory() as directory:
            job = scenario.Scenario(
                "longflood", directory, input_format="json", settings='lateness = "1s"; instance = "a";',
                definitions='{ name = "seen"; subject = "user"; qualify = "count(login, 7d) >= 1"; }')
            job.create_input()
            program = job.run()
            self.addCleanup(lambda: program.process.poll() is None and program.kill())
            job.produce(dataset.track(f"c{n}", "login", f"u{n}", ACCOUNT, dataset.START + n, {}) for n in range(USERS))
            job.wait_done(program, 400)
            began = time.monotonic()
            end = {"type": "clock", "message_id": "end", "occurred_at": dataset.START + 60 * 86400000}
            flooded = client.partition_of(ACCOUNT, scenario.PARTITIONS)
            client.produce(job.broker, job.topic, [(flooded, None, job.encode(end))])
            longest = self.probe(job, program, flooded)
            took = time.monotonic() - began
            self.assertEqual(program.stop(60), 0, program.log_tail())
            self.assertIn(" aborted=0 ", program.log_tail())
            keys = keys_of(job.broker, f"{job.app}.pql", 300)
            print(f"{USERS} users left in {took:.1f} s, {2 * USERS / took:.0f} records/s; an event of another partition"
                  f" was committed within {longest:.2f} s", flush=True)
            of_users = {key: count for key, count in keys.items() if key.startswith(f"seen/{ACCOUNT}/".encode())}
            self.assertEqual(len(of_users), USERS)
            self.assertEqual(set(of_users.values()), {2})

    def probe(self, job, program, flooded):
        """Until the flood is over: events of another partition, and the longest that one waited for its commit."""
        account = next(a for a in map(str, range(100)) if client.partition_of(a, scenario.PARTITIONS) != flooded)
        longest, n, deadline = 0, 0, time.monotonic() + 300
        while True:
            committed = client.committed_offsets(job.broker, job.app, job.topic)
            if committed[flooded] == client.end_offsets(job.broker, job.topic)[flooded]:
                return longest
            sent, partition = time.monotonic(), client.partition_of(account, scenario.PARTITIONS)
            job.produce([dataset.track(f"p{n}", "login", "u", account, dataset.START + USERS + n, {})])
            while client.committed_offsets(job.broker, job.app, job.topic)[partition] <= committed[partition]:
                program.check_alive()
                self.assertLess(time.monotonic(), deadline, program.log_tail())
            longest, n = max(longest, time.monotonic() - sent), n + 1


if __name__ == "__main__":
    unittest.main()
