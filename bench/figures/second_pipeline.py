"""Another pipeline on another contract, against the shipped one: what the engine owes to its compiled plan, and what to one lucky file."""
import csv
import json
import pathlib
import subprocess
import sys

from harness import HERE, Different, Section, digest, in_turns, say, speed_ratio, warm

from .bounded import run_preset

CONFIG = HERE / "configs/passages.yaml"


def derived(bench, source, suffix, program):
    """A file that a program here makes of another, made once."""
    path = pathlib.Path(bench.folder / f"{source.stem}-{digest(program)}{suffix}")
    if not path.exists():
        say(f"making {path}")
        part = path.with_suffix(".part")
        done = subprocess.run([sys.executable, str(program), str(source), str(part)], check=True, capture_output=True, text=True)
        path.with_suffix(".json").write_text(done.stdout or "{}")
        part.rename(path)
    return path


def rows_of(path):
    """The rows as a sorted list, whatever the order of columns and rows."""
    with open(path, encoding="utf-8", newline="") as file:
        return sorted(tuple(sorted(row.items())) for row in csv.DictReader(file))


def measure(bench, figure):
    events = bench.file_of_events(late=0)
    passages = derived(bench, events, "-passages.ndjson", HERE / "gen_passages.py")
    expected = derived(bench, passages, ".csv", HERE / "reference_passages.py")
    counts = json.loads(expected.with_suffix(".json").read_text())
    warm(passages)
    out = bench.folder / "ours.csv"

    def run_second():
        done = bench.run([bench.program, "run", CONFIG, "--pipeline", "top_passages", "--from", passages, "--to", out, "--threads", 1], bench.cores(1))
        last_line = json.loads(done.stdout.strip().splitlines()[-1])
        for key, value in counts.items():
            if last_line[key] != value:
                raise Different(f"the second pipeline counts {key} {last_line[key]}, expected {value}")
        return done.seconds

    run_second()
    if rows_of(out) != rows_of(expected):
        raise Different(f"the second pipeline's rows in {out} are not those of {expected}")
    figure.equality = f"{counts['results']:,} rows against an independent computation"
    first = bench.folder / "first.csv"
    seconds, first_seconds = in_turns(bench.runs, run_second, lambda: run_preset(bench, events, first, 1)[0])
    figure.samples, figure.peer_samples = seconds, first_seconds
    figure.note = f"the same {bench.events:,} events in both: {passages.stat().st_size / 1e6:.0f} MB against {events.stat().st_size / 1e6:.0f} MB"


SECOND = Section(measure, {
    "name": "second",
    "what": "another pipeline on another contract (fields in any order, escapes, an extra field, `where`, `derive`, a text key), against the first",
    "unit": "times as fast",
    "at_least": 0.5,
    "aim": 0.8,
    "higher_is_better": True,
    "ours": "`sightline run bench/configs/passages.yaml`, one thread on one core",
    "peer": "`sightline run` of the shipped preset on the same events, one thread on that core",
    "of": speed_ratio,
})
