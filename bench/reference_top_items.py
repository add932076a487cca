#!/usr/bin/env python3
"""Computes the rows of the preset top-items from a file of events, independently of sightline: plain Python, slow, and meant to be read.

    reference_top_items.py EVENTS.ndjson LOCATIONS.csv OUT.csv

What `sightline run presets/top-items/sightline.yaml --pipeline top_items --from EVENTS.ndjson --to OUT.csv` writes must be the same bytes,
and its last line the same JSON object as this program's. The rules are those of docs and contract, restated here once more in the simplest form:
the file is one partition in file order; drop what is malformed or breaks the contract; drop duplicates of detection_oid; count by
window of a minute, location and item; the ten greatest counts of each window and location, ties by the item's name in byte order of its UTF-8.
"""
import csv
import json
import sys
from collections import Counter, defaultdict

WINDOW_MS = 60_000
OUT_OF_ORDERNESS_MS = 30_000
ALLOWED_LATENESS_MS = 0
REMEMBERED_MS = 24 * 3_600_000
TOP = 10
ITEM_NAME_LENGTH_MAX = 5000
EVENT_TIME_MS_MIN, EVENT_TIME_MS_MAX = -62_135_596_800_000, 253_402_300_799_999  # years 1 to 9999
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INTEGERS = ("geographical_location_oid", "video_camera_oid", "detection_oid", "timestamp_detected")


class Malformed(ValueError):
    pass


def object_without_double_keys(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed("a key stands twice")
    return fields


def refuse_constant(name):
    raise Malformed(f"{name} is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=object_without_double_keys, parse_constant=refuse_constant)


def parse(line):
    """The JSON object of a line. Raises ValueError or RecursionError where it is malformed."""
    fields = DECODER.decode(line.decode("utf-8"))
    if b"\\u" in line:
        json.dumps(fields, ensure_ascii=False).encode("utf-8")  # fails on a lone surrogate
    if type(fields) is not dict:
        raise Malformed("not an object")
    return fields


def keeps_contract(fields):
    for name in INTEGERS:
        value = fields.get(name)
        if type(value) is not int or not INT64_MIN <= value <= INT64_MAX:
            return False
    item = fields.get("item_name")
    if type(item) is not str or len(item) > ITEM_NAME_LENGTH_MAX or "\0" in item:
        return False
    return EVENT_TIME_MS_MIN <= fields["timestamp_detected"] <= EVENT_TIME_MS_MAX


def count(lines, tally):
    """Counts per (window start, location, item); each line gets one verdict in `tally`."""
    counts = defaultdict(int)
    first_seen = {}
    greatest = None  # event time so far; the watermark is this less the out-of-orderness
    for line in lines:
        if not line.rstrip(b"\r\n"):
            continue
        tally["events"] += 1
        try:
            fields = parse(line)
        except (ValueError, RecursionError):
            tally["malformed"] += 1
            continue
        if not keeps_contract(fields):
            tally["invalid"] += 1
            continue
        time, detection = fields["timestamp_detected"], fields["detection_oid"]
        if greatest is None or time > greatest:
            greatest = time
        watermark = greatest - OUT_OF_ORDERNESS_MS
        if time + REMEMBERED_MS <= watermark:
            tally["late"] += 1
            continue
        first = first_seen.get(detection)
        if first is not None and first + REMEMBERED_MS > watermark:
            tally["duplicates"] += 1
            continue
        first_seen[detection] = time
        start = time // WINDOW_MS * WINDOW_MS
        if start + WINDOW_MS + ALLOWED_LATENESS_MS <= watermark:
            tally["late"] += 1
            continue
        tally["counted"] += 1
        counts[start, fields["geographical_location_oid"], fields["item_name"]] += 1
    return counts


def ranked(counts):
    """(window start, location, item, count, rank), ordered by window, location, rank."""
    groups = defaultdict(list)
    for (start, location, item), number in counts.items():
        groups[start, location].append((-number, item.encode("utf-8"), item))
    for start, location in sorted(groups):
        best = sorted(groups[start, location])[:TOP]
        for rank, (negated, _, item) in enumerate(best, start=1):
            yield start, location, item, -negated, rank


def main(events, locations, out):
    with open(locations, encoding="utf-8", newline="") as file:
        names = {int(row["geographical_location_oid"]): row["geographical_location"] for row in csv.DictReader(file)}
    keys = ("events", "counted", "filtered", "duplicates", "late", "future", "malformed", "invalid", "unknown_location", "results")
    tally = Counter({key: 0 for key in keys})
    with open(events, "rb", buffering=1 << 22) as file:
        counts = count(file, tally)
    tally["unknown_location"] = sum(number for (_, location, _), number in counts.items() if location not in names)
    with open(out, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("window_start", "window_end", "geographical_location_oid", "geographical_location", "item_name", "item_count", "rank"))
        for start, location, item, number, rank in ranked(counts):
            writer.writerow((start, start + WINDOW_MS, location, names.get(location, ""), item, number, rank))
            tally["results"] += 1
    print(json.dumps({key: tally[key] for key in keys}, separators=(",", ":")))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
