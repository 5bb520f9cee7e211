"""How fast the offline place index is, against looking at every place; prints ratios of one run.

    python benchmarks/places.py [--points N] [--brute N]

Goals: the index loads in under 100 ms; 10,000 look-ups take under 2 s.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from geolocate.places import PlaceIndex
from geolocate.records import Position
from geolocate.sphere import unit_vectors


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def globe(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Degrees (count, 2), even over the globe: seven in ten at sea."""
    vectors = random.normal(size=(count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    radians = np.stack([np.arcsin(vectors[:, 2]), np.arctan2(vectors[:, 1], vectors[:, 0])], axis=1)
    degrees: NDArray[np.float64] = np.degrees(radians)
    return degrees


def settled(index: PlaceIndex, count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Degrees (count, 2), some kilometres round places: where photos are taken."""
    rows = random.integers(0, len(index), count)
    points = np.stack([index.latitude[rows], index.longitude[rows]], axis=1)
    moved: NDArray[np.float64] = points + random.normal(0, 0.03, points.shape)
    return np.clip(moved, [-90, -180], [90, 180], out=moved)


def brute_force(index: PlaceIndex, points: NDArray[np.float64]) -> None:
    """The nearest place by looking at every one, float64."""
    places = unit_vectors(index.latitude, index.longitude).T.copy()
    for x, y, z in unit_vectors(points[:, 0], points[:, 1]):
        np.argmin((places[0] - x) ** 2 + (places[1] - y) ** 2 + (places[2] - z) ** 2)


def main() -> None:
    """Prints one line a measurement."""
    parser = argparse.ArgumentParser(description="Speed of the offline place index")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--brute", type=int, default=200, help="points that are searched by brute force")
    options = parser.parse_args()
    random = np.random.default_rng(1)
    index = PlaceIndex()
    print(f"load                        {1e3 * seconds(PlaceIndex):8.1f} ms     (goal: under 100)")
    for label, points in (
        ("even over the globe", globe(options.points, random)),
        ("round places", settled(index, options.points, random)),
    ):
        took = seconds(lambda points=points: index.nearest(points[:, 0], points[:, 1]))  # type: ignore[misc]
        sample = points[: options.brute]
        brute = seconds(lambda sample=sample: brute_force(index, sample), 1)  # type: ignore[misc]
        ratio = (brute / len(sample)) / (took / len(points))
        print(f"{label:20} {len(points):6,} {took:8.2f} s     {ratio:8.0f} x brute force")
    positions = [Position(*point) for point in settled(index, options.points, random)]
    print(f"with names           {len(positions):6,} {seconds(lambda: index.name(positions)):8.2f} s")
    one = positions[:1]
    print(f"one position                {1e3 * seconds(lambda: index.name(one), 200):8.2f} ms")


if __name__ == "__main__":
    main()
