"""`sightline up` of a test's own: started, killed and asked as the test wants."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.parse

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
LOOK_SECONDS = 0.02


class ServerDied(Exception):
    """The server ended before it was asked to; `status` is that of the process (-9: killed)."""

    def __init__(self, status):
        super().__init__(f"the server ended with {status}")
        self.status = status


class Here:
    """Where a server runs: this machine's own network."""

    def wrap(self, command):
        return command

    def connect(self, address, timeout):
        return socket.create_connection(address, timeout)


class Server:
    """The program on a folder of its own, which holds its data and its log. `place` is where it runs: see Here."""

    def __init__(self, program, folder, config, arguments=(), place=None):
        self.program = pathlib.Path(program)
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.config = config
        self.arguments = [*map(str, arguments)]
        self.place = place or Here()
        self.log = self.folder / "server.log"
        self.process = None
        self.url = None

    # -- life

    def environment(self):
        return {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}

    def start(self, failpoints="", wait=True):
        environment = self.environment()
        if failpoints:
            environment["SIGHTLINE_FAILPOINTS"] = failpoints
        command = self.place.wrap([str(self.program), "up", str(self.config), "--data", str(self.data), *self.arguments])
        with open(self.log, "ab") as log:
            # Its own folder is where a core would lie.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.folder)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds=START_SECONDS_MAX):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check_alive()
            if self.look_for_url():
                return
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"the server was not ready after {seconds} s; its log ends with: {self.log_tail()}")

    def look_for_url(self):
        """Whether it says that it is ready."""
        try:
            found = json.loads((self.data / "server.json").read_text())
        except (OSError, ValueError):
            return False
        if found["pid"] != self.process.pid:
            return False
        self.url = found["http"]
        return True

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

    def pause(self):
        """SIGSTOP: it does nothing, and nobody is told."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    # -- talk

    def log_tail(self, lines=5):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def token(self):
        return (self.data / "admin.token").read_text().strip()

    def connection(self, timeout):
        """An HTTP connection to the server; OSError where none can be had."""
        url = self.url
        if url is None:
            raise ConnectionRefusedError("the server is not there")
        address = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
        connection.sock = self.place.connect((address.hostname, address.port), timeout)
        # One that breaks is done for: the next has to be made in the server's place, too.
        connection.auto_open = 0
        return connection

    def get(self, path):
        """(headers, bytes) of a GET that succeeds."""
        try:
            connection = self.connection(60)
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {self.token()}"})
                answer = connection.getresponse()
                body = answer.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            self.wait_for_end(1)  # if it is ending, say so
            self.check_alive()
            raise
        if answer.status != 200:
            raise OSError(f"GET {path} was answered {answer.status}: {body[:400].decode(errors='replace')}")
        return answer.headers, body

    def get_json(self, path):
        return json.loads(self.get(path)[1])

    def status(self):
        return self.get_json("/v1/status")

    def command(self, *arguments):
        """Runs the command line against this server; gives (exit status, stdout, stderr)."""
        done = subprocess.run(self.place.wrap([str(self.program), *arguments, "--data", str(self.data)]), capture_output=True, text=True,
                              env=self.environment(), timeout=120)
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
