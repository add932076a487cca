"""How soon after a window has closed its final rows can be asked for, on Kafka and Postgres."""
import http.client
import json
import threading
import time

from harness import Different, Section, say

from .cluster import Cluster

RATE = 20_000  # events a second
BATCH = 200
LOCATIONS, ITEMS = 1000, 10
WINDOW_MS, OUT_OF_ORDERNESS_MS = 60_000, 30_000
SPEED = 60  # of event time against the clock: a window closes every second
CONNECTIONS = 4
LOOK_SECONDS = 0.005
LOOKED_AT = 8  # locations
PATIENCE_SECONDS = 60


class Events:
    """Each location sees each item twice in every window: how many rows a window has is known."""

    def __init__(self, first_ms):
        self.first_ms = first_ms

    def time_of(self, number):
        return self.first_ms + number * 1000 * SPEED // RATE

    def number_at(self, time_ms):
        """The first event that is not before."""
        return -((self.first_ms - time_ms) * RATE // (1000 * SPEED))

    def batch(self, number):
        lines = []
        for i in range(number * BATCH, (number + 1) * BATCH):
            location = i % LOCATIONS
            lines.append(f'{{"geographical_location_oid":{location},"video_camera_oid":{location * 10},"detection_oid":{self.first_ms + i},'
                         f'"item_name":"item {i // LOCATIONS % ITEMS}","timestamp_detected":{self.time_of(i)}}}')
        return "\n".join(lines).encode()


class Poster:
    """Posts batches at the rate, over a few connections, each batch when it is due; notes when each was sent."""

    def __init__(self, running, events, batches):
        self.running, self.events, self.batches = running, events, batches
        self.sent = [None] * batches
        self.failures = []
        self.bodies = [events.batch(number) for number in range(batches)]
        self.threads = [threading.Thread(target=self.post, args=(first,), daemon=True) for first in range(CONNECTIONS)]
        self.begun = time.monotonic()
        for thread in self.threads:
            thread.start()

    def post(self, first):
        connection = http.client.HTTPConnection("127.0.0.1", self.running.http, timeout=30)
        headers = self.running.authorization() | {"Content-Type": "application/x-ndjson"}
        for number in range(first, self.batches, CONNECTIONS):
            time.sleep(max(0.0, self.begun + number * BATCH / RATE - time.monotonic()))
            self.sent[number] = time.monotonic()
            connection.request("POST", "/v1/datasets/camera_events/events", self.bodies[number], headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                self.failures.append(f"{response.status} {answer[:200]!r}")
                return


def rows_of(running, window_ms):
    return running.count("top_items", f"window_start = {window_ms}")


def is_there(running, window_ms, location):
    """Whether the location's rows of a window can be asked for."""
    asked = f"from={window_ms}&to={window_ms + WINDOW_MS}&geographical_location_oid={location}&state=final"
    rows = running.call(f"/v1/pipelines/top_items/results?{asked}")["rows"]
    if rows and len(rows) != ITEMS:
        raise Different(f"location {location} has {len(rows)} of {ITEMS} rows in window {window_ms}")
    return bool(rows)


def one_run(running, first_ms, windows):
    """Seconds from the post that closed each window until its rows were there. What a partition has of a window becomes visible at once: the
    rows of a few locations, which lie in all partitions, say that all are there; and at the end all are counted."""
    events = Events(first_ms)
    whole = windows * WINDOW_MS + OUT_OF_ORDERNESS_MS
    poster = Poster(running, events, events.number_at(first_ms + whole) // BATCH + 2)
    starts = range(first_ms, first_ms + windows * WINDOW_MS, WINDOW_MS)
    waited = []
    for start in starts:
        closing = events.number_at(start + WINDOW_MS + OUT_OF_ORDERNESS_MS) // BATCH
        deadline = time.monotonic() + PATIENCE_SECONDS
        for location in range(LOOKED_AT):
            while not is_there(running, start, location):
                if time.monotonic() > deadline or poster.failures:
                    raise Different(f"window {start} has {rows_of(running, start)} of {LOCATIONS * ITEMS} rows; {poster.failures[:1]}")
                time.sleep(LOOK_SECONDS)
        waited.append(time.monotonic() - poster.sent[closing])
    for thread in poster.threads:
        thread.join()
    for start in starts:
        if rows_of(running, start) != LOCATIONS * ITEMS:
            raise Different(f"window {start} has {rows_of(running, start)} of {LOCATIONS * ITEMS} rows")
    return waited


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def final_rows(bench, figure):
    windows = bench.sized(30, 3)
    with Cluster(bench) as cluster:
        running = cluster.process("all", "ingest,gate,flow,serve")
        first_ms = (int(time.time() * 1000) - 24 * 3_600_000) // WINDOW_MS * WINDOW_MS
        say("a run first, so that nothing is new to the broker any more")
        waits = []
        for _ in range(bench.runs + 1):
            waits.append(one_run(running, first_ms, windows))
            first_ms += (windows + 10) * WINDOW_MS
    waits = waits[1:]
    figure.samples = [1000 * percentile(run, 0.99) for run in waits]
    every = [wait for run in waits for wait in run]
    figure.equality = f"each of the {len(every)} windows had its {LOCATIONS * ITEMS:,} rows, no fewer and no more"
    figure.note = (f"p50 {1000 * percentile(every, 0.5):.0f} ms; event time goes {SPEED} times as fast as the clock, so that a window closes every second; looked for "
                   f"every {1000 * LOOK_SECONDS:.0f} ms by REST; broker, Postgres and this client on the same cores")


KAFKA_FINAL = Section(final_rows, {
    "name": "kafka_final",
    "what": "from posting the event that closes a window until its final rows are committed and can be asked for, 20,000 events a second: p99",
    "unit": "ms",
    "at_least": 400,
    "aim": 200,
    "higher_is_better": False,
    "ours": "one process with all roles on Kafka and Postgres, 10,000 rows a window",
    "sample_unit": "ms",
})
