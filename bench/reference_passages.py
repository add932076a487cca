#!/usr/bin/env python3
"""Computes the rows of the benchmark's second pipeline (configs/passages.yaml) independently: reference_passages.py EVENTS.ndjson OUT.csv

Each event of the generated file is well formed or cut off, none is late and none breaks the contract; so this is shorter than
reference_top_items.py, which has all the rules.
"""
import csv
import json
import sys
from collections import defaultdict

WINDOW_MS = 60_000
TOP = 10


def speed_class(speed):
    return "fast" if speed >= 90_000 else "steady" if speed >= 50_000 else "slow"


def main(events, out):
    tally = dict.fromkeys(("events", "counted", "filtered", "duplicates", "late", "malformed", "results"), 0)
    seen = set()
    groups = defaultdict(lambda: [0, 0])  # passages, greatest speed
    with open(events, encoding="utf-8") as lines:
        for line in lines:
            tally["events"] += 1
            try:
                event = json.loads(line)
            except ValueError:
                tally["malformed"] += 1
                continue
            if event["speed"] < 20_000 or event["vehicle"] == "bird":
                tally["filtered"] += 1
                continue
            if event["passage"] in seen:
                tally["duplicates"] += 1
                continue
            seen.add(event["passage"])
            tally["counted"] += 1
            group = groups[event["at"] // WINDOW_MS * WINDOW_MS, event["site"], speed_class(event["speed"]), event["vehicle"]]
            group[0] += 1
            group[1] = max(group[1], event["speed"])
    ranked = defaultdict(list)
    for (start, site, kind, vehicle), (passages, speed_max) in groups.items():
        ranked[start, site, kind].append((-passages, vehicle.encode(), vehicle, speed_max))
    with open(out, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("window_start", "window_end", "site", "vehicle", "class", "passages", "speed_max", "rank"))
        for start, site, kind in sorted(ranked, key=lambda key: (key[0], key[1].encode(), key[2])):
            for rank, (negated, _, vehicle, speed_max) in enumerate(sorted(ranked[start, site, kind])[:TOP], start=1):
                writer.writerow((start, start + WINDOW_MS, site, vehicle, kind, -negated, speed_max, rank))
                tally["results"] += 1
    print(json.dumps(tally))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
