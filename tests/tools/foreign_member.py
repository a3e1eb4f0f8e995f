"""Members of a consumer group that are librdkafka, each polled in a thread of its own.
They share a topic with pandad and report their assigned partitions."""

import threading

import confluent_kafka


class ForeignMember:
    """A member from its creation until leave()."""

    def __init__(self, common, group, topics, session, options):
        config = {**common, "group.id": group, "session.timeout.ms": session, "enable.auto.commit": False}
        config.update({"auto.offset.reset": "earliest", "partition.assignment.strategy": "range"})
        config.update(options)
        if config.get("group.protocol") == "consumer":
            # These are the broker's to say there (KIP-848).
            del config["session.timeout.ms"], config["partition.assignment.strategy"]
        self.consumer = confluent_kafka.Consumer(config)
        self.consumer.subscribe(topics)
        self.lock, self.leaving = threading.Lock(), threading.Event()
        self.read = {}
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.leaving.is_set():
            with self.lock:
                message = self.consumer.poll(0.05)
            if message is not None and not message.error():
                place = f"{message.topic()}/{message.partition()}"
                self.read[place] = self.read.get(place, 0) + 1

    def assigned(self):
        with self.lock:
            found = self.consumer.assignment()
        return sorted([one.topic, one.partition] for one in found)

    def leave(self):
        self.leaving.set()
        self.thread.join()
        self.consumer.close()
