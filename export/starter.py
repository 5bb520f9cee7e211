"""Trains and builds the starter: `python -m geolocate_export.starter PHOTOS TOWER.safetensors [FOLDER]`.

PHOTOS is a folder as :mod:`geolocate_export.starter_photos` reads it, TOWER what
:mod:`geolocate_export.distil` left of the same photos, FOLDER the bundle, by default models/starter. The
same versions of the libraries give the same bundle but for the date. Its checkpoint is part of it: `geolocate
export` builds it again without any photo.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from geolocate.bundle import Manifest
from geolocate.gallery_csv import GalleryPoints
from geolocate.places import PlaceIndex
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors
from geolocate_export.checkpoint import round_to_half
from geolocate_export.concept_alignment import ConceptConfig
from geolocate_export.concept_set import GEOGRAPHIC, load_concept_set
from geolocate_export.distil import REPORT_NAME
from geolocate_export.feature_set import FeatureSet
from geolocate_export.features import cached_features
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.splits import places
from geolocate_export.starter_heads import DENSITY_KM, WEIGHT_FLOOR, Heads, photo_density, train_heads
from geolocate_export.starter_measure import measure_starter
from geolocate_export.starter_photos import PER_PLACE, SAME_PLACE_KM, StarterPhotos, read_starter_photos
from geolocate_export.to_onnx import BundlePlan, export_bundle
from geolocate_export.training_data import TrainingPhotos

NAME = "starter"
VERSION = "1"
SEED = 20231210

Say = Callable[[str], None]

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
#: A location encoder a quarter as wide as GeoCLIP's, and coarser: what it learns of one region must hold in
#: the next, and between towns such a model cannot choose.
CONFIG = ModelConfig(
    image=IMAGE,
    location=LocationConfig(sigmas=(2.0**-1, 2.0**1, 2.0**4), frequencies=64, hidden=256),
    embedding_dim=128,
)
#: Of each photo that is learned from.
VIEWS = 8

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
    "small countries included. A point's weight is the density there of the places of the photos that were "
    "learned from, over the cube root of the density of the gallery, both with the kernel "
    f"exp(-distance / {DENSITY_KM:,.0f} km), and {WEIGHT_FLOOR:.0%} of the mean weight besides."
)
SOURCE = (
    "Image tower: a RegNetX of 2.3 million weights that began at random and was distilled from an ImageNet "
    "MobileNetV2 (Apache-2.0) by an earlier draw of views than `distil` makes now, on the photos that are "
    "not held out; no weight is copied. Of the teacher's variance it explains {trained:.0%} on those and "
    "{held_out:.0%} on the held-out ones. Image head: {learned} openly licensed photos, "
    f"{PER_PLACE} of a place at most, each in {VIEWS} views. Location "
    "encoder and concept basis: no photo; facts about where concepts live, at the points of the gallery. "
    "There is no text tower: concepts begin at fixed random directions, and their names are associations "
    "with regions, not words that the model understands; how far they come from the photo is measured below "
    "(photo AUC; 0.5 is chance). Gallery and names: GeoNames (https://www.geonames.org), CC BY 4.0."
)
MEASURED_ON = (
    f"openly licensed photos from nearly every country, of {{places}} places, {SAME_PLACE_KM:g} km and more "
    "from every photo that any part was trained on; they are the photos of `commons_countries` that "
    "`held_out_places` draws. Four numbers were chosen on them, from a dozen settings and with several "
    "builds looked at: the temperature, and kernel, power and floor of the gallery's weights. So they are no "
    "wholly untouched test"
)
LICENCE = "MIT; gallery CC BY 4.0 (GeoNames)"


def fresh_model(tower: Mapping[str, Tensor], concepts: int) -> GeoModel:
    """The model as its training starts: a trained image tower, heads with seeded random weights.

    Args:
        tower: weights of the image tower by name.
        concepts: K.
    """
    torch.manual_seed(SEED)
    model = GeoModel(replace(CONFIG, concepts=ConceptConfig(concepts)))
    assert model.image_encoder.backbone is not None, "the starter has an image tower"
    model.image_encoder.backbone.load_state_dict(tower)
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


def build(photos_folder: Path, tower: Path, output: Path, date: str, say: Say) -> Manifest:
    """Trains the heads, measures them on the held-out places and builds the bundle at `output`.

    Raises:
        OSError, KeyError, ValueError: as :func:`read_starter_photos`, or there is no such tower.
        OutputError, ParityError: see :func:`export_bundle`.
    """
    photos, weights = read_starter_photos(photos_folder), load_file(tower)
    concepts = load_concept_set(GEOGRAPHIC)
    gallery = choose_gallery(PlaceIndex.load())  # (M, 2)
    with tempfile.TemporaryDirectory() as cache:
        features = _features(photos, fresh_model(weights, len(concepts)), Path(cache))
        heads = train_heads(lambda: fresh_model(weights, len(concepts)), features, gallery, concepts, say=say)
    source = SOURCE.format(learned=len(features), **_explained(tower))
    return measured_bundle(heads, photos, gallery, source, output, date, say)


def measured_bundle(
    heads: Heads,
    photos: StarterPhotos,
    gallery: NDArray[np.float64],
    source: str,
    output: Path,
    date: str,
    say: Say,
) -> Manifest:
    """Exports twice: to be calibrated and measured on the held-out photos, and with what came out of it."""
    round_to_half(heads.model)
    plan = BundlePlan(
        name=NAME,
        version=VERSION,
        licence=LICENCE,
        source=source,
        trained=True,
        gallery=GalleryPoints(gallery, photo_density(photos.coordinates[photos.learned], gallery)),
        gallery_method=GALLERY_METHOD,
        gallery_dtype=np.float16,
        ship_checkpoint=True,
        concepts=heads.concepts,
    )
    rows = np.flatnonzero(photos.held_out)
    truth = photos.coordinates[rows]  # (N, 2)
    with tempfile.TemporaryDirectory() as scratch:
        export_bundle(heads.model, plan, Path(scratch) / NAME, say=say)
        measured = measure_starter(
            Path(scratch) / NAME,
            [photos.paths[row] for row in rows],
            truth,
            heads.concepts,
            photos.coordinates[photos.learned],
            data=MEASURED_ON.format(places=len(np.unique(places(truth, SAME_PLACE_KM)))),
            date=date,
            scratch=Path(scratch),
            say=say,
        )
    final = replace(
        plan,
        concepts=measured.concepts,
        accuracy=measured.accuracy,
        temperature=measured.temperature,
        calibration=measured.calibration,
    )
    return export_bundle(heads.model, final, output, force=True, say=say)


def _features(photos: StarterPhotos, model: GeoModel, cache: Path) -> FeatureSet:
    """Of the photos to learn from, in VIEWS views."""
    rows = photos.learned
    chosen = TrainingPhotos(
        tuple(photos.names[row] for row in rows),
        tuple(str(photos.paths[row]) for row in rows),
        photos.coordinates[rows],
    )
    return cached_features(chosen, model.image_encoder, VIEWS, cache)


def _explained(tower: Path) -> dict[str, float]:
    """Of the teacher's variance, on `trained` and `held_out` photos: what the distillation reports."""
    measured = json.loads((tower.parent / REPORT_NAME).read_text(encoding="utf-8"))["measured"]
    return {name: float(measured[name]) for name in ("trained", "held_out")}


def main() -> None:
    """Trains and builds the bundle from the command line."""
    parser = argparse.ArgumentParser(description="Trains and builds the starter bundle.")
    default = Path(__file__).resolve().parent.parent / "models" / NAME
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("tower", type=Path, help="the distilled image tower")
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    build(arguments.photos, arguments.tower, arguments.folder, today, _tell)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
