"""Compares everything that a server shows with what its log says it must be. Each function gives a list of differences."""
import time
from collections import Counter

import expected
import log_files
import value_formats
from expected import compare
from scratch import PRESET

INPUT = "camera_events"
REFUSED = "dead_letters.camera_events"
LATE = "dead_letters.item_counts"
ATTEMPTS = 10


class Picture:
    """What a drained server answers, all of one moment: no tick came in between."""

    def __init__(self, server):
        for _ in range(ATTEMPTS):
            before = ends(server)
            server.drain()
            self.rows = {name: server.rows(name) for name in ("item_counts", "top_items", "top_items_overall")}
            self.status = server.status()
            self.ends = ends(server)
            if before == self.ends:
                self.data = server.data
                return
        raise RuntimeError("the topics kept growing while nobody sent anything")


def ends(server):
    """{(topic, partition): end that readers see}"""
    return {(topic["name"], part["partition"]): part["visible"]
            for topic in server.get_json("/v1/topics")["topics"] for part in topic["partitions"]}


def take_log(picture):
    """The partitions as they must be, and the lines that the log holds."""
    partitions, lines = [], Counter()
    for (topic, number), end in sorted(picture.ends.items()):
        if topic != INPUT:
            continue
        partition = expected.Partition()
        for batch in log_files.batches(picture.data, topic, number, end):
            if batch.tick:
                partition.tick(batch.append_time)
                continue
            for i, line in enumerate(batch.values):
                partition.take(batch.base + i, line, batch.append_time)
                lines[hash(line)] += 1
            partition.batch_done(batch.append_time)
        partitions.append(partition)
    return partitions, lines


def once_each(load, lines, picture):
    """Each acknowledged event stands in the log once, each refused line among the dead letters once."""
    wrong = []
    lost, more = load.accepted - lines, lines - load.accepted
    if lost:
        wrong.append(f"{lost.total()} acknowledged events are not in the log")
    if more:
        wrong.append(f"{more.total()} events are in the log more often than they were sent")
    letters = Counter()
    for (topic, number), end in picture.ends.items():
        if topic == REFUSED:
            letters.update(value_formats.dead_letter(value).original for _, value in log_files.records(picture.data, topic, number, end))
    lost, more = load.rejected - letters, letters - load.rejected
    if lost or more:
        wrong.append(f"dead letters of ingest: {lost.total()} are missing, {more.total()} are too many, such as {next(iter(lost or more))!r}")
    return wrong


def results(picture, partitions, names):
    """REST answers against the computation, and the results topics against the REST answers."""
    wanted = {"item_counts": expected.item_counts(partitions, names), "top_items": expected.top_items(partitions, names),
              "top_items_overall": expected.top_items_overall(partitions)}
    wrong = []
    for pipeline, rows in wanted.items():
        header, got = picture.rows[pipeline]
        at = [header.index(name) for name in header if name not in ("window_end", "state", "revision")]
        stored = Counter(tuple(row[i] for i in at) for row in got)
        wrong += compare(f"stored rows of {pipeline}", Counter(tuple(str(cell) for cell in row) for row in rows), stored)
        states = {row[header.index("state")] for row in got}
        if states - {"final"}:
            wrong.append(f"rows of {pipeline} have the states {sorted(states)}, and only late events could correct a result")
        wrong += compare(f"the topic results.{pipeline}", stored, topic_rows(picture, pipeline))
    return wrong


def topic_rows(picture, pipeline):
    rows = Counter()
    for (topic, number), end in picture.ends.items():
        if topic != f"results.{pipeline}":
            continue
        for _, value in log_files.records(picture.data, topic, number, end):
            record = value_formats.result(value)
            if record is not None:
                rows.update((str(record.start), *("" if cell is None else str(cell) for cell in row)) for row in zip(*record.columns))
    return rows


def accounting(picture, partitions, load):
    """Verdicts, and late or future dead letters of the pipeline."""
    wrong = []
    said = next(one for one in picture.status["pipelines"] if one["name"] == "item_counts")["verdicts"]
    total = sum((partition.verdicts for partition in partitions), Counter(malformed=load.malformed_total, invalid=load.invalid_total))
    for verdict in ("counted", "duplicates", "late", "future", "filtered", "malformed", "invalid", "state_limit"):
        if said[verdict] != total[verdict]:
            wrong.append(f"{verdict}: {said[verdict]} said, {total[verdict]} by the log and what was sent")
    wanted = Counter({(reason, number, offset): count for number, partition in enumerate(partitions)
                      for (reason, offset), count in partition.letters.items()})
    got = Counter()
    for (topic, number), end in picture.ends.items():
        if topic == LATE:
            for _, value in log_files.records(picture.data, topic, number, end):
                letter = value_formats.dead_letter(value)
                got[letter.reason, letter.partition, letter.offset] += 1
    return wrong + compare("dead letters of item_counts", wanted, got)


def everything(server, load):
    """(differences, a line that says what was compared) of a server whose load is paused."""
    started = time.monotonic()
    picture = Picture(server)
    partitions, lines = take_log(picture)
    names = expected.names_of(PRESET / "references/locations.csv")
    wrong = once_each(load, lines, picture) + results(picture, partitions, names) + accounting(picture, partitions, load)
    verdicts = sum((partition.verdicts for partition in partitions), Counter())
    rows = {name: len(got) for name, (_, got) in picture.rows.items()}
    said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    return wrong, f"{lines.total()} events ({said}), {sum(load.rejected.values())} refused lines, rows {rows}, {time.monotonic() - started:.1f} s"
