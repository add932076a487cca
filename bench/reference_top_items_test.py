#!/usr/bin/env python3
"""The independent computation on small files whose rows were worked out by hand."""
import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import reference_top_items

LOCATIONS = 'geographical_location_oid,geographical_location\n1,"Here, there"\n2,Béd\n'
HEADER = "window_start,window_end,geographical_location_oid,geographical_location,item_name,item_count,rank\n"


def event(detection, time, item="person", location=1):
    return json.dumps({"geographical_location_oid": location, "video_camera_oid": 5, "detection_oid": detection, "item_name": item,
                       "timestamp_detected": time})


class ReferenceTest(unittest.TestCase):
    def compute(self, lines):
        """(rows without the header, the counts that are not zero) of a file of these lines."""
        with tempfile.TemporaryDirectory() as folder:
            events, locations, out = (pathlib.Path(folder) / name for name in ("events", "locations", "out"))
            events.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
            locations.write_text(LOCATIONS, encoding="utf-8")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                reference_top_items.main(str(events), str(locations), str(out))
            text = out.read_bytes().decode()
        self.assertTrue(text.startswith(HEADER))
        return text.removeprefix(HEADER).splitlines(), {key: value for key, value in json.loads(printed.getvalue()).items() if value}

    def test_counts_and_ranks(self):
        rows, counts = self.compute([event(1, 0, "a"), event(2, 59_999, "b"), event(3, 59_999, "b"), event(4, 60_000, "b"), event(5, 10, "b", 9)])
        self.assertEqual(rows, ['0,60000,1,"Here, there",b,2,1', '0,60000,1,"Here, there",a,1,2', "0,60000,9,,b,1,1", '60000,120000,1,"Here, there",b,1,1'])
        self.assertEqual(counts, {"events": 5, "counted": 5, "unknown_location": 1, "results": 4})

    def test_ties_are_broken_by_bytes_of_utf8_and_ten_are_kept(self):
        items = ["é", "z", "Z", "\U0001F600", "\uffee", "aa", "a", "b", "c", "d", "e", "f"]
        rows, _ = self.compute([event(i, 0, item, 2) for i, item in enumerate(items)])
        self.assertEqual([row.split(",")[4] for row in rows], ["Z", "a", "aa", "b", "c", "d", "e", "f", "z", "é"])
        rows, _ = self.compute([event(1, 0, "\U0001F600"), event(2, 0, "\uffee")])
        self.assertEqual([row.rsplit(",", 3)[1] for row in rows], ["\uffee", "\U0001F600"])

    def test_a_window_is_closed_when_the_watermark_reaches_its_end(self):
        _, counts = self.compute([event(1, 89_999), event(2, 0), event(3, 90_000), event(4, 59_999), event(5, 60_000)])
        self.assertEqual(counts, {"events": 5, "counted": 4, "late": 1, "results": 2})

    def test_duplicates_are_judged_before_lateness_and_late_ids_are_remembered(self):
        _, counts = self.compute([event(1, 0), event(1, 0), event(2, 200_000), event(1, 0), event(3, 0), event(3, 0)])
        self.assertEqual(counts, {"events": 6, "counted": 2, "duplicates": 3, "late": 1, "results": 2})

    def test_an_id_is_new_again_after_a_day(self):
        day = 86_400_000
        _, counts = self.compute([event(1, 0), event(2, day + 29_999), event(1, day + 29_999), event(3, day + 30_000), event(1, day + 30_000)])
        self.assertEqual(counts, {"events": 5, "counted": 4, "duplicates": 1, "results": 2})

    def test_windows_before_1970_end_where_they_should(self):
        rows, _ = self.compute([event(1, -60_001), event(2, -60_000), event(3, -1)])
        self.assertEqual([row.split(",")[:2] for row in rows], [["-120000", "-60000"], ["-60000", "0"]])

    def test_what_is_malformed(self):
        good = event(1, 0)
        lines = [good[:-5], good + " x", "[]", "7", '{"a":1,"a":2}', '{"a":NaN}', '{"a":"\\ud800"}', b'{"a":"\xff"}', "[" * 100_000, '{"a":"\t"}', "\ufeff" + good]
        _, counts = self.compute(lines)
        self.assertEqual(counts, {"events": len(lines), "malformed": len(lines)})

    def test_what_breaks_the_contract(self):
        def changed(**fields):
            return json.dumps(json.loads(event(1, 0)) | fields)

        missing = json.loads(event(1, 0))
        del missing["video_camera_oid"]
        lines = [changed(detection_oid=value) for value in ("1", 1.5, 1e3, True, None, 2**63, -(2**63) - 1)] + [
            changed(item_name=value) for value in (7, None, "x" * 5001, "a\0b")] + [
            changed(timestamp_detected=value) for value in (253_402_300_800_000, -62_135_596_800_001)] + [json.dumps(missing)]
        _, counts = self.compute(lines)
        self.assertEqual(counts, {"events": len(lines), "invalid": len(lines)})

    def test_what_keeps_the_contract(self):
        lines = [json.dumps(json.loads(event(i, 0)) | fields) for i, fields in enumerate([
            {"item_name": ""}, {"item_name": "\U0001F600" * 5000}, {"extra": {"deep": [1]}}, {"video_camera_oid": 2**63 - 1}, {"geographical_location_oid": -(2**63)}])]
        lines += ["", event(99, 0) + "\r"]
        _, counts = self.compute(lines)
        self.assertEqual((counts["events"], counts["counted"]), (6, 6))


if __name__ == "__main__":
    unittest.main()
