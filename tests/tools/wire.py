"""The few Kafka requests that no client library offers as the tests need them:
the batch headers of a fetch (which batches are compressed) and the offsets of
a group in ZooKeeper. Standard library only; one broker, one connection."""

import socket
import struct

CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}


class Broker:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.correlation = 0

    def ask(self, key, version, body):
        self.correlation += 1
        head = struct.pack(">hhi", key, version, self.correlation) + text("pandad-tests")
        self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        size = struct.unpack(">i", self._exactly(4))[0]
        answer = self._exactly(size)
        if struct.unpack(">i", answer[:4])[0] != self.correlation:
            raise RuntimeError("answer to another request")
        return answer[4:]

    def _exactly(self, count):
        parts = []
        while count:
            part = self.socket.recv(min(count, 1 << 20))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def text(value):
    raw = value.encode()
    return struct.pack(">h", len(raw)) + raw


def committed(broker, version, group, topic, partitions):
    """OffsetFetch: version 0 asks ZooKeeper, version 1 the group. {partition: (offset, metadata)}"""
    body = text(group) + struct.pack(">i", 1) + text(topic) + struct.pack(">i", len(partitions))
    body += b"".join(struct.pack(">i", partition) for partition in partitions)
    answer = broker.ask(9, version, body)
    at, found = 4 + 2 + len(topic.encode()) + 4, {}
    for _ in partitions:
        partition, offset, length = struct.unpack_from(">iqh", answer, at)
        at += 14
        metadata = answer[at : at + length].decode() if length > 0 else ""
        at += max(length, 0)
        error = struct.unpack_from(">h", answer, at)[0]
        at += 2
        # 3: what a broker says when ZooKeeper has no such node.
        if error not in (0, 3):
            raise RuntimeError(f"OffsetFetch {topic}/{partition}: error {error}")
        found[partition] = (offset if error == 0 else -1, metadata)
    return found


def batches(address, version, topic, partition):
    """Walks a partition from its start.

    Gives (offset of the first record or of the wrapper, codec, bytes, format).
    """
    # The version that shows each broker's batches as they are stored: an older one is
    # converted, which 0.10 does by taking compressed batches apart.
    fetch = 4 if version >= (0, 11) else 2 if version >= (0, 10) else 0
    return _walk(Broker(address), fetch, topic, partition)


def _walk(broker, version, topic, partition):
    position, size = 0, 1 << 20
    while True:
        body = struct.pack(">iii", -1, 100, 1)
        if version >= 3:
            body += struct.pack(">ib", 64 << 20, 0)
        body += struct.pack(">i", 1) + text(topic) + struct.pack(">iiqi", 1, partition, position, size)
        answer = broker.ask(1, version, body)
        at = (4 if version >= 1 else 0) + 4 + 2 + len(topic.encode()) + 4
        _, error, high = struct.unpack_from(">ihq", answer, at)
        at += 14
        if error:
            raise RuntimeError(f"Fetch {topic}/{partition}: error {error}")
        if version >= 4:
            aborted = struct.unpack_from(">qi", answer, at)[1]
            at += 12 + 16 * max(aborted, 0)
        length = struct.unpack_from(">i", answer, at)[0]
        found, last = list(_entries(answer[at + 4 : at + 4 + length])), None
        for first, following, codec, count, magic in found:
            if following > position:
                last = following
                yield first, codec, count, magic
        if last is not None:
            position = last
        elif position >= high:
            return
        else:
            size *= 2


def _entries(data):
    """(first offset, next offset, codec, bytes, format) of each whole entry.

    A wrapper carries its last offset.
    """
    at = 0
    while at + 17 <= len(data):
        offset, size = struct.unpack_from(">qi", data, at)
        if at + 12 + size > len(data):
            return
        if data[at + 16] == 2:
            attributes, delta = struct.unpack_from(">hi", data, at + 21)
            yield offset, offset + delta + 1, CODECS[attributes & 7], size, 2
        else:
            yield offset, offset + 1, CODECS[data[at + 17] & 7], size, data[at + 16]
        at += 12 + size
