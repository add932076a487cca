"""Several processes on Kafka, Postgres and an object store: how soon one sees, and how soon one takes over from another."""
import json
import os
import shutil
import subprocess
import time

import server
from harness import HERE, REPOSITORY, Different, Missing, Section, say

from .from_log import PIPELINES
from .postgres import Server as Postgres

CONFIG = (HERE / "configs/from_kafka.yaml").read_text()
ENGINES = REPOSITORY / "tools/engines"
PORT, S3_PORT = "29592", "29670"
SETTINGS = {"KAFKA_PORT": PORT, "KAFKA_HEAP": "1g", "S3_PORT": S3_PORT}
OBJECTS = f"""
    type: s3
    bucket: sightline
    endpoint: http://127.0.0.1:{S3_PORT}
    access_key: {{env: S3_ACCESS_KEY}}
    secret_key: {{env: S3_SECRET_KEY}}"""
RATE = 20_000
IDS = 10_000_000  # in the partition that is taken over; the other has as many
SPAN_MS = 600_000
TAKEOVER_SECONDS_MAX = 120
REPORTED_SECONDS = 15  # after so long nothing is heard of the dead any more


class Cluster:
    """The engines, and processes of ours on them; all ended and wiped at the end."""

    def __init__(self, bench):
        self.bench, self.cores, self.processes = bench, bench.cores(2), []
        self.folder = bench.folder / "cluster"

    @staticmethod
    def engine(name, *words):
        done = subprocess.run([str(ENGINES / name / f"{name}.sh"), *words], env=os.environ | SETTINGS, check=False, capture_output=True, text=True)
        if done.returncode != 0 and words[0] == "start":
            raise Missing(f"{name} cannot be started: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.postgres = Postgres()
        try:
            self.engine("kafka", "start")
            self.engine("s3", "start")
            self.engine("s3", "bucket", "sightline")
            self.postgres.__enter__()
        except BaseException:
            self.end_engines()
            raise
        os.environ |= {"PG_URL": self.postgres.url(), "S3_ACCESS_KEY": "sightline", "S3_SECRET_KEY": "sightline-secret"}
        return self

    def end_engines(self):
        for name in ("kafka", "s3"):
            for action in ("stop", "wipe"):
                self.engine(name, action)

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        self.postgres.__exit__()
        self.end_engines()
        shutil.rmtree(self.folder, ignore_errors=True)

    def process(self, name, roles):
        """A process with these roles, ready."""
        running = server.Server(self.bench, CONFIG.replace("objects: {type: files}", f"objects:{OBJECTS}"), self.folder / name, self.cores,
                                arguments=("--roles", roles), pipelines=PIPELINES.replace("to: []", "to: [live]").replace("to: [statistics]", "to: [statistics, live]"),
                                broker=f"127.0.0.1:{PORT}", prefix="ours.")
        self.processes.append(running)
        running.start()
        running.wait_until_ready()
        return running


def partitions_of(worker):
    """The partitions that a worker has, by its own log: the status of every process is that of all."""
    has = set()
    for line in worker.log.read_text(errors="replace").splitlines():
        if '"component":"flow"' not in line or '"partition":' not in line:
            continue
        entry = json.loads(line)
        if entry["message"] == "works on a partition":
            has.add(entry["partition"])
        elif entry["message"].startswith(("gives a partition away", "lost a partition")):
            has.discard(entry["partition"])
    return has


def latency(bench, figure):
    seconds = bench.sized(10, 2)
    with Cluster(bench) as cluster:
        running = cluster.process("all", "ingest,gate,flow,serve")
        say("a run first, so that nothing is new to the broker any more")
        running.load("live", rate=RATE, seconds=seconds, batch=20)
        runs = [running.load("live", rate=RATE, seconds=seconds, batch=20) for _ in range(bench.runs)]
    figure.samples = [run["p99_ms"] for run in runs]
    p50 = sorted(run["p50_ms"] for run in runs)
    figure.equality = f"the client saw each of the {runs[0]['events']:,} events of a run in the counts"
    figure.note = f"p50 {p50[len(p50) // 2]:.1f} ms, longest {max(run['max_ms'] for run in runs):.1f} ms; broker, Postgres and load generator on the same cores"


def takeover(bench, figure):
    ids = bench.sized(IDS, 100_000)
    restored = []
    with Cluster(bench) as cluster:
        front = cluster.process("front", "ingest,serve")
        workers = [cluster.process(f"worker-{i}", "flow") for i in range(2)]
        say(f"filling in {2 * ids:,} ids")
        front.load("fill", base_ms=int(time.time() * 1000) - SPAN_MS, span_ms=SPAN_MS, total=2 * ids)
        front.wait_until_caught_up()
        time.sleep(15)  # longer than between two snapshots
        for run in range(bench.runs):
            dead, heir = workers
            if not partitions_of(dead):
                dead, heir = heir, dead
            taken = partitions_of(dead)
            before = front.pipeline("item_counts")["verdicts"]
            started = time.monotonic()
            dead.kill()
            while not taken <= partitions_of(heir):
                if time.monotonic() - started > TAKEOVER_SECONDS_MAX:
                    raise RuntimeError(f"no takeover after {TAKEOVER_SECONDS_MAX} s; the log is {heir.log}")
                time.sleep(0.02)
            missed = time.monotonic() - started
            time.sleep(REPORTED_SECONDS)
            restored.append(max(part["restore_ms"] for part in heir.pipeline("item_counts")["partitions"] if part["partition"] in taken) / 1000)
            figure.samples.append(missed + restored[-1])
            workers = [cluster.process(f"worker-again-{run}", "flow"), heir]
            deadline = time.monotonic() + TAKEOVER_SECONDS_MAX
            while any(len(partitions_of(worker)) != 1 for worker in workers) and time.monotonic() < deadline:
                time.sleep(0.1)
            after = None
            while after != before and time.monotonic() < deadline:  # those that report take a moment
                time.sleep(1)
                after = front.pipeline("item_counts")["verdicts"]
            if after != before:
                raise Different(f"the takeover changed what was counted: {before} became {after}")
    figure.equality = "after each takeover the verdicts of all events are what they were"
    figure.note = (f"{ids:,} ids in each partition; of it {sorted(restored)[len(restored) // 2]:.1f} s to restore, the rest until the group misses the worker "
                   "(session time-out 6 s, the least that a broker allows unless told otherwise)")


KAFKA_LATENCY = Section(latency, {
    "name": "kafka_latency",
    "what": "produced to Kafka by ingest until an early result is on a WebSocket (a client at full rate), 20,000 events a second: p99",
    "unit": "ms",
    "at_least": 100,
    "aim": 30,
    "higher_is_better": False,
    "ours": "one process with all roles on Kafka and Postgres; `bench/load` on the same 2 cores",
    "sample_unit": "ms",
})
TAKEOVER = Section(takeover, {
    "name": "takeover",
    "what": "takeover of a partition after `kill -9` of one of two workers, 10 million ids of state",
    "unit": "s",
    "at_least": 15,
    "aim": 3,
    "higher_is_better": False,
    "ours": "two `--roles flow` and one `--roles ingest,serve` on Kafka and Postgres, 2 partitions; until the other worker has the partition where it was",
})
