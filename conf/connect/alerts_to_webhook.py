#!/usr/bin/env python3
"""Posts each record of the alerts topic (format "json") to a webhook, once per event id, in order, until it is taken.

Needs confluent-kafka. From the environment: KAFKA_BROKERS, ALERTS_TOPIC, WEBHOOK_URL, and SEEN_FILE, where the ids are kept
that were posted: it makes a crash, a replay of the topic and an alert that was written twice harmless. Only when the process
dies between the webhook's answer and the note of it, a post comes again, under the same Idempotency-Key.
"""
import json
import os
import sqlite3
import sys
import time
import urllib.request

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition


def post(alert):
    request = urllib.request.Request(os.environ["WEBHOOK_URL"], json.dumps(alert).encode(), {
        "Content-Type": "application/json", "Idempotency-Key": alert["event_id"]})
    try:
        urllib.request.urlopen(request, timeout=10).close()
        return True
    except OSError as error:  # refused, timed out, or an answer that is none of 2xx
        print(f"{alert['event_id']}: {error}; again in a second", file=sys.stderr, flush=True)
        return False


def end_if_replaced(error):
    if error.code() == KafkaError._FATAL:
        sys.exit(f"a second process has taken over: {error}")


def main():
    seen = sqlite3.connect(os.environ["SEEN_FILE"], isolation_level=None)
    seen.execute("create table if not exists seen (event_id text primary key)")
    topic = os.environ["ALERTS_TOPIC"]
    consumer = Consumer({"bootstrap.servers": os.environ["KAFKA_BROKERS"], "group.id": f"{topic}-webhook", "group.instance.id": "one",
                         "session.timeout.ms": 10000, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "isolation.level": "read_committed"})
    consumer.subscribe([topic])
    while True:
        message = consumer.poll(1)
        if message is not None and message.error():
            end_if_replaced(message.error())
        if message is None or message.error():
            continue
        alert = json.loads(message.value())
        is_new = seen.execute("select 1 from seen where event_id = ?", [alert["event_id"]]).fetchone() is None
        if is_new and not post(alert):
            time.sleep(1)
            consumer.seek(TopicPartition(topic, message.partition(), message.offset()))
            continue
        seen.execute("insert or ignore into seen values (?)", [alert["event_id"]])
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:  # the brokers are away, or take it for dead: it comes again, and is known
            end_if_replaced(error.args[0])
            print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
