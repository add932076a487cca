"""What `sightline plan --engine flink` makes, against the same job tuned by hand, and how long it takes to get there."""
import json
import subprocess

from harness import HERE, REPOSITORY, Missing, Section, in_turns, say, speed_ratio

from .bounded import without_names
from .from_log import FLINK, GATEWAY, KAFKA, PARTITIONS, Flink, write_sorted

CONFIG = (HERE / "configs/flink_plan.yaml").read_text()
CONTRACT = REPOSITORY / "presets/top-items/contracts/camera_events.odcs.yaml"


def configuration(bench, prefix):
    """A configuration whose dataset's topic is PREFIX + camera_events."""
    path = bench.folder / f"flink_plan-{prefix}yaml"
    path.write_text(CONFIG.format(data=bench.folder / "flink-data", broker=KAFKA, prefix=prefix, gateway=GATEWAY, rest=FLINK, contract=CONTRACT,
                                  partitions=PARTITIONS))
    return path


def accepted(bench, events):
    """The events without what the gate refuses: both sides read these."""
    path = bench.folder / "accepted.ndjson"
    with open(events, encoding="utf-8", errors="replace") as lines, open(path, "w", encoding="utf-8") as out:
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                continue
            out.write(line)
    return path


def generated(bench, figure):
    events = bench.file_of_events(late=0)
    rows, counts = bench.expected(events)
    plain = without_names(bench, rows)
    flink = Flink(bench, accepted(bench, events))
    plan = bench.folder / "plan.sql"
    flink.python("load_kafka.py", KAFKA, accepted(bench, events), "plan.camera_events", PARTITIONS)
    plan.write_text(subprocess.run([bench.program, "plan", configuration(bench, "plan."), "--pipeline", "top_items", "--engine", "flink"], check=True,
                                   capture_output=True, text=True).stdout)

    def run(which):
        flink.results.mkdir(exist_ok=True)
        for part in flink.results.rglob("*"):
            if part.is_file():
                part.unlink()
        done = json.loads(flink.python("flink_top_items.py", GATEWAY, FLINK, KAFKA, flink.topic, PARTITIONS, flink.results, which))
        flink.version = done["version"]
        return done["seconds"]

    try:
        for which in (plan, "late"):
            say(f"first run: {which}")
            run(which)
            write_sorted(flink.rows(), bench.folder / "flink.csv")
            bench.require_same(str(which), bench.folder / "flink.csv", plain)
        figure.samples, figure.peer_samples = in_turns(bench.runs, lambda: run(plan), lambda: run("late"))
    finally:
        flink.close()
    figure.note = f"Flink {flink.version}; the same cluster, source, settings and sink"
    figure.equality = f"{counts['results']:,} rows of both against the independent computation (file without late events)"


def submit(bench, figure):
    flink = Flink(bench, accepted(bench, bench.file_of_events(late=0)))
    try:
        for number in range(bench.runs + 1):
            path = configuration(bench, f"submit{number}.")
            done = subprocess.run([bench.program, "--format", "json", "plan", path, "--pipeline", "top_items", "--engine", "flink", "--submit"],
                                  check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise Missing(done.stderr)
            answer = json.loads(done.stdout)
            subprocess.run([bench.program, "jobs", "cancel", "top_items", "--config", path], check=True, capture_output=True)
            if number > 0:  # the first one warms the gateway
                figure.samples.append(answer["own_ms"] / 1000)
    finally:
        flink.close()
    figure.note = "topics on one broker of the same machine"


FLINK_PLAN = Section(generated, {
    "name": "flink_plan",
    "what": "generated Flink SQL for top items, against the hand-tuned query with the same rule for late records, on one cluster",
    "unit": "times as fast",
    "at_least": 0.95,
    "aim": 1.1,
    "higher_is_better": True,
    "ours": "what `sightline plan --engine flink` prints; its views, with the peer's sink; the job's own duration",
    "peer": "bench/peers/flink_top_items.py with the watermark of an event, `is_late` before the deduplication, and accepted events as its source",
    "of": speed_ratio,
})
FLINK_SUBMIT = Section(submit, {
    "name": "flink_submit",
    "what": "`plan --submit` until all tasks run, without waiting for gateway and job manager",
    "unit": "s",
    "at_least": 2,
    "aim": 0.5,
    "higher_is_better": False,
    "ours": "compiled, topics made, 14 statements taken, all tasks running; `own_ms` of the answer",
})
