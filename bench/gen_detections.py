#!/usr/bin/env python3
"""Writes camera detections as NDJSON, the same on every machine: gen_detections.py N FILE [SEED=7] [LATE=0.001]

1,000 locations with 10 cameras each and 200 items (both by Zipf's law), 2,000 events a second of event time; a tenth are copies of one of the
20,000 events before, 5 % are up to 30 s out of order, the share LATE is one to two hours late, 0.05 % are cut off in the middle.
Needs numpy; 2.4 was used for the figures in docs/benchmarks.md (a numpy whose random streams differ gives other events).
"""
import sys

import numpy as np

LOCATIONS = 1000
CAMERAS_PER_LOCATION = 10
ITEMS = 200
FREQUENT_ITEMS = [
    "person", "car", "bicycle", "dog", "bag", "truck", "bus", "umbrella", "cat", "motorcycle",
    "bottle", "chair", "phone", "laptop", "knife", "suitcase", "hat", "bird", "stroller", "scooter",
]
EVENTS_PER_SECOND = 2000
START_MS = 1_700_000_000_000
BATCH = 200_000


def zipf(count, exponent):
    weights = 1 / np.arange(1, count + 1) ** exponent
    return weights / weights.sum()


def lines_of_batch(chance, base, size, late, names, item_share, location_share):
    location = chance.choice(LOCATIONS, size, p=location_share)
    camera = location * CAMERAS_PER_LOCATION + chance.integers(0, CAMERAS_PER_LOCATION, size)
    item = chance.choice(ITEMS, size, p=item_share)
    time = START_MS + ((base + np.arange(size)) * 1000 // EVENTS_PER_SECOND)
    fate = chance.random(size)
    time = (time - np.where(fate < 0.05, chance.integers(0, 30_000, size), 0)
            - np.where(fate > 1 - late, chance.integers(3_600_000, 7_200_000, size), 0))
    detection = (base + np.arange(size)).astype(np.int64) * 2654435761 % (1 << 53)
    lines = [
        f'{{"geographical_location_oid":{l},"video_camera_oid":{c},"detection_oid":{d},"item_name":"{names[i]}","timestamp_detected":{t}}}\n'
        for l, c, d, i, t in zip(location.tolist(), camera.tolist(), detection.tolist(), item.tolist(), time.tolist())
    ]
    copies = np.nonzero(chance.random(size) < 0.10)[0]
    originals = np.maximum(0, copies - chance.integers(1, 20_000, len(copies)))
    for copy, original in zip(copies.tolist(), originals.tolist()):
        lines[copy] = lines[original]
    for broken in np.nonzero(chance.random(size) < 0.0005)[0].tolist():
        lines[broken] = lines[broken][:37] + "\n"
    return lines


def main(count, path, seed=7, late=0.001):
    chance = np.random.default_rng(seed)
    names = [FREQUENT_ITEMS[i] if i < len(FREQUENT_ITEMS) else f"item-{i:03d}" for i in range(ITEMS)]
    item_share, location_share = zipf(ITEMS, 1.1), zipf(LOCATIONS, 0.8)
    with open(path, "w", buffering=1 << 22, encoding="utf-8") as out:
        for base in range(0, count, BATCH):
            out.writelines(lines_of_batch(chance, base, min(BATCH, count - base), late, names, item_share, location_share))


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(int(sys.argv[1]), sys.argv[2], *(convert(text) for convert, text in zip((int, float), sys.argv[3:])))
