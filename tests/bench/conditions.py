"""Under what a benchmark runs, and what it refuses to run under."""
import ipaddress
import json
import os
import platform
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Refused(Exception):
    """Nothing was measured; the text names the remedy."""


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def build_of(folder):
    """What the programs of a build folder say of themselves."""
    path = os.path.join(folder, "tests", "bench_build")
    if not os.path.exists(path):
        raise Refused(f"there is no {path}: ./dev bench builds it")
    return json.loads(output_of(path))


def refuse_build(build):
    if build["sanitizer"]:
        raise Refused(f"this build has the {build['sanitizer']} sanitizer, so its times say nothing: ./dev bench builds "
                      "the release preset")
    if not build["optimised"]:
        raise Refused("this is a debug build, so its times say nothing: ./dev bench builds the release preset")


def refuse_broker(address):
    """Only loopback: what is measured elsewhere is the network, and other people's broker is filled."""
    for server in address.split(","):
        host = server.rsplit(":", 1)[0].strip("[]")
        try:
            is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_local = False
        if not is_local:
            raise Refused(f"the broker {server} is not on this machine: leave --broker out, and one is started on 127.0.0.1")


def refuse_leftovers(topics, prefix):
    left = sorted(name for name in topics if name.startswith(prefix))
    if left:
        raise Refused(f"the broker has topics of another run: {', '.join(left[:5])}{' …' if len(left) > 5 else ''}; once "
                      "no other run is under way, --clean deletes them")


def refuse_space(folder, disk_bytes, memory_bytes, free_disk=None, free_memory=None):
    free_disk = shutil.disk_usage(folder).free if free_disk is None else free_disk
    free_memory = memory_free() if free_memory is None else free_memory
    if free_disk < disk_bytes:
        raise Refused(f"{folder} has {free_disk / 1e9:.1f} GB free and the data need {disk_bytes / 1e9:.1f} GB: set TMPDIR "
                      "to a larger disk, or take --quick")
    if free_memory < memory_bytes:
        raise Refused(f"{free_memory / 1e9:.1f} GB of memory are free and {memory_bytes / 1e9:.1f} GB are needed: end other "
                      "programs, or take --quick")


def meminfo(name):
    with open("/proc/meminfo", encoding="utf-8") as info:
        return 1024 * int(re.search(rf"^{name}:\s+(\d+)", info.read(), re.M).group(1))


def memory_free():
    return meminfo("MemAvailable")


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        found = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.M)
    return found.group(1) if found else platform.machine()


def commit():
    found = output_of("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    return found + (" with changes" if output_of("git", "status", "--porcelain", "--untracked-files=no") else "")


def cache_value(folder, name):
    with open(os.path.join(folder, "CMakeCache.txt"), encoding="utf-8") as cache:
        found = re.search(rf"^{name}:\w+=(.*)$", cache.read(), re.M)
    return found.group(1) if found else ""


def conditions(folder, build):
    """A name and a text each, in the order in which they are told."""
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": f"{processor()}, {cores} cores",
        "memory": f"{meminfo('MemTotal') / 2**30:.0f} GiB, {memory_free() / 2**30:.0f} GiB free",
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', '')}, Linux {platform.release()}",
        "load at the beginning": f"{os.getloadavg()[0]:.1f} on {cores} cores",
        "commit": commit(),
        "build": f"{cache_value(folder, 'CMAKE_BUILD_TYPE')}, gcc {build['compiler']}"
                 + (", link-time optimisation" if cache_value(folder, "CMAKE_INTERPROCEDURAL_OPTIMIZATION") == "ON" else ""),
        "allocator": build["allocator"],
        "librdkafka": build["librdkafka"],
    }
