"""A sightline server of our own for a measurement: on free ports, in a data directory of its own, on given cores."""
import json
import pathlib
import resource
import signal
import socket
import string
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from harness import PRESET, RUN_SECONDS_MAX, end_group, say

START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60


def lift_open_files():
    """For thousands of clients: as many open files as a process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def shipped_preset(durability):
    """The shipped preset's own file as a template: nothing but places, ports and the durability is changed."""
    text = (PRESET / "sightline.yaml").read_text()
    for old, new in (("data: ./data", "data: $data"), ("listen: {http: 127.0.0.1:8080, health: 127.0.0.1:8081}",
                                                       "listen: {http: 127.0.0.1:$http, health: 127.0.0.1:$health}"),
                     ("durability: fsync", f"durability: {durability}"), ("contract: contracts/camera", "contract: $preset/contracts/camera"),
                     ("contract: contracts/locations", "contract: $preset/contracts/locations"), ("from: references/", "from: $preset/references/")):
        if text.count(old) != 1:
            raise RuntimeError(f"{PRESET}/sightline.yaml has {text.count(old)} times '{old}', not once: bench/server.py has to follow it")
        text = text.replace(old, new)
    return text


class Server:
    """`with Server(bench, template, data, cores) as server:` starts it and stops it by SIGTERM. `template`: the configuration's text."""

    def __init__(self, bench, template, data, cores, arguments=(), **values):
        self.bench, self.cores, self.arguments = bench, cores, arguments
        self.data = pathlib.Path(data)
        self.data.mkdir(parents=True, exist_ok=True)
        self.http, self.health = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.config = self.data.parent / f"{self.data.name}.yaml"
        self.config.write_text(string.Template(template).substitute(preset=PRESET, data=self.data, http=self.http, health=self.health, **values))
        self.log = self.data.parent / f"{self.data.name}.log"
        self.process = None

    def start(self):
        """Starts the program; gives the moment, by the monotonic clock."""
        say(f"$ sightline up {self.config}")
        started = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = self.bench.start([self.bench.program, "up", self.config, *self.arguments], self.cores, stdout=log, stderr=log, preexec_fn=lift_open_files)
        return started

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                said = self.log.read_text(errors="replace").splitlines()[-3:]
                raise RuntimeError(f"sightline up ended with {self.process.returncode}; its log, {self.log}, ends in: {' / '.join(said)}")
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
        """SIGKILL, as a crash would."""
        if self.process is not None:
            end_group(self.process)
            self.process = None

    def load(self, mode, seconds_max=RUN_SECONDS_MAX, **options):
        """Runs bench_load against the server on the server's own cores; gives what it prints."""
        return self.bench.run(self.load_command(mode, **options), self.cores, seconds_max).json()

    def load_command(self, mode, **options):
        words = [f"{name}={value}" for name, value in options.items()]
        return [self.bench.peer("bench_load"), mode, f"server=127.0.0.1:{self.http}", f"token={self.data / 'admin.token'}", *words]

    def pipeline(self, name):
        return next(pipeline for pipeline in self.status()["pipelines"] if pipeline["name"] == name)

    def wait_until_caught_up(self, seconds_max=300):
        deadline = time.monotonic() + seconds_max
        while not caught_up(self.status()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"sightline up had not caught up after {seconds_max} s; its log is {self.log}")
            time.sleep(0.1)

    def authorization(self):
        """The header that lets a request in."""
        return {"Authorization": f"Bearer {(self.data / 'admin.token').read_text().strip()}"}

    def call(self, path, body=None):
        """GET, or POST where there is a body; gives the JSON of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.authorization() | {"Content-Type": "application/json"})
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

    def count(self, pipeline, where="true"):
        return int(self.call("/v1/sql", {"sql": f"select count(*) from {pipeline} where {where}"})["rows"][0][0])

    def send(self, events):
        """Sends a file, and waits until the server has it durable."""
        self.bench.run([self.bench.program, "--config", self.config, "send", events, "--to", self.url], self.cores)


def caught_up(status):
    """Every pipeline has read all there is, and every sink has stored all results."""
    pipelines, sinks = status["pipelines"], status["sinks"]
    for pipeline in pipelines:
        # Of processes that share the work none may have taken it up yet.
        if (pipeline["error"] or "").startswith("no process works on"):
            return False
        if pipeline["state"] == "failed":
            raise RuntimeError(f"pipeline {pipeline['name']} failed: {pipeline['error']}")
    for sink in sinks:
        if sink["error"]:
            raise RuntimeError(f"sink {sink['name']} failed: {sink['error']}")
    read_all = all(part["offset"] >= part["end"] for pipeline in pipelines for part in pipeline["partitions"])
    return bool(pipelines) and read_all and all(sink["offset"] >= sink["end"] for sink in sinks)
