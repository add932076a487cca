#!/usr/bin/env python3
"""`sightline migrate` from one machine to Kafka, S3 and Postgres: killed at every step and at random moments, and in the end the rows of a
deployment that never moved. Ends with "N passed, N failed".

    program_test.py [--seed N] [NAME...]    SIGHTLINE_BUILD: the build folder
"""
import argparse
import contextlib
import functools
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/program"))
import harness  # noqa: E402

ENGINES = ROOT / "tools/engines"
PATIENCE_S = 90
until = functools.partial(harness.until, patience=PATIENCE_S)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BASE_MS = int(time.time()) // 60 * MINUTE_MS - 8 * HOUR_MS  # of the first event
# Windows that begin later are those of the last events, which may be open still.
LIMIT_MS = BASE_MS + 5 * HOUR_MS
LOCATIONS = 40
EVENTS = 4000  # of each part of the story
COLUMNS = {"item_counts": ["geographical_location_oid", "item_name", "item_count", "geographical_location"],
           "top_items": ["geographical_location_oid", "rank", "item_name", "item_count", "geographical_location"],
           "top_items_overall": ["rank", "item_name", "item_count"]}
VERDICTS = ["in", "counted", "filtered", "duplicates", "late", "future", "malformed", "invalid", "state_limit"]
FAILPOINTS = ["migrate.marked=kill@1", "migrate.topic.copied=kill@1", "migrate.topic.copied=kill@9", "flow.snapshot.durable=kill@2",
              "flow.commit.outputs_durable=kill@3", "migrate.state.moved=kill@5", "statistics.apply.before_commit=kill@1",
              "statistics.apply.after_commit=kill@1", "migrate.results.copied=kill@2", "migrate.compared=kill@1"]


# -- engines

def free_port(count=1):
    """The first of so many free ports in a row."""
    while True:
        with contextlib.ExitStack() as stack:
            probes = [stack.enter_context(socket.socket()) for _ in range(count)]
            probes[0].bind(("127.0.0.1", 0))
            port = probes[0].getsockname()[1]
            try:
                for i, probe in enumerate(probes[1:], 1):
                    probe.bind(("127.0.0.1", port + i))
            except (OSError, OverflowError):
                continue
            return port


class Engine:
    def __init__(self, name, ports=1, **settings):
        self.name, self.port = name, free_port(ports)
        self.script = ENGINES / name / f"{name}.sh"
        self.environment = os.environ | {f"{name.upper()}_PORT": str(self.port)} | settings

    def call(self, *words, **more):
        return subprocess.run([str(self.script), *words], env=self.environment, check=True, text=True, stdout=subprocess.PIPE, **more).stdout


class World:
    """Kafka, S3 and Postgres for all tests of a run."""

    def __init__(self):
        self.kafka = Engine("kafka", ports=2)
        self.s3 = Engine("s3")
        self.postgres = Engine("postgres", POSTGRES_TLS="off", POSTGRES_OPTIONS="")
        self.started = []
        self.names = 0

    def __enter__(self):
        for engine in (self.kafka, self.s3, self.postgres):
            engine.call("start")
            self.started.append(engine)
        self.s3.call("bucket", "sightline")
        os.environ |= {"PG_URL": self.postgres.call("url").strip(), "S3_ACCESS_KEY": "sightline", "S3_SECRET_KEY": "sightline-secret"}
        return self

    def __exit__(self, *_):
        for engine in reversed(self.started):
            with contextlib.suppress(subprocess.CalledProcessError):
                engine.call("kill")
                engine.call("wipe")

    def sql(self, text):
        return self.postgres.call("psql", "-XAtqv", "ON_ERROR_STOP=1", "--csv", input=text).strip("\n")

    def target(self, box):
        """The preset on these engines, under names of its own."""
        self.names += 1
        name = f"m{os.getpid()}x{self.names}"
        to = box.path / "presets/top-items/kafka-s3-postgres.yaml"
        box.edit("127.0.0.1:8080", "127.0.0.1:0", to)
        box.edit("127.0.0.1:8081", "127.0.0.1:0", to)
        box.edit('brokers: ["127.0.0.1:19092"]', f'brokers: ["127.0.0.1:{self.kafka.port}"], prefix: {name}.', to)
        box.edit("http://127.0.0.1:17070", f"http://127.0.0.1:{self.s3.port}", to)
        box.edit("bucket: sightline", f"bucket: sightline\n    prefix: {name}", to)
        box.edit("{type: postgres, url: {env: PG_URL}}", "{type: postgres, url: {env: PG_URL}, schema: " + name + "}", to)
        return Target(self, to, name)


class Target:
    def __init__(self, world, config, schema):
        self.world, self.config, self.schema = world, config, schema

    def rows(self, pipeline):
        columns = ", ".join(COLUMNS[pipeline])
        return sorted(self.world.sql(
            f"select (extract(epoch from window_start) * 1000)::bigint, (extract(epoch from window_end) * 1000)::bigint, {columns}, state, revision"
            f" from {self.schema}.{pipeline} where extract(epoch from window_start) * 1000 < {LIMIT_MS}").split("\n"))

    def doubles(self, pipeline):
        key = {"item_counts": "geographical_location_oid, item_name", "top_items": "geographical_location_oid, rank", "top_items_overall": "rank"}
        return self.world.sql(f"select count(*) from (select from {self.schema}.{pipeline} group by window_start, {key[pipeline]}"
                              " having count(*) > 1) d")


# -- events

def events(first, count, start_ms, seed):
    """Events of `count` detections from number `first` on, some twice, at 40 locations, one each 100 ms."""
    rng = random.Random(seed)
    lines = []
    for i in range(count):
        location = rng.randrange(LOCATIONS)
        lines.append(harness.line(first + i - (i % 40 == 7), geographical_location_oid=location, video_camera_oid=location * 10,
                                  item_name=rng.choice(["person", "car", "bicycle", "Äpfel", "zebra"]), timestamp_detected=start_ms + i * 100))
    return lines


def late(first, count):
    """Detections of the first minutes, seen too late."""
    return [harness.line(first + i, geographical_location_oid=i % LOCATIONS, video_camera_oid=i % LOCATIONS * 10, item_name="late",
                         timestamp_detected=BASE_MS + i * 500) for i in range(count)]


def closing():
    return [harness.line(90_000_000 + location, geographical_location_oid=location, video_camera_oid=location * 10) for location in range(LOCATIONS)]


class Story:
    """What happens to a deployment, in two halves: the same to one that moves in between and to one that stays."""

    last_window_ms = BASE_MS + 3 * HOUR_MS + (EVENTS - 1) * 100 // MINUTE_MS * MINUTE_MS

    def __init__(self):
        self.parts = [events(1, EVENTS, BASE_MS, 1), events(1_000_000, EVENTS, BASE_MS + 10 * MINUTE_MS, 2)]
        # So far on that idle time on the way makes nothing late.
        self.later = events(2_000_000, EVENTS, BASE_MS + 3 * HOUR_MS, 3)
        self.answers = {}

    def first_half(self, server):
        for number, part in enumerate(self.parts):
            status, self.answers[number] = server.post(b"".join(part), Idempotency_Key=f"part-{number}")
            assert status == 200, self.answers[number]
        assert server.post(b"".join(late(3_000_000, 60)))[0] == 200
        status, answer = server.post(harness.line(5, item_name=None) + b"{broken\n" + harness.line(6, detection_oid="x"))
        assert status in (200, 207, 400, 422), (status, answer)
        server.audit()
        # Some of what was late is offered again, and becomes corrections.
        server.box.ask("dead-letter", "replay", "item_counts", "--reason", "late").expect(0)
        assert server.post(b"".join(late(4_000_000, 60)))[0] == 200
        server.audit()

    def second_half(self, server):
        for number, part in enumerate(self.parts):
            status, answer = server.post(b"".join(part), Idempotency_Key=f"part-{number}")
            assert status == 200, answer
            for field in ("accepted", "rejected"):
                assert answer.get(field) == self.answers[number].get(field), (answer, self.answers[number])
        assert server.post(b"".join(self.parts[0][:300]))[0] == 200  # duplicates of events from before
        assert server.post(b"".join(self.later))[0] == 200
        server.audit()
        server.box.ask("dead-letter", "replay", "item_counts", "--reason", "late").expect(0)
        assert server.post(b"".join(closing()))[0] == 200
        return server.audit()


def settled(server):
    def no_lag():
        status, answer = server.request("GET", "/v1/status")
        return status == 200 and answer["sinks"] and all(sink["offset"] == sink["end"] and not sink.get("error") for sink in answer["sinks"])
    until("the sinks have stored everything", no_lag)


def duckdb_rows(box, pipeline):
    columns = ", ".join(COLUMNS[pipeline])
    answer = box.ask("query", f"select window_start, window_end, {columns}, state, revision from {pipeline} where window_start < {LIMIT_MS}",
                     "--format", "csv")
    return sorted(answer.expect(0).out.strip().split("\n")[1:])


@functools.cache
def undisturbed():
    """(rows by pipeline, verdicts) of a deployment that stays on one machine."""
    with harness.sandbox() as box, box.server() as server:
        story = Story()
        story.first_half(server)
        audit = story.second_half(server)
        until("the last windows of the story are closed",
              lambda: any(row.startswith(f"{story.last_window_ms},") for row in duckdb_rows(box, "top_items_overall")))
        settled(server)
        return {pipeline: duckdb_rows(box, pipeline) for pipeline in COLUMNS}, {verdict: audit[verdict] for verdict in VERDICTS}


# -- the tests

def migrate(box, target, *more, failpoints="", **run):
    env = {"SIGHTLINE_FAILPOINTS": failpoints} if failpoints else {}
    return box.run("migrate", box.config, target.config, "--data", box.data, *more, env=env, timeout=300, **run)


def killed_at_random(box, target, rng, most_s):
    """A call that is killed after a while; False when it had ended by then."""
    process = subprocess.Popen([harness.PROGRAM, "migrate", box.config, target.config, "--data", box.data], cwd=box.path, env=harness.environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(rng.uniform(0.05, most_s))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0, process.returncode
    return False


@contextlib.contextmanager
def moved_to(box, target):
    """A server on the new engines; the calls of the box are about it."""
    old, box.config = box.config, target.config
    try:
        with box.server() as server:
            yield server
    finally:
        box.config = old


def goes_on(box, target, story):
    """Starts the new deployment, tells the rest of the story and compares the end with that of one that never moved."""
    rows, verdicts = undisturbed()
    with moved_to(box, target) as server:
        server.audit()  # nothing waits behind what was moved
        audit = story.second_half(server)
        until("the last windows of the story are closed", lambda: len(target.rows("top_items_overall")) >= len(rows["top_items_overall"]))
        settled(server)
        for pipeline in COLUMNS:
            found = target.rows(pipeline)
            assert found == rows[pipeline], (pipeline, len(found), len(rows[pipeline]),
                                             next((pair for pair in zip(found, rows[pipeline]) if pair[0] != pair[1]), None))
            assert target.doubles(pipeline) == "0", pipeline
        assert {verdict: audit[verdict] for verdict in VERDICTS} == verdicts
        assert audit["holds"], audit
        again = box.run("migrate", box.path / "presets/top-items/sightline.yaml", target.config, "--data", box.data).expect(0)
        assert "moved before" in again.out, again


def moves_whole_though_killed_at_every_step(world, seed):
    rng = random.Random(seed)
    with harness.sandbox() as box:
        target = world.target(box)
        story = Story()
        with box.server() as server:
            story.first_half(server)
            settled(server)
            look = migrate(box, target, "--dry-run", "--format", "json").expect(0).json()
            moves = {(thing["what"], thing["name"]): thing for thing in look["moves"]}
            assert moves["topic", "camera_events"]["partitions"] == 8 and moves["topic", "camera_events"]["count"] > 8000, moves
            assert moves["results", "item_counts"]["count"] > 0 and moves["state", "item_counts"]["bytes"] > 0, moves
            assert moves["reference", "locations"]["count"] == 1 and look["can_begin"], look
            assert any("--stop" in note for note in look["notes"]), look
            migrate(box, target).expect(1, err="a server runs on .*--stop")
            assert server.request("GET", "/v1/status")[0] == 200, "it was left alone"
            migrate(box, target, "--stop", failpoints=FAILPOINTS[0]).expect(-9)
            assert server.process.wait(harness.PATIENCE_S) == 0, "it ended in order"
        for failpoint in FAILPOINTS[1:]:
            migrate(box, target, failpoints=failpoint).expect(-9)
        # Neither side starts in between.
        box.run("up", target.config, "--data", box.data).expect(1, err="is being moved here")
        box.run("up", box.config, "--data", box.data).expect(1, err="is being moved to")
        for _ in range(4):
            if not killed_at_random(box, target, rng, 6):
                break
        done = migrate(box, target, "--format", "json").expect(0).json()
        assert done["holds"], done
        if not done["done_before"]:
            compared = {(thing["what"], thing["name"]): thing for thing in done["compared"]}
            assert all(thing["same"] for thing in done["compared"]), done
            assert compared["requests", "Idempotency-Keys of the last 24 h"]["from"] > 0, compared
            assert compared["verdicts", "item_counts counted"]["to"] > 0 and compared["results", "item_counts, rows"]["to"] > 0, compared
        box.run("up", box.config, "--data", box.data).expect(1, err="was moved to .*sightline up")
        goes_on(box, target, story)


def a_server_that_was_killed_is_moved_as_it_was_left(world, _):
    with harness.sandbox() as box:
        target = world.target(box)
        story = Story()
        with box.server() as server:
            story.first_half(server)
            server.end(signal.SIGKILL)
        migrate(box, target).expect(0, out="both sides are the same")
        goes_on(box, target, story)


def engines_that_die_meanwhile_are_said_and_waited_for(world, seed):
    rng = random.Random(seed)
    with harness.sandbox() as box:
        target = world.target(box)
        box.edit("replication: 1,", "replication: 1, request_timeout: 5s, delivery_timeout: 5s,", target.config)
        box.edit("bucket: sightline", "bucket: sightline\n    retry_time_max: 3s", target.config)
        story = Story()
        with box.server() as server:
            story.first_half(server)
        done = False
        for engine in (world.kafka, world.s3, world.postgres, world.kafka, world.postgres):
            process = subprocess.Popen([harness.PROGRAM, "migrate", box.config, target.config, "--data", box.data], cwd=box.path,
                                       env=harness.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(rng.uniform(0.5, 5))
            engine.call("kill")
            # It waits for what comes back soon, and ends with what is wrong otherwise.
            time.sleep(rng.uniform(0, 3))
            engine.call("start")
            try:
                err = process.communicate(timeout=2 * PATIENCE_S)[1]
            finally:
                process.kill()
            done = process.returncode == 0
            if done:
                break
            assert process.returncode == 1 and "sightline: " in err, (engine.name, process.returncode, err)
            if (box.data / "migration.json").exists():
                box.run("up", box.config, "--data", box.data).expect(1, err="is being moved")
        if not done:
            migrate(box, target).expect(0, out="both sides are the same")
        goes_on(box, target, story)


def a_log_that_has_lost_its_beginning(world, _):
    with harness.sandbox() as box:
        target = world.target(box)
        for config in (box.config, target.config):
            box.edit("partitions: 8", "partitions: 2", config)
            box.edit("retain: {time: 7d, bytes: 50GiB}", "retain: {time: 7d, bytes: 4MiB}", config)
        box.edit("{type: log, durability: fsync}", "{type: log, durability: fsync, segment: 1MiB}")
        with box.server() as server:
            many = events(1, 60_000, BASE_MS, 7)
            for begin in range(0, len(many), 5000):
                # Full until what is no longer needed has been removed: 429.
                until("the log has room", lambda: server.post(b"".join(many[begin:begin + 5000]))[0] == 200)
            server.audit()
            settled(server)
            starts = lambda: [partition["start"] for topic in server.request("GET", "/v1/topics")[1]["topics"] if topic["name"] == "camera_events"
                              for partition in topic["partitions"]]
            until("retention has removed the beginning", lambda: max(starts()) > 0)
        rows = duckdb_rows(box, "top_items_overall")
        sums = "select count(*), sum(item_count), min({0}), max({0}) from "
        counts = box.ask("query", sums.format("window_start") + "item_counts", "--format", "csv").expect(0).out.split()[1]
        migrate(box, target, failpoints="migrate.topic.copied=kill@3").expect(-9)
        migrate(box, target).expect(0, out="both sides are the same")
        assert rows and target.rows("top_items_overall") == rows
        start_ms = "(extract(epoch from window_start) * 1000)::bigint"
        assert world.sql(sums.format(start_ms) + f"{target.schema}.item_counts") == counts, counts
        with moved_to(box, target) as server:
            topics = {topic["name"]: topic for topic in server.request("GET", "/v1/topics")[1]["topics"]}
            assert max(partition["start"] for partition in topics["camera_events"]["partitions"]) > 0, "it must not look whole"
            assert server.post(b"".join(events(9_000_000, 500, BASE_MS + 4 * HOUR_MS, 8)))[0] == 200
            audit = server.audit()
            assert audit["holds"] and audit["waiting"] == 0, audit


def other_data_and_other_engines_are_refused(world, _):
    with harness.sandbox() as box, harness.sandbox() as other:
        target, elsewhere = world.target(box), world.target(other)
        for number, one in enumerate((box, other), 1):
            with one.server() as server:
                assert server.post(b"".join(events(1, 100 * number, BASE_MS, number)))[0] == 200
                server.audit()
        box.edit("out_of_orderness: 30s", "out_of_orderness: 20s", target.config)
        migrate(box, target).expect(1, err="watermark.out_of_orderness: 30s .*20s")
        box.edit("out_of_orderness: 20s", "out_of_orderness: 30s", target.config)
        migrate(box, target).expect(0)
        # Other data into the same place.
        other.run("migrate", other.config, target.config, "--data", other.data, timeout=300).expect(1, err="target of another migration")
        # Topics that are in use, whatever the object store says.
        other.edit(f"prefix: {elsewhere.schema}.", f"prefix: {target.schema}.", elsewhere.config)
        migrate(other, elsewhere, "--dry-run").expect(1, out="in the way: .*holds records")
        migrate(other, elsewhere).expect(1, err="in use already: .*holds records")
        other.edit(f"prefix: {target.schema}.", f"prefix: {elsewhere.schema}.", elsewhere.config)
        # Engines that are away.
        nobody = free_port()
        other.edit(f":{world.kafka.port}", f":{nobody}", elsewhere.config)
        migrate(other, elsewhere).expect(1, err="kafka: ")
        other.edit(f":{nobody}", f":{world.kafka.port}", elsewhere.config)
        assert not (other.data / "migration.json").exists(), "nothing began"
        # The way back: the mark goes, and the old deployment starts on what it had.
        (box.data / "migration.json").unlink()
        with box.server() as server:
            assert server.audit()["in"] == 100
        migrate(box, target).expect(1, err="target of another migration")


TESTS = [moves_whole_though_killed_at_every_step, a_server_that_was_killed_is_moved_as_it_was_left,
         engines_that_die_meanwhile_are_said_and_waited_for, a_log_that_has_lost_its_beginning, other_data_and_other_engines_are_refused]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    chosen = [test for test in TESTS if not asked.names or test.__name__ in asked.names]
    print(f"seed {asked.seed}", flush=True)
    failed = 0
    with World() as world:
        for test in chosen:
            start = time.monotonic()
            try:
                test(world, asked.seed)
                print(f"ok      {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            except Exception:  # noqa: BLE001
                failed += 1
                print(f"FAILED  {test.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
