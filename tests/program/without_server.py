"""A data directory that no server owns: after a clean end, after kill -9, and with damaged bytes in its log."""
import csv
import io
import json
import pathlib
import random
import re
import signal
import time

from harness import event, line, sandbox


def listings(box):
    """Every question, with and without a server: all answers are JSON of the same shape."""
    answers = {}
    for name, call in {
            "topics": ("topic", "ls"),
            "describe": ("topic", "describe", "camera_events"),
            "tail": ("topic", "tail", "camera_events", "-n", "2"),
            "results": ("topic", "tail", "results.item_counts", "-n", "2"),
            "letters": ("dead-letter", "ls"),
            "letters of one": ("dead-letter", "ls", "item_counts", "--reason", "malformed"),
            "shown": ("dead-letter", "show", "-n", "1"),
            "query": ("query", "select item_name, sum(item_count) as n from item_counts group by all order by n desc, item_name"),
            "audit": ("audit",),
            "verify": ("topic", "verify"),
    }.items():
        answers[name] = box.ask(*call, "--format", "json").expect(0).json()
        # CSV: a header, and a row for each object where the answer is a list.
        rows = list(csv.reader(io.StringIO(box.ask(*call, "--format", "csv").expect(0).out, newline="")))
        assert all(re.fullmatch(r"[a-z_]+", column) for column in rows[0]) and {len(row) for row in rows} == {len(rows[0])}, (name, rows)
        if name not in ("audit", "verify"):
            assert len(rows) == len(answers[name]) + 1, (name, rows, answers[name])
        box.ask(*call).expect(0, out=".")
    return answers


def minute_of_events(rng, start, count):
    """Events within some minutes that are long past for what comes behind them, so that their windows close."""
    body = b""
    for i in range(count):
        location = rng.randrange(50)
        body += json.dumps(event(start + i, geographical_location_oid=location, video_camera_oid=location * 10,
                                 item_name=rng.choice(["person", "car", "bicycle"]),
                                 timestamp_detected=int(time.time() * 1000) - 600_000 + i)).encode() + b"\n"
    return body


def closing_events():
    """One of now at each location: the windows of ten minutes ago are final behind them."""
    return b"".join(line(900_000 + location, geographical_location_oid=location, video_camera_oid=location * 10) for location in range(50))


def the_same_answers():
    rng = random.Random(7)
    with sandbox() as box:
        with box.server() as server:
            assert server.post(minute_of_events(rng, 0, 2000) + b"broken\n" + closing_events())[0] == 200
            # The statistics follow the log within moments.
            for _ in range(600):
                rows = box.ask("query", "select sum(item_count) from item_counts", "--format", "csv").expect(0).out.split("\n")
                if rows[1] == "2000":
                    break
                time.sleep(0.1)
            assert rows[1] == "2000", rows
            served = listings(box)
            assert server.end() == 0
        alone = listings(box)
        for name in served:
            if name not in ("verify", "describe", "topics"):  # what is preallocated and synced differs
                assert alone[name] == served[name], (name, served[name], alone[name])
        assert [(row["topic"], row["records"]) for row in alone["topics"]] == [(row["topic"], row["records"]) for row in served["topics"]]
        assert alone["query"][0]["n"] > 0 and alone["audit"]["holds"]
        # Without being told where the configuration is, and from anywhere: the directory knows what it was run with.
        assert json.loads((box.data / "configuration.json").read_text())["file"] == str(box.config)
        # And a server goes on behind it.
        with box.server() as server:
            assert server.audit()["in"] == alone["audit"]["pipelines"][0]["in"]


def after_kill():
    rng = random.Random(11)
    with sandbox() as box:
        accepted = 0
        for round_number in range(3):
            with box.server() as server:
                for i in range(20):
                    status, answer = server.post(minute_of_events(rng, round_number * 100_000 + i * 1000, 200))
                    assert status == 200
                    accepted += answer["accepted"]
                server.end(signal.SIGKILL)
            audit = box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]
            assert audit["in"] + audit["waiting"] == accepted, (round_number, accepted, audit)
            # Looking changes nothing: the same again.
            assert box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0] == audit
        with box.server() as server:
            assert server.audit()["in"] == accepted


def damage(box, topic):
    """Turns some bytes over in the middle of the topic's largest segment; the file and where."""
    files = [path for path in (box.data / "log/topics" / topic).rglob("*.log")]
    largest = max(files, key=lambda path: len(path.read_bytes().rstrip(b"\0")))
    with open(largest, "r+b") as file:
        position = len(largest.read_bytes().rstrip(b"\0")) // 2
        file.seek(position)
        old = file.read(4)
        file.seek(position)
        file.write(bytes(byte ^ 255 for byte in old))
    return largest, position


def damaged_log():
    rng = random.Random(3)
    with sandbox() as box:
        with box.server() as server:
            for i in range(30):
                assert server.post(minute_of_events(rng, i * 1000, 300))[0] == 200
            server.audit()
            server.end()
        box.ask("topic", "verify").expect(0)
        file, position = damage(box, "camera_events")
        found = box.ask("topic", "verify", "--format", "json").expect(1, err="sightline topic repair camera_events").json()
        broken = [(one["topic"], hurt) for one in found for partition in one["partitions"] for hurt in partition["damages"]]
        assert len(broken) == 1 and broken[0][0] == "camera_events", broken
        hurt = broken[0][1]
        assert pathlib.Path(hurt["file"]).samefile(file) and hurt["position"] <= position, (hurt, position)
        lost = hurt["to"] - hurt["from"]
        box.ask("topic", "verify", "camera_events").expect(1, out=[f"\\({lost}\\) are damaged: {hurt['file']} at byte {hurt['position']}"])
        box.run("doctor", box.config, "--data", box.data).expect(1, out="damaged in 1 place")
        box.ask("topic", "verify", "results.item_counts").expect(0)
        # Nothing is given up unless it is agreed to.
        for answer in ("", "no\n", "y\n"):
            box.ask("topic", "repair", "camera_events", stdin=answer).expect(1, err=["Give up", "nothing was changed"])
        box.ask("topic", "verify").expect(1)
        box.ask("topic", "repair", "camera_event", "--yes").expect(1, err="did you mean 'camera_events'")
        with box.server():
            box.ask("topic", "repair", "camera_events", "--yes").expect(1, err="stop it first")
            box.ask("topic", "verify").expect(1)
        box.ask("topic", "repair", "camera_events", stdin="yes\n").expect(0, out=f"{lost} records? (is|are) lost")
        box.ask("topic", "verify").expect(0)
        box.ask("topic", "repair", "camera_events").expect(0, out="nothing is damaged")
        audit = box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]
        assert audit["dropped"] == lost and audit["log_records"] + lost == 9000, audit
        with box.server() as server:
            assert server.post(line(7))[0] == 200
            assert server.audit()["holds"]


def torn_tail():
    with sandbox() as box:
        with box.server() as server:
            assert server.post(line(1))[0] == 200
            server.audit()
            server.end(signal.SIGKILL)
        # What a crash in the middle of an append leaves: the beginning of a batch, behind what was acknowledged.
        files = sorted((box.data / "log/topics/camera_events").rglob("*.log"))
        largest = max(files, key=lambda path: len(path.read_bytes().rstrip(b"\0")))
        used = len(largest.read_bytes().rstrip(b"\0"))
        with open(largest, "r+b") as file:
            file.seek(used + 64)
            file.write(b"half a batch")
        verified = box.ask("topic", "verify", "--format", "json").expect(0).json()
        assert all(not partition["damages"] for one in verified for partition in one["partitions"]), verified
        assert box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]["log_records"] == 1


def another_plan():
    """The state belongs to the plan that made it."""
    with sandbox() as box:
        with box.server() as server:
            assert server.post(line(1))[0] == 200
            server.audit()
        box.edit("tumbling: 1m", "tumbling: 2m")
        box.ask("audit").expect(1, err="was changed since its state was written")
        box.ask("topic", "ls").expect(0, out="camera_events")
        box.config.unlink()
        box.ask("audit").expect(1, err="name it by --config FILE")
        box.ask("topic", "ls").expect(0, out="camera_events")
        box.ask("query", "select 1 as one", "--format", "json").expect(0, out='"one": ?1')


def cases():
    yield "the same answers with and without a server", the_same_answers
    yield "after kill -9 nothing is missing", after_kill
    yield "a damaged log", damaged_log
    yield "a torn tail is no damage", torn_tail
    yield "a configuration that has changed", another_plan
