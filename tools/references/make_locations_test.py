#!/usr/bin/env python3
"""The checked-in Dataset B is what make_locations.py writes, and holds what the preset and the dashboard rely on."""
import csv
import io
import math
import unittest
from collections import Counter
from pathlib import Path

import make_locations

TABLE = Path(__file__).resolve().parents[2] / "presets/top-items/references/locations.csv"


class LocationsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bytes = TABLE.read_bytes()
        cls.rows = list(csv.DictReader(io.StringIO(cls.bytes.decode("utf-8"), newline="")))

    def test_file_is_what_the_program_writes(self):
        self.assertEqual(self.bytes, make_locations.table())

    def test_keys_are_0_to_999_in_order_and_names_are_unique(self):
        self.assertEqual([row["geographical_location_oid"] for row in self.rows], [str(oid) for oid in range(1000)])
        self.assertEqual(len({row["geographical_location"] for row in self.rows}), 1000)

    def test_no_two_posts_stand_in_one_place(self):
        self.assertEqual(len({(row["latitude"], row["longitude"]) for row in self.rows}), 1000)

    def test_all_posts_are_in_singapore(self):
        for row in self.rows:
            self.assertTrue(1.2 <= float(row["latitude"]) <= 1.47, row)
            self.assertTrue(103.6 <= float(row["longitude"]) <= 104.05, row)

    def test_every_planning_area_has_posts_near_its_centre(self):
        areas = {area.name: area for area in make_locations.AREAS}
        self.assertEqual(len(areas), 55)
        counts = Counter(row["planning_area"] for row in self.rows)
        self.assertEqual(set(counts), set(areas))
        self.assertGreaterEqual(min(counts.values()), make_locations.POSTS_PER_AREA_MIN)
        self.assertGreater(counts["Bedok"], 3 * counts["Lim Chu Kang"])
        for row in self.rows:
            area = areas[row["planning_area"]]
            away_km = 111.195 * math.hypot(float(row["latitude"]) - area.latitude, float(row["longitude"]) - area.longitude)
            # Islands lie farther from the centre of their group than any post of a town does.
            self.assertLess(away_km, 2 * math.sqrt(area.km2 / math.pi), row)


if __name__ == "__main__":
    unittest.main()
