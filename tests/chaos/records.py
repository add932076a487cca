"""Records of a topic, as they were read."""
import json
from typing import NamedTuple


class Record(NamedTuple):
    offset: int
    time: int        # when it was appended, epoch ms
    value: bytes
    tick: bool
    key: bytes = b""


def write(path, records):
    """The records of a topic as lines of JSON, for people."""
    with open(path, "w", encoding="utf-8") as file:
        for partition, of_partition in sorted(records.items()):
            for record in of_partition:
                try:
                    value = record.value.decode()
                except UnicodeDecodeError:
                    value = record.value.hex()
                file.write(json.dumps({"partition": partition, "offset": record.offset, "time": record.time, "key": record.key.hex(), "value": value}) + "\n")
