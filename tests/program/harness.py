"""The program in a directory of its own: calls of it, and a server that is surely ended."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SIGHTLINE_BUILD", ROOT / "build/release")).resolve() / "sightline"
# Long enough for a sanitizer build on a busy machine; nothing waits for it to pass.
PATIENCE_S = 60


def until(what, condition, patience=PATIENCE_S):
    """Asks until the answer is true, and gives it."""
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


class Run:
    """A finished call."""

    def __init__(self, arguments, status, out, err):
        self.arguments, self.status, self.out, self.err = arguments, status, out, err

    def __repr__(self):
        return f"sightline {' '.join(map(str, self.arguments))}\nexit status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def expect(self, status=0, out=(), err=()):
        """Checks the exit status, and that the streams match each of the patterns."""
        assert self.status == status, f"wanted exit status {status}: {self!r}"
        for name, text, patterns in (("stdout", self.out, out), ("stderr", self.err, err)):
            for pattern in [patterns] if isinstance(patterns, str) else patterns:
                assert re.search(pattern, text), f"wanted {pattern!r} on {name}: {self!r}"
        return self

    def json(self):
        return json.loads(self.out)


def environment(**more):
    """Ours, without what would lead the program elsewhere."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
    return env | more


class Sandbox:
    """A directory with a copy of the preset that listens on free ports."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="sightline-program-"))
        shutil.copytree(ROOT / "presets", self.path / "presets")
        self.config = self.path / "presets/top-items/sightline.yaml"
        self.data = self.path / "data"
        self.edit("127.0.0.1:8080", "127.0.0.1:0")
        self.edit("127.0.0.1:8081", "127.0.0.1:0")

    def edit(self, old, new, file=None):
        """Replaces text in the configuration, or another file."""
        file = file or self.config
        text = file.read_text()
        assert old in text, f"{file} has no {old!r}"
        file.write_text(text.replace(old, new))

    def run(self, *arguments, stdin=b"", env=None, timeout=PATIENCE_S):
        done = subprocess.run(
            [PROGRAM, *map(str, arguments)], input=stdin.encode() if isinstance(stdin, str) else stdin, cwd=self.path,
            env=environment(**(env or {})), capture_output=True, timeout=timeout, check=False)
        return Run(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())

    def ask(self, *arguments, **more):
        """A call about this sandbox's data."""
        return self.run(*arguments, "--data", self.data, **more)

    @contextlib.contextmanager
    def server(self, *arguments):
        server = Server(self, arguments)
        try:
            yield server
        finally:
            server.end()


@contextlib.contextmanager
def sandbox():
    box = Sandbox()
    try:
        yield box
    finally:
        shutil.rmtree(box.path, ignore_errors=True)


class Server:
    def __init__(self, box, arguments):
        self.box = box
        self.err = open(box.path / "server.err", "ab")
        self.process = subprocess.Popen(
            [PROGRAM, "up", box.config, "--data", box.data, *arguments], cwd=box.path, env=environment(), stdout=subprocess.PIPE,
            stderr=self.err)
        line = self.process.stdout.readline().decode()
        found = re.match(r"sightline runs at (http://\S+)\n", line)
        if not found:
            self.end()
            raise AssertionError(f"the server did not start: {line!r}\n{(box.path / 'server.err').read_text()}")
        self.address = urllib.parse.urlsplit(found[1])
        self.token = (box.data / "admin.token").read_text().strip()

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.err.close()
        return self.process.returncode

    def connect(self):
        return http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=PATIENCE_S)

    def request(self, method, path, body=None, headers=None):
        """(status, parsed JSON or text)."""
        connection = self.connect()
        try:
            try:
                connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"} | (headers or {}))
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it was all sent: the answer says why
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def post(self, body, media_type="application/x-ndjson", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/v1/datasets/camera_events/events", body, {"Content-Type": media_type} | headers)

    def status_kib(self, field):
        """VmHWM, RssAnon … of the process."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)[1])

    def metrics(self):
        """{sample with its labels: value}."""
        status, text = self.request("GET", "/metrics")
        assert status == 200, (status, text)
        return {name: float(value) for name, value in re.findall(r"^([a-z]\S*) (\S+)$", text, re.MULTILINE)}

    def audit(self):
        """The audit of the first pipeline once it has judged all that was accepted."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            audit = self.box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]
            if audit["waiting"] == 0:
                return audit
            assert time.monotonic() < deadline, audit
            time.sleep(0.05)


def event(detection, **changed):
    """A good event, or one with fields changed (None: left out)."""
    fields = {"geographical_location_oid": 1, "video_camera_oid": 10, "detection_oid": detection, "item_name": "person",
              "timestamp_detected": int(time.time() * 1000)} | changed
    return {name: value for name, value in fields.items() if value is not None}


def line(*arguments, **changed):
    return json.dumps(event(*arguments, **changed)).encode() + b"\n"
