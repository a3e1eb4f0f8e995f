"""Members of a consumer group that are librdkafka, each polled in a thread of its own:
they share a topic with pandad, and say what they were given."""

import threading

import confluent_kafka


class Mate:
    """A member from now on, until it is told to go."""

    def __init__(self, common, group, topics, session, options):
        config = {**common, "group.id": group, "session.timeout.ms": session, "enable.auto.commit": False}
        config.update({"auto.offset.reset": "earliest", "partition.assignment.strategy": "range"})
        config.update(options)
        if config.get("group.protocol") == "consumer":
            # These are the broker's to say there (KIP-848).
            del config["session.timeout.ms"], config["partition.assignment.strategy"]
        self.consumer = confluent_kafka.Consumer(config)
        self.consumer.subscribe(topics)
        self.lock, self.going = threading.Lock(), threading.Event()
        self.read = {}
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.going.is_set():
            with self.lock:
                message = self.consumer.poll(0.05)
            if message is not None and not message.error():
                place = f"{message.topic()}/{message.partition()}"
                self.read[place] = self.read.get(place, 0) + 1

    def has(self):
        with self.lock:
            found = self.consumer.assignment()
        return sorted([one.topic, one.partition] for one in found)

    def go(self):
        self.going.set()
        self.thread.join()
        self.consumer.close()
