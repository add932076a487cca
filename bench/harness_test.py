#!/usr/bin/env python3
"""The arithmetic and the honesty of the benchmark: medians, worst samples, verdicts, and what happens when rows differ."""
import os
import pathlib
import string
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import harness  # noqa: E402
import report  # noqa: E402
import server  # noqa: E402


def figure(**more):
    return harness.Figure("f", "a figure", "times as fast", 2, 4, True, of=harness.speed_ratio, **more)


class HarnessTest(unittest.TestCase):
    def test_ratio_is_of_the_medians_and_worst_takes_our_slowest(self):
        ratio = figure(samples=[1, 3, 2], peer_samples=[10, 6, 8])
        self.assertEqual(ratio.value(), 4)
        self.assertAlmostEqual(ratio.worst(), 8 / 3)
        self.assertEqual(ratio.verdict(), "aim")

    def test_verdicts(self):
        self.assertEqual(figure(samples=[3], peer_samples=[6]).verdict(), "ok")
        self.assertEqual(figure(samples=[3], peer_samples=[5]).verdict(), "below")
        self.assertEqual(figure(missing="no peer").verdict(), "not measured")
        self.assertEqual(figure(samples=[3], peer_samples=[60], failed="rows differ").verdict(), "FAILED")

    def test_a_bound_from_above(self):
        size = harness.Figure("f", "bytes an id", "bytes", 24, 12, False, samples=[10, 30, 20])
        self.assertEqual((size.value(), size.worst(), size.verdict()), (20, 30, "ok"))

    def test_measures_take_turns(self):
        order = []
        samples = harness.in_turns(3, lambda: order.append("ours") or 1, lambda: order.append("peer") or 2)
        self.assertEqual(order, ["ours", "peer"] * 3)
        self.assertEqual(samples, [[1, 1, 1], [2, 2, 2]])

    def test_files_that_differ_are_told_with_their_first_difference(self):
        with tempfile.TemporaryDirectory() as folder:
            bench = harness.Bench(pathlib.Path(folder), 1, 1, 1, pathlib.Path(folder))
            a, b, c = (pathlib.Path(folder) / name for name in "abc")
            a.write_text("same\none\n")
            b.write_text("same\ntwo\n")
            c.write_text("same\none\nmore\n")
            bench.require_same("itself", a, a)
            with self.assertRaisesRegex(harness.Different, "line 2 is 'one', expected 'two'"):
                bench.require_same("ours", a, b)
            with self.assertRaisesRegex(harness.Different, "more than the 2 lines"):
                bench.require_same("ours", a, c)
            with self.assertRaisesRegex(harness.Missing, "not built"):
                bench.program

    def test_a_program_that_fails_is_an_error_with_its_words(self):
        with tempfile.TemporaryDirectory() as folder:
            bench = harness.Bench(pathlib.Path(folder), 1, 1, 1, pathlib.Path(folder))
            with self.assertRaisesRegex(RuntimeError, "ended with 3: said why"):
                bench.run(["sh", "-c", "echo said why >&2; exit 3"], bench.cores(1))
            self.assertEqual(bench.run(["echo", "fine"], bench.cores(1)).stdout, "fine\n")

    def test_what_takes_too_long_is_ended_with_all_that_it_started(self):
        with tempfile.TemporaryDirectory() as folder:
            bench = harness.Bench(pathlib.Path(folder), 1, 1, 1, pathlib.Path(folder))
            child = pathlib.Path(folder) / "child"
            with self.assertRaisesRegex(RuntimeError, "not done after 1 s"):
                bench.run(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], bench.cores(1), seconds_max=1)
            stat = pathlib.Path(f"/proc/{child.read_text().strip()}/stat")
            deadline = time.monotonic() + 10
            while stat.exists() and stat.read_text().split()[2] != "Z" and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertTrue(not stat.exists() or stat.read_text().split()[2] == "Z")

    def test_the_shipped_preset_is_changed_in_places_ports_and_durability_alone(self):
        text = string.Template(server.shipped_preset("interval")).substitute(data="/d", http=1, health=2, preset="/p")
        shipped = (harness.PRESET / "sightline.yaml").read_text().splitlines()
        changed = [line.strip() for line in text.splitlines() if line not in shipped]
        self.assertEqual(changed, ["data: /d", "listen: {http: 127.0.0.1:1, health: 127.0.0.1:2}", "bus: {type: log, durability: interval}",
                                   "contract: /p/contracts/camera_events.odcs.yaml", "contract: /p/contracts/locations.odcs.yaml",
                                   "from: /p/references/locations.csv"])

    def test_quick_figures_go_nowhere(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.md"
            done = subprocess.run([sys.executable, str(harness.HERE / "run"), "--quick", "--out", str(page), "dedupe"], capture_output=True, text=True,
                                  env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("not written", done.stderr)
            self.assertFalse(page.exists())

    def test_the_page_tells_what_was_not_measured_and_never_shows_a_failed_ratio(self):
        with tempfile.TemporaryDirectory() as folder:
            bench = harness.Bench(pathlib.Path(folder), 5, 7, 5, pathlib.Path(folder))
            page = report.page([figure(missing="Flink is not there"), figure(samples=[1], peer_samples=[8], failed="rows differ")], bench, 0.1, [])
        self.assertIn("not measured: Flink is not there", page)
        self.assertIn("failed: rows differ", page)
        self.assertNotIn("**8**", page)


if __name__ == "__main__":
    unittest.main()
