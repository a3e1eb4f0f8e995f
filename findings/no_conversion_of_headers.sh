#!/usr/bin/env bash
# Three records, of which the second has a header; each is a batch of its own. What does a consumer get that
# speaks Fetch 2, as those of Kafka 0.10.0 do? Formats 0 and 1 have no headers.
#
# Seen: Kafka 1.1.1 leaves the header out, and gives all three records. Kafka 0.11.0.3 answers with error -1
# (UNKNOWN_SERVER_ERROR) and without any record, from offset 0 as from 1; only from offset 2 on is there a
# record. So a consumer that goes on where it stopped stands still there for good, and what was before the
# header does not come either, if it comes in the same answer.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
export PANDAD_CACHE=$work/cache PANDAD_STATE=$work/state
servers=$here/scripts/servers
trap '"$servers" down; rm -rf "$work"' EXIT
# Brokers from Maven Central; confluent-kafka 2.16.1 from PyPI.
"$servers" up kafka-0.11.0.3 kafka-1.1.1 producers
eval "$("$servers" env)"

cat >"$work/look.py" <<'PY'
import socket
import struct
import sys
import time

from confluent_kafka import Producer

address, expected = sys.argv[1], sys.argv[2]
producer = Producer({"bootstrap.servers": address, "compression.type": "none"})
for value, headers in [(b"one", None), (b"two", [("name", b"header")]), (b"three", None)]:
    producer.produce("finding", value, partition=0, headers=headers)
    assert producer.flush(60) == 0

host, port = address.split(":")
topic = b"finding"


def fetch(offset):
    body = struct.pack(">iiii", -1, 500, 1, 1) + struct.pack(">h", len(topic)) + topic
    body += struct.pack(">iiqi", 1, 0, offset, 1 << 20)
    request = struct.pack(">hhih", 1, 2, 1, 1) + b"c" + body
    connection = socket.create_connection((host, int(port)))
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    answer = connection.recv(length, socket.MSG_WAITALL)
    # Correlation, throttle, topics, name, partitions, partition.
    at = 4 + 4 + 4 + 2 + len(topic) + 4 + 4
    error, _, size = struct.unpack(">hqi", answer[at : at + 14])
    records, values = answer[at + 14 : at + 14 + size], []
    while len(records) >= 12:
        first, size = struct.unpack(">qi", records[:12])
        message, records = records[12 : 12 + size], records[12 + size :]
        if len(message) < size or size == 0:
            break
        assert message[4] == 1, "format 1"
        if first >= offset:
            # Checksum, format, attributes, time, no key, length of the value.
            values.append(message[22:].decode())
    return error, values


for offset in range(3):
    seen = fetch(offset)
    for _ in range(50):
        if seen[0] in (-1, 0) and (seen[0] or seen[1]):
            break
        time.sleep(0.2)
        seen = fetch(offset)
    print(f"from offset {offset}: error {seen[0]}, {seen[1]}")
    all_three = ["one", "two", "three"]
    whole = expected == "whole" or offset == 2
    assert seen == ((0, all_three[offset:]) if whole else (-1, [])), seen
PY
for seen in 0.11.0.3=refused 1.1.1=whole; do
    version=${seen%=*} variable=PANDAD_KAFKA_${seen%=*}
    variable=${variable//./_}
    echo "Kafka $version"
    "$servers" topic "kafka-$version" create finding 1
    "$PANDAD_PYTHON" "$work/look.py" "${!variable}" "${seen#*=}"
done
