"""Dead letters and results, read with nothing of the program: docs/formats/dead_letter.md and result.md in Python."""
import struct
from typing import NamedTuple

REASONS = {3: "late", 4: "future", 5: "malformed", 6: "invalid", 7: "state_limit"}


class FormatError(Exception):
    pass


class DeadLetter(NamedTuple):
    reason: str
    topic: str
    partition: int
    offset: int
    original: bytes


def dead_letter(value):
    version, reason, _, _, partition, offset, _ = struct.unpack_from("<BBBBiqq", value)
    if version != 1:
        raise FormatError(f"a dead letter of version {version}")
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
        raise FormatError("bytes behind the end of a dead letter")
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
        raise FormatError(f"a result of version {version}")
    if flags == 1:
        return None
    if flags != 0:
        raise FormatError("a result that was emptied: no pipeline of the preset can have one")
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
        raise FormatError("bytes behind the end of a result")
    return Result(start, end, revision, state, table)
