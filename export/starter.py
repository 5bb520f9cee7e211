"""Builds the starter bundle: `python -m geolocate_export.starter [FOLDER]`, by default models/starter.

Small encoders of our own sizes with seeded random weights, and a gallery of places from the whole inhabited
world. The same versions of the libraries give the same bytes.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from geolocate.bundle import Manifest
from geolocate.gallery_csv import GalleryPoints
from geolocate.places import PlaceIndex
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors
from geolocate_export.checkpoint import round_to_half
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.to_onnx import BundlePlan, export_bundle

NAME = "starter"
VERSION = "0"
SEED = 20231210

#: A small RegNetX as open_clip's vision tower.
IMAGE = ImageConfig(
    vision={
        "timm_model_name": "regnetx_002",
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 160,
    },
    feature_dim=128,
)
#: A location encoder a quarter as wide as GeoCLIP's.
CONFIG = ModelConfig(image=IMAGE, location=LocationConfig(frequencies=64, hidden=256), embedding_dim=128)

#: Distance that a place of a million people keeps from larger ones; it grows as 1 / sqrt(population).
SPACING_KM_AT_MILLION = 9.0
#: Bounds of that distance; the upper one is how far from the gallery an inhabited place can lie.
MIN_SPACING_KM, MAX_SPACING_KM = 8.0, 100.0
#: Each country or territory has at least its so many largest places, whatever their distance.
PLACES_PER_COUNTRY = 3

GALLERY_METHOD = (
    "Places of GeoNames, walked through by decreasing population: a place enters unless one already in "
    f"stands nearer than {SPACING_KM_AT_MILLION:g} km / sqrt(population in millions), at least "
    f"{MIN_SPACING_KM:g} and at most {MAX_SPACING_KM:g} km; besides, the {PLACES_PER_COUNTRY} largest places "
    "of every country and territory. So cities stand close together and lonely villages count, islands and "
    "small countries included. Every point has the weight 1."
)
SOURCE = (
    "Encoders: sizes of this project's own choice, weights random (seeded), trained on nothing. "
    "Gallery and names: GeoNames (https://www.geonames.org), CC BY 4.0."
)
LICENCE = "MIT; gallery CC BY 4.0 (GeoNames)"


def build_model() -> GeoModel:
    """The starter's model with seeded random weights that float16 holds exactly."""
    torch.manual_seed(SEED)
    model = GeoModel(CONFIG)
    round_to_half(model)
    return model.eval()


def choose_gallery(index: PlaceIndex) -> NDArray[np.float64]:
    """Coordinates (M, 2) of the gallery, by the method of GALLERY_METHOD: sorted, without duplicates."""
    coordinates = np.stack((index.latitude, index.longitude), axis=1)  # (P, 2)
    vectors = unit_vectors(*coordinates.T)  # (P, 3)
    # Ties by id, so that the order never depends on the index's own.
    order = np.lexsort((index.geonames_id, -index.population.astype(np.int64)))  # (P,)
    millions = np.maximum(index.population, 1) / 1e6  # (P,)
    spacing = np.clip(SPACING_KM_AT_MILLION / np.sqrt(millions), MIN_SPACING_KM, MAX_SPACING_KM)  # (P,)
    chord = 2.0 * np.sin(spacing / EARTH_RADIUS_KM / 2.0)  # (P,)
    side = 2.0 * math.sin(MAX_SPACING_KM / EARTH_RADIUS_KM / 2.0)
    cells = np.floor(vectors / side).astype(np.int64)  # (P, 3)
    taken: dict[tuple[int, int, int], list[NDArray[np.float64]]] = defaultdict(list)
    of_country: dict[int, int] = defaultdict(int)
    chosen = []
    for row in order:
        country = int(index.country[row])
        x, y, z = (int(value) for value in cells[row])
        if of_country[country] >= PLACES_PER_COUNTRY:
            near = [
                vector
                for dx in (-1, 0, 1)
                for dy in (-1, 0, 1)
                for dz in (-1, 0, 1)
                for vector in taken.get((x + dx, y + dy, z + dz), ())
            ]
            if near and ((np.array(near) - vectors[row]) ** 2).sum(1).min() < chord[row] ** 2:
                continue
        taken[x, y, z].append(vectors[row])
        of_country[country] += 1
        chosen.append(row)
    points: NDArray[np.float64] = np.unique(coordinates[chosen], axis=0)
    return points


def plan(gallery: NDArray[np.float64]) -> BundlePlan:
    """What the starter bundle holds besides its encoders, over gallery coordinates (M, 2)."""
    return BundlePlan(
        name=NAME,
        version=VERSION,
        licence=LICENCE,
        source=SOURCE,
        trained=False,
        gallery=GalleryPoints(gallery, np.ones(len(gallery), np.float32)),
        gallery_method=GALLERY_METHOD,
        gallery_dtype=np.float16,
        ship_checkpoint=True,
    )


def build(output: Path) -> Manifest:
    """Builds the bundle at `output`, in place of what stands there.

    Raises:
        OutputError, ParityError: see :func:`export_bundle`.
    """
    gallery = choose_gallery(PlaceIndex.load())
    return export_bundle(
        build_model(), plan(gallery), output, force=True, say=lambda message: print(message, file=sys.stderr)
    )


def main() -> None:
    """Builds the bundle at the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Builds the starter bundle.")
    default = Path(__file__).resolve().parent.parent / "models" / NAME
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    build(parser.parse_args().folder)


if __name__ == "__main__":
    main()
