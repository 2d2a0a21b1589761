"""Does the program grow? Full load for a while, its memory sampled, printed as a curve and judged.

    soak.py --binary build/release/pqlstream [--minutes N]

A broker of its own; a producer that sends as fast as the program takes it, of a fixed number of accounts, whose windows are
shorter than the run, so that what is kept comes to rest. Memory is that of the machine (resident), beside the program's own
count. It grows where the line through the second two thirds of the samples rises by more than a twentieth over them.
"""
import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
import urllib.request

import client
import services
from confluent_kafka import Producer

CONFIGURATION = """
app = "soak"; create_topics = true; replication_factor = 1; checkpoint_interval = "5s"; lateness = "1s"; dedup_horizon = "20s";
http = "127.0.0.1:{http}"; memory = "2GB"; log_level = "warn"; exact_max = 100;
kafka = {{ bootstrap_servers = "{broker}"; }};
inputs = ( {{ topic = "soak.events"; format = "json"; }} );
definitions = (
  {{ name = "busy"; subject = "user"; qualify = "count(login, 20s) >= 3"; }},
  {{ name = "team"; subject = "account"; qualify = "users(count(any, 20s) >= 1) >= 4"; }},
  {{ name = "spender"; subject = "account"; qualify = "sum(paid.amount, 30s) >= 300"; }} );
"""
EVENT = ('{"type":"track","event":"%s","message_id":"%d","account_id":"a%d","user_id":"u%d","occurred_at":%d,'
         '"properties":{"amount":%d}}')
PARTITIONS, ACCOUNTS, USERS, AHEAD_MAX, SAMPLE_SECONDS, ROWS = 4, 5000, 8, 100000, 2, 24


class Load(threading.Thread):
    """Sends until it is told to stop, never further ahead of the program than AHEAD_MAX."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.producer = Producer({"bootstrap.servers": broker, "linger.ms": 20, "compression.type": "lz4"})
        self.sent, self.taken, self.is_over = 0, 0, False
        self.places = [client.partition_of(f"a{n}", PARTITIONS) for n in range(ACCOUNTS)]

    def run(self):
        draw = random.Random(1)
        while not self.is_over:
            if self.sent - self.taken > AHEAD_MAX:
                time.sleep(0.01)
                continue
            now = int(time.time() * 1000)
            for _ in range(500):
                account = draw.randrange(ACCOUNTS)
                value = EVENT % (draw.choice(("login", "login", "paid", "saved")), self.sent, account, draw.randrange(USERS), now,
                                 draw.randrange(100))
                self.producer.produce("soak.events", value, f"a{account}", self.places[account])
                self.sent += 1
            self.producer.poll(0)
            while len(self.producer) > 50000 and not self.is_over:
                self.producer.poll(0.1)


def status_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=10) as answer:
        return json.load(answer)


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="utf-8") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def rise(samples):
    """How much the line of least squares through (seconds, bytes) rises from the first to the last, as a share of its mean."""
    n = len(samples)
    mean_x, mean_y = sum(s[0] for s in samples) / n, sum(s[1] for s in samples) / n
    spread = sum((s[0] - mean_x) ** 2 for s in samples)
    slope = sum((s[0] - mean_x) * (s[1] - mean_y) for s in samples) / spread
    return slope * (samples[-1][0] - samples[0][0]) / mean_y


def show(samples):
    most = max(s[1] for s in samples)
    print(f"{'minute':>7} {'resident MB':>12} {'counted MB':>11} {'events':>11} {'accounts':>9}")
    for i in range(0, len(samples), -(-len(samples) // ROWS)):
        seconds, resident, counted, events, accounts = samples[i]
        print(f"{seconds / 60:7.1f} {resident / 1e6:12.1f} {counted / 1e6:11.1f} {events:11d} {accounts:9d} "
              f"{'#' * round(40 * resident / most)}")


def sample(process, port, load, seconds):
    """(seconds, resident, counted, events, accounts), every SAMPLE_SECONDS."""
    samples, began = [], time.monotonic()
    while time.monotonic() - began < seconds:
        time.sleep(SAMPLE_SECONDS)
        if process.poll() is not None:
            raise SystemExit(f"the program ended with {process.returncode}")
        status = status_of(port)
        load.taken = status["events"]
        samples.append((time.monotonic() - began, resident_bytes(process.pid), status["memory_bytes"], status["events"],
                        status["accounts"]))
    return samples


def soak(binary, seconds, folder):
    broker = services.Broker()
    service, load = services.Service("soak"), None
    try:
        broker.start()
        broker.wait_ready()
        client.create_topics(broker.address, PARTITIONS, "soak.events",
                             config={"retention.bytes": str(256 << 20), "segment.bytes": str(32 << 20)})
        port = services.free_port()
        path = os.path.join(folder, "soak.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(http=port, broker=broker.address))
        service.spawn([binary, "run", "--config", path])
        while not ready(port):
            if service.process.poll() is not None:
                raise SystemExit(service.log_text())
            time.sleep(0.5)
        load = Load(broker.address)
        load.start()
        samples = sample(service.process, port, load, seconds)
        load.is_over = True
        load.join()
        load.producer.flush(30)
        service.process.terminate()
        code = service.process.wait(120)
        return samples, code, service.log_text()
    finally:
        if load:
            load.is_over = True
        service.stop()
        broker.stop()


def ready(port):
    try:
        return status_of(port)["ready"]
    except (OSError, KeyError):
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples, code, log = soak(os.path.abspath(options.binary), options.minutes * 60, folder)
    show(samples)
    settled = samples[len(samples) // 3:]
    grown = rise(settled)
    seconds = samples[-1][0] - samples[0][0]
    print(f"{samples[-1][3]} events, {(samples[-1][3] - samples[0][3]) / seconds:.0f} a second; ended with {code}; over the last"
          f" {(settled[-1][0] - settled[0][0]) / 60:.1f} minutes resident memory changed by {grown:+.1%}"
          f" (its own count by {rise([(s[0], s[2]) for s in settled]):+.1%})")
    if code or "level=error" in log:
        print(log[-2000:])
    if code or grown > 0.05:
        sys.exit("it grows" if grown > 0.05 else "it did not end in order")
    print("it does not grow")


if __name__ == "__main__":
    main()
