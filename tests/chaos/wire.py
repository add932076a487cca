"""Two questions to a Kafka broker in its own protocol: where partitions end, and how far a group is.

Asked many times a second while brokers come and go, by somebody who keeps nothing in mind: each answer is the broker's own.
"""
import socket
import struct

LIST_OFFSETS, OFFSET_FETCH = (2, 2), (9, 5)  # kind of request and its version
LATEST = -1
UNCOMMITTED, COMMITTED = 0, 1                # which end


class Refused(Exception):
    """The broker's answer is an error."""


class Broker:
    """One broker that leads and coordinates everything. Not for several threads."""

    def __init__(self, address, seconds=3):
        host, port = address.rsplit(":", 1)
        self._address, self._seconds = (host, int(port)), seconds
        self._socket = None

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ends(self, topic, partitions, isolation=COMMITTED):
        """{partition: where it ends}"""
        asked = b"".join(struct.pack(">iq", partition, LATEST) for partition in partitions)
        answer = self._ask(LIST_OFFSETS, struct.pack(">ib", -1, isolation) + _array(1) + _text(topic) + _array(len(partitions)) + asked)
        answer.take("i")  # throttled
        found = {}
        for _ in range(answer.take("i")):
            answer.text()
            for _ in range(answer.take("i")):
                partition, error, _, offset = answer.take("ihqq")
                _check(error, f"the end of {topic}/{partition}")
                found[partition] = offset
        return found

    def committed(self, group, topic, partitions):
        """{partition: next offset}; 0 where the group has said nothing."""
        asked = b"".join(struct.pack(">i", partition) for partition in partitions)
        answer = self._ask(OFFSET_FETCH, _text(group) + _array(1) + _text(topic) + _array(len(partitions)) + asked)
        answer.take("i")
        found = {}
        for _ in range(answer.take("i")):
            answer.text()
            for _ in range(answer.take("i")):
                partition, offset, _ = answer.take("iqi")
                answer.text()
                _check(answer.take("h"), f"the position of {group} in {topic}/{partition}")
                found[partition] = max(0, offset)
        _check(answer.take("h"), f"the positions of {group}")
        return found

    def _ask(self, kind, body):
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, self._seconds)
            request = struct.pack(">hhi", *kind, 1) + _text("chaos") + body
            self._socket.sendall(struct.pack(">i", len(request)) + request)
            size, = struct.unpack(">i", self._receive(4))
            return _Answer(self._receive(size)[4:])
        except OSError:
            self.close()
            raise

    def _receive(self, size):
        received = b""
        while len(received) < size:
            piece = self._socket.recv(size - len(received))
            if not piece:
                raise ConnectionResetError("the broker closed the connection")
            received += piece
        return received


class _Answer:
    def __init__(self, bytes_):
        self._bytes, self._at = bytes_, 0

    def take(self, layout):
        """One value, or several as a tuple."""
        layout = ">" + layout
        values = struct.unpack_from(layout, self._bytes, self._at)
        self._at += struct.calcsize(layout)
        return values if len(values) > 1 else values[0]

    def text(self):
        """Goes past a text."""
        size = self.take("h")
        self._at += max(0, size)


def _text(text):
    return struct.pack(">h", len(text)) + text.encode()


def _array(count):
    return struct.pack(">i", count)


def _check(error, what):
    if error:
        raise Refused(f"asked for {what}: the broker answers error {error}")
