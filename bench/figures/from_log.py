"""Events that lie in a durable log: sightline from its own, against Flink from Kafka, on the same two cores."""
import csv
import datetime
import json
import os
import shutil
import subprocess
import time

import server
from harness import HERE, REPOSITORY, Missing, Section, in_turns, say, speed_ratio

from .bounded import without_names

PARTITIONS = 2
PIPELINES = """
pipelines:
  item_counts:
    from: camera_events
    steps:
      - dedupe: {by: [detection_oid], within: 24h}
      - window: {tumbling: 1m, allowed_lateness: 0s}
      - aggregate: {by: [geographical_location_oid, item_name], item_count: count()}
      - enrich: {with: locations, on: geographical_location_oid, missing: keep}
    to: []
  top_items:
    from: item_counts
    steps:
      - rank: {within: [window_start, geographical_location_oid], by: item_count, top: 10}
    to: [statistics]
"""
CONFIG = (HERE / "configs/from_log.yaml").read_text()
LOCATIONS = 1000
PATIENCE_SECONDS = 300
ENGINE_SECONDS_MAX = 600  # the first start installs
CLOSING_OID = 1 << 60  # ids of closing events lie beyond the generated ones
HEADER = ["window_start", "window_end", "geographical_location_oid", "item_name", "item_count", "rank"]
KAFKA, FLINK, GATEWAY = "127.0.0.1:19092", "http://127.0.0.1:18081", "http://127.0.0.1:18083"


def with_closing_events(bench, events):
    """The file, and after it one event for each location two minutes past the last: then the watermark of every partition closes every
    window of the file. The closing events' own window stays open, so that they are in no result."""
    path = bench.folder / f"{events.stem}-closed.ndjson"
    if path.exists():
        return path
    last = 0
    with open(events, "rb") as file:
        file.seek(-1 << 20, os.SEEK_END)
        file.readline()
        for line in file:
            try:
                last = max(last, json.loads(line)["timestamp_detected"])
            except ValueError:
                continue
    part = path.with_suffix(".part")
    shutil.copyfile(events, part)
    with open(part, "a", encoding="utf-8") as file:
        for location in range(LOCATIONS):
            file.write(json.dumps({"geographical_location_oid": location, "video_camera_oid": location * 10, "detection_oid": CLOSING_OID + location,
                                   "item_name": "closing", "timestamp_detected": last + 120_000}) + "\n")
    part.rename(path)
    return path


def write_sorted(rows, path):
    rows.sort(key=lambda row: (row[0], row[2], row[5]))
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows)


class FromLog:
    """Our side: a data directory with the events in its log, and a copy of it for each run."""

    def __init__(self, bench, events, expected_rows):
        self.bench, self.cores, self.expected_rows = bench, bench.cores(2), expected_rows
        self.rows = []
        self.loaded = bench.folder / "log-loaded"
        self.work = bench.folder / "log-work"
        shutil.rmtree(self.loaded, ignore_errors=True)
        with server.Server(bench, CONFIG, self.loaded, self.cores, pipelines="") as running:
            running.send(with_closing_events(bench, events))

    def run(self):
        """From the start of the process until all results are stored; in seconds."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.loaded, self.work)
        os.sync()
        return self.measured(server.Server(self.bench, CONFIG, self.work, self.cores, pipelines=PIPELINES))

    def measured(self, running):
        started = running.start()
        try:
            running.wait_until_ready()
            seconds = self.wait_for_results(running, started)
            if not self.rows:
                self.rows = [[row[name] if name == "item_name" else int(row[name]) for name in HEADER] for row in running.rows("top_items")]
        except BaseException:
            running.kill()
            raise
        running.stop()
        return seconds

    def rows_made(self):
        return self.rows

    def wait_for_results(self, running, started):
        looked = started
        while True:
            stored = running.count("top_items")
            now = time.monotonic()
            if stored == self.expected_rows:
                return now - started
            if now - started > PATIENCE_SECONDS:
                raise RuntimeError(f"after {now - started:.0f} s there are {stored} of {self.expected_rows} rows")
            if now - looked > 1:
                server.caught_up(running.status())  # says so where something has failed
                looked = now
            time.sleep(0.02)


class Flink:
    """The peer: a Kafka broker with the topic, and a Flink cluster that is warm."""

    def __init__(self, bench, events):
        self.bench, self.cores, self.topic = bench, bench.cores(2), "bench_events"
        self.results = bench.folder / "flink-results"
        try:
            for name in ("kafka", "flink"):
                self.engine(name, "start")
            self.python("load_kafka.py", KAFKA, events, self.topic, PARTITIONS)
        except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired, RuntimeError) as error:
            self.close()
            raise Missing(f"Kafka and Flink could not be started: {error}") from error
        except BaseException:
            self.close()
            raise

    def engine(self, name, action):
        subprocess.run(["taskset", "-c", self.cores, str(REPOSITORY / "tools/engines/engines"), name, action], check=True,
                       timeout=ENGINE_SECONDS_MAX)

    def python(self, program, *arguments):
        return self.bench.run([self.bench.python(), HERE / "peers" / program, *arguments], self.cores).stdout

    def run(self):
        shutil.rmtree(self.results, ignore_errors=True)
        self.results.mkdir()
        done = json.loads(self.python("flink_top_items.py", GATEWAY, FLINK, KAFKA, self.topic, PARTITIONS, self.results))
        self.version = done["version"]
        return done["seconds"]

    def rows_made(self):
        rows = []
        for part in sorted(self.results.rglob("*")):
            if part.is_file() and not part.name.startswith("."):
                with open(part, encoding="utf-8", newline="") as file:
                    for window, location, item, count, rank in csv.reader(file):
                        start = int(datetime.datetime.fromisoformat(window).replace(tzinfo=datetime.UTC).timestamp() * 1000)
                        rows.append([start, start + 60_000, int(location), item, int(count), int(rank)])
        return rows

    def close(self):
        for name in ("flink", "kafka"):
            for action in ("stop", "wipe"):
                subprocess.run([str(REPOSITORY / "tools/engines/engines"), name, action], check=False)


def first_run(bench, name, side, plain):
    """A run of one side for its results, which must be those of the independent computation."""
    say(f"a first run of {name}, for its results")
    side.run()
    rows = bench.folder / "first-run.csv"
    write_sorted(side.rows_made(), rows)
    bench.require_same(name, rows, plain)


def take_turns(bench, figure, ours, flink, plain):
    """Flink's first run, and then the samples of both."""
    first_run(bench, "Flink", flink, plain)
    figure.samples, figure.peer_samples = in_turns(bench.runs, ours.run, flink.run)
    figure.equality = f"{ours.expected_rows:,} rows against the independent computation; Flink's too (file without late events)"


def against_flink(bench, figure):
    events = bench.file_of_events(late=0)
    rows, counts = bench.expected(events)
    plain = without_names(bench, rows)
    ours = FromLog(bench, events, counts["results"])
    first_run(bench, "sightline up", ours, plain)
    flink = Flink(bench, events)
    try:
        take_turns(bench, figure, ours, flink, plain)
    finally:
        flink.close()
    figure.note = f"Flink {flink.version}; Kafka on the same cores"


FLINK_SECTION = Section(against_flink, {
    "name": "flink",
    "what": "from its own durable log, 2 cores, against Flink SQL from Kafka on the same 2, both exactly once",
    "unit": "times as fast",
    "at_least": 20,
    "aim": 40,
    "higher_is_better": True,
    "ours": "`sightline up` on a log of 2 partitions, exactly once, `fsync`; from the start of the process until the last result is stored",
    "peer": "warm cluster, 2 partitions by location, parallelism 2, exactly once, checkpoints every second, hash-map state, on-event watermarks, "
    "results as CSV files; the job's own duration",
    "of": speed_ratio,
})
