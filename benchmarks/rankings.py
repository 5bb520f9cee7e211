"""Accuracy of the three rankings on placed CLIP vectors, through a bundle's heads and gallery.

    python benchmarks/rankings.py BUNDLE FEATURES.npy PLACES.csv

PLACES.csv has the columns row, latitude, longitude; FEATURES.npy holds raw CLIP features, one a row.
"""

from __future__ import annotations

import csv
import sys

import numpy as np

from geolocate.geolocator import Geolocator
from geolocate.ranking import RANKINGS
from geolocate.sphere import great_circle_km, unit_vectors

THRESHOLDS_KM = (1, 25, 200, 750, 2500)


def main() -> None:
    """Prints a row for each ranking."""
    if len(sys.argv) != 4:
        sys.exit("usage: python benchmarks/rankings.py BUNDLE FEATURES.npy PLACES.csv")
    geolocator = Geolocator.load(sys.argv[1], device="cpu", geocoder="none", say=lambda _: None)
    features = np.load(sys.argv[2], mmap_mode="r")
    with open(sys.argv[3], encoding="utf-8", newline="") as file:
        places = list(csv.DictReader(file))
    rows = [int(place["row"]) for place in places]
    truth = unit_vectors([float(p["latitude"]) for p in places], [float(p["longitude"]) for p in places])
    published = None
    for ranking in reversed(RANKINGS):
        found = [p.candidates[0] for p in geolocator.locate_features(features[rows], ranking=ranking)]
        guess = unit_vectors([c.position.latitude for c in found], [c.position.longitude for c in found])
        published = guess if published is None else published
        errors = np.array([great_circle_km(truth[i : i + 1], guess[i])[0] for i in range(len(rows))])
        apart = np.array([great_circle_km(published[i : i + 1], guess[i])[0] for i in range(len(rows))])
        shares = " / ".join(f"{(errors <= km).mean():.1%}" for km in THRESHOLDS_KM)
        print(
            f"{ranking}: {shares} within {'/'.join(map(str, THRESHOLDS_KM))} km, n = {len(rows)}, "
            f"median {np.median(errors):,.0f} km; top-1 other than published's on {(apart > 0.01).sum()}"
        )


if __name__ == "__main__":
    main()
