"""Produces test records: each names its partition, its place in it and a CRC.
Exits with 0 only if every record was acknowledged at the offset that is its
place, so that what a reader finds missing or doubled was not done here."""

import argparse
import functools
import json
import random
import sys
import threading
import time
import zlib

import confluent_kafka

import wire

# What a format must carry unharmed: quotes, slashes, a tab, text beyond ASCII.
SPICE = '"/\\\t\u00fc \u6570 \U0001f600'
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
# Any byte but newline and the quote: too even for any codec to make smaller.
BYTES = bytes(byte for byte in range(256) if byte not in b'\n"')
# How padding is made of random bytes: without newline and quote, or as letters in no order.
FROM_RANDOM = {
    "bytes": bytes.maketrans(b'\n"', b"\0\0"),
    "dice": bytes(LETTERS[byte % len(LETTERS)].encode()[0] for byte in range(256)),
}


def value(partition, index, pad):
    body = b'{"p":%d,"i":%d,"pad":"%s"' % (partition, index, pad)
    return b'%s,"crc":"%08x"}' % (body, zlib.crc32(body))


# Keys that no file can be named after as they are, and their neighbours.
ODD_KEYS = [None, b"", b"plain", b"a/b", b"../../up", b".", b"..", b".hidden", b"\0\n\xff\xc3(",
            "gr\u00fcn \u4e2d".encode(), b"%null", b"future", b"{key}", b"x" * 300, b"x" * 299 + b"y"]


class Records:
    """Sends records and checks each acknowledgement."""

    def __init__(self, args, codec, producer=None):
        self.args = args
        self.start = {p: args.first for p in args.partitions}
        self.sent = dict(self.start)
        self.acked = dict(self.start)
        self.faults = []
        self.producer = producer or confluent_kafka.Producer(settings(args, codec))
        # The producer that many topics share has taken in its first answers.
        self._await_leaders(3 if producer is None else 1)

    def _await_leaders(self, times):
        """Partitions are made in ZooKeeper first; a broker that has not heard of them refuses records."""
        deadline = time.monotonic() + 30
        seen = 0
        while True:
            found = self.producer.list_topics(self.args.topic, 30).topics[self.args.topic].partitions
            # More than once: the library may still take in an older answer after a newer one.
            seen = seen + 1 if all(p in found and found[p].leader >= 0 for p in self.args.partitions) else 0
            if seen == times:
                return
            if time.monotonic() > deadline:
                sys.exit(f"produce: no leader for all of {self.args.topic}/{self.args.partitions}: {found}")
            time.sleep(0.1)

    def send(self, partition, pad):
        args, index = self.args, self.sent[partition]
        key = {"none": None, "text": f"key {index} of {partition}", "odd": ODD_KEYS[index % len(ODD_KEYS)]}
        acked = functools.partial(self._acked, index)
        more = {} if args.time is None else {"timestamp": args.time + index * args.step}
        while True:
            try:
                self.producer.produce(
                    args.topic,
                    value(partition + args.base, index, pad),
                    key[args.key],
                    partition,
                    on_delivery=acked,
                    **more,
                )
                break
            except BufferError:
                self.producer.poll(0.1)
        self.sent[partition] = index + 1
        self.producer.poll(0)

    def _acked(self, index, error, message):
        partition = message.partition()
        if error is not None:
            self.faults.append(f"partition {partition}: record {index}: {error}")
            return
        # By the record's own place: where a broker dies it counts what was doubled before it,
        # and not that acknowledgements came in another order.
        if message.offset() != index:
            nth = self.acked[partition]
            self.faults.append(
                f"partition {partition}: record {index} went to offset {message.offset()}, "
                f"acknowledged as number {nth}"
            )
        self.acked[partition] += 1

    def flush(self):
        left = self.producer.flush(120)
        if left:
            self.faults.append(f"{left} records not acknowledged within 120 s")

    def check(self):
        """What was wrong, when all is flushed."""
        short = {p: n - self.acked[p] for p, n in self.sent.items() if n != self.acked[p]}
        if short and not self.faults:
            self.faults.append(f"not acknowledged, by partition: {short}")
        return self.faults

    def done(self, **more):
        self.flush()
        self.check()
        for fault in self.faults[:10]:
            print(f"produce: {fault}", file=sys.stderr)
        if self.faults:
            return 1
        counts = {p + self.args.base: n - self.start[p] for p, n in self.sent.items()}
        print(json.dumps({"records": sum(counts.values()), "each": counts, **more}), flush=True)
        return 0


def settings(args, codec):
    found = {
        "bootstrap.servers": args.brokers,
        "compression.codec": codec,
        "linger.ms": args.linger,
        "acks": "all",
        "message.timeout.ms": 120000,
        "reconnect.backoff.max.ms": 500,
        "queue.buffering.max.messages": 200000,
        "log_level": 3,
    }
    if args.version >= (0, 11):
        found["enable.idempotence"] = True
    else:
        # A retry could double a record that did arrive, so there is none.
        found["retries"] = 0
        found["max.in.flight.requests.per.connection"] = 1
    if args.version < (0, 10):
        found["api.version.request"] = False
        found["broker.version.fallback"] = "0.9.0"
    if args.largest:
        found["message.max.bytes"] = args.largest
    if args.batch:
        found["batch.num.messages"] = args.batch
    return found


def seq(args, dice):
    """N records, spread over the partitions in turn, R of them per second. With --least it ends
    when standard input has ended, that many are sent and each partition has as many as the others."""
    ended = threading.Event()
    if args.least is not None:
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    records, smallest, largest = Records(args, args.codec), *args.size
    began, stretch = time.monotonic(), LETTERS * (2 + largest // len(LETTERS))
    for number in range(args.records):
        if ended.is_set() and number >= args.least and number % len(args.partitions) == 0:
            break
        if args.rate:
            due = began + number / args.rate
            while time.monotonic() < due:
                records.producer.poll(max(0.0, min(0.01, due - time.monotonic())))
        size = dice.randint(smallest, largest)
        if args.fill in FROM_RANDOM:
            pad = dice.randbytes(size).translate(FROM_RANDOM[args.fill])
        else:
            at = dice.randrange(len(LETTERS))
            pad = stretch[at : at + size]
            if number % 10 == 9:
                pad += SPICE
            pad = pad.encode()
        records.send(args.partitions[number % len(args.partitions)], pad)
    return records.done(seconds=round(time.monotonic() - began, 3))


def wide(args, dice):
    """As many records in each of --topics topics, whose names are --topic and a number, a few of each
    partition in turn. The partitions of all topics are numbered through."""
    stem, base, producer, topics = args.topic, args.base, None, []
    for number in range(args.topics):
        own = argparse.Namespace(**vars(args))
        own.topic, own.base = f"{stem}-{number:04}", base + number * len(args.partitions)
        topics.append(Records(own, args.codec, producer))
        producer = topics[0].producer
    each = args.records // (args.topics * len(args.partitions))
    stretch = LETTERS * (2 + args.size[1] // len(LETTERS))
    began, sent = time.monotonic(), 0
    for begin in range(0, each, 25):
        for records in topics:
            while args.rate and time.monotonic() < began + sent / args.rate:
                producer.poll(0.01)
            sent += len(args.partitions) * min(each - begin, 25)
            for partition in args.partitions:
                for _ in range(begin, min(each, begin + 25)):
                    at = dice.randrange(len(LETTERS))
                    pad = stretch[at : at + dice.randint(*args.size)]
                    records.send(partition, pad.encode())
    first = topics[0]
    first.flush()
    first.faults += [fault for records in topics[1:] for fault in records.check()]
    return first.done(topics=args.topics)


def mixed(args, dice):
    """One gzip producer without linger: bursts, which compress, and lone small records, which do not
    get smaller and which librdkafka therefore leaves as they are."""
    records, left = Records(args, "gzip"), args.records
    partition = args.partitions[0]
    while left:
        burst = min(left, 1 if dice.random() < 0.5 else dice.randint(2, 60))
        for _ in range(burst):
            pad = "".join(dice.choices(LETTERS, k=dice.randint(8, 24))) if burst == 1 else LETTERS * 2
            records.send(partition, pad.encode())
        records.flush()
        left -= burst
    return compared(args, records, lambda plain, packed: plain > 100 and packed > 20)


def large(args, dice):
    """Large records that no codec makes smaller, between small ones in compressed batches."""
    records, partition = Records(args, "gzip"), args.partitions[0]
    for number in range(args.records):
        if number % 10 == 7:
            records.flush()
            pad = bytes(dice.choices(BYTES, k=dice.randint(60_000, 400_000)))
            records.send(partition, pad)
            records.flush()
        else:
            records.send(partition, (LETTERS * dice.randint(2, 6)).encode())
    return compared(args, records, lambda plain, packed: plain >= args.records // 10 and packed >= 10)


def compared(args, records, enough):
    """Ends a run that is only worth anything if compressed and plain batches really lie side by side."""
    records.flush()
    kinds, turns, before = {}, 0, None
    for _, codec, _, _ in wire.batches(args.brokers, args.version, args.topic, args.partitions[0]):
        kinds[codec] = kinds.get(codec, 0) + 1
        turns += before is not None and codec != before
        before = codec
    if not enough(kinds.get("none", 0), kinds.get("gzip", 0)):
        print(f"produce: the batches are not mixed as they should be: {kinds}", file=sys.stderr)
        return 1
    return records.done(batches=kinds, turns=turns)


def partitions(text):
    if "-" in text:
        first, last = text.split("-")
        return list(range(int(first), int(last) + 1))
    return list(range(int(text)))


def numbers(text):
    return tuple(int(part) for part in text.split("."))


def span(text):
    ends = [int(end) for end in text.split("-")]
    return ends[0], ends[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["seq", "wide", "mixed", "large"])
    parser.add_argument("--brokers", required=True, help="host:port")
    parser.add_argument("--version", type=numbers, required=True, help="the broker's version")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--topics", type=int, default=1, help="how many topics (wide)")
    parser.add_argument("--partitions", type=partitions, default="1", help="a count, or first-last")
    parser.add_argument("--records", type=int, required=True, help="in all partitions together")
    parser.add_argument("--least", type=int, help="sent at least, though standard input has ended")
    parser.add_argument("--rate", type=float, default=0, help="records per second; 0: as fast as it goes")
    padding = "bytes of padding: a number, or least-most"
    parser.add_argument("--size", type=span, default="80-200", help=padding)
    fills = ["letters", "dice", "bytes"]
    parser.add_argument("--fill", default="letters", choices=fills, help="the padding; bytes are no text")
    parser.add_argument("--largest", type=int, default=0, help="bytes of the largest record; 0: the usual")
    parser.add_argument("--codec", default="none", choices=["none", "gzip", "snappy", "lz4", "zstd"])
    parser.add_argument("--linger", type=float, default=0, help="ms")
    parser.add_argument("--batch", type=int, default=0, help="most records in a batch; 0: the library's own")
    parser.add_argument("--key", default="text", choices=["none", "text", "odd"])
    parser.add_argument("--first", type=int, default=0, help="place of the first record in each partition")
    parser.add_argument("--base", type=int, default=0, help="added to the partition that the record names")
    parser.add_argument("--time", type=int, help="timestamp of place 0, in ms since 1970; none: the clock")
    parser.add_argument("--step", type=int, default=1, help="ms from one place's timestamp to the next")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    modes = {"seq": seq, "wide": wide, "mixed": mixed, "large": large}
    sys.exit(modes[args.mode](args, random.Random(args.seed)))


if __name__ == "__main__":
    main()
