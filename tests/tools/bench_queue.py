#!/usr/bin/env python3
"""Measures list_to_hash on a Redis server of its own: speed against redis-cli --pipe of
the same commands in the same run, CPU when idle, and how long a lone item takes.

usage: bench_queue.py PANDAD REDIS_SERVER REDIS_CLI [ITEMS [ROUNDS [IDLE_SECONDS]]]
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

LIST = "panda_user_expire"
HASHES = [f"hash.{number}" for number in range(17)]
BATCH = 1000


def pack(*words):
    """One command on the wire."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Client:
    """Just enough of a client: the answers here are short."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        return self.ask_all([pack(*words)])[0]

    def ask_all(self, packed):
        self.socket.sendall(b"".join(packed))
        return [self.answer() for _ in packed]

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        return rest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu(pid):
    """Seconds on a processor so far, all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def fill(client, items, key):
    for first in range(0, items, BATCH):
        numbers = range(first, min(first + BATCH, items))
        packed = [pack("LPUSH", key, *[f"USER_CACHE_OVERDUE:{n}_1" for n in numbers])]
        packed += [pack("HSET", hash, *[word for n in numbers for word in (n, "x")]) for hash in HASHES]
        client.ask_all(packed)


def by_pipe(cli, port, client, items, directory):
    """What pandad does, in one go and with nothing to decide."""
    fill(client, items, LIST)
    path = os.path.join(directory, "commands")
    with open(path, "wb") as file:
        for first in range(0, items, BATCH):
            numbers = range(first, min(first + BATCH, items))
            file.write(pack("RPOPLPUSH", LIST, "batch") * len(numbers))
            for hash in HASHES:
                file.write(pack("HDEL", hash, *numbers))
            file.write(pack("DEL", "batch"))
    with open(path, "rb") as file:
        began = time.monotonic()
        subprocess.run([cli, "-p", str(port), "--pipe"], stdin=file, check=True, stdout=subprocess.DEVNULL)
        took = time.monotonic() - began
    assert client.ask("DBSIZE") <= 2, "redis-cli --pipe left something"
    return took


def by_pandad(pid, client, items):
    fill(client, items, "filled")
    before = cpu(pid)
    began = time.monotonic()
    client.ask("RENAME", "filled", LIST)
    while client.ask("EXISTS", LIST, *HASHES) > 0:
        time.sleep(0.002)
    took = time.monotonic() - began
    return took, cpu(pid) - before


def lone_items(client, count):
    """Milliseconds from the push until the last hash is without the field."""
    times = []
    for number in range(count):
        client.ask("HSET", HASHES[-1], number, "x")
        time.sleep(0.02)
        began = time.monotonic()
        client.ask("LPUSH", LIST, f"USER_CACHE_OVERDUE:{number}_1")
        while client.ask("HEXISTS", HASHES[-1], number):
            pass
        times.append((time.monotonic() - began) * 1000)
    return times


def main():
    pandad, server, cli = sys.argv[1:4]
    items, rounds, idle = [int(word) for word in (sys.argv[4:] + ["200000", "5", "60"][len(sys.argv) - 4 :])]
    port = free_port()
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            processes.append(subprocess.Popen(
                [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
                stdout=subprocess.DEVNULL, process_group=0))
            client = wait_for(port)
            path = os.path.join(directory, "bench.inv")
            with open(path, "w", encoding="ascii") as file:
                file.write("[panda_server_section]\n[redis_env_section]\n")
                for name in ("redis_list", "redis_ar"):
                    file.write(f"{name}['host']='127.0.0.1'\n{name}['port']={port}\n")
                file.write(f"redis_ar['hashes']='{' '.join(HASHES)}'\n")
            pipe, ours, ours_cpu = [], [], []
            for _ in range(rounds):
                pipe.append(by_pipe(cli, port, client, items, directory))
                daemon = subprocess.Popen([pandad, path], stderr=subprocess.DEVNULL, process_group=0)
                processes.append(daemon)
                time.sleep(0.5)
                took, seconds = by_pandad(daemon.pid, client, items)
                ours.append(took)
                ours_cpu.append(seconds)
                daemon.send_signal(signal.SIGTERM)
                assert daemon.wait(30) == 0
                processes.pop()
            report_speed(items, pipe, ours, ours_cpu)
            daemon = subprocess.Popen([pandad, path], stderr=subprocess.DEVNULL, process_group=0)
            processes.append(daemon)
            time.sleep(0.5)
            times = sorted(lone_items(client, 200))
            print(f"lone item: median {statistics.median(times):.2f} ms, "
                  f"99 % {times[int(len(times) * 0.99) - 1]:.2f} ms, longest {times[-1]:.2f} ms")
            before = cpu(daemon.pid)
            time.sleep(idle)
            print(f"idle for {idle} s: {(cpu(daemon.pid) - before) / idle * 100:.3f} % of one processor")
        finally:
            for process in processes:
                process.kill()
                process.wait()


def wait_for(port):
    for _ in range(100):
        try:
            return Client(port)
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server does not start")


def report_speed(items, pipe, ours, ours_cpu):
    ratios = sorted(a / b for a, b in zip(pipe, ours))
    print(f"{items} items, 17 hashes, {len(pipe)} rounds in turn")
    print(f"redis-cli --pipe: {' '.join(f'{took:.2f}' for took in pipe)} s")
    print(f"pandad:           {' '.join(f'{took:.2f}' for took in ours)} s, "
          f"{statistics.median(ours_cpu) / items * 1e6:.2f} CPU s per million items")
    print(f"speed as a ratio to redis-cli --pipe: median {statistics.median(ratios):.2f}, "
          f"{ratios[0]:.2f} to {ratios[-1]:.2f}")


main()
