"""The outside engines of the rounds, as tools/engines starts them: each on a node of its own, with its data on a small disk of its own."""
import errno
import os
import pathlib
import pwd
import re
import signal
import subprocess
import threading
import time

import network

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "tools/engines"
START_SECONDS_MAX = 180
FILL_TRIES_MAX = 20
STOPPED_SECONDS, RUNNING_SECONDS = 0.12, 0.03  # of a process that is slow


class EngineFailed(Exception):
    pass


class Engine:
    """One engine. Its methods return when what they do is done."""

    name = ""
    port = 0
    ports = 1
    disk_mib = 0        # 0: its disk can't be filled up
    durable = True      # it keeps what it has through a stop
    setting = ""        # the name of the script's settings
    place = "where"     # the script's command that says where the engine's files are
    data = "data"       # the folder below with what it keeps
    processes = ()      # names of the files with their numbers
    owner = None        # who must own the data

    def __init__(self, net, runs):
        self.node = net.node(self.name)
        if not net.isolated:
            self.port = network.free_port(self.ports)
        self.script = SCRIPTS / self.name / f"{self.name}.sh"
        self._environment = os.environ | {"SIGHTLINE_ENGINES_RUN": str(runs), f"{self.setting}_PORT": str(self.port),
                                          f"{self.setting}_BIND": self.node.address} | self.settings()
        self.run = pathlib.Path(self.call(self.place).strip())
        self.cannot_fill = "" if net.isolated and self.disk_mib else "its data is not on a disk of its own"

    @property
    def address(self):
        return f"{self.node.address}:{self.port}"

    def settings(self):
        return {}

    @classmethod
    def install(cls):
        subprocess.run([str(SCRIPTS / cls.name / f"{cls.name}.sh"), "install"], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def version(cls):
        text = (SCRIPTS / cls.name / f"{cls.name}.sh").read_text()
        return re.search(r"^version=v?(\S+)$", text, re.MULTILINE)[1]

    def call(self, *words, text=None, seconds=START_SECONDS_MAX):
        """Runs the script in the engine's node; gives what it prints."""
        try:
            done = subprocess.run(self.node.wrap([str(self.script), *words]), env=self._environment, input=text, capture_output=True, text=True,
                                  timeout=seconds)
        except subprocess.TimeoutExpired:
            raise EngineFailed(f"{self.name} {' '.join(words[:1])} took more than {seconds} s") from None
        if done.returncode != 0:
            raise EngineFailed(f"{self.name} {' '.join(words[:1])} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    # -- life

    def start(self):
        if not (self.run / self.data).exists() and not self.cannot_fill:
            self._mount()
        self.call("start")

    def _mount(self):
        disk = self.run / self.data
        disk.mkdir(parents=True)
        of = f",uid={pwd.getpwnam(self.owner).pw_uid},mode=0700" if self.owner and os.getuid() == 0 else ""
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.disk_mib}m{of}", "tmpfs", str(disk)], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.cannot_fill = f"no small disk can be mounted here ({mounted.stderr.strip()})"
            disk.rmdir()

    def stop(self):
        self.call("stop")

    def kill(self):
        self.call("kill")

    def pause(self):
        self.call("pause")

    def resume(self):
        self.call("resume")

    def running(self):
        done = subprocess.run([str(self.script), "status"], env=self._environment, capture_output=True)
        return done.returncode == 0

    def renew(self):
        """As if it had never been there."""
        self.kill()
        if (self.run / self.data).is_mount():
            subprocess.run(["umount", "-l", str(self.run / self.data)], check=True)
        self.call("wipe")

    def logs(self):
        return sorted((self.run / "log").glob("*.log"))

    def pids(self):
        return [int((self.run / f"{process}.pid").read_text()) for process in self.processes]

    # -- its disk

    def fill(self):
        """No room is left for anything."""
        disk = self.run / self.data
        with open(disk / "ballast", "ab") as ballast:
            for _ in range(FILL_TRIES_MAX):
                left = os.statvfs(disk)
                if not left.f_bfree:
                    return
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, left.f_bfree * left.f_frsize)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    # The engine was faster, and took some of it.

    def free(self):
        (self.run / self.data / "ballast").unlink(missing_ok=True)


class Kafka(Engine):
    name, setting, port, ports, disk_mib, processes = "kafka", "KAFKA", 19092, 5, 1536, ("broker",)

    def settings(self):
        # A transaction whose owner has died ends soon after its time is up, a broker that was killed is let in again soon; compaction needs
        # little memory.
        lines = ["broker.session.timeout.ms=4000", "broker.heartbeat.interval.ms=1000",
                 "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000", "log.cleaner.dedupe.buffer.size=16777216",
                 "log.index.size.max.bytes=1048576"]
        return {"KAFKA_HEAP": "512m", "KAFKA_SECURE": "", "KAFKA_SETTINGS": "\n".join(lines)}


class S3(Engine):
    name, setting, port, disk_mib, data, processes = "s3", "S3", 17070, 384, "root", ("gateway",)

    def _mount(self):
        super()._mount()
        disk = self.run / self.data
        try:
            os.setxattr(disk, "user.sightline", b"1") if disk.exists() else None
        except OSError:
            # The gateway keeps what it knows of an object there.
            subprocess.run(["umount", str(disk)], check=True)
            self.cannot_fill = "a disk in memory keeps no attributes of files here"

    def prepare(self, bucket):
        self.call("bucket", bucket)

    def driver(self, bucket):
        return (f'{{type: s3, bucket: {bucket}, endpoint: "http://{self.address}", access_key: {{env: S3_ACCESS_KEY}}, '
                'secret_key: {env: S3_SECRET_KEY}')

    def environment(self):
        return {"S3_ACCESS_KEY": "sightline", "S3_SECRET_KEY": "sightline-secret"}


class Gcs(Engine):
    name, setting, port, durable, processes = "gcs", "GCS", 17072, False, ("server",)

    def prepare(self, bucket):
        self.call("bucket", bucket)

    def driver(self, bucket):
        return f'{{type: gcs, bucket: {bucket}, endpoint: "http://{self.address}", credentials: anonymous'

    def environment(self):
        return {}


class Hdfs(Engine):
    name, setting, port, ports, disk_mib, data, processes = "hdfs", "HDFS", 17020, 5, 512, "blocks", ("namenode", "datanode")

    def settings(self):
        return {"HDFS_HEAP": "192m", "HDFS_PERMISSIONS": "true"}

    def prepare(self, bucket):
        pass

    def driver(self, bucket):
        return f'{{type: hdfs, url: "hdfs://{self.address}/{bucket}"'

    def environment(self):
        return {}


class Postgres(Engine):
    name, setting, port, disk_mib, place, owner = "postgres", "POSTGRES", 15432, 640, "folder", "postgres"

    def settings(self):
        return {"POSTGRES_TLS": "off", "POSTGRES_OPTIONS": "-c max_wal_size=96MB -c min_wal_size=32MB -c max_slot_wal_keep_size=64MB"}

    @classmethod
    def version(cls):
        said = subprocess.run(["/usr/lib/postgresql/15/bin/postgres", "--version"], capture_output=True, text=True)
        return network.version_of(said.stdout)

    def pids(self):
        postmaster = int((self.run / "data/postmaster.pid").read_text().split()[0])
        return [postmaster, *children(postmaster)]

    def prepare(self, database):
        self.sql(f'create database "{database}"', "lab")

    def drop(self, database):
        self.sql(f'drop database if exists "{database}" with (force)', "lab")

    def url(self, database):
        return self.call("url").strip().rsplit("/", 1)[0] + f"/{database}?sslmode=disable"

    def sql(self, text, database):
        """The rows as lines of CSV without a header."""
        return self.call("psql", "-XAtq", "--csv", "-v", "ON_ERROR_STOP=1", "-d", database, text=text, seconds=60)


KINDS = {kind.name: kind for kind in (Kafka, S3, Postgres, Hdfs, Gcs)}


def children(parent):
    """Numbers of the processes that a process has started and that are still there."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


class SlowProcesses:
    """Processes that stand still most of the time, a moment at a time."""

    def __init__(self, pids):
        self._pids = pids  # asked again for each moment
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._ending.is_set():
            stopped = self._tell(signal.SIGSTOP, self._ask())
            time.sleep(STOPPED_SECONDS)
            self._tell(signal.SIGCONT, stopped)
            time.sleep(RUNNING_SECONDS)

    def _ask(self):
        try:
            return self._pids()
        except (OSError, ValueError, IndexError):
            return []  # it is not there at the moment

    def _tell(self, what, pids):
        told = []
        for pid in pids:
            try:
                os.kill(pid, what)
                told.append(pid)
            except ProcessLookupError:
                pass
        return told

    def end(self):
        self._ending.set()
        self._thread.join()
