"""The starter's training, small: a few concepts on a coarse world, and photos that are numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from geolocate.places import PlaceIndex
from geolocate.sphere import great_circle_km, unit_vectors
from geolocate_export.concept_alignment import ConceptConfig
from geolocate_export.concept_facts import truths
from geolocate_export.concept_set import ConceptSet, load_concept_set
from geolocate_export.feature_set import FeatureSet
from geolocate_export.grounding import Geography
from geolocate_export.held_out import embed_locations
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.starter import choose_gallery
from geolocate_export.starter_heads import FROM_GEOGRAPHY, FROM_PHOTOS, Heads, photo_density, train_heads
from geolocate_export.train import train

rng = np.random.default_rng(0)
GEOGRAPHY = replace(FROM_GEOGRAPHY, epochs=2, steps=15, learning_rate=3e-3)


@pytest.fixture(scope="module")
def gallery() -> np.ndarray:  # type: ignore[type-arg]
    return choose_gallery(PlaceIndex.load())[::12]


@pytest.fixture(scope="module")
def concepts() -> ConceptSet:
    """Twelve with a fact, one without."""
    whole = load_concept_set("geographic")
    facts = [concept for concept in whole if concept.fact is not None]
    return replace(whole, concepts=(*facts[::40], next(c for c in whole if c.fact is None)))


def fresh(count: int) -> GeoModel:
    torch.manual_seed(1)
    sizes = LocationConfig(sigmas=(0.5, 2.0), frequencies=16, hidden=32)
    return GeoModel(ModelConfig(ImageConfig({}, 8), sizes, 16, ConceptConfig(count, 16)))


@pytest.fixture(scope="module")
def heads(gallery: np.ndarray, concepts: ConceptSet) -> Heads:  # type: ignore[type-arg]
    photos = FeatureSet(
        rng.normal(size=(40, 2, 8)).astype(np.float32), gallery[::20][:40], tuple(map(str, range(40)))
    )
    return train_heads(
        lambda: fresh(len(concepts)),
        photos,
        gallery,
        concepts,
        geography=GEOGRAPHY,
        heads=replace(FROM_PHOTOS, epochs=1, steps=10, batch_size=16, queue_length=64),
    )


def test_concepts_are_measured_where_no_model_learned_them_and_shown_by_that(
    heads: Heads, concepts: ConceptSet
) -> None:
    *known, unknown = heads.concepts
    assert unknown.auc is None
    assert not unknown.shown
    aucs = [concept.auc for concept in known if concept.auc is not None]
    assert np.median(aucs) > 0.8
    assert all(concept.shown == (concept.auc is not None and concept.auc >= 0.7) for concept in known)


def test_photos_do_not_bend_the_map(
    heads: Heads,
    gallery: np.ndarray,  # type: ignore[type-arg]
    concepts: ConceptSet,
    tmp_path: Path,
) -> None:
    world = Geography(gallery, truths(concepts, gallery), np.zeros(len(gallery), bool))
    alone = train(fresh(len(concepts)), GEOGRAPHY, None, None, gallery, tmp_path, geography=world).model
    assert torch.equal(embed_locations(alone, gallery), embed_locations(heads.model, gallery))


def test_photos_are_expected_near_photos_and_a_place_counts_once(
    gallery: np.ndarray,  # type: ignore[type-arg]
) -> None:
    lisbon, tokyo = (38.72, -9.14), (35.68, 139.69)
    weights = photo_density(np.array([lisbon] * 50 + [tokyo]), gallery)
    assert weights.max() == 1
    assert weights.min() > 0
    vectors = unit_vectors(*gallery.T)
    near = [great_circle_km(vectors, unit_vectors(*place)[0]).argmin() for place in (lisbon, tokyo)]
    far = great_circle_km(vectors, unit_vectors(-50.0, -70.0)[0]).argmin()
    assert 0.3 < weights[near[0]] / weights[near[1]] < 3
    assert weights[near].min() > 1.5 * weights[far]
