"""Records what real brokers answer to Fetch, for tests/vectors/record_sets.txt:
small sets of known records, by each codec, written by Java producers and by
librdkafka. Run by hand with brokers up, one after the other:

    eval "$(scripts/servers env)"
    $PANDAD_PYTHON tests/tools/record_sets.py 0.9.0.1 >> tests/vectors/record_sets.txt

A line is: name, aborted transactions (producer:first offset,...), the set in hex.
Record i of `count(name)` has the key "k<i>" and the value of value(i) below.
"""

import os
import struct
import subprocess
import sys
import time

import confluent_kafka

import wire

COUNT = 8


def value(index):
    return f"value {index} " + "x" * (index * 40) + " \u00fc"


def environment(name, version):
    return os.environ[f"PANDAD_{name}{'_' if name == 'KAFKA' else ''}{version.replace('.', '_')}"]


def at_least(version, least):
    numbers = [int(part) for part in version.split(".")]
    return numbers >= [int(part) for part in least.split(".")]


def topic(version, name, *config):
    command = ["scripts/servers", "topic", f"kafka-{version}", "create", name, "1"]
    for one in config:
        command += ["--config", one]
    subprocess.run(command, check=True, stdout=sys.stderr)


def java(version, address, name, codec):
    """The console producer of the broker's own release."""
    libs = os.environ["PANDAD_KAFKA_" + version.replace(".", "_") + "_LIBS"]
    command = [os.environ["PANDAD_JAVA"], "-cp", libs + "/*", "kafka.tools.ConsoleProducer", "--topic", name]
    command += ["--bootstrap-server" if at_least(version, "3") else "--broker-list", address]
    command += ["--compression-codec", codec]
    command += ["--timeout", "1000", "--batch-size", "16384"]
    command += ["--property", "parse.key=true", "--property", "key.separator=|"]
    lines = "".join(f"k{i}|{value(i)}\n" for i in range(COUNT))
    subprocess.run(command, input=lines.encode(), check=True, stdout=sys.stderr, stderr=subprocess.DEVNULL)


def librdkafka(version, address, name, codec, **more):
    settings = {"bootstrap.servers": address, "compression.codec": codec, "linger.ms": 300, "acks": "all"}
    if not at_least(version, "0.10"):
        settings |= {"api.version.request": False, "broker.version.fallback": "0.9.0"}
    producer = confluent_kafka.Producer(settings | more)
    for i in range(COUNT):
        producer.produce(name, value(i).encode(), f"k{i}", 0)
    if producer.flush(30):
        raise RuntimeError("not acknowledged")


def transactions(address, name):
    """Records 0 and 1 of an aborted transaction and 2 of a committed one.

    With the markers their offsets are 0, 1 | 3.
    """
    for index, identity in ((0, "a"), (2, "b")):
        settings = {"bootstrap.servers": address, "transactional.id": name + identity}
        producer = confluent_kafka.Producer(settings)
        producer.init_transactions(30)
        producer.begin_transaction()
        for i in (0, 1) if index == 0 else (2,):
            producer.produce(name, value(i).encode(), f"k{i}", 0)
        producer.flush(30)
        producer.abort_transaction(30) if index == 0 else producer.commit_transaction(30)


def fetch(version, address, name, converted=False):
    """Aborted transactions and record set, from the beginning, read_committed where there is such a thing."""
    since = [("2.1", 10), ("0.11", 4), ("0.10", 2)]
    api = next((api for broker, api in since if at_least(version, broker)), 0)
    if converted:
        api = 2
    body = struct.pack(">iii", -1, 1000, 1)
    body += struct.pack(">ib", 1 << 20, 1) if api >= 4 else b""
    body += struct.pack(">ii", 0, -1) if api >= 7 else b""
    body += struct.pack(">i", 1) + wire.text(name) + struct.pack(">ii", 1, 0)
    body += struct.pack(">i", -1) if api >= 9 else b""
    body += struct.pack(">q", 0)
    body += struct.pack(">q", -1) if api >= 5 else b""
    body += struct.pack(">i", 1 << 20)
    body += struct.pack(">i", 0) if api >= 7 else b""
    answer = wire.Broker(address).ask(1, api, body)
    at = (4 if api >= 1 else 0) + (6 if api >= 7 else 0) + 4 + 2 + len(name) + 4 + 4
    error = struct.unpack_from(">h", answer, at)[0]
    if error:
        raise RuntimeError(f"fetch: error {error}")
    at += 2 + 8 + (8 if api >= 4 else 0) + (8 if api >= 5 else 0)
    aborted = []
    if api >= 4:
        count = struct.unpack_from(">i", answer, at)[0]
        at += 4
        for _ in range(max(count, 0)):
            aborted.append(struct.unpack_from(">qq", answer, at))
            at += 16
    size = struct.unpack_from(">i", answer, at)[0]
    records = answer[at + 4 : at + 4 + size]
    if not records:
        raise RuntimeError(f"{name}: nothing there")
    listed = ",".join(f"{producer}:{first}" for producer, first in aborted) or "-"
    print(f"{name}{'-converted' if converted else ''} {listed} {records.hex()}", flush=True)


def main():
    version = sys.argv[1]
    address = environment("KAFKA", version)
    codecs = ["none", "gzip", "snappy", "lz4"] + (["zstd"] if at_least(version, "2.1") else [])
    for codec in codecs:
        for made, by in ((java, "java"), (librdkafka, "librdkafka")):
            name = f"{version}-{by}-{codec}"
            topic(version, name)
            time.sleep(1)
            made(version, address, name, codec)
            fetch(version, address, name)
    if at_least(version, "0.10"):
        name = f"{version}-java-append_time"
        topic(version, name, "message.timestamp.type=LogAppendTime")
        java(version, address, name, "gzip")
        fetch(version, address, name)
    if at_least(version, "0.11"):
        # As the PHP client got them: format 2 is converted to format 1 for Fetch version 2.
        name = f"{version}-java-append_time_plain"
        topic(version, name, "message.timestamp.type=LogAppendTime")
        time.sleep(1)
        java(version, address, name, "none")
        fetch(version, address, name)
        fetch(version, address, name, converted=True)
        fetch(version, address, f"{version}-java-none", converted=True)
    if version in ("0.10.2.2", "2.8.2"):
        older = "0.10.2" if at_least(version, "1") else "0.9.0"
        for codec in codecs[1:4]:
            name = f"{version}-java-{codec}-as_{older}"
            topic(version, name, f"message.format.version={older}")
            java(version, address, name, codec)
            fetch(version, address, name)
    if at_least(version, "0.11"):
        name = f"{version}-librdkafka-transactions"
        topic(version, name)
        transactions(address, name)
        # The marker is written a moment after it is acknowledged.
        time.sleep(2)
        fetch(version, address, name)


main()
