#!/usr/bin/env python3
"""Measures list_to_hash on a Redis server of its own: speed against redis-cli --pipe of
the same commands in the same run, CPU when idle, and how long a lone item takes.

usage: bench_queue.py PANDAD REDIS_SERVER REDIS_CLI [ITEMS [ROUNDS [IDLE_SECONDS]]]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench_redis import cpu, end, pack, start_pandad, start_redis, stop_pandad

LIST = "panda_user_expire"
HASHES = [f"hash.{number}" for number in range(17)]
BATCH = 1000


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
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            port, client = start_redis(server, directory, processes)
            path = os.path.join(directory, "bench.inv")
            with open(path, "w", encoding="ascii") as file:
                file.write("[panda_server_section]\n[redis_env_section]\n")
                for name in ("redis_list", "redis_ar"):
                    file.write(f"{name}['host']='127.0.0.1'\n{name}['port']={port}\n")
                file.write(f"redis_ar['hashes']='{' '.join(HASHES)}'\n")
            pipe, ours, ours_cpu = [], [], []
            for _ in range(rounds):
                pipe.append(by_pipe(cli, port, client, items, directory))
                daemon = start_pandad(pandad, path, processes)
                time.sleep(0.5)
                took, seconds = by_pandad(daemon.pid, client, items)
                ours.append(took)
                ours_cpu.append(seconds)
                stop_pandad(processes)
            report_speed(items, pipe, ours, ours_cpu)
            daemon = start_pandad(pandad, path, processes)
            time.sleep(0.5)
            times = sorted(lone_items(client, 200))
            print(f"lone item: median {statistics.median(times):.2f} ms, "
                  f"99 % {times[int(len(times) * 0.99) - 1]:.2f} ms, longest {times[-1]:.2f} ms")
            before = cpu(daemon.pid)
            time.sleep(idle)
            print(f"idle for {idle} s: {(cpu(daemon.pid) - before) / idle * 100:.3f} % of one processor")
        finally:
            end(processes)


def report_speed(items, pipe, ours, ours_cpu):
    ratios = sorted(a / b for a, b in zip(pipe, ours))
    print(f"{items} items, 17 hashes, {len(pipe)} rounds in turn")
    print(f"redis-cli --pipe: {' '.join(f'{took:.2f}' for took in pipe)} s")
    print(f"pandad:           {' '.join(f'{took:.2f}' for took in ours)} s, "
          f"{statistics.median(ours_cpu) / items * 1e6:.2f} CPU s per million items")
    print(f"speed as a ratio to redis-cli --pipe: median {statistics.median(ratios):.2f}, "
          f"{ratios[0]:.2f} to {ratios[-1]:.2f}")


main()
