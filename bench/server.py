"""A sightline server of our own for a measurement: on free ports, in a data directory of its own, on given cores."""
import json
import pathlib
import signal
import socket
import string
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from harness import HERE, PRESET, say

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`with Server(bench, "from_log.yaml", data, cores, pipelines=True) as server:` starts it and stops it by SIGTERM."""

    def __init__(self, bench, template, data, cores, **values):
        self.bench, self.cores = bench, cores
        self.data = pathlib.Path(data)
        self.data.mkdir(parents=True, exist_ok=True)
        self.http, self.health = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.config = self.data.parent / f"{self.data.name}.yaml"
        text = string.Template((HERE / "configs" / template).read_text())
        self.config.write_text(text.substitute(preset=PRESET, data=self.data, http=self.http, health=self.health, **values))
        self.log = self.data.parent / f"{self.data.name}.log"
        self.process = None

    def start(self):
        """Starts the program; gives the moment, by the monotonic clock."""
        say(f"$ sightline up {self.config}")
        started = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["taskset", "-c", self.cores, str(self.bench.program), "up", str(self.config)], stdout=log, stderr=log)
        return started

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"sightline up ended with {self.process.returncode}; its log is {self.log}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.005)
        raise RuntimeError(f"sightline up was not ready after {START_SECONDS_MAX} s; its log is {self.log}")

    def __enter__(self):
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"sightline up did not stop within {STOP_SECONDS_MAX} s of SIGTERM; its log is {self.log}") from None
        self.process = None
        if status != 0:
            raise RuntimeError(f"sightline up ended with {status} after SIGTERM; its log is {self.log}")

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def call(self, path, body=None):
        """GET, or POST where there is a body; gives the JSON of the answer."""
        token = (self.data / "admin.token").read_text().strip()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def status(self):
        return self.call("/v1/status")

    def rows(self, pipeline):
        """All stored rows of a pipeline, page by page."""
        cursor = ""
        while cursor is not None:
            page = self.call(f"/v1/pipelines/{pipeline}/results?limit=10000" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
            yield from page["rows"]
            cursor = page["next_cursor"]

    def count(self, pipeline):
        return int(self.call("/v1/sql", {"sql": f"select count(*) from {pipeline}"})["rows"][0][0])

    def send(self, events):
        """Sends a file, and waits until the server has it durable."""
        self.bench.run([self.bench.program, "--config", self.config, "send", events, "--to", self.url], self.cores)


def caught_up(status):
    """Every pipeline has read all there is, and every sink has stored all results."""
    pipelines, sinks = status["pipelines"], status["sinks"]
    for pipeline in pipelines:
        if pipeline["state"] == "failed":
            raise RuntimeError(f"pipeline {pipeline['name']} failed: {pipeline['error']}")
    for sink in sinks:
        if sink["error"]:
            raise RuntimeError(f"sink {sink['name']} failed: {sink['error']}")
    read_all = all(part["offset"] >= part["end"] for pipeline in pipelines for part in pipeline["partitions"])
    return bool(pipelines) and read_all and all(sink["offset"] >= sink["end"] for sink in sinks)
