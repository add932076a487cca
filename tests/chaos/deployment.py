"""What a round runs on: the engines, which stay from round to round, and the program's processes, which are the round's own."""
import os
import pathlib
import tempfile

import engines
import program

PRESET = engines.REPOSITORY / "presets/top-items"
PARTITIONS = 4
TOKEN = "a-token-that-all-processes-know"

# The preset for these engines, with what a test wants small: times until somebody gives up, commits, snapshots, idle time.
CONFIG = """
sightline: 1
data: ./data
listen: {{http: 127.0.0.1:0, health: 127.0.0.1:0}}
drivers:
  bus: {{type: kafka, brokers: ["{brokers}"], prefix: "{prefix}", replication: 1, min_insync: 1, request_timeout: 5s, delivery_timeout: {delivery}s}}
  objects: {objects}
  statistics: {{type: postgres, url: {{env: PG_URL}}, connect_timeout: 2s, statement_timeout: 5s}}
checkpoint: {{interval: 100ms, records: {snapshot_records}}}
access: {{tokens: [{{name: sender, token: {{env: CHAOS_TOKEN}}, permissions: [admin]}}]}}
datasets:
  camera_events:
    contract: {preset}/contracts/camera_events.odcs.yaml
    topic: camera_events
    partitions: {partitions}
    partition_by: geographical_location_oid
    determines: {{detection_oid: [video_camera_oid], video_camera_oid: [geographical_location_oid]}}
    watermark: {{on: timestamp_detected, out_of_orderness: 30s, idle_after: {idle_after}, ahead_max: 1m}}
    retain: {{time: 7d}}
"""


class Process(program.Server):
    """One process of the program. It must never end by itself, and end with 0 when asked to."""

    def __init__(self, name, roles, deployment):
        super().__init__(deployment.program, deployment.folder / name, deployment.config, ["--threads", "2", "--roles", roles],
                         deployment.network.node(name))
        self.name = name
        self.wrong = []
        self.wanted = False
        self._environment = deployment.environment

    def environment(self):
        return super().environment() | self._environment

    def token(self):
        return TOKEN

    def start(self, failpoints="", wait=True):
        self.wanted = True
        super().start(failpoints, wait)

    def pids(self):
        return [self.process.pid] if self.running() else []

    def kill(self):
        self.wanted = False
        super().kill()

    def end_orderly(self):
        """SIGTERM; what is wrong with how it ended is noted."""
        if not self.wanted:
            return
        self.wanted = False
        status, seconds = self.terminate()
        if status != 0:
            self.wrong.append(f"{self.name} ended with {status} {seconds:.1f} s after SIGTERM; its log ends with: {self.log_tail()}")

    def look(self):
        """What is wrong with the process."""
        if self.wanted and not self.running():
            self.wanted = False
            self.wrong.append(f"{self.name} ended by itself with {self.process.returncode}; its log ends with: {self.log_tail()}")
        return self.wrong


class Engines:
    """The engines that were asked for so far."""

    def __init__(self, net, runs):
        self.network = net
        self._runs = runs
        self._engines = {}

    def get(self, name):
        """The engine, running."""
        if name not in self._engines:
            self._engines[name] = engines.KINDS[name](self.network, self._runs)
        engine = self._engines[name]
        if not engine.running():
            engine.start()
        return engine

    def renew(self):
        """As if none had been there; after a round that failed nobody knows what is left in them."""
        for engine in self._engines.values():
            engine.renew()
        self._engines.clear()

    def logs(self):
        return [log for engine in self._engines.values() for log in engine.logs()]


class Deployment:
    """The processes of one round: one or two that take in and serve, two that work, and more that come."""

    def __init__(self, program_path, of, folder, name, store, fronts, settings):
        self.program = pathlib.Path(program_path)
        self.network = of.network
        self.folder = folder
        self.name, self.prefix = name, f"{name}."
        self._engines = of
        self.kafka, self.postgres, self.store = of.get("kafka"), of.get("postgres"), of.get(store)
        self.postgres.prepare(name)
        self.store.prepare(name)
        self.environment = {"PG_URL": self.postgres.url(name), "CHAOS_TOKEN": TOKEN} | self.store.environment()
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "sightline.yaml"
        self.config.write_text(self._config_text(settings))
        self.fronts = [Process(f"front-{i + 1}", "ingest,serve", self) for i in range(fronts)]
        self.workers = [Process(f"worker-{i + 1}", "flow", self) for i in range(2)]

    def _config_text(self, settings):
        preset = (PRESET / "kafka-s3-postgres.yaml").read_text()
        tail = preset[preset.index("references:"):].replace("from: references/", f"from: {PRESET}/references/")
        tail = tail.replace("contract: contracts/", f"contract: {PRESET}/contracts/")
        head = CONFIG.format(brokers=self.kafka.address, prefix=self.prefix, objects=self.store.driver(self.name), preset=PRESET,
                             partitions=PARTITIONS, **settings)
        return head + tail

    def engine(self, name):
        return self._engines.get(name)

    def processes(self):
        return [*self.fronts, *self.workers]

    def add_worker(self):
        worker = Process(f"worker-{len(self.workers) + 1}", "flow", self)
        self.workers.append(worker)
        return worker

    def start(self):
        """All at once, as machines that come up together do, but for the first: it makes the topics."""
        first, *others = self.processes()
        first.start()
        for process in others:
            process.start(wait=False)
        for process in others:
            process.wait_until_ready()

    def look(self):
        return [text for process in self.processes() for text in process.look()]

    def kill(self):
        for process in self.processes():
            process.kill()

    def forget(self):
        """Leaves nothing in the engines."""
        self.postgres.drop(self.name)


def scratch_folder():
    """A folder for everything of one run; users of engines must be able to go through it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sightline-chaos-", dir=os.environ.get("SIGHTLINE_CHAOS_FOLDER", "/var/tmp")))
    folder.chmod(0o755)
    return folder
