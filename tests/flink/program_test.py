#!/usr/bin/env python3
"""The program with its pipelines on a real Flink: results that come home, jobs that are stopped, upgraded, killed and refused.

Starts Kafka and Flink on ports of their own unless FLINK_REST_PORT and FLINK_GATEWAY_PORT name a cluster that runs. The last line is
"N passed, N failed".
"""
import collections
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SIGHTLINE_BUILD", ROOT / "build/release")) / "sightline"
KAFKA_PORT = os.environ.get("KAFKA_PORT", "29392")
REST_PORT = os.environ.setdefault("FLINK_REST_PORT", "28381")
GATEWAY_PORT = os.environ.setdefault("FLINK_GATEWAY_PORT", "28383")
REST, GATEWAY = f"http://127.0.0.1:{REST_PORT}", f"http://127.0.0.1:{GATEWAY_PORT}"
PARTITIONS = 2
LOCATIONS = range(1, 21)
MINUTE = 60_000
BASE = int(time.time()) // 60 * 60_000 - 6 * 3_600_000
PATIENCE_S = 120
CONFIG = """
sightline: 1
data: ./data
listen: {{http: 127.0.0.1:0, health: 127.0.0.1:0}}
drivers:
  bus: {{type: kafka, brokers: ["127.0.0.1:{kafka}"], replication: 1, min_insync: 1, prefix: "{prefix}"}}
  flink: {{gateway: "{gateway}", rest: "{rest}", checkpoint_interval: 500ms, savepoints: "file://{folder}/savepoints"{access}}}
datasets:
  camera_events:
    contract: {root}/presets/top-items/contracts/camera_events.odcs.yaml
    partitions: {partitions}
    partition_by: geographical_location_oid
    determines: {{detection_oid: [video_camera_oid], video_camera_oid: [geographical_location_oid]}}
    watermark: {{on: timestamp_detected, out_of_orderness: 0s, idle_after: 0s, ahead_max: 0s}}
references:
  locations: {{contract: {root}/presets/top-items/contracts/locations.odcs.yaml, from: {root}/presets/top-items/references/locations.csv, key: geographical_location_oid}}
pipelines:
  item_counts:
    from: camera_events
    engine: flink
    steps:
      - dedupe: {{by: [detection_oid], within: 24h}}
      - window: {{tumbling: 1m{lateness}}}
      - aggregate: {{by: [geographical_location_oid, item_name], item_count: count()}}
      - enrich: {{with: locations, on: geographical_location_oid, missing: keep, take: [geographical_location]}}
    to: [statistics, live]
  top_items:
    from: item_counts
    steps: [{{rank: {{within: [window_start, geographical_location_oid], by: item_count, top: {top}}}}}]
    to: [statistics, live]
"""


def engine(name, *words, check=True):
    environment = os.environ | {"KAFKA_PORT": KAFKA_PORT, "FLINK_TM_MEM": "1700m", "FLINK_JM_MEM": "900m", "FLINK_SLOTS": "4"}
    return subprocess.run([str(ROOT / "tools/engines/engines"), name, *words], env=environment, check=check, text=True, capture_output=True).stdout.strip()


def until(what, condition, patience=PATIENCE_S):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {patience} s")


class System:
    """One server that takes events in and brings results home, and what was sent to it."""
    made = 0

    def __init__(self, **settings):
        System.made += 1
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sightline-flink-"))
        self.settings = {"gateway": GATEWAY, "rest": REST, "access": "", "top": 3, "lateness": "", "prefix": f"t{os.getpid()}.{System.made}."} | settings
        self.config = self.folder / "sightline.yaml"
        self.write()
        self.counts = collections.Counter()  # (minute, location, item)
        self.detection = 0
        self.process = None

    def write(self, **settings):
        self.settings |= settings
        self.config.write_text(CONFIG.format(kafka=KAFKA_PORT, root=ROOT, folder=self.folder, partitions=PARTITIONS,
                                             **self.settings))

    def run(self, *words, check=True, stdin=None):
        done = subprocess.run([str(PROGRAM), *words, "--config", str(self.config)], capture_output=True, text=True, input=stdin, cwd=self.folder)
        if check and done.returncode != 0:
            raise AssertionError(f"sightline {' '.join(words)}: {done.stderr}")
        return done

    def start(self):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen([str(PROGRAM), "up", str(self.config)], stdout=log, stderr=log, cwd=self.folder)
        until("the server", lambda: (self.folder / "data/server.json").exists() and self.process.poll() is None)

    def submit(self):
        answer = json.loads(self.run("plan", "--engine", "flink", "--submit", "--format", "json").stdout)
        return answer["job"]

    def show(self):
        return json.loads(self.run("jobs", "show", "top_items", "--format", "json").stdout)

    def send(self, minutes, copies=1):
        """For each minute a few items at every location, some of them twice; then nothing is open but the last minute."""
        lines = []
        for minute in minutes:
            for location in LOCATIONS:
                for number in range(location % 3 + 2):
                    self.detection += 1
                    item = ("cat", "dog", "eel", "ant")[(number * location) % 4]
                    self.counts[minute, location, item] += 1
                    line = json.dumps({"geographical_location_oid": location, "video_camera_oid": location, "detection_oid": self.detection,
                                       "item_name": item, "timestamp_detected": BASE + minute * MINUTE + number})
                    lines += [line] * (copies if number == 0 else 1)
        path = self.folder / "events.ndjson"
        path.write_text("\n".join(lines) + "\n")
        self.run("send", str(path), "--dataset", "camera_events")

    def expected(self, before):
        rows = []
        for minute in range(before):
            for location in LOCATIONS:
                items = sorted(((-n, item) for (m, l, item), n in self.counts.items() if (m, l) == (minute, location)))
                rows += [[BASE + minute * MINUTE, location, item, -n, rank] for rank, (n, item) in enumerate(items[:self.settings["top"]], 1)]
        return rows

    def rows(self):
        sql = "select window_start, geographical_location_oid, item_name, item_count, rank from top_items order by 1, 2, 5"
        done = self.run("query", sql, "--format", "json", check=False)
        if done.returncode != 0:
            return []
        return [[int(r["window_start"]) if not isinstance(r["window_start"], str) or r["window_start"].lstrip("-").isdigit() else r["window_start"],
                 int(r["geographical_location_oid"]), r["item_name"], int(r["item_count"]), int(r["rank"])] for r in json.loads(done.stdout)]

    def await_rows(self, before):
        wanted = [row[1:] for row in self.expected(before)]
        until(f"rows of {before} minutes", lambda: [row[1:] for row in self.rows()] == wanted)

    def close(self):
        self.run("jobs", "cancel", "top_items", check=False)
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def system(**settings):
    made = System(**settings)
    try:
        yield made
    except BaseException:
        log = made.folder / "server.log"
        print("the server's log ends with:", *(log.read_text().splitlines()[-15:] if log.exists() else []), sep="\n  ")
        raise
    finally:
        made.close()


def results_come_home():
    with system() as one:
        one.start()
        one.submit()
        one.send(range(4), copies=2)
        one.await_rows(3)
        shown = one.show()
        assert shown["state"] == "RUNNING", shown
        status = json.loads(one.run("query", "select 1 as x", "--format", "json").stdout)
        assert status == [{"x": 1}], status


def a_second_job_is_refused():
    with system() as one:
        one.submit()
        again = one.run("plan", "--engine", "flink", "--submit", check=False)
        assert again.returncode == 1 and "jobs upgrade item_counts" in again.stderr, again.stderr


def a_task_manager_is_killed_under_load():
    with system() as one:
        one.start()
        one.submit()
        one.send(range(3))
        engine("flink", "kill-taskmanager")
        one.send(range(3, 6))
        engine("flink", "start-taskmanager")
        one.send(range(6, 9), copies=2)
        one.await_rows(8)
        until("a restart that is counted", lambda: int(one.show()["restarts"]) > 0)


def a_job_that_fails_is_shown():
    """A record that no gate would let pass ends the job again and again."""
    with system() as one:
        one.start()
        one.submit()
        one.send(range(3))
        one.await_rows(2)
        garbage = one.folder / "garbage"
        garbage.write_text("{cut\n")
        one.run("topic", "produce", "camera_events", "--from", str(garbage), check=False)
        shown = until("a failure that is shown", lambda: (s := one.show()) and (any(k.startswith("failed_at") for k in s) or s["state"] != "RUNNING") and s)
        assert shown, shown


def stopped_and_upgraded():
    with system() as one:
        one.start()
        first = one.submit()
        one.send(range(3))
        one.await_rows(2)
        stopped = one.run("jobs", "stop", "top_items", "--savepoint").stdout
        assert "savepoint-" in stopped, stopped
        one.send(range(3, 5))
        second = json.loads(one.run("jobs", "upgrade", "top_items", "--format", "json").stdout)["job"]
        assert first != second
        one.send(range(5, 7))
        one.await_rows(6)
        # Another ranking fits no state: it asks, and does nothing when the answer is no.
        one.write(top=1)
        refused = one.run("jobs", "upgrade", "top_items", check=False, stdin="n\n")
        assert refused.returncode == 1 and "ids of the last" in refused.stderr, refused.stderr
        assert one.show()["job"] == second


def gateway_down():
    with system() as one:
        down = one.run("plan", "--engine", "flink", "--submit", "http://127.0.0.1:1", check=False)
        assert down.returncode == 1 and "check that it runs" in down.stderr, down.stderr


class Proxy:
    """TLS and a token before a service that has neither."""

    def __init__(self, to, folder, token):
        self.folder = folder
        certificate, key = folder / "ca.pem", folder / "ca.key"
        if not certificate.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=proxy",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0) or 0))
                status, answer = 401, b'{"errors":["no token"]}'
                if self.headers.get("Authorization") == f"Bearer {token}":
                    request = urllib.request.Request(to + self.path, body or None, {"Content-Type": "application/json"}, method=self.command)
                    try:
                        with urllib.request.urlopen(request, timeout=60) as response:
                            status, answer = response.status, response.read()
                    except urllib.error.HTTPError as error:
                        status, answer = error.code, error.read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = do_PATCH = forward

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"


def through_tls_with_a_token():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["FLINK_TOKEN"] = "right"
        gateway, rest = (Proxy(to, folder, "right") for to in (GATEWAY, REST))
        access = f', ca: "{folder}/ca.pem", token: {{env: FLINK_TOKEN}}'
        with system(gateway=gateway.url, rest=rest.url, access=access) as one:
            one.submit()
            assert one.show()["state"] == "RUNNING"
            os.environ["FLINK_TOKEN"] = "wrong"
            refused = one.run("jobs", "show", "top_items", check=False)
            assert refused.returncode == 1 and "drivers.flink.token" in refused.stderr, refused.stderr
            os.environ["FLINK_TOKEN"] = "right"
            one.write(access=", token: {env: FLINK_TOKEN}")
            stranger = one.run("jobs", "show", "top_items", check=False)
            assert stranger.returncode == 1 and "drivers.flink.ca" in stranger.stderr, stranger.stderr
            one.write(access=access)


def what_cannot_be_mapped_is_refused():
    with system(lateness=", allowed_lateness: 1m") as one:
        refused = one.run("plan", "--engine", "flink", check=False)
        assert refused.returncode == 1 and "write instead: allowed_lateness: 0s" in refused.stderr, refused.stderr


TESTS = [results_come_home, a_second_job_is_refused, stopped_and_upgraded, a_task_manager_is_killed_under_load,
         a_job_that_fails_is_shown, through_tls_with_a_token, gateway_down, what_cannot_be_mapped_is_refused]


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=2).read()
        return True
    except (OSError, urllib.error.URLError):
        return False


def main():
    own = not answers(f"{REST}/overview")
    passed = failed = 0
    try:
        engine("kafka", "start")
        if own:
            engine("flink", "start")
        for test in TESTS:
            if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
                continue
            begun = time.monotonic()
            try:
                test()
                passed += 1
                print(f"ok   {test.__name__} ({time.monotonic() - begun:.0f} s)", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL {test.__name__}")
                traceback.print_exc(file=sys.stdout)
    finally:
        engine("kafka", "stop", check=False)
        engine("kafka", "wipe", check=False)
        if own:
            engine("flink", "stop", check=False)
            engine("flink", "wipe", check=False)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
