"""Produces every kind of record that a broker can hold, and notes beside each topic
what a reader must find there: KIND.expected, one JSON object a line with partition,
offset, timestamp, key, value and headers, bytes in hexadecimal. Offsets, and the times
that brokers set, are taken from the acknowledgements."""

import argparse
import json
import pathlib
import random
import sys
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, ConfigResource

import wire
from produce import numbers

# An hour of a day that is long past: nothing of it can be confused with now.
EPOCH = 1_600_000_000_000
TEXT = 'abc "\\/\t\n\u00fc \u6570 \U0001f600 '


class Topic:
    """One topic: what was sent to it and, when it is acknowledged, where it is."""

    def __init__(self, job, name):
        self.job, self.name, self.found, self.faults = job, name, {}, []
        self.producers = {}
        self.headers = job.version >= (0, 11)
        self.timestamps = job.version >= (0, 10)

    def producer(self, codec, **more):
        key = (codec, *sorted(more.items()))
        if key not in self.producers:
            self.producers[key] = confluent_kafka.Producer({**self.job.settings(codec), **more})
            self.await_leaders(self.producers[key])
        return self.producers[key]

    def await_leaders(self, producer):
        deadline = time.monotonic() + 30
        while True:
            found = producer.list_topics(self.name, 30).topics[self.name].partitions
            if found and all(one.leader >= 0 for one in found.values()):
                return
            if time.monotonic() > deadline:
                sys.exit(f"content: {self.name} has no leaders: {found}")
            time.sleep(0.1)

    def send(self, producer, partition, key, value, headers=(), timestamp=None, counts=True):
        """`counts`: whether a reader is to find it."""
        more = {"headers": list(headers)} if self.headers and headers else {}
        if self.timestamps:
            timestamp = timestamp or EPOCH + self.job.dice.randrange(3_600_000)
            more["timestamp"] = timestamp

        def acked(error, message):
            if error is not None:
                self.faults.append(str(error))
            elif counts:
                kind, when = message.timestamp()
                appended = kind == confluent_kafka.TIMESTAMP_LOG_APPEND_TIME
                when = when if appended else timestamp
                self.note(message.partition(), message.offset(), when, key, value, headers)

        while True:
            try:
                producer.produce(self.name, value, key, partition, on_delivery=acked, **more)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)

    def note(self, partition, offset, timestamp, key, value, headers):
        if (partition, offset) in self.found:
            self.faults.append(f"two records went to {partition}/{offset}")
        self.found[partition, offset] = {
            "p": partition,
            "o": offset,
            "t": timestamp if self.timestamps and timestamp else None,
            "k": hexed(key),
            "v": hexed(value),
            "h": [[name, hexed(text)] for name, text in headers] if self.headers else [],
        }

    def flush(self, producer):
        left = producer.flush(120)
        if left:
            self.faults.append(f"{left} records not acknowledged within 120 s")

    def done(self, kind, least=1):
        for producer in self.producers.values():
            self.flush(producer)
        if self.faults or len(self.found) < least:
            sys.exit(f"content: {kind}: {len(self.found)} records, at least {least}; {self.faults[:5]}")
        with open(self.job.out / f"{kind}.expected", "w", encoding="ascii") as file:
            for place in sorted(self.found):
                file.write(json.dumps(self.found[place]) + "\n")


def now():
    return int(time.time() * 1000)


def hexed(some):
    return None if some is None else some.hex()


class Job:
    def __init__(self, args):
        self.brokers, self.version, self.out = args.brokers, args.version, args.out
        self.records, self.dice = args.records, random.Random(args.seed)
        self.codecs = ["none", "gzip", "snappy", "lz4"] + (["zstd"] if args.version >= (2, 1) else [])
        self.common = {"bootstrap.servers": args.brokers, "reconnect.backoff.max.ms": 500, "log_level": 3}
        if self.version < (0, 10):
            self.common.update({"api.version.request": False, "broker.version.fallback": "0.9.0"})

    def settings(self, codec):
        # Without retries none is doubled, and nothing is asked for that old formats lack.
        return {
            **self.common,
            "compression.codec": codec,
            "linger.ms": 5,
            "acks": "all",
            "retries": 0,
            "max.in.flight.requests.per.connection": 1,
            "message.timeout.ms": 120000,
            "message.max.bytes": 10_000_000,
        }

    def text(self, least, most):
        length = self.dice.randint(least, most)
        return (TEXT * (1 + length // len(TEXT)))[:length].encode()

    def content(self, number):
        """Key, value and headers of the n-th of various records."""
        dice = self.dice
        keys = [None, b"", b"key %d" % number, dice.randbytes(9)]
        values = [None, b"", self.text(1, 40), self.text(40, 400)]
        values += [dice.randbytes(dice.randint(1, 60)), self.text(1, 9000)]
        headers = [
            [],
            [("one", b"1")],
            [("twice", b"first"), ("between", b""), ("twice", b"second"), ("twice", None)],
            [("", "\u6570".encode()), ("null", None), ("bytes", bytes(range(250, 256)))],
        ]
        key, value = dice.choice(keys), dice.choices(values, [1, 1, 8, 8, 4, 1])[0]
        return key, value, dice.choice(headers)

    # ---- The kinds

    def various(self, topic, codec, partitions=2):
        producer = topic.producer(codec)
        for number in range(self.records):
            key, value, headers = self.content(number)
            topic.send(producer, number % partitions, key, value, headers)
            # Batches of all sizes.
            if self.dice.random() < 0.02:
                topic.flush(producer)
        return self.records

    def mixed(self, topic, codecs):
        """Batches of different codecs side by side; many small ones that no codec makes smaller."""
        sent = 0
        while sent < self.records:
            producer = topic.producer(self.dice.choice(codecs))
            burst = self.dice.choice([1, 1, 2, 7, 40])
            for number in range(burst):
                key, value, headers = self.content(sent + number)
                topic.send(producer, 0, key, value, headers)
            topic.flush(producer)
            sent += burst
        return sent

    def large(self, topic):
        """Large records that no codec makes smaller, between small ones in compressed batches."""
        count = max(60, self.records // 10)
        for number in range(count):
            if number % 10 == 7:
                for codec in ["none", "gzip"]:
                    producer = topic.producer(codec)
                    topic.send(producer, 0, b"large", self.dice.randbytes(self.dice.randint(60_000, 400_000)))
                    topic.flush(producer)
            else:
                topic.send(topic.producer("gzip"), 0, None, self.text(100, 400))
        return count

    def full(self, topic):
        """As large as brokers take them unless they are told otherwise."""
        for number in range(12):
            producer = topic.producer(["none", "gzip", "snappy"][number % 3])
            topic.send(producer, number % 2, None, self.dice.randbytes(900_000))
            topic.send(producer, number % 2, b"small", b"between")
            topic.flush(producer)
        return 24

    def oversize(self, topic):
        """Larger than any fetch is likely to ask for."""
        for number in range(4):
            producer = topic.producer(["none", "gzip"][number % 2])
            topic.send(producer, 0, b"small", b"before")
            topic.flush(producer)
            topic.send(producer, 0, None, self.dice.randbytes(self.dice.randint(3_000_000, 7_000_000)))
            topic.flush(producer)
        topic.send(topic.producer("none"), 0, b"small", b"after")
        return 9

    def formats(self, topic):
        """The topic's format changes while it is written: 0, then 1, then what the broker is at."""
        sent = 0
        for stored in ["0.9.0", "0.10.2", None]:
            self.store_as(topic.name, stored)
            topic.headers = self.version >= (0, 11) and stored is None
            topic.timestamps = stored != "0.9.0"
            for codec in [codec for codec in self.codecs if codec != "zstd"] * 3:
                producer = topic.producer(codec)
                for number in range(max(1, self.records // 12)):
                    key, value, headers = self.content(number)
                    topic.send(producer, 0, key, value, headers)
                    sent += 1
                topic.flush(producer)
        topic.headers = topic.timestamps = True
        self.stored_in(topic, {0, 1, 2})
        return sent

    def stored_in(self, topic, formats):
        """A run is only worth anything if the broker really keeps them so."""
        found = {magic for _, _, _, magic in wire.batches(self.brokers, self.version, topic.name, 0)}
        if found != formats:
            sys.exit(f"content: {topic.name} is stored in the formats {found}, not {formats}")

    def store_as(self, name, stored):
        admin = AdminClient(self.common)
        config = {} if stored is None else {"message.format.version": stored}
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, set_config=config)
        admin.alter_configs([resource])[resource].result(30)
        time.sleep(1)  # It takes effect when the broker hears of it, and nothing tells when.

    def old(self, topic, stored):
        """All in one old format, from its topic's settings."""
        topic.headers, topic.timestamps = False, stored != 0
        self.mixed(topic, [codec for codec in self.codecs if codec != "zstd"])
        self.stored_in(topic, {stored})
        topic.timestamps = True
        return 1

    def transactions(self, topic):
        """Several producers whose transactions are interleaved, committed and aborted, and one without."""
        names = [f"{topic.name}-{number}" for number in range(3)]
        more = {"enable.idempotence": True, "retries": 1000, "message.timeout.ms": 60000}
        producers = [
            topic.producer(codec, **more, **{"transactional.id": name})
            for name, codec in zip(names, ["gzip", "none", "lz4"], strict=True)
        ]
        for producer in producers:
            producer.init_transactions(60)
        open_now, kept = {}, []
        plain = topic.producer("none")
        for number in range(self.records):
            at = self.dice.randrange(len(producers))
            if at not in open_now:
                producers[at].begin_transaction()
                open_now[at] = []
            key, value, headers = self.content(number)
            open_now[at].append(self.held(topic, producers[at], number % 2, key, value, headers))
            if self.dice.random() < 0.1:
                topic.send(plain, number % 2, b"without", b"a transaction")
                topic.flush(plain)
            if self.dice.random() < 0.08:
                kept += self.end(topic, producers[at], open_now.pop(at))
        for at, held in open_now.items():
            kept += self.end(topic, producers[at], held)
        for one in kept:
            topic.note(*one[0])
        return 1

    def held(self, topic, producer, partition, key, value, headers):
        """Sent; whether it is to be found is known when its transaction ends."""
        timestamp, place = EPOCH + self.dice.randrange(3_600_000), []

        def acked(error, message):
            if error is not None:
                topic.faults.append(str(error))
            else:
                place.append((message.partition(), message.offset(), timestamp, key, value, headers))

        more = {"headers": list(headers), "timestamp": timestamp}
        producer.produce(topic.name, value, key, partition, on_delivery=acked, **more)
        producer.poll(0)
        return place

    def end(self, topic, producer, held):
        topic.flush(producer)
        if self.dice.random() < 0.4:
            producer.abort_transaction(60)
            return []
        producer.commit_transaction(60)
        return held

    def compacted(self, topic, codec):
        """Few keys, written over and over, until the broker has thrown out what was overwritten."""
        producer = topic.producer(codec)
        keys = [b"key %d" % number for number in range(40)]
        # Sixty records of each round stay: they have keys of their own.
        for turn in range(6):
            for number in range(max(200, self.records // 8)):
                key = self.dice.choice(keys) if number % 10 else b"once %d %d" % (turn, number)
                value = None if self.dice.random() < 0.05 else self.text(10, 300)
                topic.send(producer, 0, key, value, timestamp=now())
            topic.flush(producer)
            # The segment is closed by the first record that comes after its time.
            time.sleep(0.15)
        topic.send(producer, 0, b"last", b"in the open segment", timestamp=now())
        topic.flush(producer)
        sent = len(topic.found)
        left = self.await_compaction(topic)
        topic.found = {place: one for place, one in topic.found.items() if place[1] in left}
        if len(topic.found) != len(left) or len(left) > sent * 0.7:
            known = len(topic.found)
            sys.exit(f"content: {topic.name}: {sent} records, {len(left)} left, {known} of them known")
        return 1

    def await_compaction(self, topic):
        """Each key once, but for what stands in the open segment, which is never compacted."""
        deadline = time.monotonic() + 120
        while True:
            places = self.read(topic.name)
            keys = [key for _, key in places]
            if len(set(keys)) == len(keys):
                return {offset for offset, _ in places}
            if time.monotonic() > deadline:
                found = f"{len(places)} records of {len(set(keys))} keys"
                sys.exit(f"content: {topic.name} is not compacted: {found}")
            time.sleep(0.5)

    def read(self, name):
        """What there is, by librdkafka."""
        settings = {**self.common, "group.id": "content", "enable.partition.eof": True}
        consumer = confluent_kafka.Consumer(settings)
        try:
            consumer.assign([confluent_kafka.TopicPartition(name, 0, confluent_kafka.OFFSET_BEGINNING)])
            places, deadline = [], time.monotonic() + 60
            while time.monotonic() < deadline:
                message = consumer.poll(1)
                if message is None:
                    continue
                if message.error() is None:
                    places.append((message.offset(), message.key()))
                elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    return places
            sys.exit(f"content: {name} cannot be read")
        finally:
            consumer.close()

    def run(self, topic, kind):
        old = {"format-0": 0, "format-1": 1}
        if kind in self.codecs:
            return self.various(topic, kind)
        if kind in old:
            return self.old(topic, old[kind])
        if kind.startswith("compacted-"):
            return self.compacted(topic, kind.removeprefix("compacted-"))
        if kind == "appended":
            return self.mixed(topic, ["none", "gzip", "snappy"])
        if kind == "mixed":
            return self.mixed(topic, ["none", "gzip", "snappy"])
        if kind == "mixed-all":
            return self.mixed(topic, self.codecs)
        return getattr(self, kind)(topic)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--version", type=numbers, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=int, required=True, help="about as many of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("topics", nargs="+", metavar="TOPIC=KIND")
    args = parser.parse_args()
    job = Job(args)
    for pair in args.topics:
        name, kind = pair.split("=")
        topic = Topic(job, name)
        topic.done(kind, job.run(topic, kind))


if __name__ == "__main__":
    main()
