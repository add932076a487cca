"""Bodies for POST /v1/datasets/camera_events/events: detections with copies, disorder, late, future, broken and invalid ones.

The event clock runs much faster than the wall, so that windows close every moment. What each line is, is known as it is made.
"""
import random
import time

LOCATIONS = [*range(36), 5000, 5001, 5002, -7]  # the last four are not in the table of locations
ITEMS = ["person", "car", "bicycle", "dog", "bag", "träger", "包", "a,\\\"b\\\"", *(f"item-{i}" for i in range(12))]
EVENTS_PER_SECOND = 40  # of event time
RECENT = 2000
HOUR_MS = 3_600_000


class Body:
    """One POST: its lines, and how ingest must judge them."""

    def __init__(self, key, lines, malformed, invalid):
        self.key = key
        self.lines = lines
        self.malformed = malformed  # lines
        self.invalid = invalid
        self.accepted = len(lines) - len(malformed) - len(invalid)

    def text(self):
        return b"\n".join(self.lines) + b"\n"


class Events:
    def __init__(self, seed, future=True):
        self.chance = random.Random(seed)
        self.future = future
        self.recent = []
        self.made = 0
        self.bodies = 0
        self.id_base = self.chance.getrandbits(62)
        self.start_ms = int(time.time() * 1000) - 20 * HOUR_MS

    def clock_ms(self):
        return self.start_ms + self.made * 1000 // EVENTS_PER_SECOND

    def detection(self):
        chance = self.chance
        location = LOCATIONS[min(int(chance.expovariate(0.08)), len(LOCATIONS) - 1)]
        at = self.clock_ms()
        fate = chance.random()
        if fate < 0.10:
            at -= chance.randrange(30_000)
        elif fate < 0.11:
            at -= chance.randrange(HOUR_MS, 2 * HOUR_MS)
        elif fate < 0.112:
            at -= 30 * HOUR_MS  # before everything that is remembered
        elif fate < 0.114 and self.future:
            at = int(time.time() * 1000) + 10 * HOUR_MS
        return self._line(location, ITEMS[min(int(chance.expovariate(0.25)), len(ITEMS) - 1)], at)

    def _line(self, location, item, at):
        identity = (self.id_base + self.made * 2654435761) & ((1 << 63) - 1)
        return (f'{{"geographical_location_oid":{location},"video_camera_oid":{location * 10 + self.chance.randrange(10)},'
                f'"detection_oid":{identity},"item_name":"{item}","timestamp_detected":{at}}}').encode()

    def body(self, size):
        chance = self.chance
        lines, malformed, invalid = [], [], []
        for _ in range(size):
            self.made += 1
            fate = chance.random()
            if self.recent and fate < 0.10:
                line = chance.choice(self.recent)
            else:
                line = self.detection()
                if len(self.recent) < RECENT:
                    self.recent.append(line)
                else:
                    self.recent[chance.randrange(RECENT)] = line
            if fate > 0.998:
                line = line[:37]
                malformed.append(line)
            elif fate > 0.996:
                line = line.replace(b'"item_name":"', b'"item_name":12,"was":"')
                invalid.append(line)
            lines.append(line)
        return self._named(lines, malformed, invalid)

    def closing(self, ahead_ms):
        """An event at each location, so far ahead of all others that their windows close."""
        lines = []
        for location in LOCATIONS:
            self.made += 1
            lines.append(self._line(location, "closing", self.clock_ms() + ahead_ms))
        return self._named(lines, [], [])

    def _named(self, lines, malformed, invalid):
        self.bodies += 1
        return Body(f"{self.id_base}-{self.bodies}", lines, malformed, invalid)
