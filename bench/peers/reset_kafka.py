#!/usr/bin/env python3
"""Leaves of what begins with PREFIX in a cluster the named topics alone: reset_kafka.py BROKER PREFIX TOPIC...

All other topics and all consumer groups with that beginning are deleted.
"""
import sys
import time

from confluent_kafka.admin import AdminClient


def main(broker, prefix, *kept):
    admin = AdminClient({"bootstrap.servers": broker})

    def topics():
        return [name for name in admin.list_topics(timeout=30).topics if name.startswith(prefix) and name not in kept]

    if gone := topics():
        for done in admin.delete_topics(gone, operation_timeout=30).values():
            done.result()
    deadline = time.monotonic() + 30
    while topics() and time.monotonic() < deadline:
        time.sleep(0.1)
    groups = [group.group_id for group in admin.list_consumer_groups().result().valid if group.group_id.startswith(prefix)]
    if groups:
        for done in admin.delete_consumer_groups(groups).values():
            done.result()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
