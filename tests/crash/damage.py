"""Damaged bytes in a log: said with their place, never skipped in silence; and a torn tail, which is cut off."""
import json
import random
import shutil
import time

import log_files
import rounds
import verify

PARTITION = 0


def scenario(frame):
    server = frame.server(snapshot_records=1_000_000)
    load = frame.load(server)
    server.start()
    load.resume()
    deadline = time.monotonic() + 30
    while len(log_files.segments(folder(server))) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    load.pause()
    server.drain()
    snapshot_at = verify.ends(server)[verify.INPUT, PARTITION]
    server.terminate()  # leaves a snapshot; the next one would be taken after ten seconds
    server.start()
    load.resume()
    time.sleep(1)
    server.kill()
    load.stop()
    chance = random.Random(frame.seed)
    torn_tail(frame, server, chance)
    sealed_segment(frame, server, chance)
    behind_the_snapshot(frame, server, chance, snapshot_at)


def folder(server):
    return log_files.partition_folder(server.data, verify.INPUT, PARTITION)


def copy_of(frame, server, name):
    """A server on a copy of the data directory as the kill left it."""
    other = frame.server(frame.folder / name)
    shutil.copytree(server.data, other.data, ignore=shutil.ignore_patterns("server.json"))
    return other


def flip(path, position, chance):
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ (1 << chance.randrange(8))]))


def torn_tail(frame, server, chance):
    """Half a batch at the end of each partition is cut off, and nothing else."""
    other = copy_of(frame, server, "torn")
    whole = {}
    for path in sorted(other.data.glob(f"log/topics/{verify.INPUT}/*/")):
        last = list(log_files.batches(other.data, verify.INPUT, int(path.name)))[-1]
        whole[int(path.name)] = last.base + len(last.values)
        with open(last.segment, "r+b") as file:
            file.seek(last.position)
            batch = file.read(last.size)
            file.seek(last.position + last.size)
            file.write(batch[:chance.randrange(1, len(batch))])
    other.start()
    other.drain()
    wrong = [f"partition {number} ended at {end} in its files, and begins anew at {got}" for number, end in whole.items()
             if (got := verify.ends(other)[verify.INPUT, number]) < end]
    report, problem = other.audit()
    wrong += [problem] if problem else []
    other.kill()
    frame.suite.report(f"a torn tail in {len(whole)} partitions is cut off, everything before it counts", wrong)


def sealed_segment(frame, server, chance):
    """A byte of a segment that was read long ago: the audit reads it again, and says where."""
    other = copy_of(frame, server, "sealed")
    _, _, path = log_files.segments(folder(other))[0]
    batch = chance.choice([one for one in log_files.batches(other.data, verify.INPUT, PARTITION) if one.segment == str(path)])
    flip(path, batch.position + chance.randrange(batch.size), chance)
    other.start()
    other.drain()
    status, out, err = other.command("audit", "--format", "json")
    said = err + out
    wrong = []
    if status == 0:
        wrong.append(f"the audit ended with 0 over a damaged log: {out}")
    for part in (verify.INPUT, f"partition {PARTITION}", f"offset {batch.base}", f"byte {batch.position}", path.name):
        if part not in said:
            wrong.append(f"the audit does not name {part!r}: {said.strip()}")
    other.kill()
    frame.suite.report(f"a flipped byte in a sealed segment: the audit ends with {status} and says where", wrong)


def behind_the_snapshot(frame, server, chance, snapshot_at):
    """A byte of what a recovery must read again: that partition stops and says where; the others go on, and so does ingest."""
    other = copy_of(frame, server, "unread")
    unread = [one for one in log_files.batches(other.data, verify.INPUT, PARTITION) if one.base >= snapshot_at]
    batch = unread[len(unread) // 2]  # later ones say that it was durable
    flip(batch.segment, batch.position + chance.randrange(batch.size), chance)
    other.start()
    wrong, error = [], ""
    deadline = time.monotonic() + 20
    while not error and time.monotonic() < deadline:
        failed = [one for one in other.status()["pipelines"] if one["state"] == "failed"]
        error = failed[0]["error"] if failed else ""
        time.sleep(0.1)
    for part in (verify.INPUT, f"partition {PARTITION}", f"offset {batch.base}", f"byte {batch.position}"):
        if part not in error:
            wrong.append(f"the pipeline's error does not name {part!r}: {error!r}")
    log = [json.loads(line) for line in other.log.read_text().splitlines() if line.startswith("{")]
    if not any(line["level"] == "error" and line.get("from_offset") == batch.base and line["byte"] == batch.position for line in log):
        wrong.append("the server's log does not name the damage that the recovery found")
    load = frame.load(other)
    load.resume()
    time.sleep(1)
    load.pause()
    if not load.accepted_total:
        wrong.append("nothing was accepted any more")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not others_read(other.status()):
        time.sleep(0.1)
    if not others_read(other.status()):
        wrong.append("the other partitions do not go on")
    other.kill()
    frame.suite.report("a flipped byte in what a recovery must read: its partition stops and says where, the others go on", wrong + load.wrong)


def others_read(status):
    pipeline = next(one for one in status["pipelines"] if one["name"] == "item_counts")
    return all(part["offset"] >= part["end"] for part in pipeline["partitions"] if part["partition"] != PARTITION)
