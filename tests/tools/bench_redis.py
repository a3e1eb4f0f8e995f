"""What the measurements of the Redis jobs share: a server and a pandad of their own, a
client, and what processes cost."""

import os
import signal
import socket
import subprocess
import time


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

    def info(self, section):
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def cpu(self):
        figures = self.info("cpu")
        return float(figures["used_cpu_user"]) + float(figures["used_cpu_sys"])

    def calls(self, command):
        figure = self.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
        return int(figure.split(",")[0].split("=")[1])


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


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def start_redis(server, directory, processes, *options):
    """A server of its own on a free port, which keeps nothing; gives the port and a client."""
    port = free_port()
    processes.append(subprocess.Popen(
        [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory, *options],
        stdout=subprocess.DEVNULL, process_group=0))
    for _ in range(100):
        try:
            return port, Client(port)
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server does not start")


def start_pandad(pandad, path, processes):
    daemon = subprocess.Popen([pandad, path], stderr=subprocess.DEVNULL, process_group=0)
    processes.append(daemon)
    return daemon


def stop_pandad(processes):
    """The one that was started last; it must end cleanly."""
    processes[-1].send_signal(signal.SIGTERM)
    assert processes[-1].wait(30) == 0
    processes.pop()


def end(processes):
    for process in processes:
        process.kill()
        process.wait()
