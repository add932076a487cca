#!/usr/bin/env python3
"""Rewrites generated detections as events of another contract: gen_passages.py DETECTIONS.ndjson OUT.ndjson

One line for each: the same places, items and times, with text keys, escapes (\\u00e9, \\/, \\"), blanks, fields in any order and an extra field.
What is cut off stays cut off. The same input gives the same output.
"""
import json
import random
import sys


def escaped(text, turn):
    """The JSON string of the text, spelled in one of three ways."""
    if turn == 0:
        return json.dumps(text)
    if turn == 1:
        return json.dumps(text, ensure_ascii=False).replace("/", "\\/")
    return '"' + "".join(f"\\u{ord(character):04x}" if index == 0 else character for index, character in enumerate(text)) + '"'


def main(source, target):
    chance = random.Random("passages")
    with open(source, encoding="utf-8") as lines, open(target, "w", buffering=1 << 22, encoding="utf-8") as out:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                out.write('{"passage":"cut off\n')
                continue
            key = event["detection_oid"]
            # A copy of an event is the same passage at the same speed, whatever the spelling.
            speed = key * 2654435761 % 120_000
            fields = [
                f'"passage":{escaped(f"p/{key:x}", key % 3)}',
                f'"site": {escaped("Straße/" + str(event["geographical_location_oid"]), key // 3 % 2)}',
                f'"vehicle":{escaped(event["item_name"], key // 6 % 3)}',
                f'"speed":{speed}',
                f'"at" :{event["timestamp_detected"]}',
                f'"trace":{{"hop":[{key % 7},null,"x"]}}',
            ]
            chance.shuffle(fields)
            out.write("{" + ",".join(fields) + "}\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
