"""Bounded runs over a file: against the floor program on one core, and against DuckDB on two."""
import json

from harness import HERE, PRESET, Different, Section, in_turns, speed_ratio

COUNTS = ("events", "counted", "duplicates", "late", "malformed", "invalid", "unknown_location", "results")


def run_preset(bench, events, out, threads):
    """One run of the shipped preset by the shipped program; gives its time and its last line."""
    done = bench.run([bench.program, "run", PRESET / "sightline.yaml", "--pipeline", "top_items", "--from", events, "--to", out, "--threads", threads],
                     bench.cores(threads))
    return done.seconds, json.loads(done.stdout.strip().splitlines()[-1])


def checked_run(bench, events, threads):
    """The rows and counts of one run must be those of the independent computation. Gives the number of rows."""
    rows, counts = bench.expected(events)
    out = bench.folder / "ours.csv"
    _, last_line = run_preset(bench, events, out, threads)
    bench.require_same("sightline run", out, rows)
    for key in COUNTS:
        if last_line[key] != counts[key]:
            raise Different(f"sightline run counts {key} {last_line[key]}, expected {counts[key]}")
    return counts["results"]


def without_names(bench, rows):
    """The expected rows as programs give them that do not know the locations' names."""
    plain = bench.folder / f"{rows.stem}-plain.csv"
    with open(rows, encoding="utf-8") as source, open(plain, "w", encoding="utf-8") as target:
        for line in source:
            start, end, location, _, item, count, rank = line.rstrip("\n").split(",")
            target.write(f"{start},{end},{location},{item},{count},{rank}\n")
    return plain


def against_the_floor(bench, figure):
    program, floor = bench.program, bench.peer("limit_top_items")
    events = bench.file_of_events()
    rows, _ = bench.expected(events)
    count = checked_run(bench, events, 1)
    floor_rows = bench.folder / "floor.csv"
    bench.run([floor, events, floor_rows], bench.cores(1))
    bench.require_same("the floor program", floor_rows, without_names(bench, rows))
    figure.equality = f"{count:,} rows, byte for byte, against the independent computation; the floor's too"
    out = bench.folder / "ours.csv"
    figure.samples, figure.peer_samples = in_turns(
        bench.runs, lambda: run_preset(bench, events, out, 1)[0], lambda: bench.run([floor, events], bench.cores(1)).seconds)
    bench.require_same("the last timed run", out, rows)
    figure.note = f"{bench.events:,} events, {events.stat().st_size / 1e6:.0f} MB; {program.name} {bench.version()}"


def against_duckdb(bench, figure):
    events = bench.file_of_events(late=0)
    rows, _ = bench.expected(events)
    count = checked_run(bench, events, 2)
    peer_rows = bench.folder / "duckdb.csv"

    def query(*more):
        return json.loads(bench.run([bench.python(), HERE / "peers/duckdb_top_items.py", events, 2, *more], bench.cores(2)).stdout)

    version = query(peer_rows)["version"]
    bench.require_same("DuckDB", peer_rows, without_names(bench, rows))
    figure.equality = f"{count:,} rows, byte for byte, against the independent computation; DuckDB's too (file without late events)"
    out = bench.folder / "ours.csv"
    figure.samples, figure.peer_samples = in_turns(bench.runs, lambda: run_preset(bench, events, out, 2)[0], lambda: query()["seconds"])
    bench.require_same("the last timed run", out, rows)
    figure.note = f"DuckDB {version}"


LIMIT = Section(against_the_floor, {
    "name": "limit",
    "what": "`sightline run`, one thread on one core, against the floor program on that core",
    "unit": "times as fast",
    "at_least": 0.5,
    "aim": 0.8,
    "higher_is_better": True,
    "ours": "shipped preset, `--threads 1`, checkpoints on, rows written to CSV; process time from start to end",
    "peer": "`bench/peers/limit_top_items.cpp`: page cache, no durability, rows not written; process time from start to end",
    "of": speed_ratio,
})
DUCKDB = Section(against_duckdb, {
    "name": "duckdb",
    "what": "the same with 2 threads on 2 cores, against DuckDB's batch SQL with 2",
    "unit": "times as fast",
    "at_least": 1.2,
    "aim": 2,
    "higher_is_better": True,
    "ours": "shipped preset, `--threads 2`, checkpoints on, rows written to CSV; process time from start to end",
    "peer": "one query over the file (`bench/peers/duckdb_top_items.py`), rows counted and not written; time of the query alone",
    "of": speed_ratio,
})
