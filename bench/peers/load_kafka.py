#!/usr/bin/env python3
"""Fills a new Kafka topic with the lines of a file: load_kafka.py BROKER FILE TOPIC PARTITIONS

Lines go to the partition geographical_location_oid modulo PARTITIONS, those without one to partition 0. An older topic of that name is deleted.
"""
import json
import re
import sys
import time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

LOCATION = re.compile(rb'"geographical_location_oid": *(-?\d+)')


def new_topic(broker, topic, partitions):
    admin = AdminClient({"bootstrap.servers": broker})
    if topic in admin.list_topics(timeout=30).topics:
        for done in admin.delete_topics([topic], operation_timeout=30).values():
            done.result()
    deadline = time.monotonic() + 30
    while topic in admin.list_topics(timeout=30).topics and time.monotonic() < deadline:
        time.sleep(0.1)
    for done in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        done.result()


def main(broker, path, topic, partitions):
    new_topic(broker, topic, partitions)
    failures = []
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 50, "batch.num.messages": 100_000, "queue.buffering.max.messages": 2_000_000,
                         "compression.type": "lz4", "enable.idempotence": True, "on_delivery": lambda error, _: error and failures.append(error)})
    count = 0
    with open(path, "rb", buffering=1 << 22) as file:
        for count, line in enumerate(file, start=1):
            found = LOCATION.search(line)
            partition = int(found.group(1)) % partitions if found else 0
            while True:
                try:
                    producer.produce(topic, line.rstrip(b"\n"), partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
            if count % 10_000 == 0:
                producer.poll(0)
    left = producer.flush(120)
    if failures or left:
        sys.exit(f"{len(failures)} events failed, {left} were not sent: {failures[:1]}")
    print(json.dumps({"events": count}))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
