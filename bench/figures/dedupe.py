"""What remembering an id costs in memory."""
from harness import Section

IDS = 20_000_000


def measure(bench, figure):
    program, ids = bench.peer("dedupe_state"), bench.sized(IDS, 200_000)
    runs = [bench.run([program, ids], bench.cores(1)).json() for _ in range(bench.runs)]
    figure.samples = [run["resident_bytes"] / run["ids"] for run in runs]
    table = max(run["table_bytes"] / run["ids"] for run in runs)
    insert, probe = (sorted(run[key] for run in runs)[len(runs) // 2] for key in ("insert_ns", "probe_ns"))
    figure.equality = f"each of {ids:,} ids is known afterwards, and no other is"
    figure.note = f"the table alone {table:.2f} bytes an id at most; {insert:.0f} ns to remember a new id, growth included, {probe:.0f} ns to know one"


DEDUPE = Section(measure, {
    "name": "dedupe",
    "what": "dedupe state at 20 million ids of 64 bits",
    "unit": "bytes an id",
    "at_least": 24,
    "aim": 12,
    "higher_is_better": False,
    "ours": "`bench/stages/dedupe_state.cc`: resident memory that came with the ids, those waiting for the next checkpoint (at most a million) included",
    "sample_unit": "bytes",
})
