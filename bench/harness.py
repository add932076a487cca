"""What the figures of the benchmark have in common: input files, programs run on given cores, samples, and the table they end in."""
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
PRESET = REPOSITORY / "presets/top-items"
RUN_SECONDS_MAX = 900
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "sightline"


class Missing(Exception):
    """A peer or a part of ours is not there: the figure is not measured, and the table says why."""


class Different(Exception):
    """Two programs that are compared do not give the same result: there is no figure to speak of."""


@dataclasses.dataclass
class Figure:
    """One line of the table. `samples` and `peer_samples` are taken in turns, in one run."""

    name: str
    what: str
    unit: str
    at_least: float
    aim: float
    higher_is_better: bool  # of the figure
    ours: str = ""  # how ours and the peer were run, durability included
    peer: str = ""
    equality: str = ""  # what was compared, and how many rows were the same
    samples: list = dataclasses.field(default_factory=list)
    peer_samples: list = dataclasses.field(default_factory=list)
    sample_unit: str = "s"
    note: str = ""
    missing: str = ""
    failed: str = ""
    # The figure from one of our samples and one of the peer's; without a peer the second is None.
    of: object = lambda ours, peer: ours

    @property
    def measured(self):
        return bool(self.samples) and not self.missing and not self.failed

    def value(self):
        """The figure of the medians."""
        peer = statistics.median(self.peer_samples) if self.peer_samples else None
        return self.of(statistics.median(self.samples), peer)

    def worst(self):
        """The worst figure that any of our samples gives with the peer's median."""
        peer = statistics.median(self.peer_samples) if self.peer_samples else None
        values = [self.of(sample, peer) for sample in self.samples]
        return min(values) if self.higher_is_better else max(values)

    def reaches(self, bound):
        return self.value() >= bound if self.higher_is_better else self.value() <= bound

    def verdict(self):
        if self.failed:
            return "FAILED"
        if not self.measured:
            return "not measured"
        return "aim" if self.reaches(self.aim) else "ok" if self.reaches(self.at_least) else "below"


@dataclasses.dataclass
class Section:
    """How one line of the table is measured. `fill` takes the Bench and the blank Figure, and fills it."""

    fill: object
    figure: dict

    def blank(self, **more):
        return Figure(**self.figure, **more)

    def measure(self, bench):
        figure = self.blank()
        self.fill(bench, figure)
        return figure


def speed_ratio(ours_seconds, peer_seconds):
    """How many times as fast as the peer, from two durations for the same work."""
    return peer_seconds / ours_seconds


def digest(*parts):
    """A short name for the contents of files and for texts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, pathlib.Path) else str(part).encode())
        total.update(b"\0")
    return total.hexdigest()[:12]


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass
class Outcome:
    seconds: float
    stdout: str

    def json(self):
        """The object on the last line."""
        return json.loads(self.stdout.strip().splitlines()[-1])


def end_group(process):
    """Kills a process that was started in a session of its own, and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


@dataclasses.dataclass
class Bench:
    """Where things are, and how many runs are asked for."""

    build: pathlib.Path
    events: int
    seed: int
    runs: int
    folder: pathlib.Path  # generated files and results; kept between runs
    quick: bool = False  # everything once and small, to see that it works: no figure to speak of
    _venv: pathlib.Path = None

    def sized(self, full, quick):
        """A size of the work that does not come from the file of events."""
        return quick if self.quick else full

    @property
    def program(self):
        path = self.build / "sightline"
        if not path.exists():
            raise Missing(f"{path} is not built: ./dev build")
        return path

    def peer(self, name):
        """A program of the benchmark's own, from the target bench_programs."""
        path = self.build / "bin" / name
        if not path.exists():
            raise Missing(f"{path} is not built: ./dev build release bench_programs")
        return path

    def cores(self, count):
        """The last `count` cores that this process may use, for taskset."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < count:
            raise Missing(f"{count} cores are needed, and this machine has {len(usable)}")
        return ",".join(str(core) for core in usable[-count:])

    def version(self):
        return subprocess.run([str(self.program), "version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]

    def run(self, command, cores, seconds_max=RUN_SECONDS_MAX, environment=None):
        """Runs a program on the given cores and waits for it. A failure is an error with the end of its output; one that takes too long is
        ended, and so is everything it started when we are."""
        say("$ " + " ".join(str(word) for word in command))
        start = time.monotonic()
        with self.start(command, cores, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, environment=environment) as process:
            try:
                stdout, stderr = process.communicate(timeout=seconds_max)
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{command[0]} was not done after {seconds_max} s") from None
            finally:
                if process.poll() is None:
                    end_group(process)
        seconds = time.monotonic() - start
        if process.returncode != 0:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {(stderr or stdout)[-1500:].strip()}")
        return Outcome(seconds, stdout)

    def start(self, command, cores, environment=None, **more):
        """Starts a program on the given cores in a session of its own; whoever calls this ends it."""
        return subprocess.Popen(["taskset", "-c", cores, *map(str, command)], start_new_session=True,
                                env=None if environment is None else os.environ | environment, **more)

    def python(self):
        """The interpreter of an environment with the pinned Python packages of requirements.txt, made at first use."""
        if self._venv is None:
            venv = CACHE / f"bench-venv-{digest(HERE / 'requirements.txt')}"
            if not (venv / ".ok").exists():
                say(f"making {venv}")
                shutil.rmtree(venv, ignore_errors=True)
                subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
                subprocess.run([str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--require-hashes",
                                "--only-binary", ":all:", "-r", str(HERE / "requirements.txt")], check=True)
                (venv / ".ok").touch()
            self._venv = venv
        return self._venv / "bin/python"

    def file_of_events(self, late=0.001):
        """The generated input; `late` is the share of late events."""
        generator = HERE / "gen_detections.py"
        path = self.folder / f"detections-{self.events}-{self.seed}-{late:g}-{digest(generator)}.ndjson"
        if not path.exists():
            say(f"generating {path}")
            part = path.with_suffix(".part")
            subprocess.run([str(self.python()), str(generator), str(self.events), str(part), str(self.seed), str(late)], check=True)
            part.rename(path)
        warm(path)
        return path

    def expected(self, events):
        """The rows that every engine has to give for the file, as a CSV file, and the counts; by the independent computation."""
        program, locations = HERE / "reference_top_items.py", PRESET / "references/locations.csv"
        name = f"expected-{events.stem}-{digest(program, locations)}"
        rows, counts = self.folder / f"{name}.csv", self.folder / f"{name}.json"
        if not counts.exists():
            say(f"computing {rows}")
            done = subprocess.run([sys.executable, str(program), str(events), str(locations), str(rows)], check=True, capture_output=True, text=True)
            counts.write_text(done.stdout)
        return rows, json.loads(counts.read_text())

    def require_same(self, what, got, expected):
        """Two files must be the same bytes."""
        if subprocess.run(["cmp", "-s", str(got), str(expected)], check=False).returncode == 0:
            return
        raise Different(f"{what}: {first_difference(got, expected)}")


def first_difference(got, expected):
    with open(got, errors="replace") as a, open(expected, errors="replace") as b:
        number = 0
        for number, (left, right) in enumerate(zip(a, b), start=1):
            if left != right:
                return f"line {number} is {left.rstrip()!r}, expected {right.rstrip()!r} ({got} against {expected})"
    return f"one has more than the {number} lines that both have ({got} against {expected})"


def warm(path):
    """Reads the file once, so that every run finds it in the page cache."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def in_turns(runs, *measures):
    """Runs each measure `runs` times, in turns, so that a slow minute of the machine meets all of them. Gives a list of samples each."""
    samples = [[] for _ in measures]
    for _ in range(runs):
        for measure, taken in zip(measures, samples):
            taken.append(measure())
    return samples
