"""How long `geolocate evaluate --predictions` takes on a million rows, and how much memory.

    python benchmarks/evaluate.py [ROWS]

Writes predictions over the land of the globe with errors of every size to a temporary file, runs the real
command in a process of its own, and prints its wall time and its peak resident memory beside the limits.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from geolocate.places import PlaceIndex

#: What the project promises for a million rows.
LIMIT_S, LIMIT_BYTES = 30.0, 10**9


def write_predictions(path: Path, rows: int) -> None:
    """A CSV of image, true and predicted position, with errors from 10 m to half of the globe."""
    rng = np.random.default_rng(0)
    index = PlaceIndex.load()
    place = rng.integers(len(index), size=rows)
    latitude = np.clip(index.latitude[place] + rng.normal(0, 0.1, rows), -90, 90)
    longitude = (index.longitude[place] + rng.normal(0, 0.1, rows) + 180) % 360 - 180
    away = 10 ** rng.uniform(-4, 2, rows)  # degrees
    bearing = rng.uniform(0, 2 * np.pi, rows)
    guess_latitude = np.clip(latitude + away * np.cos(bearing), -90, 90)
    guess_longitude = (longitude + away * np.sin(bearing) + 180) % 360 - 180
    with path.open("w", encoding="utf-8") as file:
        file.write("IMG_ID,LAT,LON,pred_lat,pred_lon,score\n")
        columns = zip(latitude, longitude, guess_latitude, guess_longitude, strict=True)
        for row, (a, b, c, d) in enumerate(columns):
            file.write(
                f"{row // 4096:04x}/{row:010d}.jpg,{a:.6f},{b:.6f},{c:.6f},{d:.6f},{row % 97 / 97:.6f}\n"
            )


def main() -> None:
    """Prints one line for each kind of distance."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "predictions.csv")
        write_predictions(table, rows)
        for distance in ("great-circle", "geodesic"):
            report = os.fspath(Path(folder, "report.json"))
            command = ["evaluate", "-q", "--predictions", os.fspath(table), "--distance", distance]
            words = [sys.executable, "-m", "geolocate", *command, "--json", report]
            start = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of the largest so far
            print(
                f"{rows:,} rows, {distance}: {seconds:.1f} s of {LIMIT_S:g}, "
                f"at most {peak / 1e6:.0f} MB of {LIMIT_BYTES / 1e6:.0f}"
            )


if __name__ == "__main__":
    main()
