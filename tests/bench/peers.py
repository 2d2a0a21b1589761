"""Other people's processors on the reference job: built once, run as processes like the program's own."""
import json
import os
import shutil
import subprocess
import time

import kafka_job
import memory_parts

HERE = os.path.dirname(os.path.abspath(__file__))
COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.10:copy-dependencies"
JVM = ["-Xms1g", "-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
MEMORY, DEFAULT = ("store=memory", "decode=hand"), ("store=default", "decode=generated")


class Streams:
    """Kafka Streams: the project under peers/streams, compiled into a folder of the build."""

    def __init__(self, bench):
        self.folder = os.path.join(bench.build_folder, "bench", "peer-streams")
        if not shutil.which("mvn"):
            raise memory_parts.Failed("there is no Maven: ./dev bench --full brings it")
        os.makedirs(self.folder, exist_ok=True)
        shutil.copytree(os.path.join(HERE, "peers", "streams"), self.folder, dirs_exist_ok=True)
        done = subprocess.run(["mvn", "-q", "-B", "-Dstyle.color=never", "compile", COPY], cwd=self.folder, check=False,
                              capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise memory_parts.Failed(f"the Kafka Streams program could not be built: {(done.stdout + done.stderr)[-1000:]}")

    def start(self, kafka, app, topic, *words, jvm=()):
        target = os.path.join(self.folder, "target")
        classes = os.pathsep.join([os.path.join(target, "classes"), os.path.join(target, "dependency", "*")])
        directory = os.path.join(kafka.bench.directory, f"{app}-state")
        return kafka_job.Process(["java", *JVM, *jvm, "-cp", classes, "peer.Peer", f"brokers={kafka.address}", f"app={app}",
                                  f"topic={topic}", f"out={app}.pqa", f"dir={directory}", *words],
                                 os.path.join(kafka.bench.directory, f"{app}.log"))


def told(process):
    """What it has printed, a dictionary each."""
    return [json.loads(line) for line in process.log_text().splitlines() if line.startswith("{") and line.endswith("}")]


def marks(process):
    return [line for line in told(process) if line["what"] == "mark"]


def streams_job(bench, events, accounts, words, threads=1):
    """All events; the figure leaves out the first fifth, in which the virtual machine still compiles."""
    def run():
        kafka, streams = bench.kafka(), bench.streams()
        (topic, size), app = kafka.fill(events, accounts), kafka.new_app()
        kafka_job.client.create_topics(kafka.address, 8, f"{app}.pqa")
        progress = kafka_job.Progress(kafka, app, topic)
        began = time.monotonic()
        process = streams.start(kafka, app, topic, *words, f"threads={threads}", f"mark={events // 5}")
        try:
            process.wait("all events", 120 + events / 5000, lambda: progress.done() >= events)
            wall, cpu, resident = time.monotonic() - began, process.cpu_seconds(), process.resident_bytes()
            process.wait("what was used", 10, lambda: len(marks(process)) == 5)
            first, last = marks(process)[0], marks(process)[-1]
        finally:
            progress.close()
            process.stop()
        digest, _ = kafka.digest(app)
        kafka.forget(app)
        shutil.rmtree(os.path.join(bench.directory, f"{app}-state"), ignore_errors=True)
        warm = last["events"] - first["events"]
        return {"cpu_ns": (last["cpu_s"] - first["cpu_s"]) * 1e9 / warm, "cold_cpu_ns": cpu * 1e9 / events,
                "events_s": warm / (last["wall_s"] - first["wall_s"]), "cpu_s": cpu, "wall_s": wall, "events": events,
                "accounts": accounts, "bytes": size, "resident_mb": resident / 1e6, "digest": digest,
                "expected": bench.expected("--events", events, "--accounts", accounts, "--own")}

    return run
