"""The photos that the starter is trained on, and which of their places it never sees.

A folder with `labels.csv` (columns image, latitude, longitude): each subfolder is one trip or city, but
`commons_countries`, which holds a few photos of nearly every country.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from geolocate_export.splits import places

LABELS = "labels.csv"
#: The one subfolder whose photos do not belong together.
SCATTERED = "commons_countries"
#: Photos nearer than this to each other are of one place, and so are theirs in turn.
SAME_PLACE_KM = 50.0
#: So many photos of a place are learned from at most: a trip's hundred would be a prior for its country.
PER_PLACE = 4
#: Share of all photos that is held out.
HELD_OUT_SHARE = 0.25
SEED = 20231210


@dataclass(frozen=True)
class StarterPhotos:
    """P photos with positions.

    Attributes:
        folder: where they lie.
        names: P paths relative to it, "/"-separated, in the order of the table.
        coordinates: float64 (P, 2), degrees, latitude first.
        held_out: bool (P,), photos of places that no part of the starter is trained on.
    """

    folder: Path
    names: tuple[str, ...]
    coordinates: NDArray[np.float64]
    held_out: NDArray[np.bool_]

    @property
    def learned(self) -> NDArray[np.intp]:
        """Rows of the photos to learn from: PER_PLACE of each place at most, drawn at random."""
        drawn = np.random.default_rng(SEED).permutation(np.flatnonzero(~self.held_out))  # (L,)
        place = places(self.coordinates, SAME_PLACE_KM)[drawn]  # (L,)
        order = np.argsort(place, kind="stable")
        rank = np.arange(len(order)) - np.searchsorted(place[order], place[order])  # within its place
        kept: NDArray[np.intp] = np.sort(drawn[order][rank < PER_PLACE])
        return kept

    @property
    def paths(self) -> list[Path]:
        """The photos' files."""
        return [self.folder / name for name in self.names]


def read_starter_photos(folder: Path) -> StarterPhotos:
    """Reads `labels.csv` and divides its photos by place, the same for the same table.

    Raises:
        OSError: there is no such table.
        KeyError, ValueError: it lacks a column or has no number where one belongs.
    """
    with (folder / LABELS).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = tuple(row["image"] for row in rows)
    coordinates = np.array([(float(row["latitude"]), float(row["longitude"])) for row in rows])  # (P, 2)
    return StarterPhotos(folder, names, coordinates, held_out_places(names, coordinates))


def held_out_places(names: tuple[str, ...], coordinates: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which photos are held out, bool (P,): whole places of SCATTERED, until there are HELD_OUT_SHARE of all.

    A place is all photos that chains of steps below SAME_PLACE_KM join, and a trip's photos are one place
    however far it went. Places that a trip touches are always trained on: no held-out photo lies within
    SAME_PLACE_KM of a trained one.
    """
    trips = np.array([PurePosixPath(name).parts[0] for name in names])  # (P,)
    place = _with_trips(places(coordinates, SAME_PLACE_KM), trips)  # (P,)
    scattered = trips == SCATTERED
    candidates = [number for number in range(place.max() + 1) if scattered[place == number].all()]
    held_out = np.zeros(len(names), dtype=bool)
    for number in np.random.default_rng(SEED).permutation(candidates):
        if held_out.mean() >= HELD_OUT_SHARE:
            break
        held_out |= place == number
    return held_out


def _with_trips(place: NDArray[np.intp], trips: NDArray[np.str_]) -> NDArray[np.intp]:
    """Places (P,) joined where a trip links them, numbered in the order of the photos."""
    joined = place.copy()
    for trip in np.unique(trips[trips != SCATTERED]):
        joined[np.isin(joined, joined[trips == trip])] = joined[trips == trip].min()
    _, first, number = np.unique(joined, return_index=True, return_inverse=True)
    result: NDArray[np.intp] = np.argsort(np.argsort(first))[number.reshape(-1)]
    return result
