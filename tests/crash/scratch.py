"""A sightline server of our own: the shipped preset on a scratch directory, killed and started again as a test wants."""
import pathlib
import time
import urllib.parse

import program
from program import ServerDied  # noqa: F401

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PRESET = REPOSITORY / "presets/top-items"
DRAIN_SECONDS_MAX = 60

# The pipelines of the preset, with what a test wants small: segments, commits, idle time.
CONFIG = """
sightline: 1
data: {data}
listen: {{http: 127.0.0.1:0, health: 127.0.0.1:0}}
drivers:
  bus: {{type: log, durability: fsync, segment: 1MiB}}
checkpoint: {{interval: 50ms, records: {snapshot_records}}}
datasets:
  camera_events:
    contract: {preset}/contracts/camera_events.odcs.yaml
    partitions: {partitions}
    partition_by: geographical_location_oid
    determines: {{detection_oid: [video_camera_oid], video_camera_oid: [geographical_location_oid]}}
    watermark: {{on: timestamp_detected, out_of_orderness: 30s, idle_after: {idle_after}, ahead_max: 1m}}
    retain: {{time: 7d, bytes: {retain_bytes}}}
"""


def config_text(data, partitions=4, idle_after="5s", retain_bytes="0B", snapshot_records=3000):
    preset = (PRESET / "sightline.yaml").read_text()
    tail = preset[preset.index("references:"):].replace("from: references/", f"from: {PRESET}/references/")
    tail = tail.replace("contract: contracts/", f"contract: {PRESET}/contracts/")
    head = CONFIG.format(data=data, preset=PRESET, partitions=partitions, idle_after=idle_after, retain_bytes=retain_bytes,
                         snapshot_records=snapshot_records)
    return head + tail


class Server(program.Server):
    def __init__(self, program_path, folder, **settings):
        folder = pathlib.Path(folder).resolve()
        super().__init__(program_path, folder, folder / "sightline.yaml", ["--threads", "2"])
        self.config.write_text(config_text(self.data, **settings))

    def drain(self):
        """Waits until every pipeline has read, and every sink stored, all there is. Gives the status then."""
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        status = {}
        while time.monotonic() < deadline:
            self.check_alive()
            status = self.status()
            if drained(status):
                return status
            time.sleep(0.1)
        behind = [f"{one['name']} {one.get('error') or ''}" for one in status["pipelines"] + status["sinks"]]
        raise RuntimeError(f"not drained after {DRAIN_SECONDS_MAX} s: {', '.join(behind)}; its log ends with: {self.log_tail()}")

    def rows(self, pipeline):
        """All stored rows of a pipeline as lists of text, page by page from the CSV answer; the header is the first."""
        import csv
        import io
        cursor, header, rows = "", None, []
        while cursor is not None:
            query = "?format=csv&limit=100000" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else "")
            headers, body = self.get(f"/v1/pipelines/{pipeline}/results{query}")
            page = list(csv.reader(io.StringIO(body.decode(), newline="")))
            header = header or page[0]
            rows += page[1:]
            cursor = headers.get("X-Next-Cursor") or None
        return header, rows


def drained(status):
    """Sinks are asked for the end of the topic: what a pipeline has not put out yet is its own lag."""
    read = all(part["offset"] >= part["end"] for pipeline in status["pipelines"] for part in pipeline["partitions"])
    known = all(pipeline["partitions"] and pipeline["state"] == "running" for pipeline in status["pipelines"])
    return read and known and all(sink["offset"] >= sink["end"] and not sink["error"] for sink in status["sinks"])
