"""Reads topics from the files of the log, with nothing of the program: docs/formats/log.md, dead_letter.md and result.md in Python.

Only what was written without compression, and no checksum: the program's own recovery and `topic verify` look at those.
"""
import re
import struct
from typing import NamedTuple

SEGMENT_HEADER = 64
BATCH_HEADER = struct.Struct("<I4sIBBBBQQqqqqIIIIQQ16sII")
TICK = 1
REASONS = {3: "late", 4: "future", 5: "malformed", 6: "invalid", 7: "state_limit"}


class Batch(NamedTuple):
    base: int
    append_time: int
    tick: bool
    values: list
    segment: str     # path of the file
    position: int    # first byte in it
    size: int


class LogError(Exception):
    pass


def partition_folder(data, topic, partition):
    return data / "log/topics" / topic / str(partition)


def segments(folder):
    """(base, id, path) of a partition's segments in order."""
    found = []
    for path in folder.glob("*.log"):
        match = re.fullmatch(r"(\d{20})-([0-9a-f]{16})\.log", path.name)
        if match:
            found.append((int(match[1]), int(match[2], 16), path))
    return sorted(found)


def batches(data, topic, partition, end=None):
    """The batches of a partition up to offset `end`, in order. Without `end`: up to the last whole one."""
    position_next = None
    for base, identity, path in segments(partition_folder(data, topic, partition)):
        if position_next is not None and base != position_next:
            raise LogError(f"{path} begins at {base}, and what is before it ends at {position_next}")
        position_next = base
        whole = path.read_bytes()
        at = SEGMENT_HEADER
        while at + BATCH_HEADER.size <= len(whole) and (end is None or position_next < end):
            (_, magic, size, _, kind, _, codec, segment, position, first, append_time, _, _, _, count, _, flags, *_) = BATCH_HEADER.unpack_from(
                whole, at)
            if magic != b"SLB1" or segment != identity or position != at or first != position_next:
                break
            if codec != 0 or flags & 1:
                raise LogError(f"{path} at byte {at}: a batch that is compressed or has keys, which this reader does not know")
            sizes = struct.unpack_from(f"<{count}I", whole, at + BATCH_HEADER.size)
            start = at + BATCH_HEADER.size + 4 * count
            values = []
            for value in sizes:
                values.append(whole[start:start + value])
                start += value
            yield Batch(first, append_time, kind == TICK, values, str(path), at, size)
            position_next = first + count
            at += size
    if end is not None and (position_next or 0) < end:
        raise LogError(f"{topic}/{partition} ends at {position_next or 0} in its files, and at {end} by what the server says")


def records(data, topic, partition, end):
    """(offset, value) of a partition's data records before `end`."""
    for batch in batches(data, topic, partition, end):
        if not batch.tick:
            for i, value in enumerate(batch.values):
                if batch.base + i < end:
                    yield batch.base + i, value


class DeadLetter(NamedTuple):
    reason: str
    topic: str
    partition: int
    offset: int
    original: bytes


def dead_letter(value):
    version, reason, _, _, partition, offset, _ = struct.unpack_from("<BBBBiqq", value)
    if version != 1:
        raise LogError(f"a dead letter of version {version}")
    at = 24

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = value[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def text():
        nonlocal at
        size = varint()
        at += size
        return value[at - size:at]

    varint()  # size of the original
    topic, _, _, _, original = text(), text(), text(), text(), text()
    if at != len(value):
        raise LogError("bytes behind the end of a dead letter")
    return DeadLetter(REASONS[reason], topic.decode(), partition, offset, original)


class Result(NamedTuple):
    start: int
    end: int
    revision: int
    state: int       # 1 final, 2 corrected
    columns: list    # one list of values a column; None where null


def result(value):
    """A result record; None for one that closes windows."""
    version, flags, state, _, revision, _, start, end, _, rows, columns = struct.unpack_from("<BBBBIQqqQII", value)
    if version != 1:
        raise LogError(f"a result of version {version}")
    if flags == 1:
        return None
    if flags != 0:
        raise LogError("a result that was emptied: no pipeline of the preset can have one")
    at, table = 48, []
    for _ in range(columns):
        kind = value[at]
        at += 1
        nulls = bytes(rows)
        if kind & 0x80:
            nulls = value[at:at + rows]
            at += rows
        kind &= 0x7F
        if kind == 3:
            sizes = struct.unpack_from(f"<{rows}I", value, at)
            at += 4 * rows
            column = []
            for size in sizes:
                column.append(value[at:at + size].decode())
                at += size
        elif kind == 2:
            column = ["true" if byte else "false" for byte in value[at:at + rows]]
            at += rows
        else:
            column = list(struct.unpack_from(f"<{rows}{'qd'[kind]}", value, at))
            at += 8 * rows
        table.append([None if null else cell for cell, null in zip(column, nulls)])
    if at != len(value):
        raise LogError("bytes behind the end of a result")
    return Result(start, end, revision, state, table)
