"""The durable log against the disk that it stands on."""
import json

from harness import Section, say


def one_run(bench, program):
    out = bench.folder / "append.json"
    bench.run([program, "--benchmark_filter=^DurableAppend/64/", f"--benchmark_out={out}", "--benchmark_out_format=json"], bench.cores(2),
              environment={"SIGHTLINE_BENCH_DIR": str(bench.folder)})
    return json.loads(out.read_text())["benchmarks"][0]


def measure(bench, figure):
    program = bench.peer("bus_bench")
    say("each sample: 5 times 64 producers with 60 appends each, and 200 bare syncs of one append's bytes and of 64's before each")
    runs = [one_run(bench, program) for _ in range(bench.runs)]
    figure.samples = [run["append_p99_us"] / 1000 for run in runs]
    figure.peer_samples = [run["bare_p99_us"] / 1000 for run in runs]
    cohort = sorted(run["bare_cohort_p99_us"] / 1000 for run in runs)[len(runs) // 2]
    rate = sorted(run["appends_per_s"] for run in runs)[len(runs) // 2]
    figure.equality = "every append was acknowledged as durable, or the program aborts"
    figure.note = (f"{rate:,.0f} appends a second; the bytes of 64 appends, written by one thread and synced once, have a p99 of {cohort:.2f} ms on "
                   "this disk: what a sync for all of them cannot beat")


APPEND = Section(measure, {
    "name": "append",
    "what": "durable append by 64 producers at once, `fsync`: p99 against that of bare `fdatasync` on the same disk",
    "unit": "times its p99",
    "at_least": 2.5,
    "aim": 1.5,
    "higher_is_better": False,
    "ours": "`src/sightline/bus/embedded/append_bench.cc`: p99 of 4 KiB appends that wait until they are on disk",
    "peer": "p99 of writing 4 KiB and `fdatasync` by one thread into a preallocated file, in turns with ours",
    "sample_unit": "ms",
    "of": lambda ours, bare: ours / bare,
})
