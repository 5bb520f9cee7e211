"""Builds `geolocate/data/map/world.json`: the land and the borders below the photos of a map report.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/build_world_map.py package/countries-50m.json

Input: world-atlas, countries of Natural Earth 1:50m as TopoJSON, public domain (the package: ISC licence).

What comes out is simpler than TopoJSON. Arcs are runs of whole numbers, x and y in turn, units of `unit`
degrees, each but the first pair relative to the one before; they may leave -180 to 180, so that none jumps.
Countries are rings of arcs (~i is arc i backwards), all of one fill: holes are drawn even-odd. The same input
gives the same bytes.
"""

from __future__ import annotations

import argparse
import heapq
import json
from hashlib import sha256
from math import cos, radians
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA_PATH = Path(__file__).resolve().parent.parent / "geolocate" / "data" / "map" / "world.json"
INPUT_SHA256 = "04342cdc1e3016bcd7db1630de95684d67b79fe3c8c460321e87aef469502394"
MAX_BYTES = 300_000
#: Degrees in one unit: some 1.1 km.
UNIT = 0.01
#: A point goes where the triangle with its neighbours is smaller than this (square degrees of the equator).
SIMPLIFIED_AREA = 0.003
#: Islands smaller than this (square degrees) go, but for the largest of each country.
ISLAND_AREA = 0.004

Points = NDArray[np.float64]


def unwrapped_arcs(topology: dict[str, Any]) -> list[Points]:
    """Arcs (n, 2) in degrees, longitude first, that go on beyond 180 instead of jumping."""
    scale, origin = np.array(topology["transform"]["scale"]), np.array(topology["transform"]["translate"])
    arcs = []
    for arc in topology["arcs"]:
        points = np.cumsum(np.array(arc), axis=0) * scale + origin
        points[:, 0] = np.unwrap(points[:, 0], period=360.0)
        arcs.append(points)
    return arcs


def simplified(points: Points) -> Points:
    """Without the points that matter least, ends kept (Visvalingam & Whyatt 1993, by effective area)."""
    count = len(points)
    shrink = cos(radians(float(points[:, 1].mean())))
    before, after = list(range(-1, count - 1)), list(range(1, count + 1))

    def area(i: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = points[before[i]], points[i], points[after[i]]
        return float(abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay))) / 2 * shrink

    heap = [(area(i), i) for i in range(1, count - 1)]
    heapq.heapify(heap)
    areas = {i: a for a, i in heap}
    left = count
    least = 4 if np.array_equal(points[0], points[-1]) else 2  # a ring stays one
    while heap and left > least:
        smallest, i = heapq.heappop(heap)
        if areas.get(i) != smallest:
            continue
        if smallest > SIMPLIFIED_AREA:
            break
        del areas[i]
        left -= 1
        after[before[i]], before[after[i]] = after[i], before[i]
        for neighbour in (before[i], after[i]):
            if neighbour in areas:
                areas[neighbour] = max(area(neighbour), smallest)
                heapq.heappush(heap, (areas[neighbour], neighbour))
    kept, i = [0], after[0]
    while i < count:
        kept.append(i)
        i = after[i]
    return points[kept]


def ring_points(ring: list[int], arcs: list[Points]) -> Points:
    """A ring (n, 2), in one piece beyond 180 degrees; one round a pole is closed through the pole."""
    parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in ring]
    points = np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
    points[:, 0] = np.unwrap(points[:, 0], period=360.0)
    if abs(points[-1, 0] - points[0, 0]) > 180:
        pole = np.copysign(90.0, points[:, 1].mean())
        points = np.concatenate([points, [[points[-1, 0], pole], [points[0, 0], pole]], points[:1]])
    return points


def size_and_centre(points: Points) -> tuple[float, float, float]:
    """Area in square degrees of the equator, and the centroid: longitude, latitude."""
    origin = points.mean(axis=0)
    x, y = (points - origin).T
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    signed = cross.sum() / 2
    if abs(signed) < 1e-9:
        return 0.0, *map(float, origin)  # type: ignore[return-value]
    centre = np.array([((v[:-1] + v[1:]) * cross).sum() for v in (x, y)]) / (6 * signed) + origin
    return abs(signed) * cos(radians(float(origin[1]))), float(centre[0]), float(centre[1])


def at_pole(ring: list[int], arcs: list[Points]) -> bool:
    """Whether a ring is the South Pole and nothing else: Antarctica's, on flat maps."""
    return all(arcs[i if i >= 0 else ~i][:, 1].max() < -89.9 for i in ring)


def build(topology: dict[str, Any]) -> dict[str, Any]:
    """The data that `world.js` draws."""
    full = unwrapped_arcs(topology)
    arcs = [simplified(arc) for arc in full]
    used: dict[int, int] = {}
    countries = []

    def own(index: int) -> int:
        place = used.setdefault(index if index >= 0 else ~index, len(used))
        return place if index >= 0 else ~place

    for geometry in topology["objects"]["countries"]["geometries"]:
        polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
        polygons = [[ring for ring in rings if not at_pole(ring, full)] for rings in polygons]
        sizes = [size_and_centre(ring_points(polygon[0], arcs)) for polygon in polygons]
        largest = max(range(len(sizes)), key=lambda i: sizes[i][0])
        rings = [
            [own(index) for index in ring]
            for position, polygon in enumerate(polygons)
            for hole, ring in enumerate(polygon)
            if position == largest or sizes[position][0] > ISLAND_AREA
            if not hole or size_and_centre(ring_points(ring, arcs))[0] > ISLAND_AREA
        ]
        outline = ring_points(polygons[largest][0], arcs)
        _, longitude, latitude = sizes[largest]
        countries.append(
            {
                "name": geometry["properties"]["name"],
                "label": [round((longitude + 180) % 360 - 180, 1), round(latitude, 1)],
                "width": round(float(np.ptp(outline[:, 0])), 1),
                "rings": rings,
            }
        )
    written: list[list[int]] = [[] for _ in used]
    for index, place in used.items():
        units = np.rint(arcs[index] / UNIT).astype(np.int64)
        moves = np.diff(units, axis=0)
        moves = moves[moves.any(axis=1)]
        written[place] = np.concatenate([units[:1], moves]).ravel().tolist()
    return {"unit": UNIT, "arcs": written, "countries": countries}


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("countries", type=Path, help="countries-50m.json of world-atlas 2.0.2")
    data = parser.parse_args().countries.read_bytes()
    if sha256(data).hexdigest() != INPUT_SHA256:
        raise SystemExit("that is not countries-50m.json of world-atlas 2.0.2")
    world = json.dumps(build(json.loads(data)), ensure_ascii=False, separators=(",", ":")) + "\n"
    if len(world.encode()) > MAX_BYTES:
        raise SystemExit(f"{len(world.encode()):,} bytes are more than {MAX_BYTES:,}")
    DATA_PATH.write_text(world, encoding="utf-8")
    print(f"{DATA_PATH}: {len(world.encode()):,} bytes")


if __name__ == "__main__":
    main()
