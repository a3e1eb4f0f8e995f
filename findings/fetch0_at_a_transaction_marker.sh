#!/usr/bin/env bash
# A broker converts records for a consumer that knows only message format 0. What does it send for a
# position at which the log has a transaction's marker, which the old format cannot express?
#
# Seen: Kafka 1.1.1 sends the log's own bytes, magic 2. Kafka 3.9.1 sends 12 bytes: an offset and a
# size, and nothing of that size. One offset earlier both send format 0.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
export PANDAD_CACHE=$work/cache PANDAD_STATE=$work/state
servers=$here/scripts/servers
trap '"$servers" down; rm -rf "$work"' EXIT
# Brokers from Maven Central; confluent-kafka 2.16.1 from PyPI.
"$servers" up kafka-1.1.1 kafka-3.9.1 producers
eval "$("$servers" env)"

cat >"$work/fetch.py" <<'PY'
import socket
import struct
import sys
import time

from confluent_kafka import Producer

address, expected = sys.argv[1], sys.argv[2]
host, port = address.split(":")

producer = Producer({"bootstrap.servers": address, "transactional.id": "finding"})
producer.init_transactions(60)
producer.begin_transaction()
for number in range(3):
    producer.produce("finding", b"value %d" % number, partition=0)
producer.commit_transaction(60)


def fetch(offset):
    """The record set that Fetch version 0 gets from this offset on."""
    connection = socket.create_connection((host, int(port)))
    topic = b"finding"
    body = struct.pack(">iiii", -1, 500, 1, 1) + struct.pack(">h", len(topic)) + topic
    body += struct.pack(">iiqi", 1, 0, offset, 1 << 20)
    request = struct.pack(">hhih", 1, 0, 1, 1) + b"c" + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    answer = connection.recv(length, socket.MSG_WAITALL)
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    error, high_watermark, size = struct.unpack(">hqi", answer[at : at + 14])
    records = answer[at + 14 :]
    assert (error, size) == (0, len(records)), (error, size)
    return high_watermark, records


def settled(offset):
    """The same, once the marker is replicated."""
    for _ in range(50):
        high_watermark, records = fetch(offset)
        if high_watermark == 4:
            return records
        time.sleep(0.2)
    raise AssertionError("the transaction's marker does not come")


def describe(records):
    if len(records) < 17:
        (announced,) = struct.unpack(">i", records[8:12])
        more = "more than it has" if announced > len(records) - 12 else "as much as it has"
        return f"{len(records)} bytes that announce {more}"
    return f"magic {records[16]}"


before, marker = describe(settled(2)), describe(settled(3))
print(f"the last record: {before}; the marker behind it: {marker}")
assert before == "magic 0", before
assert marker == expected, marker
PY
"$servers" topic kafka-1.1.1 create finding 1
"$servers" topic kafka-3.9.1 create finding 1
echo "Kafka 1.1.1"
"$PANDAD_PYTHON" "$work/fetch.py" "$PANDAD_KAFKA_1_1_1" "magic 2"
echo "Kafka 3.9.1"
"$PANDAD_PYTHON" "$work/fetch.py" "$PANDAD_KAFKA_3_9_1" "12 bytes that announce more than it has"
