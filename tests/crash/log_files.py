"""Reads topics from the files of the log, with nothing of the program: docs/formats/log.md in Python.

Only what was written without compression, and no checksum: the program's own recovery and `topic verify` look at those.
"""
import re
import struct
from typing import NamedTuple

SEGMENT_HEADER = 64
BATCH_HEADER = struct.Struct("<I4sIBBBBQQqqqqIIIIQQ16sII")
TICK = 1


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
