"""Records that are no events: each is refused with its place and cause, its good neighbours are taken, and all of them are accounted for."""
import json
import os
import re
import socket
import subprocess
import time
import zlib

from harness import PATIENCE_S, PROGRAM, environment, event, line, sandbox

GOOD = event(1)
INT64_MAX = 2**63 - 1


def raw(**changed):
    """An event's text with values as they are written here."""
    fields = {name: json.dumps(value) for name, value in GOOD.items()} | changed
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


def records():
    """(name, bytes of a line, verdict, what the answer says of it: field or cause)."""
    text = raw().decode()
    yield "a cut-off record", raw()[:40], "malformed", "ends inside"
    yield "no JSON", b"hello", "malformed", "no value"
    yield "a lone value", b"12", "invalid", "object"
    yield "a duplicate key", raw()[:-1] + b',"detection_oid":2}', "malformed", "two fields named"
    yield "trailing bytes", raw() + b" x", "malformed", "follows the record's end"
    yield "two records in a line", raw() + raw(), "malformed", "follows the record's end"
    yield "a lone high surrogate", raw(item_name='"\\ud800"'), "malformed", "surrogate"
    yield "a lone low surrogate", raw(item_name='"\\udc00x"'), "malformed", "surrogate"
    yield "UTF-8 that is none", raw(item_name='"@"').replace(b"@", b"\xff\xfe"), "malformed", "UTF-8"
    yield "an overlong UTF-8 form", raw(item_name='"@"').replace(b"@", b"\xc0\xaf"), "malformed", "UTF-8"
    yield "a surrogate in UTF-8", raw(item_name='"@"').replace(b"@", b"\xed\xa0\x80"), "malformed", "UTF-8"
    yield "U+0000", raw(item_name='"a\\u0000b"'), "invalid", "item_name"
    yield "a raw control character", raw(item_name='"a\tb"'), "malformed", "control"
    yield "a byte 0", raw(item_name='"a@b"').replace(b"@", b"\0"), "malformed", "control"
    yield "a comment", text.replace(",", ", /* x */", 1).encode(), "malformed", "name in quotes"
    yield "NaN", raw(detection_oid="NaN"), "malformed", "value"
    yield "depth without end", b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"," + raw()[1:], "malformed", "deep|depth"
    for name in GOOD:
        yield f"{name} missing", json.dumps(event(1, **{name: None})).encode(), "invalid", name
        yield f"{name} null", raw(**{name: "null"}), "invalid", name
    for value in ('"1"', "1.5", "1e3", "1.0", "true", "[1]", "{}", '""'):
        yield f"{value} for an integer", raw(detection_oid=value), "invalid", "detection_oid"
    for value in ("1", "true", "[]", "{}"):
        yield f"{value} for a text", raw(item_name=value), "invalid", "item_name"
    yield "one beyond int64", raw(detection_oid=str(INT64_MAX + 1)), "invalid", "detection_oid"
    yield "one below int64", raw(detection_oid=str(-(2**63) - 1)), "invalid", "detection_oid"
    yield "a number of 400 digits", raw(detection_oid="9" * 400), "invalid", "detection_oid"
    yield "a leading zero", raw(detection_oid="01"), "malformed", ""
    yield "a name of 5001 characters", raw(item_name=json.dumps("人" * 5001, ensure_ascii=False)).decode().encode(), "invalid", "item_name"
    yield "a time after the year 9999", raw(timestamp_detected=str(253_402_300_800_000)), "invalid", "timestamp_detected"
    yield "a time before the year 1", raw(timestamp_detected=str(-62_135_596_800_001)), "invalid", "timestamp_detected"
    yield "a record of 2 MiB", raw(item_name='"' + "x" * (2 << 20) + '"'), "malformed|invalid", "long|large|bytes"


def taken():
    """What looks odd and is right."""
    yield "a name of 5000 characters", raw(detection_oid="1001", item_name=json.dumps("人" * 5000, ensure_ascii=False))
    yield "the greatest int64", raw(detection_oid=str(INT64_MAX))
    yield "the least int64", raw(detection_oid=str(-(2**63)))
    yield "an extra field", raw(detection_oid="1002")[:-1] + b',"more":{"a":[1,2]}}'
    yield "fields in another order", json.dumps(dict(reversed(event(1003).items()))).encode()
    yield "escapes and a surrogate pair", raw(detection_oid="1004", item_name='"\\u0070\\ud83d\\ude97\\n"')
    yield "blanks", b"  " + raw(detection_oid="1005").replace(b":", b" : ") + b"\r"
    yield "a negative time", raw(detection_oid="1006", timestamp_detected="-5")


def every_line():
    with sandbox() as box, box.server() as server:
        offered = accepted = 0
        refused = {"malformed": 0, "invalid": 0}
        good = 10_000
        wrong = []
        for name, bad, verdict, says in records():
            good += 1
            status, answer = server.post(line(good) + bad + b"\n" + line(good + 50_000))
            assert status == 200, (name, status, answer)
            assert answer["received"] == 3 and answer["accepted"] == 2, (name, answer)
            reject = answer["rejects"][0]
            assert reject["line"] == 2, (name, reject)
            told = re.search(says, reject["field"] + " " + reject["cause"]) and len(reject["cause"]) > 10
            if not told or not re.fullmatch(verdict, reject["verdict"]):
                wrong.append((name, reject))
            offered, accepted = offered + 3, accepted + 2
            refused[reject["verdict"]] += 1
            # Alone, nothing is accepted, and the status says so.
            status, answer = server.post(bad + b"\n")
            assert status == 422 and answer["accepted"] == 0, (name, status, answer)
            offered += 1
            refused[reject["verdict"]] += 1
        for name, odd in taken():
            status, answer = server.post(odd + b"\n")
            assert status == 200 and answer["accepted"] == 1, (name, status, answer)
            offered, accepted = offered + 1, accepted + 1
        assert not wrong, "\n".join(map(str, wrong))
        audit = server.audit()
        assert audit["holds"] and audit["in"] == offered, (audit, offered)
        assert audit["log_records"] == accepted, (audit, accepted)
        assert {name: audit[name] for name in refused} == refused, (audit, refused)
        # The one extra field is said everywhere.
        assert audit["extra_fields"] == 1, audit
        assert server.request("GET", "/v1/status")[1]["pipelines"][0]["extra_fields"] == 1
        metrics = server.metrics()
        assert metrics['sightline_extra_fields_total{pipeline="item_counts"}'] == 1, metrics
        assert metrics['sightline_partially_late_total{pipeline="item_counts"}'] == 0, metrics
        for partition in range(8):
            of = f'{{pipeline="item_counts",partition="{partition}"}}'
            assert metrics["sightline_partition_lag_records" + of] == metrics["sightline_partition_hot" + of] == 0, metrics
            assert metrics["sightline_partition_records_per_second" + of] >= 0, metrics
        # Each refused record is there with its original, and survives a restart.
        letters = box.ask("dead-letter", "ls", "--format", "json", "-n", "1000").expect(0).json()
        assert len([letter for letter in letters if letter["reason"] in refused]) == sum(refused.values())
        server.end()
        again = box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]
        assert again["in"] == offered and again["holds"], again


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(detection, **changed):
    fields = event(detection, **changed)
    out = b""
    for number, name in enumerate(("geographical_location_oid", "video_camera_oid", "detection_oid", "item_name", "timestamp_detected"), 1):
        value = fields[name]
        if isinstance(value, str):
            value = value.encode()
        out += varint(number << 3 | 2) + varint(len(value)) + value if isinstance(value, bytes) else varint(number << 3) + varint(value)
    return out


def delimited(*messages):
    return b"".join(varint(len(one)) + one for one in messages)


def protobuf():
    good = message(1)
    cases = [
        ("a message cut off inside", good[:-3], "malformed"),
        ("a group that nobody opened", good + varint(9 << 3 | 4), "malformed"),
        ("field number 0", b"\0\1" + good, "malformed"),
        ("a varint of eleven bytes", good[:-7] + b"\x28" + b"\xff" * 10 + b"\1", "malformed"),
        ("a text that is no UTF-8", message(1, item_name=b"\xff\xfe"), "malformed|invalid"),
        ("a text for an integer", varint(3 << 3 | 2) + varint(1) + b"5" + message(1), "malformed|invalid"),
        ("an empty message", b"", "invalid"),
    ]
    with sandbox() as box, box.server() as server:
        for name, bad, verdict in cases:
            status, answer = server.post(delimited(message(7), bad, message(8)), "application/x-protobuf")
            assert status == 200 and answer["received"] == 3 and answer["accepted"] == 2, (name, status, answer)
            reject = answer["rejects"][0]
            assert reject["line"] == 2 and re.fullmatch(verdict, reject["verdict"]) and reject["cause"], (name, reject)
        # Where the lengths themselves are wrong, what follows can't be found.
        for name, body in (("a length beyond the end", varint(1000) + good), ("a length that never ends", b"\xff" * 12)):
            status, answer = server.post(body, "application/x-protobuf")
            assert status in (400, 422) and answer.get("accepted", 0) == 0, (name, status, answer)
        assert server.audit()["holds"]


def http_misuse():
    with sandbox() as box, box.server() as server:
        good = line(1)
        for name, wanted, call in (
                ("no token", 401, lambda: server.post(good, Authorization="")),
                ("another token", 401, lambda: server.post(good, Authorization="Bearer nobody")),
                ("an unknown media type", 415, lambda: server.post(good, "text/html")),
                ("an unknown encoding", 415, lambda: server.post(good, Content_Encoding="br")),
                ("bytes that are no gzip", 400, lambda: server.post(good, Content_Encoding="gzip")),
                ("bytes that are no zstd", 400, lambda: server.post(good, Content_Encoding="zstd")),
                ("an unknown dataset", 404, lambda: server.request("POST", "/v1/datasets/camera_event/events", good)),
                ("another method", 405, lambda: server.request("PUT", "/v1/datasets/camera_events/events", good)),
        ):
            status, answer = call()
            assert status == wanted, (name, status, answer)
            assert len(answer["error"]["message"]) > 10 and answer["error"]["request_id"], (name, answer)
        # One answer for one key, however often it comes; another body under the key is refused.
        first = server.post(line(5), Idempotency_Key="k")
        assert server.post(line(5), Idempotency_Key="k2")[0] == 200
        body = line(6)
        answers = [server.post(body, Idempotency_Key="k3") for _ in range(2)]
        assert answers[0][1]["accepted"] == answers[1][1]["accepted"] == 1, answers
        assert first[0] == 200 and server.post(line(7), Idempotency_Key="k")[0] == 409
        audit = server.audit()
        assert audit["holds"] and audit["in"] == 3, audit


def slow_requests():
    """What does not come within limits.requests.time_max is ended, and told why."""
    with sandbox() as box:
        box.edit("data: ./data\n", "data: ./data\nlimits: {requests: {time_max: 300ms}}\n")
        with box.server() as server:
            post = (f"POST /v1/datasets/camera_events/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
                    "Content-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n{").encode()
            for begun, says in ((post[:60], "header did not come within 300ms"), (post, "body did not come in time: nothing of it for 300ms")):
                with socket.create_connection((server.address.hostname, server.address.port), PATIENCE_S) as slow:
                    slow.sendall(begun)
                    answer = b""
                    while piece := slow.recv(65536):
                        answer += piece
                assert answer.startswith(b"HTTP/1.1 408 ") and says in answer.decode(), (begun, answer)
            assert server.post(line(1))[0] == 200


GROWN_KIB_MAX = 400 << 10


def a_line_without_end():
    """2 GB without a line feed: refused before it is there, in bounded memory."""
    with sandbox() as box, box.server() as server:
        assert server.post(line(1))[0] == 200
        before = server.status_kib("VmHWM")
        # Announced: refused by the header alone.
        connection = server.connect()
        connection.putrequest("POST", "/v1/datasets/camera_events/events")
        for name, value in (("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/x-ndjson"), ("Content-Length", str(2 << 30))):
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413 and "64" in answer.read().decode(), answer.status
        connection.close()
        # As long as a body may be: one record, and a long one.
        status, answer = server.post(b"x" * (60 << 20))
        assert status == 422 and answer["received"] == 1, (status, answer)
        # Not announced: refused on the way.
        connection = server.connect()
        connection.putrequest("POST", "/v1/datasets/camera_events/events")
        for name, value in (("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")):
            connection.putheader(name, value)
        connection.endheaders()
        piece = b"%x\r\n" % (1 << 20) + b"x" * (1 << 20) + b"\r\n"
        sent = 0
        try:
            for sent in range(2048):
                connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 1024, "it was read to the end"
        connection.close()
        grown = server.status_kib("VmHWM") - before
        assert grown < GROWN_KIB_MAX, f"the server grew by {grown} KiB"
        assert server.post(line(2))[0] == 200
        assert server.audit()["in"] == 3


def a_line_without_end_is_not_sent():
    """`sightline send` says which line it left out, without holding it."""
    with sandbox() as box, box.server():
        reader, writer = os.pipe()
        sender = subprocess.Popen([PROGRAM, "send", "-", "--data", box.data], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  cwd=box.path, env=environment())
        os.close(reader)
        with os.fdopen(writer, "wb") as into:
            into.write(line(1))
            for _ in range(2048):
                into.write(b"x" * (1 << 20))
            into.write(b"\n" + line(2))
        out, err = sender.stdout.read().decode(), sender.stderr.read().decode()
        sender.stdout.close()
        sender.stderr.close()
        _, status, usage = os.wait4(sender.pid, 0)
        sender.returncode = os.waitstatus_to_exitcode(status)
        assert sender.returncode == 1 and "line 2" in err, (sender.returncode, out, err)
        assert usage.ru_maxrss < GROWN_KIB_MAX, f"it took {usage.ru_maxrss} KiB"
        assert box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]["in"] == 2


def a_line_without_end_in_a_file():
    """`sightline run` counts it as the malformed record it is."""
    with sandbox() as box:
        with open(box.path / "huge.ndjson", "wb") as file:
            file.write(line(1))
            file.seek(2 << 30)
            file.write(b"\n" + line(2))
        run = subprocess.Popen([PROGRAM, "run", box.config, "--pipeline", "top_items", "--from", "huge.ndjson", "--to", "top.csv"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=box.path, env=environment())
        highest = 0
        while True:
            try:
                status = open(f"/proc/{run.pid}/status").read()
                highest = max(highest, int(re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)[1]))
            except (OSError, TypeError):
                pass  # it has ended
            if run.poll() is not None:
                break
            time.sleep(0.01)
        counts = json.loads(run.stdout.read().decode().splitlines()[-1])
        run.stdout.close()
        assert run.returncode == 0 and (counts["events"], counts["counted"], counts["malformed"]) == (3, 2, 1), counts
        # The file itself is mapped; what the program holds besides it is not.
        assert highest < GROWN_KIB_MAX, f"it took {highest} KiB"


def bombs():
    """4 GiB of zeros in 4 MiB of gzip, and lines that unpack to more than a body may be."""
    def member(block):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        return packer.compress(block) + packer.flush()
    with sandbox() as box, box.server() as server:
        before = server.status_kib("VmHWM")
        for block in (bytes(64 << 20), (line(1) * 400_000)[:48 << 20]):
            status, answer = server.post(member(block) * 64, Content_Encoding="gzip")
            assert status == 413, (status, answer)
            assert re.search("64|factor", answer["error"]["message"]), answer
        grown = server.status_kib("VmHWM") - before
        assert grown < GROWN_KIB_MAX, f"the server grew by {grown} KiB"
        assert server.post(member(line(3)), Content_Encoding="gzip")[0] == 200
        audit = server.audit()
        assert audit["in"] == 1, audit


def far_from_now():
    """Far ahead: a dead letter, and the watermark stays. Long past: late."""
    with sandbox() as box, box.server() as server:
        assert server.post(line(1))[0] == 200
        assert server.post(line(2, timestamp_detected=253_402_300_799_999) + line(3, timestamp_detected=0))[0] == 200
        assert server.post(line(4))[0] == 200
        audit = server.audit()
        assert audit["holds"] and (audit["counted"], audit["future"], audit["late"]) == (2, 1, 1), audit
        letters = box.ask("dead-letter", "show", "item_counts", "--format", "json").expect(0).json()
        assert {letter["reason"] for letter in letters} == {"future", "late"}
        assert all(letter["field"] == "timestamp_detected" and letter["original"] for letter in letters), letters


def a_bounded_run_over_them():
    with sandbox() as box:
        lines = [bad for _, bad, _, _ in records()]
        (box.path / "bad.ndjson").write_bytes(b"\n".join(lines) + b"\n" + line(1))
        done = box.run("run", box.config, "--pipeline", "top_items", "--from", "bad.ndjson", "--to", "top.csv").expect(0)
        counts = json.loads(done.out.splitlines()[-1])
        assert counts["events"] == len(lines) + 1 and counts["counted"] == 1, counts
        assert counts["malformed"] + counts["invalid"] == len(lines), counts
        assert len((box.path / "top.csv").read_text().splitlines()) == 2
        box.run("run", box.config, "--pipeline", "top_item", "--from", "bad.ndjson", "--to", "x.csv").expect(1, err="did you mean")
        box.run("run", box.config, "--pipeline", "top_items", "--from", "none.ndjson", "--to", "x.csv").expect(1, err="none.ndjson")
        assert not list(box.path.glob("x.csv*")), "a run that failed leaves nothing behind"
        box.run("run", box.config, "--pipeline", "top_items", "--from", "bad.ndjson", "--to", "no/such/x.csv").expect(1, err="no/such")


def cases():
    yield "every kind of bad line", every_line
    yield "Protobuf", protobuf
    yield "HTTP that is not as it should be", http_misuse
    yield "requests that come too slowly", slow_requests
    yield "a line without end is refused early", a_line_without_end
    yield "a line without end is not sent", a_line_without_end_is_not_sent
    yield "a line without end in a file", a_line_without_end_in_a_file
    yield "bombs", bombs
    yield "times far from now", far_from_now
    yield "a bounded run over all of them", a_bounded_run_over_them
