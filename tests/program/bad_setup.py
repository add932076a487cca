"""Configurations, references, directories and ports that are not as they should be."""
import os
import pathlib
import re
import socket
import subprocess
import time

from harness import PATIENCE_S, PROGRAM, environment, line, sandbox


def mistakes():
    """(name, old text, new text, what is said behind file:line:column)."""
    yield "an unknown key", "    partitions: 8", "    partition: 8", r'partition\b.*did you mean "?partitions'
    yield "an unknown section", "references:\n", "reference:\n", r"did you mean \"?references"
    yield "a duration without unit", "out_of_orderness: 30s", "out_of_orderness: 30", "unit"
    yield "a wrong unit", "idle_after: 10s", "idle_after: 10 parsecs", "parsecs|duration|unit"
    yield "a size for a duration", "allowed_lateness: 0s", "allowed_lateness: 5MiB", "duration|unit"
    yield "a duration for a size", "bytes: 50GiB", "bytes: 50s", "size|unit"
    yield "a number out of bounds", "    partitions: 8", "    partitions: 0", "1"
    yield "a text for a number", "    partitions: 8", "    partitions: many", "number"
    yield "a wrong choice", "durability: fsync", "durability: fsyn", "did you mean \"?fsync"
    yield "a key that stands twice", "data: ./data\n", "data: ./data\ndata: ./other\n", "twice|already|second"
    yield "a missing key", "    partition_by: geographical_location_oid\n", "", "partition_by"
    yield "a missing contract", "contracts/camera_events.odcs.yaml", "contracts/none.odcs.yaml", "there is no file"
    yield "an unknown step", "      - dedupe:", "      - dedup:", "did you mean \"?dedupe"
    yield "an unknown field", "by: [detection_oid]", "by: [detection_od]", "detection_od"
    yield "an unknown column", "by: item_count, top", "by: item_cont, top", "did you mean item_count"
    yield "an unknown reference", "with: locations", "with: location", "locations"
    yield "an unknown source", "from: item_counts\n    steps:\n      - rank", "from: item_count\n    steps:\n      - rank", "item_counts"
    yield "an unknown function", "item_count: count()", "item_count: cnt()", "count"
    yield "a reserved name", "item_count: count()", "window_end: count()", "window_end of its own; choose another name, such as item_window_end"
    yield "YAML that is none", "datasets:\n", "datasets: [\n", ""
    yield "a tab", "    partitions: 8", "\tpartitions: 8", ""


def configurations():
    for name, old, new, says in mistakes():
        with sandbox() as box:
            box.edit(old, new)
            checked = box.run("check", box.config)
            place = re.search(r"^\S+\.yaml:(\d+):(\d+): .*$", checked.out, re.MULTILINE)
            assert checked.status == 1 and place, (name, checked)
            assert re.search(says, checked.out), (name, says, checked)
            rows = box.run("check", box.config, "--format", "json").expect(1).json()
            assert rows and all(row["what"] for row in rows), (name, rows)
            # The server does not start on it, and says the same place.
            up = box.run("up", box.config, "--data", box.data)
            assert up.status == 1 and place[0].split(": ")[0].split("/")[-1] in up.err, (name, up)
            assert not box.data.exists(), name


def several_mistakes_at_once():
    with sandbox() as box:
        box.edit("idle_after: 10s", "idle_after: 10")
        box.edit("    partitions: 8", "    partition: 8")
        assert len(box.run("check", box.config, "--format", "json").expect(1).json()) >= 2
        box.run("check", box.path / "none.yaml").expect(1, out="none.yaml")


def references():
    with sandbox() as box:
        table = box.config.parent / "references/locations.csv"
        text = table.read_text()
        rows = text.splitlines()
        for name, broken, says in (("a key that stands twice", text + rows[5] + "\n", r"locations\.csv.*\b4\b"),
                                   ("a key that is no number", text.replace(rows[3], "x" + rows[3]), r"locations\.csv: row 3 \(line 4\)"),
                                   ("a row too short", text + "7\n", r"locations\.csv: .*Row #1002: Expected 5 columns, got 1"),
                                   ("a missing column", text.replace("geographical_location_oid", "oid", 1), "geographical_location_oid")):
            table.write_text(broken)
            up = box.run("up", box.config, "--data", box.data)
            assert up.status == 1 and re.search(says, up.err) and "locations" in up.err, (name, says, up)
            doctor = box.run("doctor", box.config, "--data", box.data, "--format", "json").expect(1).json()
            assert any(row["check"] == "reference locations" and row["state"] == "problem" for row in doctor), (name, doctor)
        table.write_text(text)
        with box.server() as server:
            def in_effect():
                return server.request("GET", "/v1/references")[1]["references"][0]
            before = in_effect()
            table.write_text(text + rows[5] + "\n")
            status, answer = server.request("POST", "/v1/references/locations/reload")
            assert 400 <= status < 500 and "locations.csv" in answer["error"]["message"], (status, answer)
            assert in_effect() == before and before["rows"] == len(rows) - 1, "the version in effect stays"
            # The same rows are no new version; others are, from then on.
            table.write_text(text)
            assert server.request("POST", "/v1/references/locations/reload") == (200, before)
            table.write_text("\n".join(rows[:-1]) + "\n")
            status, answer = server.request("POST", "/v1/references/locations/reload")
            assert status == 200 and answer == in_effect(), (status, answer)
            assert (answer["version"], answer["rows"]) == (before["version"] + 1, before["rows"] - 1), (before, answer)
            assert before["loaded_at"] < answer["loaded_at"] <= time.time() * 1000, (before, answer)


def directories():
    with sandbox() as box:
        (box.path / "file").write_text("x")
        for data in (box.path / "file/data", pathlib.Path("/proc/sightline"), box.path / "file"):
            up = box.run("up", box.config, "--data", data)
            assert up.status == 1 and str(data) in up.err, (data, up)
            doctor = box.run("doctor", box.config, "--data", data, "--format", "json").expect(1).json()
            assert any(row["check"] == "data directory" and row["state"] == "problem" and row["remedy"] for row in doctor), (data, doctor)


def unwritable_directory():
    """Root writes everywhere, unless it gives that right up."""
    with sandbox() as box:
        prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        box.data.mkdir()
        box.data.chmod(0o555)
        try:
            for arguments, says in ((["up", box.config], "[Pp]ermission"), (["doctor", box.config], "problem +data directory")):
                done = subprocess.run([*prefix, PROGRAM, *arguments, "--data", box.data], env=environment(), capture_output=True, text=True,
                                      timeout=PATIENCE_S, check=False, cwd=box.path)
                text = done.stdout + done.stderr
                assert done.returncode == 1 and str(box.data) in text and re.search(says, text), done
        finally:
            box.data.chmod(0o755)


def ports():
    with socket.socket() as taken, sandbox() as box:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        box.edit("http: 127.0.0.1:0", f"http: 127.0.0.1:{port}")
        box.run("up", box.config, "--data", box.data).expect(1, err=[str(port), "in use"])
        box.run("doctor", box.config, "--data", box.data).expect(1, out=[f"problem +listen.http +127.0.0.1:{port}", "-> find who holds it"])
        # Another's port does not make two servers of one directory.
        box.edit(f"http: 127.0.0.1:{port}", "http: 10.255.255.1:0")
        box.run("up", box.config, "--data", box.data).expect(1, err="listen.tls and access.tokens")


def two_servers():
    with sandbox() as box, box.server() as first:
        assert first.post(line(1))[0] == 200
        second = box.run("up", box.config, "--data", box.data)
        second.expect(1, err=["in use by process " + str(first.process.pid), "stop it, or use another data directory"])
        assert first.post(line(2))[0] == 200
        assert first.audit()["in"] == 2
        assert first.end() == 0
        assert box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]["in"] == 2


def nobody_answers():
    """Server files that lead nowhere."""
    with sandbox() as box:
        events = box.path / "events.ndjson"
        events.write_bytes(line(1))
        box.ask("send", events).expect(1, err=["no server runs on", "sightline up --data"])
        box.ask("topic", "ls").expect(1, err="there is no data directory")
        with box.server() as server:
            box.ask("topic", "ls", env={"SIGHTLINE_TOKEN": "wrong"}).expect(1, err=["token is not known", "set SIGHTLINE_TOKEN"])
            box.ask("send", events, env={"SIGHTLINE_TOKEN": "wrong"}).expect(1, err="token is not known")
            box.ask("send", events).expect(0)
            told = (box.data / "server.json").read_bytes()
            server.end()
        assert not (box.data / "server.json").exists()
        # A killed server's file whose process id is somebody's, who does not answer there.
        (box.data / "server.json").write_bytes(re.sub(rb'"pid":\d+', b'"pid":%d' % os.getpid(), told))
        box.ask("topic", "ls").expect(0, out="camera_events")
        box.ask("send", events, "--retry-for", "1s").expect(1, err="no server answers at")
        box.ask("send", events, "--to", "http://127.0.0.1:1", "--retry-for", "1s").expect(1, err="no server answers at http://127.0.0.1:1")
        box.ask("send", events, "--to", "127.0.0.1:1").expect(1, err="write http://HOST:PORT")
        (box.data / "server.json").write_bytes(b"{}")
        box.ask("topic", "ls").expect(1, err="remove it if no server runs")


def cases():
    yield "mistakes in a configuration", configurations
    yield "several mistakes at once", several_mistakes_at_once
    yield "references", references
    yield "directories that can't be", directories
    yield "a directory that can't be written to", unwritable_directory
    yield "a port in use", ports
    yield "two servers on one directory", two_servers
    yield "nobody answers", nobody_answers
