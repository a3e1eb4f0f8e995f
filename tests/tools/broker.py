"""Makes topics and reads a group's offsets for the tests, as long as they run:
one JSON request per line on stdin, one JSON answer per line on stdout. Offsets
in Kafka are read by librdkafka, so that a standard client finds them too."""

import json
import sys
import time

import confluent_kafka
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

import foreign_member
import wire

PASSING = [
    confluent_kafka.KafkaError.NOT_COORDINATOR,
    confluent_kafka.KafkaError.COORDINATOR_NOT_AVAILABLE,
    confluent_kafka.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    confluent_kafka.KafkaError.NOT_LEADER_FOR_PARTITION,
    confluent_kafka.KafkaError.LEADER_NOT_AVAILABLE,
]


class Answers:
    def __init__(self, address, version):
        self.address, self.version = address, tuple(int(part) for part in version.split("."))
        self.common = {"bootstrap.servers": address, "reconnect.backoff.max.ms": 500, "log_level": 3}
        if self.version < (0, 10):
            self.common.update({"api.version.request": False, "broker.version.fallback": "0.9.0"})
        self.consumers = {}
        self.members = {}
        self.foreign = {}
        self.zookeeper = None

    def create(self, topic, partitions, config=None):
        self.create_all({topic: [partitions, config or {}]})
        return {}

    def create_all(self, topics):
        """Each name with its partitions and settings."""
        admin = AdminClient(self.common)
        new = [NewTopic(name, partitions, 1, config=config) for name, (partitions, config) in topics.items()]
        deadline = time.monotonic() + 30
        while True:
            try:
                for made in admin.create_topics(new, operation_timeout=30, request_timeout=30).values():
                    made.result()
                return {}
            except confluent_kafka.KafkaException as fault:
                # A broker that hung for a while has lost its session with ZooKeeper and
                # answers so once more after it has gone on.
                if time.monotonic() > deadline or "Session expired" not in str(fault):
                    raise
                time.sleep(0.5)

    def remake(self, topic, partitions, pause):
        """Deletes the topic and recreates it after some seconds, as soon as the broker allows it."""
        admin = AdminClient(self.common)
        admin.delete_topics([topic], operation_timeout=30, request_timeout=30)[topic].result()
        time.sleep(pause)
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.create(topic, partitions)
            except confluent_kafka.KafkaException as fault:
                exists = fault.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS
                if time.monotonic() > deadline or not exists:
                    raise
                time.sleep(0.1)

    def delete(self, topic):
        admin = AdminClient(self.common)
        admin.delete_topics([topic], operation_timeout=30, request_timeout=30)[topic].result()
        return {}

    def alter(self, topic, partitions):
        admin = AdminClient(self.common)
        new = NewPartitions(topic, partitions)
        admin.create_partitions([new], operation_timeout=30, request_timeout=30)[topic].result()
        return {}

    def spread(self, topic, partitions, rate):
        """One record for each partition, `rate` of them per second, the last partition first; the value is
        the number of the partition. Answers with the time of each acknowledgement, in seconds since 1970."""
        producer, acked, faults = confluent_kafka.Producer({**self.common, "linger.ms": 0}), [], []

        def delivered(error, message):
            if error is not None:
                faults.append(str(error))
            acked.append([message.partition(), time.time()])

        deadline = time.monotonic() + 60
        while len(producer.list_topics(topic, 30).topics[topic].partitions) < partitions:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{topic} has not its {partitions} partitions after 60 s")
            time.sleep(0.1)
        began = time.monotonic()
        for number, partition in enumerate(reversed(range(partitions))):
            while time.monotonic() < began + number / rate:
                producer.poll(max(0.0, began + number / rate - time.monotonic()))
            producer.produce(topic, str(partition), partition=partition, on_delivery=delivered)
        producer.flush(120)
        if faults or len(acked) != partitions:
            raise RuntimeError(f"{len(acked)} of {partitions} acknowledged: {faults[:3]}")
        return {"acked": acked}

    def committed(self, store, group, topic, partitions):
        """The offset of each partition, -1 where there is none."""
        if store == "zookeeper":
            # A connection of its own each time: brokers are restarted.
            found = wire.committed(wire.Broker(self.address), 0, group, topic, range(partitions))
            return {"offsets": [found[p][0] for p in range(partitions)]}
        found = self.found(group, topic, partitions)
        return {"offsets": [one.offset if one.offset >= 0 else -1 for one in found]}

    def ends(self, topic, partitions):
        """Each partition's end."""
        consumer = self.consumer("ends")
        asked = [confluent_kafka.TopicPartition(topic, p) for p in range(partitions)]
        marks = [retrying(lambda: consumer.get_watermark_offsets(one, timeout=30)) for one in asked]
        return {"ends": [end for _, end in marks]}

    def held(self, group, topic, partitions):
        """Offset and metadata, None where there is no offset. The metadata is read on the wire:
        confluent-kafka takes it for a string that ends in a zero."""
        offsets = self.committed("kafka", group, topic, partitions)["offsets"]
        found = wire.committed(wire.Broker(self.address), 1, group, topic, range(partitions))
        if [found[p][0] for p in range(partitions)] != offsets:
            raise RuntimeError(f"librdkafka reads {offsets}, and on the wire there is {found}")
        return {"held": [found[p] if found[p][0] >= 0 else None for p in range(partitions)]}

    def beside(self, group, topic):
        """The metadata of the first partition's offset, by librdkafka."""
        return {"beside": self.found(group, topic, 1)[0].metadata}

    def found(self, group, topic, partitions):
        asked = [confluent_kafka.TopicPartition(topic, p) for p in range(partitions)]
        found = retrying(lambda: self.consumer(group).committed(asked, timeout=30))
        for one in found:
            if one.error:
                raise confluent_kafka.KafkaException(one.error)
        return found

    def consumer(self, group):
        if group not in self.consumers:
            self.consumers[group] = confluent_kafka.Consumer({**self.common, "group.id": group})
        return self.consumers[group]

    def set(self, group, topic, partition, offset):
        """Commits from outside the group, without metadata."""
        one = confluent_kafka.TopicPartition(topic, partition, offset)
        done = retrying(lambda: self.consumer(group).commit(offsets=[one], asynchronous=False))
        if done[0].error:
            raise confluent_kafka.KafkaException(done[0].error)
        return {}

    def join(self, group, topic):
        """A live member of the group, until leave."""
        member = confluent_kafka.Consumer({**self.common, "group.id": group, "session.timeout.ms": 6000})
        member.subscribe([topic])
        deadline = time.monotonic() + 60
        while not member.assignment():
            member.poll(0.1)
            if time.monotonic() > deadline:
                raise TimeoutError("it is not assigned anything")
        self.members[group] = member
        return {}

    def begin(self, topic, partition):
        """A transaction with one record, until abort."""
        settings = {"transactional.id": f"hangs-{topic}", "transaction.timeout.ms": 900000}
        self.open = confluent_kafka.Producer({**self.common, **settings})
        self.open.init_transactions(30)
        self.open.begin_transaction()
        self.open.produce(topic, b"of a transaction that hangs", partition=partition)
        if self.open.flush(30):
            raise TimeoutError("the record is not acknowledged")
        return {}

    def abort(self):
        self.open.abort_transaction(30)
        return {}

    def may_read(self, name, may, kind="TOPIC", hidden=False):
        """Whether anybody may read the topic or group, or may know that it is there."""
        admin = AdminClient(self.common)
        named = (ResourceType[kind], name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
        if may:
            done = admin.delete_acls([AclBindingFilter(*named, AclOperation.ANY, AclPermissionType.ANY)])
        else:
            rules = [
                (AclOperation.READ, AclPermissionType.DENY),
                (AclOperation.ALL, AclPermissionType.ALLOW),
            ]
            if hidden:
                rules.append((AclOperation.DESCRIBE, AclPermissionType.DENY))
            done = admin.create_acls([AclBinding(*named, *rule) for rule in rules])
        for one in done.values():
            one.result(30)
        return {}

    def delete_records(self, topic, partition, below):
        """Deletes the records below this offset."""
        one = confluent_kafka.TopicPartition(topic, partition, below)
        admin = AdminClient(self.common)
        retrying(lambda: admin.delete_records([one], request_timeout=30)[one].result(30))
        return {}

    def leave(self, group):
        self.members.pop(group).close()
        return {}

    def foreign_join(self, name, group, topics, session=6000, options=None):
        """A member of the group that goes on polling, until foreign_leave."""
        self.foreign[name] = foreign_member.ForeignMember(self.common, group, topics, session, options or {})
        return {}

    def foreign_assigned(self, name):
        """Its partitions: topics and numbers."""
        return {"assigned": self.foreign[name].assigned()}

    def foreign_leave(self, name):
        self.foreign.pop(name).leave()
        return {}


def retrying(ask):
    """A broker that has just started coordinates no group and leads nothing for a moment."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except confluent_kafka.KafkaException as fault:
            if time.monotonic() > deadline or fault.args[0].code() not in PASSING:
                raise
            time.sleep(0.1)


def main():
    answers = Answers(*sys.argv[1:])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(answers, request.pop("do"))(**request)
        except Exception as fault:  # Whatever it was, the test is to show it.
            answer = {"error": f"{type(fault).__name__}: {fault}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
