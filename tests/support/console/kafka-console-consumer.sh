#!/usr/bin/env python3
"""In the place of Kafka's tool of that name, whose jars the tests do not have: values of a topic, one a line, until there are
so many or none came for so long. Takes what the pages say."""
import argparse
import sys
import time

from confluent_kafka import Consumer, TopicPartition

import client

parser = argparse.ArgumentParser()
parser.add_argument("--bootstrap-server", required=True)
parser.add_argument("--topic", required=True)
parser.add_argument("--from-beginning", action="store_true", required=True)
parser.add_argument("--isolation-level", required=True)
parser.add_argument("--max-messages", type=int, default=sys.maxsize)
parser.add_argument("--timeout-ms", type=int, required=True)
options = parser.parse_args()
consumer = Consumer({"bootstrap.servers": options.bootstrap_server, "group.id": f"console-{time.time_ns()}",
                     "isolation.level": options.isolation_level, "enable.auto.commit": False})
partitions = client.partitions_of(options.bootstrap_server, options.topic)
consumer.assign([TopicPartition(options.topic, partition, 0) for partition in partitions])
seen, last = 0, time.monotonic()
while seen < options.max_messages and time.monotonic() - last < options.timeout_ms / 1000:
    message = consumer.poll(0.2)
    if message is not None and not message.error():
        seen, last = seen + 1, time.monotonic()
        print((message.value() or b"null").decode(), flush=True)
consumer.close()
