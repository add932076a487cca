"""The topics of a round as somebody sees them who has nothing to do with the program: a reader of what was committed, and of how far groups are."""
import threading
import time

import wire
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from records import Record

READ_SECONDS_MAX = 90
QUIET = {"log_level": 0, "error_cb": lambda _: None, "socket.timeout.ms": 10_000, "reconnect.backoff.max.ms": 500}


class Cluster:
    def __init__(self, brokers):
        self._settings = {"bootstrap.servers": brokers, **QUIET}
        self._admin = AdminClient(self._settings)
        self._broker = wire.Broker(brokers)

    def partitions(self, topic):
        found = self._admin.list_topics(topic, timeout=10).topics[topic]
        if found.error is not None or not found.partitions:
            raise KafkaException(found.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return sorted(found.partitions)

    def read(self, topic):
        """{partition: records} of everything that was committed, and {partition: where that ends}."""
        records = {number: [] for number in self.partitions(topic)}
        ends = {}
        consumer = Consumer({**self._settings, "group.id": "an-independent-reader", "isolation.level": "read_committed",
                             "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 50})
        try:
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in records])
            deadline = time.monotonic() + READ_SECONDS_MAX
            while len(ends) < len(records):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic} could not be read within {READ_SECONDS_MAX} s")
                for message in consumer.consume(1_000, 0.05):
                    error = message.error()
                    if error is None:
                        records[message.partition()].append(_record(message))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        ends[message.partition()] = message.offset()
        finally:
            consumer.close()
        return records, ends

    def ends(self, topic):
        """{partition: where it ends} for readers of what was committed."""
        return self._broker.ends(topic, self.partitions(topic))

    def everything(self, topic):
        """{partition: where it ends}, with what lies in open transactions."""
        return self._broker.ends(topic, self.partitions(topic), wire.UNCOMMITTED)

    def committed(self, group, topic, partitions):
        return self._broker.committed(group, topic, partitions)

    def topics(self, prefix):
        return sorted(name for name in self._admin.list_topics(timeout=10).topics if name.startswith(prefix))

    def remove(self, topics):
        if topics:
            for future in self._admin.delete_topics(topics, operation_timeout=10).values():
                future.result(15)


def _record(message):
    headers = dict(message.headers() or [])
    at = int(headers["sl-at"]) if "sl-at" in headers else message.timestamp()[1]
    return Record(message.offset(), at, message.value() or b"", headers.get("sl-type") == b"tick")


class Watch:
    """Looks at a pipeline's progress all the time."""

    EVERY_SECONDS = 0.1

    def __init__(self, brokers, group, topic, partitions):
        self._brokers = brokers
        self._of = group, topic, partitions
        self._seen = []  # (moment, {partition: next offset})
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        broker = wire.Broker(self._brokers)
        while not self._ending.wait(self.EVERY_SECONDS):
            try:
                committed = broker.committed(*self._of)
            except (OSError, wire.Refused):
                continue  # it is asked again
            self._seen.append((time.monotonic(), committed))

    def end(self):
        self._ending.set()
        self._thread.join()

    def positions(self, moment=None):
        """What was known then, or is now."""
        known = [committed for at, committed in list(self._seen) if moment is None or at <= moment]
        return known[-1] if known else dict.fromkeys(self._of[2], 0)

    def ends(self, seconds=10):
        """Where the topic ends, as soon as somebody says."""
        deadline = time.monotonic() + seconds
        broker = wire.Broker(self._brokers)
        while True:
            try:
                return broker.ends(*self._of[1:])
            except (OSError, wire.Refused):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def until_reached(self, wanted, since):
        """Seconds from `since` until every partition was that far; None if it never was."""
        return self._seconds(since, lambda committed: all(committed.get(number, 0) >= at for number, at in wanted.items()))

    def until_moved(self, since):
        """Seconds from `since` until every partition had moved on from where it was; None if one never did."""
        before = self.positions(since)
        return self._seconds(since, lambda committed: all(committed.get(number, 0) > at for number, at in before.items()))

    def _seconds(self, since, fulfilled):
        return next((at - since for at, committed in list(self._seen) if at > since and fulfilled(committed)), None)
