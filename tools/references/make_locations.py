#!/usr/bin/env python3
"""Writes Dataset B of the preset top-items: the posts where cameras stand.

    make_locations.py FILE          write the table
    make_locations.py --check FILE  say whether FILE is what this program writes (exit status 1 if not)

1,000 posts, geographical_location_oid 0 to 999, in Singapore's 55 planning areas (Urban Redevelopment Authority, Master Plan 2019).
Areas and their centres are real. The posts are invented: a few dozen in a busy area, four in a nature reserve, spread evenly at random
over land around the centre, in a disc whose radius is in proportion to the root of the area's size.

The table is the same on every machine: random.Random.random() is stable across Python versions, and no other source of chance is used.
"""
import csv
import io
import math
import random
import sys
from pathlib import Path
from typing import NamedTuple

POSTS = 1000
POSTS_PER_AREA_MIN = 4
# Of the radius of a circle as large as the area. Areas are no circles: beyond this, posts would fall into the neighbour's area or the sea.
SPREAD = 0.58
CANDIDATES_PER_POST = 24
METRES_PER_DEGREE = 111_195.0


class Disc(NamedTuple):
    latitude: float
    longitude: float
    radius_m: float


class Area(NamedTuple):
    name: str
    latitude: float
    longitude: float
    km2: float
    weight: float  # how busy: residents (2020, thousands) plus an allowance for offices, shops, ports and airports
    land: tuple = ()  # where the disc around the centre would reach the sea: the discs to use instead


AREAS = (
    Area("Ang Mo Kio", 1.3700, 103.8470, 13.94, 162),
    Area("Bedok", 1.3270, 103.9310, 21.69, 277),
    Area("Bishan", 1.3520, 103.8470, 7.62, 87),
    Area("Boon Lay", 1.3130, 103.7050, 8.23, 20),
    Area("Bukit Batok", 1.3550, 103.7550, 11.13, 158),
    Area("Bukit Merah", 1.2790, 103.8200, 14.34, 151),
    Area("Bukit Panjang", 1.3790, 103.7690, 8.99, 138),
    Area("Bukit Timah", 1.3320, 103.7910, 17.53, 78),
    Area("Central Water Catchment", 1.3760, 103.8030, 37.15, 0),
    Area("Changi", 1.3490, 103.9930, 40.61, 90),
    Area("Changi Bay", 1.3270, 104.0280, 1.70, 0),
    Area("Choa Chu Kang", 1.3850, 103.7450, 6.11, 192),
    Area("Clementi", 1.3160, 103.7640, 9.49, 92),
    Area("Downtown Core", 1.2860, 103.8530, 4.34, 200, ((1.2800, 103.8500, 480), (1.2935, 103.8580, 420), (1.3010, 103.8600, 260))),
    Area("Geylang", 1.3190, 103.8870, 9.64, 110),
    Area("Hougang", 1.3710, 103.8880, 13.93, 228),
    Area("Jurong East", 1.3290, 103.7380, 17.83, 110),
    Area("Jurong West", 1.3450, 103.7050, 14.69, 263),
    Area("Kallang", 1.3120, 103.8660, 9.17, 101),
    Area("Lim Chu Kang", 1.4290, 103.7080, 17.30, 1),
    Area("Mandai", 1.4150, 103.8020, 11.77, 8),
    Area("Marina East", 1.2890, 103.8740, 1.82, 2),
    Area("Marina South", 1.2800, 103.8640, 1.62, 25),
    Area("Marine Parade", 1.3040, 103.9050, 6.12, 46, ((1.3055, 103.9050, 560),)),
    Area("Museum", 1.2965, 103.8480, 0.83, 30),
    Area("Newton", 1.3120, 103.8370, 2.07, 8),
    Area("North-Eastern Islands", 1.4080, 104.0060, 42.88, 1, ((1.4105, 103.9600, 1000), (1.4070, 104.0380, 1000))),
    Area("Novena", 1.3240, 103.8370, 8.98, 49),
    Area("Orchard", 1.3035, 103.8330, 0.96, 110),
    Area("Outram", 1.2815, 103.8400, 1.37, 30),
    Area("Pasir Ris", 1.3730, 103.9490, 15.02, 147),
    Area("Paya Lebar", 1.3590, 103.9120, 11.69, 8),
    Area("Pioneer", 1.3200, 103.6830, 12.10, 15),
    Area("Punggol", 1.4040, 103.9060, 9.34, 174, ((1.4020, 103.9070, 900),)),
    Area("Queenstown", 1.2940, 103.7840, 20.43, 120),
    Area("River Valley", 1.2960, 103.8340, 1.48, 10),
    Area("Rochor", 1.3040, 103.8540, 1.62, 50),
    Area("Seletar", 1.4090, 103.8720, 10.25, 10, ((1.4090, 103.8690, 850),)),
    Area("Sembawang", 1.4490, 103.8200, 12.34, 103),
    Area("Sengkang", 1.3915, 103.8950, 10.59, 249),
    Area("Serangoon", 1.3610, 103.8690, 10.10, 117),
    Area("Simpang", 1.4430, 103.8480, 5.13, 0, ((1.4415, 103.8470, 550),)),
    Area("Singapore River", 1.2890, 103.8410, 0.96, 30),
    Area("Southern Islands", 1.2480, 103.8300, 6.07, 25, ((1.2490, 103.8300, 480), (1.2525, 103.8200, 320))),
    Area("Straits View", 1.2690, 103.8590, 0.80, 4),
    Area("Sungei Kadut", 1.4150, 103.7490, 15.99, 8),
    Area("Tampines", 1.3510, 103.9440, 20.89, 260),
    Area("Tanglin", 1.3070, 103.8160, 7.63, 22),
    Area("Tengah", 1.3650, 103.7260, 7.40, 6),
    Area("Toa Payoh", 1.3360, 103.8560, 8.17, 122),
    Area("Tuas", 1.2950, 103.6300, 30.04, 30, ((1.3160, 103.6440, 1300), (1.2870, 103.6260, 1000))),
    Area("Western Islands", 1.2640, 103.6970, 39.47, 20, ((1.2660, 103.6960, 1900),)),
    Area("Western Water Catchment", 1.3870, 103.6920, 69.46, 2),
    Area("Woodlands", 1.4370, 103.7870, 13.59, 255),
    Area("Yishun", 1.4210, 103.8370, 21.24, 222),
)


def posts_per_area():
    """How many posts each area has: the minimum, and the rest by the root of the weight (a dense town needs fewer posts a head).

    Whole numbers by largest remainder, so that the sum is exact."""
    free = POSTS - POSTS_PER_AREA_MIN * len(AREAS)
    roots = [math.sqrt(area.weight) for area in AREAS]
    shares = [free * root / sum(roots) for root in roots]
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(AREAS)), key=lambda i: (counts[i] - shares[i], AREAS[i].name))
    for i in by_remainder[: free - sum(counts)]:
        counts[i] += 1
    return [POSTS_PER_AREA_MIN + count for count in counts]


def land_of(area):
    if area.land:
        return [Disc(*disc) for disc in area.land]
    return [Disc(area.latitude, area.longitude, SPREAD * 1000 * math.sqrt(area.km2 / math.pi))]


def distance2(a, b):
    """Square of the distance in degrees; so near the equator a degree of longitude is as long as one of latitude (to 0.03 %)."""
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def scatter(area, count):
    """`count` places on the area's land: of some random candidates always the one farthest from all former places (Mitchell's best candidate)."""
    chance = random.Random(f"sightline {area.name}")
    discs = land_of(area)
    surface = [disc.radius_m**2 for disc in discs]
    places = []
    for _ in range(count):
        best, best_gap = None, -1.0
        for _ in range(CANDIDATES_PER_POST):
            pick = chance.random() * sum(surface)
            disc = discs[0]
            for disc, size in zip(discs, surface):
                pick -= size
                if pick < 0:
                    break
            radius = disc.radius_m * math.sqrt(chance.random()) / METRES_PER_DEGREE
            angle = 2 * math.pi * chance.random()
            candidate = (round(disc.latitude + radius * math.sin(angle), 5), round(disc.longitude + radius * math.cos(angle), 5))
            gap = min((distance2(candidate, place) for place in places), default=math.inf)
            if gap > best_gap:
                best, best_gap = candidate, gap
        places.append(best)
    return places


def rows():
    """The table without its header. Neighbouring oids are in different areas, so that any first few oids cover the whole island."""
    posts = []
    for area, count in zip(AREAS, posts_per_area()):
        for number, (latitude, longitude) in enumerate(scatter(area, count), start=1):
            turn = (number - 0.5) / count
            posts.append((turn, area.name, f"{area.name} · Post {number:02d}", latitude, longitude))
    posts.sort()
    return [(oid, name, f"{latitude:.5f}", f"{longitude:.5f}", area) for oid, (_, area, name, latitude, longitude) in enumerate(posts)]


def table():
    """The whole file as bytes: RFC 4180 with line feeds, UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("geographical_location_oid", "geographical_location", "latitude", "longitude", "planning_area"))
    writer.writerows(rows())
    return text.getvalue().encode()


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--check":
        path = Path(arguments[1])
        if path.read_bytes() == table():
            return 0
        print(f"{path} is not what this program writes. Run: {sys.argv[0]} {path}", file=sys.stderr)
        return 1
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        Path(arguments[0]).write_bytes(table())
        return 0
    print(__doc__, file=sys.stderr)
    return 0 if arguments in (["-h"], ["--help"]) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
