"""The sparse layer from concepts to countries: it finds what is known to tell them apart, and keeps it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from concept_worlds import CONCEPT_NAMES, HOMES, axis, concept_world

from geolocate.bottleneck import Bottleneck, fit, open_bottleneck
from geolocate.bundle import Bundle, load_bundle
from geolocate.concepts import ConceptBank
from geolocate.errors import BundlePartMissing, ExtraMissing
from geolocate.gallery import Gallery
from geolocate.gallery_concepts import GalleryConcepts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(concept_world(tmp_path_factory.mktemp("layer") / "world"))


@pytest.fixture(scope="module")
def gallery(bundle: Bundle) -> Gallery:
    return Gallery.from_bundle(bundle)


@pytest.fixture(scope="module")
def concepts(bundle: Bundle, gallery: Gallery) -> GalleryConcepts:
    bank = ConceptBank.from_bundle(bundle)
    assert bank is not None
    return GalleryConcepts.of(bank, gallery)


@pytest.fixture(scope="module")
def layer(concepts: GalleryConcepts, gallery: Gallery) -> Bottleneck:
    return fit(concepts, gallery)


def test_each_country_rests_on_the_concept_that_lives_there(layer: Bottleneck) -> None:
    for code, _, concept in HOMES:
        weights = layer.weights[list(layer.country_codes).index(code)]
        assert np.argmax(weights) == axis(concept)


def test_the_layer_is_sparse_and_right_where_it_was_not_fitted(layer: Bottleneck) -> None:
    assert layer.concepts_per_country < len(CONCEPT_NAMES)
    assert layer.held_out_points > 20
    assert layer.held_out_accuracy > 0.95
    assert layer.held_out_majority < 0.6


def test_concepts_that_are_not_fit_to_be_shown_have_no_weight(layer: Bottleneck) -> None:
    assert not layer.weights[:, axis("hidden")].any()


def test_contributions_are_shares_of_one_and_name_the_reason(layer: Bottleneck) -> None:
    scores = np.zeros(len(CONCEPT_NAMES), np.float32)
    scores[axis("favela")] = 0.3
    first, second = layer.explain(scores, CONCEPT_NAMES, countries=2, concepts=20)
    assert (first.country_code, first.country) == ("BR", "Brazil")
    assert first.contributions[0].concept == "favela"
    assert first.contributions[0].share > 0
    assert sum(abs(part.share) for part in first.contributions) == pytest.approx(1.0)
    assert first.score > second.score


def test_a_photo_that_shows_nothing_gets_no_reason(layer: Bottleneck) -> None:
    nothing = layer.explain(np.zeros(len(CONCEPT_NAMES), np.float32), CONCEPT_NAMES, countries=1, concepts=3)
    assert nothing[0].contributions == ()


def test_a_layer_is_fitted_once_and_a_damaged_one_again(
    bundle: Bundle, gallery: Gallery, concepts: GalleryConcepts, tmp_path: Path
) -> None:
    said: list[str] = []
    first = open_bottleneck(bundle, gallery, lambda: concepts, cache=tmp_path, say=said.append)
    assert len(said) == 1

    def never() -> GalleryConcepts:
        raise AssertionError("it is kept")

    second = open_bottleneck(bundle, gallery, never, cache=tmp_path, say=said.append)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert second.held_out_accuracy == first.held_out_accuracy
    assert len(said) == 1
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:100])
    third = open_bottleneck(bundle, gallery, lambda: concepts, cache=tmp_path, say=said.append)
    np.testing.assert_array_equal(first.weights, third.weights)
    assert len(said) == 2


def test_a_cache_that_cannot_be_written_costs_nothing_but_the_next_fit(
    bundle: Bundle, gallery: Gallery, concepts: GalleryConcepts, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    said: list[str] = []
    open_bottleneck(bundle, gallery, lambda: concepts, cache=tmp_path / "file", say=said.append)
    assert "cannot be kept" in said[-1]


def test_without_scikit_learn_the_extra_is_named(
    concepts: GalleryConcepts, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(ExtraMissing, match=r"geolocate\[explain\]"):
        fit(concepts, gallery)


def test_a_gallery_in_one_country_has_nothing_to_tell_apart(
    concepts: GalleryConcepts, gallery: Gallery
) -> None:
    only = np.zeros(len(gallery), dtype=bool)
    only[:100] = True
    part = GalleryConcepts(concepts.bank, concepts.scores[only])
    with pytest.raises(BundlePartMissing, match="two countries"):
        fit(part, gallery.subset(only))
