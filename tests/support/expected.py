"""What the preset top-items must make of a log, in the simplest form: one partition after the other, record by record.

The rules are those of bench/reference_top_items.py, and of the watermark as docs/formats/verdicts.md and the design say: ticks move it by
the append time that has passed, and an event too far ahead of its append time is a dead letter. Shares nothing with the program.
"""
import csv
import json
from collections import Counter, defaultdict

WINDOW_MS = 60_000
OUT_OF_ORDERNESS_MS = 30_000
AHEAD_MAX_MS = 60_000
REMEMBERED_MS = 24 * 3_600_000
TOP = 10


def names_of(locations):
    with open(locations, encoding="utf-8", newline="") as file:
        return {int(row["geographical_location_oid"]): row["geographical_location"] for row in csv.DictReader(file)}


class Partition:
    """Takes batches of one partition in order; afterwards everything that is public is what the program must say."""

    def __init__(self):
        self.verdicts = Counter()
        self.letters = Counter()         # (reason, offset)
        self.counts = defaultdict(int)   # (window start, location, item) -> events
        self.watermark = None
        self._seen = {}
        self._last_append = None

    def tick(self, append_time):
        if self.watermark is not None and self._last_append is not None and append_time > self._last_append:
            self.watermark += append_time - self._last_append
        self._note_append(append_time)

    def take(self, offset, line, append_time):
        """The events of one batch carry one append time; a verdict depends on nothing that comes later."""
        event = json.loads(line)
        verdict = self._judge(event, append_time)
        self.verdicts[verdict] += 1
        if verdict in ("late", "future"):
            self.letters[verdict, offset] += 1

    def batch_done(self, append_time):
        self._note_append(append_time)

    def _note_append(self, append_time):
        self._last_append = append_time if self._last_append is None else max(self._last_append, append_time)

    def _judge(self, event, append_time):
        at, identity = event["timestamp_detected"], event["detection_oid"]
        if append_time is not None and at > append_time + AHEAD_MAX_MS:
            return "future"
        before = self.watermark
        if before is None or at - OUT_OF_ORDERNESS_MS > before:
            self.watermark = at - OUT_OF_ORDERNESS_MS
        if before is not None and at + REMEMBERED_MS <= before:
            return "late"
        first = self._seen.get(identity)
        if first is not None and first + REMEMBERED_MS > before:
            return "duplicates"
        self._seen[identity] = at
        start = at // WINDOW_MS * WINDOW_MS
        if before is not None and start + WINDOW_MS <= before:
            return "late"
        self.counts[start, event["geographical_location_oid"], event["item_name"]] += 1
        return "counted"

    def final(self):
        """The counts of windows that are over."""
        if self.watermark is None:
            return {}
        return {key: number for key, number in self.counts.items() if key[0] + WINDOW_MS <= self.watermark}


def best(counts):
    """[(item, count)] in order of rank: greatest first, ties by the name in byte order of its UTF-8."""
    return sorted(counts, key=lambda pair: (-pair[1], pair[0].encode()))[:TOP]


def item_counts(partitions, names):
    """Rows of item_counts: (start, location, name, item, count)."""
    return {(start, location, names.get(location, ""), item, number)
            for partition in partitions for (start, location, item), number in partition.final().items()}


def top_items(partitions, names):
    """Rows of top_items: (start, location, name, item, count, rank)."""
    groups = defaultdict(list)
    for partition in partitions:
        for (start, location, item), number in partition.final().items():
            groups[start, location].append((item, number))
    return {(start, location, names.get(location, ""), item, number, rank)
            for (start, location), group in groups.items() for rank, (item, number) in enumerate(best(group), 1)}


def top_items_overall(partitions):
    """Rows of top_items_overall: (start, item, count, overflow, rank). A window is over when it is over in every partition that has events."""
    marks = [partition.watermark for partition in partitions if partition.watermark is not None]
    sums = defaultdict(Counter)
    for partition in partitions:
        for (start, _, item), number in partition.final().items():
            if start + WINDOW_MS <= min(marks):
                sums[start][item] += number
    return {(start, item, number, "false", rank) for start, group in sums.items() for rank, (item, number) in enumerate(best(group.items()), 1)}


def compare(what, wanted, got):
    """What is wrong where two Counters should be equal."""
    missing, more = wanted - got, got - wanted
    if not missing and not more:
        return []
    sample = next(iter(missing or more))
    return [f"{what}: {missing.total()} of {wanted.total()} are missing, {more.total()} are too many, such as {sample}"]
