#!/usr/bin/env python3
"""Reads topics to their present end and prints each record: README.md says how. On confluent-kafka and fastavro.

usage: read_topics.py BROKERS REGISTRY TOPIC...
"""
import io
import json
import struct
import sys
import urllib.request

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

SCHEMAS = {}


def schema_of(registry, schema_id):
    if schema_id not in SCHEMAS:
        with urllib.request.urlopen(f"{registry}/schemas/ids/{schema_id}", timeout=30) as answer:
            SCHEMAS[schema_id] = without_logical_types(json.loads(json.load(answer)["schema"]))
    return SCHEMAS[schema_id]


def without_logical_types(schema):
    """So that times stay the numbers that they are on the wire."""
    if isinstance(schema, dict):
        return {name: without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    return [without_logical_types(part) for part in schema] if isinstance(schema, list) else schema


def text(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{text(name)}:{text(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return f"{value:.6f}" if isinstance(value, float) else json.dumps(value)


def decoded(registry, topic, value):
    if value is None:
        return "null"
    if topic.endswith(".dlq"):
        return value.hex()
    schema = schema_of(registry, struct.unpack(">I", value[1:5])[0])
    return text(fastavro.schemaless_reader(io.BytesIO(value[5:]), schema))


def read(brokers, registry, topic):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "reader-python", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True})
    left = set(consumer.list_topics(topic, 30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
    while left:
        for message in consumer.consume(1000, 1):
            if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            elif message.error():
                raise KafkaException(message.error())
            else:
                headers = {name: value.decode() for name, value in message.headers() or []}
                print(topic, message.partition(), message.offset(), text((message.key() or b"").decode()), text(headers),
                      decoded(registry, topic, message.value()))
    consumer.close()


if __name__ == "__main__":
    for name in sys.argv[3:]:
        read(sys.argv[1], sys.argv[2], name)
