#!/usr/bin/env bash
# A record in format 2 is damaged on the broker's disk. A consumer of today finds the wrong checksum. What
# does a consumer get that knows only message format 0, for which the broker converts the record?
#
# Seen: Kafka 1.1.1 and 3.9.1 convert without looking at the batch's checksum, and make a new one over the
# damaged bytes: the old consumer gets a wrong value with a right checksum.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
export PANDAD_CACHE=$work/cache PANDAD_STATE=$work/state
servers=$here/scripts/servers
trap '"$servers" down; rm -rf "$work"' EXIT
# Brokers from Maven Central; confluent-kafka 2.16.1 from PyPI.
"$servers" up kafka-1.1.1 kafka-3.9.1 producers
eval "$("$servers" env)"

cat >"$work/produce.py" <<'PY'
import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "compression.type": "none"})
producer.produce("finding", b"the right value", partition=0)
assert producer.flush(60) == 0
PY
cat >"$work/fetch.py" <<'PY'
import socket
import struct
import sys
import time
import zlib

from confluent_kafka import Consumer, TopicPartition

address = sys.argv[1]
host, port = address.split(":")
topic = b"finding"
body = struct.pack(">iiii", -1, 500, 1, 1) + struct.pack(">h", len(topic)) + topic
body += struct.pack(">iiqi", 1, 0, 0, 1 << 20)
request = struct.pack(">hhih", 1, 0, 1, 1) + b"c" + body


def fetch():
    connection = socket.create_connection((host, int(port)))
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    answer = connection.recv(length, socket.MSG_WAITALL)
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    error, _, size = struct.unpack(">hqi", answer[at : at + 14])
    return error, answer[at + 14 : at + 14 + size]


# Just after its start the broker may not lead the partition yet.
for _ in range(50):
    error, records = fetch()
    if records:
        break
    time.sleep(0.2)
print(f"Fetch 0: error {error}, {len(records)} bytes: {records.hex()}")
# Behind the message 3.9.1 fills the reply up to the size that the record had in format 2.
(size,) = struct.unpack(">i", records[8:12])
message = records[12 : 12 + size]
(crc,) = struct.unpack(">I", message[:4])
is_right = crc == zlib.crc32(message[4:])
print(f"format 0: {message[-15:]!r}, its checksum is {'right' if is_right else 'wrong'}")
assert message[4] == 0 and message[-15:] == b"the wrong value" and is_right

consumer = Consumer({"bootstrap.servers": address, "group.id": "finding", "check.crcs": True})
consumer.assign([TopicPartition("finding", 0, 0)])
got = consumer.poll(30)
told = "nothing" if got is None else str(got.error() or got.value())
consumer.close()
print(f"format 2: {told}")
assert got is not None and got.error() is not None, told
PY
for version in 1.1.1 3.9.1; do
    variable=PANDAD_KAFKA_${version//./_}
    directory=${variable}_DIR
    echo "Kafka $version"
    "$servers" topic "kafka-$version" create finding 1
    "$PANDAD_PYTHON" "$work/produce.py" "${!variable}"
    "$servers" stop "kafka-$version/1"
    segment=$(find "${!directory}" -path '*finding-0/00000000000000000000.log')
    sed -i 's/the right value/the wrong value/' "$segment"
    "$servers" start "kafka-$version/1"
    "$PANDAD_PYTHON" "$work/fetch.py" "${!variable}"
done
