"""A sightline server of our own: the shipped preset on a scratch directory, killed and started again as a test wants."""
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PRESET = REPOSITORY / "presets/top-items"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
DRAIN_SECONDS_MAX = 60
LOOK_SECONDS = 0.02

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


class ServerDied(Exception):
    """The server ended before it was asked to; `status` is that of the process (-9: killed)."""

    def __init__(self, status):
        super().__init__(f"the server ended with {status}")
        self.status = status


def config_text(data, partitions=4, idle_after="5s", retain_bytes="0B", snapshot_records=3000):
    preset = (PRESET / "sightline.yaml").read_text()
    tail = preset[preset.index("references:"):].replace("from: references/", f"from: {PRESET}/references/")
    tail = tail.replace("contract: contracts/", f"contract: {PRESET}/contracts/")
    head = CONFIG.format(data=data, preset=PRESET, partitions=partitions, idle_after=idle_after, retain_bytes=retain_bytes,
                         snapshot_records=snapshot_records)
    return head + tail


class Server:
    def __init__(self, program, folder, **settings):
        self.program = pathlib.Path(program)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.config = self.folder / "sightline.yaml"
        self.config.write_text(config_text(self.data, **settings))
        self.log = self.folder / "server.log"
        self.process = None
        self.url = None

    # -- life

    def start(self, failpoints="", wait=True):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
        if failpoints:
            environment["SIGHTLINE_FAILPOINTS"] = failpoints
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(self.program), "up", str(self.config), "--threads", "2"], stdout=log, stderr=log,
                                            env=environment)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                found = json.loads((self.data / "server.json").read_text())
                if found["pid"] == self.process.pid:
                    self.url = found["http"]
                    return
            except (OSError, ValueError):
                pass
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"the server was not ready after {START_SECONDS_MAX} s; its log ends with: {self.log_tail()}")

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            self.url = None
            raise ServerDied(status)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_for_end(self, seconds):
        """The exit status, or None if it still runs."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.url = None
        return status

    def kill(self):
        """SIGKILL; nothing if it has ended."""
        self.url = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def terminate(self):
        """SIGTERM; gives (exit status, seconds it took)."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return "none within %d s" % STOP_SECONDS_MAX, time.monotonic() - started
        self.url = None
        return status, time.monotonic() - started

    # -- talk

    def log_tail(self, lines=5):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def token(self):
        return (self.data / "admin.token").read_text().strip()

    def get(self, path):
        """(headers, bytes) of a GET that succeeds."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token()}"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.headers, response.read()
        except (urllib.error.URLError, OSError):
            self.wait_for_end(1)  # if it is ending, say so
            self.check_alive()
            raise

    def get_json(self, path):
        return json.loads(self.get(path)[1])

    def status(self):
        return self.get_json("/v1/status")

    def command(self, *arguments):
        """Runs the command line against this server; gives (exit status, stdout, stderr)."""
        done = subprocess.run([str(self.program), *arguments, "--data", str(self.data)], capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def audit(self):
        """The report of `sightline audit`, and what is wrong with it ("" if it holds)."""
        status, out, err = self.command("audit", "--format", "json")
        try:
            report = json.loads(out)
        except ValueError:
            return None, f"sightline audit ended with {status}: {(err or out).strip()}"
        differences = [text for one in report["pipelines"] for text in one["differences"]]
        if status == 0 and report["holds"] and not differences:
            return report, ""
        return report, f"sightline audit ended with {status}: {'; '.join(differences)}"

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
