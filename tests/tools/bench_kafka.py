"""Measures kafka_to_file, raw lines by the native client, beside `kcat -C` and the bare
`kafka` crate: all read the same topics, in turn, each from the first record to the last.

usage: bench_kafka.py PANDAD BARE_CRATE BROKER VERSION [RECORDS [ROUNDS]]
"""

import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
HERE = pathlib.Path(__file__).parent
PATIENCE = 600


def fill(broker, version, topic, codec, records):
    admin = AdminClient({"bootstrap.servers": broker})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    command = [sys.executable, HERE / "produce.py", "seq", "--brokers", broker, "--version", version]
    command += ["--topic", topic, "--partitions", PARTITIONS, "--records", records, "--codec", codec]
    # About 230 bytes with what stands around the pad; batches as busy producers make them.
    command += ["--size", "150-230", "--linger", "20", "--key", "none"]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


class Run:
    """One program that reads one topic: seconds, processor seconds and the most memory."""

    def __init__(self, took, usage, memory):
        self.took, self.cpu, self.memory = took, usage.ru_utime + usage.ru_stime, memory


def most_memory(pid):
    """In MB so far. What wait4 tells of it begins with what this script had when it forked."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0  # It has ended.


def to_its_end(command, **more):
    began = time.monotonic()
    process = subprocess.Popen(command, **more)
    memory, pid = 0, 0
    while pid == 0:
        memory = max(memory, most_memory(process.pid))
        time.sleep(0.005)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command}: status {process.returncode}")
    return Run(took, usage, memory)


def by_kcat(broker, topic, directory):
    path = directory / "kcat"
    with open(path, "wb") as file:
        command = ["kcat", "-C", "-b", broker, "-t", topic, "-o", "beginning", "-e", "-q"]
        run = to_its_end(command, stdout=file)
    return run, path.stat().st_size


def by_crate(program, broker, topic, directory):
    path = directory / "crate"
    return to_its_end([program, broker, topic, path]), path.stat().st_size


def by_pandad(program, broker, topic, directory, sync, size):
    """Until the last byte is in the file; what a stop takes is not counted in time."""
    path = directory / "consumer.log"
    inv = directory / "bench.inv"
    keys = {"broker_list": broker, "kafka['topics']": topic, "kafka['group']": f"{topic}-{time.monotonic()}"}
    keys |= {"kafka['client']": "native", "kafka['membership']": "alone", "log_file['format']": "raw"}
    keys |= {"log_file['sync']": sync}
    inv.write_text("[log_section]\n" + "".join(f"{key} = '{value}'\n" for key, value in keys.items()))
    began = time.monotonic()
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen([program, inv], stderr=log)
    try:
        while not path.exists() or path.stat().st_size < size:
            if time.monotonic() - began > PATIENCE or process.poll() is not None:
                raise RuntimeError(f"pandad does not get to the end:\n{(directory / 'log').read_text()}")
            time.sleep(0.005)
        took = time.monotonic() - began
        memory = most_memory(process.pid)
        process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
    if process.returncode != 0 or path.stat().st_size != size:
        raise RuntimeError(f"pandad: status {process.returncode}, {path.stat().st_size} of {size} bytes")
    return Run(took, usage, memory)


def spread(numbers, form):
    low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
    return f"{middle:{form}} ({low:{form}}..{high:{form}})"


def measure(pandad, crate, broker, codec, topic, records, rounds):
    runs = {"pandad": [], "pandad, sync=never": [], "kcat -C": []}
    # What the crate cannot read it is not asked to.
    if codec == "none":
        runs["bare crate"] = []
    size = None
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            run, size = by_kcat(broker, topic, pathlib.Path(name))
            runs["kcat -C"].append(run)
        for who, sync in (("pandad", "always"), ("pandad, sync=never", "never")):
            with tempfile.TemporaryDirectory() as name:
                runs[who].append(by_pandad(pandad, broker, topic, pathlib.Path(name), sync, size))
        if "bare crate" in runs:
            with tempfile.TemporaryDirectory() as name:
                run, came = by_crate(crate, broker, topic, pathlib.Path(name))
                if came != size:
                    raise RuntimeError(f"the bare crate wrote {came} of {size} bytes")
                runs["bare crate"].append(run)
    print(f"\n{codec}: {records} records, {size / records:.0f} bytes a line; {rounds} rounds in turn")
    print(f"{'':20} {'1,000 records/s':>26} {'CPU s per million':>22} {'most memory, MB':>22}")
    for who, all_of in runs.items():
        speed = spread([records / run.took / 1000 for run in all_of], ".0f")
        cost = spread([run.cpu / records * 1e6 for run in all_of], ".2f")
        print(f"{who:20} {speed:>26} {cost:>22} {spread([run.memory for run in all_of], '.1f'):>22}")
    pairs = list(zip(runs["pandad"], runs["pandad, sync=never"], runs["kcat -C"], strict=True))
    print(f"sync=always over never: time {spread([a.took / n.took for a, n, _ in pairs], '.2f')}, "
          f"CPU {spread([a.cpu / n.cpu for a, n, _ in pairs], '.2f')}")
    print(f"pandad over kcat -C: speed {spread([k.took / a.took for a, _, k in pairs], '.2f')}, "
          f"CPU {spread([a.cpu / k.cpu for a, _, k in pairs], '.2f')}", flush=True)


def main():
    pandad, crate, broker, version = sys.argv[1:5]
    records, rounds = [int(word) for word in (sys.argv[5:] + ["2000000", "5"][len(sys.argv) - 5 :])]
    for codec in ("none", "lz4"):
        topic = f"bench-{codec}-{os.getpid()}"
        fill(broker, version, topic, codec, records)
        measure(pandad, crate, broker, codec, topic, records, rounds)


main()
