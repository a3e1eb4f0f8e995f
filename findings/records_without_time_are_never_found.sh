#!/usr/bin/env bash
# A producer from before Kafka 0.10 sends records without timestamps. Where does a consumer begin that asks
# for the first record since a moment, even since 1970?
#
# Seen: Kafka 1.1.1 and 3.9.1 answer ListOffsets (version 1 and later) with offset -1 for every moment, 0
# included, as if all records were older, and librdkafka makes "the end" of that: whoever seeks there passes
# over every record.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
export PANDAD_CACHE=$work/cache PANDAD_STATE=$work/state
servers=$here/scripts/servers
trap '"$servers" down; rm -rf "$work"' EXIT
# Brokers from Maven Central; confluent-kafka 2.16.1 from PyPI.
"$servers" up kafka-1.1.1 kafka-3.9.1 producers
eval "$("$servers" env)"

cat >"$work/ask.py" <<'PY'
import socket
import struct
import sys
import time
import zlib

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

address = sys.argv[1]
host, port = address.split(":")
TOPIC = struct.pack(">h", 7) + b"finding"


def ask(key, version, body):
    request = struct.pack(">hhih", key, version, 1, 1) + b"c" + body
    connection = socket.create_connection((host, int(port)))
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    return connection.recv(length, socket.MSG_WAITALL)[4:]


def message(value):
    checked = b"\0\0" + struct.pack(">ii", -1, len(value)) + value
    whole = struct.pack(">I", zlib.crc32(checked)) + checked
    return struct.pack(">qi", 0, len(whole)) + whole


def produce():
    records = b"".join(message(value) for value in (b"one", b"two", b"three"))
    body = struct.pack(">hii", 1, 10000, 1) + TOPIC + struct.pack(">iii", 1, 0, len(records)) + records
    answer = ask(0, 0, body)
    return struct.unpack(">h", answer[4 + len(TOPIC) + 8 :][:2])[0]


def offset_since(moment):
    answer = ask(2, 1, struct.pack(">ii", -1, 1) + TOPIC + struct.pack(">iiq", 1, 0, moment))
    return struct.unpack(">hqq", answer[4 + len(TOPIC) + 8 :][:18])


# Just after its start the broker may not lead the partition yet.
for _ in range(50):
    if produce() == 0:
        break
    time.sleep(0.2)
first, end = offset_since(-2)[2], offset_since(-1)[2]
print(f"the log has offset {first} to {end - 1}")
for moment in (0, 1, 1_000_000_000_000):
    error, found, offset = offset_since(moment)
    print(f"ListOffsets 1, since {moment}: error {error}, timestamp {found}, offset {offset}")
    assert (error, found, offset) == (0, -1, -1)
consumer = Consumer({"bootstrap.servers": address, "group.id": "finding"})
(partition,) = consumer.offsets_for_times([TopicPartition("finding", 0, 0)], timeout=30)
consumer.close()
print(f"librdkafka, since 0: offset {partition.offset}, the end: {partition.offset == OFFSET_END}")
assert partition.offset == OFFSET_END and (first, end) == (0, 3)
PY
for version in 1.1.1 3.9.1; do
    variable=PANDAD_KAFKA_${version//./_}
    echo "Kafka $version"
    "$servers" topic "kafka-$version" create finding 1
    "$PANDAD_PYTHON" "$work/ask.py" "${!variable}"
done
