"""What `sightline run` writes: the same rows as CSV, NDJSON and Parquet."""
import csv
import io
import json

from harness import event, sandbox

MINUTE = 1_700_000_040_000  # the beginning of one
CONTRACT = """apiVersion: v3.2.0
kind: DataContract
id: rows
name: rows
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties:
      - {name: item_name, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: window_start, logicalType: integer, physicalType: int64, required: true}
      - {name: window_end, logicalType: integer, physicalType: int64, required: true}
      - {name: geographical_location_oid, logicalType: integer, physicalType: int64, required: true}
      - {name: geographical_location, logicalType: string}
      - {name: item_count, logicalType: integer, physicalType: int64, required: true}
      - {name: rank, logicalType: integer, physicalType: int64, required: true}
"""


def events():
    """Each item at one location only, so that its name is a key of the rows; some names are hard to write, one location is unknown."""
    names = ["plain", 'with "quotes", and a comma', "two\nlines", "人🚗", " blanks ", "ends in \\"] + [f"item {i}" for i in range(60)]
    detection = 0
    for i, name in enumerate(names):
        for _ in range(1 + i % 4):
            detection += 1
            location = 5000 if i % 7 == 0 else i % 12
            yield json.dumps(event(detection, item_name=name, geographical_location_oid=location, video_camera_oid=location * 10,
                                   timestamp_detected=MINUTE + detection))


def texts(rows, columns):
    """Rows as tuples of texts in one order; what has no value is empty."""
    return sorted(tuple("" if row[name] is None else str(row[name]) for name in columns) for row in rows)


def every_form():
    with sandbox() as box:
        (box.path / "events.ndjson").write_text("\n".join(events()) + "\n")
        for form in ("csv", "ndjson", "parquet"):
            done = box.run("run", box.config, "--pipeline", "top_items", "--from", "events.ndjson", "--to", f"top.{form}").expect(0)
            counts = json.loads(done.out.splitlines()[-1])
        text = (box.path / "top.csv").read_text()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        columns = list(rows[0])
        assert columns == ["window_start", "window_end", "geographical_location_oid", "geographical_location", "item_name", "item_count", "rank"]
        assert "\r" not in text and len(rows) == counts["results"] == 66, (len(rows), counts)
        assert {row["geographical_location"] == "" for row in rows if row["geographical_location_oid"] == "5000"} == {True}
        wanted = texts(rows, columns)
        lines = [json.loads(row) for row in (box.path / "top.ndjson").read_text().splitlines()]
        assert [list(row) for row in lines] == [columns] * len(rows)
        assert texts(lines, columns) == wanted
        # Parquet is read back by the program itself: the three files as three references, whose rows a server shows.
        (box.path / "rows.odcs.yaml").write_text(CONTRACT)
        with open(box.path / "top2.ndjson", "w") as file:
            for row in lines:  # identifiers are texts in answers, and integers in what is read
                file.write(json.dumps(row | {"geographical_location_oid": int(row["geographical_location_oid"])}) + "\n")
        forms = {"as_csv": "top.csv", "as_ndjson": "top2.ndjson", "as_parquet": "top.parquet"}
        box.edit("references:\n", "references:\n" + "".join(
            f"  {name}: {{contract: {box.path}/rows.odcs.yaml, from: {box.path}/{file}, key: item_name}}\n" for name, file in forms.items()))
        with box.server() as server:
            for name in forms:
                status, answer = server.request("GET", f"/v1/references/{name}")
                assert status == 200 and texts(answer["rows"], columns) == wanted, (name, status, answer)


def cases():
    yield "the rows in every form", every_form
