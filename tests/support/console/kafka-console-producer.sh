#!/usr/bin/env python3
"""In the place of Kafka's tool of that name, whose jars the tests do not have: lines key|value of standard input to a topic,
placed as the Java client does. Takes what the pages say."""
import argparse
import sys

import client

parser = argparse.ArgumentParser()
parser.add_argument("--bootstrap-server", required=True)
parser.add_argument("--topic", required=True)
parser.add_argument("--property", action="append", choices=["parse.key=true", "key.separator=|"])
options = parser.parse_args()
partitions = len(client.partitions_of(options.bootstrap_server, options.topic))
pairs = [line.rstrip("\n").split("|", 1) for line in sys.stdin]
client.produce(options.bootstrap_server, options.topic,
               [(client.partition_of(key, partitions), key, value.encode()) for key, value in pairs])
