#!/usr/bin/env python3
"""Measures how late keys expire among many others, without pandad and with it, in one
run, on a Redis server of its own; what that costs the server; and an idle pandad.

usage: bench_expiry.py PANDAD REDIS_SERVER [IDLE_SECONDS [OTHERS...]]
"""

import os
import random
import socket
import sys
import tempfile
import threading
import time

from bench_redis import Client, cpu, end, memory, pack, start_pandad, start_redis, stop_pandad

PROBES = 1000
# Seconds: when the first probe is due, over how long they are, and for how long after.
FIRST, OVER, AFTER = 1.5, 10.0, 5.0


def fill(client, others):
    for first in range(0, others, 1000):
        numbers = range(first, min(first + 1000, others))
        lives = [random.randint(3_600_000, 7_200_000) for _ in numbers]
        client.ask_all([pack("PSETEX", f"other:{n}", life, "x") for n, life in zip(numbers, lives)])


def lateness(port, client):
    """Milliseconds from each probe's deadline to its event, for those that came."""
    listener = Client(port)
    listener.ask("SUBSCRIBE", "__keyevent@0__:expired")
    heard = {}

    def listen():
        while True:
            try:
                message = listener.answer()
                heard[message[2]] = time.time()
            except (OSError, ValueError, IndexError):
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    begin = time.time() + FIRST
    deadlines = {b"probe:%d" % n: begin + random.random() * OVER for n in range(PROBES)}
    for key, deadline in deadlines.items():
        client.ask_all([pack("SET", key, "x"), pack("PEXPIREAT", key, int(deadline * 1000))])
    time.sleep(begin + OVER + AFTER - time.time())
    listener.socket.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    # What is left must not disturb the next round.
    client.ask("DEL", *deadlines)
    return sorted((heard[key] - int(deadline * 1000) / 1000) * 1000
                  for key, deadline in deadlines.items() if key in heard)


def show(name, late, server, ours=None):
    def at(share):
        index = min(int(PROBES * share), PROBES - 1)
        return f"{late[index]:9.1f}" if index < len(late) else "    never"
    shown = f"{name:>12}: {len(late):4} of {PROBES} heard; ms late p50 {at(0.5)} p99 {at(0.99)} max {at(1)}"
    shown += f"; Redis {server:.2f} CPU s"
    print(shown + (f", pandad {ours:.2f} CPU s" if ours is not None else ""), flush=True)


def learned(client, others, daemon):
    """Waits until every deadline was asked for; gives the seconds that took."""
    began = time.monotonic()
    before = client.calls("pttl")
    while client.calls("pttl") - before < others:
        if daemon.poll() is not None or time.monotonic() - began > 300:
            raise RuntimeError("pandad does not learn the deadlines")
        time.sleep(0.1)
    time.sleep(1)
    return time.monotonic() - began


def measure(pandad, server, others, directory, processes):
    port, client = start_redis(server, directory, processes, "--notify-keyspace-events", "Exg")
    fill(client, others)
    print(f"{others} other keys with a time to live", flush=True)
    before = client.cpu()
    late = lateness(port, client)
    show("Redis alone", late, client.cpu() - before)
    path = os.path.join(directory, "bench.inv")
    with open(path, "w", encoding="ascii") as file:
        file.write("[clearCache_section]\n[redis_env_section]\n")
        for name in ("redis_kv_expire", "redis_list"):
            file.write(f"{name}['host']='127.0.0.1'\n{name}['port']={port}\n")
    before = client.cpu()
    daemon = start_pandad(pandad, path, processes)
    took = learned(client, others, daemon)
    learning, learning_ours = client.cpu() - before, cpu(daemon.pid)
    before, before_ours = client.cpu(), cpu(daemon.pid)
    late = lateness(port, client)
    show("with pandad", late, client.cpu() - before, cpu(daemon.pid) - before_ours)
    print(f"{'':>12}  learning all deadlines: {took:.1f} s, Redis {learning:.2f} CPU s, pandad "
          f"{learning_ours:.2f} CPU s; pandad's memory {memory(daemon.pid):.1f} MiB", flush=True)
    stop_pandad(processes)
    return client, path


def idle(pandad, server, seconds, directory, processes):
    client, path = measure(pandad, server, 0, directory, processes)
    client.ask("FLUSHALL")
    daemon = start_pandad(pandad, path, processes)
    time.sleep(3)
    before, before_server = cpu(daemon.pid), client.cpu()
    time.sleep(seconds)
    ours, theirs = cpu(daemon.pid) - before, client.cpu() - before_server
    print(f"idle for {seconds} s: pandad {ours / seconds * 100:.3f} % of one processor, "
          f"Redis {theirs / seconds * 100:.3f} %")


def main():
    pandad, server = sys.argv[1:3]
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    sizes = [int(word) for word in sys.argv[4:]] or [10_000, 100_000, 500_000]
    processes = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            idle(pandad, server, seconds, directory, processes)
            for others in sizes:
                measure(pandad, server, others, directory, processes)
                processes.pop().kill()
        finally:
            end(processes)


main()
