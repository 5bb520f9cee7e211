"""Explanations in a world whose truth is known: what moves a guess is what it rests on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from concept_worlds import CONCEPT_NAMES, WIDTH, axis, concept_world, photo_features

from geolocate import Geolocator
from geolocate.bundle import load_bundle
from geolocate.concepts import ConceptBank
from geolocate.encoding import EncodedImage
from geolocate.errors import BundlePartMissing
from geolocate.explanation import Explainer, Explanation, concepts_of
from geolocate.intervention import intervene


@pytest.fixture(scope="module", params=["zero-shot", "trained"])
def geolocator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Geolocator:
    folder = tmp_path_factory.mktemp("world") / request.param
    return Geolocator.load(concept_world(folder, request.param), device="cpu", say=lambda text: None)


def explained(geolocator: Geolocator, features: np.ndarray, **options: object) -> Explanation:  # type: ignore[type-arg]
    explainer = Explainer(geolocator, **options)  # type: ignore[arg-type]
    (one,) = explainer.explain(geolocator.encode_features(features[None]))
    return one


def test_a_photo_is_explained_by_what_it_shows_and_its_place_by_what_lives_there(
    geolocator: Geolocator,
) -> None:
    one = explained(geolocator, photo_features(torii=1.0, campanile=0.6))
    assert one.candidate is not None
    assert one.candidate.named is not None
    assert one.candidate.named.place is not None
    assert one.candidate.named.place.country_code == "JP"
    assert one.candidate.radius_km is not None
    assert [concept.name for concept in one.concepts[:2]] == ["torii", "campanile"]
    assert one.place_concepts[0].name == "torii"
    assert "torii" in one.shared
    assert one.agreement is not None
    assert one.agreement.correlation > 0.5
    assert one.agreement.above > 0.5
    assert geolocator.bundle.manifest.concept_count == len(CONCEPT_NAMES)


def test_without_the_concept_that_it_rests_on_the_guess_moves_to_the_next_country(
    geolocator: Geolocator,
) -> None:
    one = explained(geolocator, photo_features(torii=1.0, campanile=0.6))
    by_name = {each.concept.name: each for each in one.interventions}
    moved = by_name["torii"]
    assert 9_000 < moved.moved_km < 10_500  # Japan to Italy
    assert moved.candidate.named is not None
    assert moved.candidate.named.place is not None
    assert moved.candidate.named.place.country_code == "IT"
    assert moved.probability_after < moved.probability_before
    stayed = by_name["campanile"]
    assert stayed.moved_km < 200
    assert stayed.probability_after > stayed.probability_before


def test_more_of_the_second_concept_brings_the_guess_to_its_country(geolocator: Geolocator) -> None:
    one = explained(geolocator, photo_features(torii=1.0, campanile=0.8), action="boost")
    codes = {
        each.concept.name: each.candidate.named.place.country_code  # type: ignore[union-attr]
        for each in one.interventions
    }
    assert codes["campanile"] == "IT"
    assert codes["torii"] == "JP"


def test_concepts_that_are_not_fit_to_be_shown_are_never_named(geolocator: Geolocator) -> None:
    one = explained(geolocator, photo_features(hidden=1.0, favela=0.5), concepts=20)
    named = {c.name for c in (*one.concepts, *one.place_concepts)} | {
        i.concept.name for i in one.interventions
    }
    assert "hidden" not in named
    assert "favela" in named


def test_a_photo_that_failed_has_its_error_and_stops_no_other(geolocator: Geolocator) -> None:
    nan = np.full(WIDTH, np.nan, np.float32)
    good = next(geolocator.encode_features(photo_features(acacia=1.0)[None]))
    found = list(
        Explainer(geolocator).explain(
            [EncodedImage("a.jpg", error="is cut off"), EncodedImage("b.jpg", nan), good]
        )
    )
    assert [one.error for one in found] == ["is cut off", "the model gave no number for this photo", None]
    assert found[2].candidate is not None


def test_a_bundle_without_concepts_is_refused_by_the_part_and_told_the_fix(tmp_path: Path) -> None:
    folder = concept_world(tmp_path / "world")
    bundle = load_bundle(folder)
    files = {name: entry for name, entry in bundle.manifest.files.items() if name != "concepts.json"}
    from dataclasses import replace

    bare = replace(bundle, manifest=replace(bundle.manifest, files=files))
    with pytest.raises(BundlePartMissing, match=r"no concepts\.json.*geolocate train"):
        concepts_of(bare)


def test_a_removed_concept_leaves_nothing_along_it_and_a_boosted_one_twice_as_much() -> None:
    embedding = np.array([0.6, 0.8, 0.0], np.float32)
    direction = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(intervene(embedding, direction, "remove"), [[0, 1, 0], [0, 1, 0]], atol=1e-6)
    length = math.hypot(1.2, 0.8)
    # What speaks against the second concept (0.6 the other way) is taken out by as much for it.
    np.testing.assert_allclose(
        intervene(embedding, direction, "boost"), [[1.2 / length, 0.8 / length, 0], [0, 1, 0]], atol=1e-6
    )


def test_directions_are_what_sets_concepts_apart(geolocator: Geolocator) -> None:
    bank = ConceptBank.from_bundle(geolocator.bundle)
    assert bank is not None
    plain = bank.basis @ bank.basis.T
    apart = bank.distinct_directions @ bank.distinct_directions.T
    off = ~np.eye(len(plain), dtype=bool)
    assert plain[off].min() > 0.7
    assert np.abs(apart[off]).max() < 0.25
    assert bank.distinct_directions[axis("torii")].argmax() == axis("torii")
    alone = ConceptBank(bank.entries[:1], bank.basis[:1], bank.kind)
    np.testing.assert_allclose(alone.distinct_directions, bank.basis[:1], atol=1e-6)


def test_at_most_twenty_concepts_of_a_photo_are_kept() -> None:
    from geolocate.concepts import ConceptEntry

    entries = tuple(ConceptEntry(f"c{row}", "", (), 0.0, None, True, True) for row in range(40))
    bank = ConceptBank(entries, np.eye(40, dtype=np.float32), "zero-shot")
    image = EncodedImage("a.jpg", np.linspace(0.1, 0.2, 40).astype(np.float32))
    kept = bank.strongest(image, 1000)
    assert [concept.name for concept in kept] == [f"c{row}" for row in range(39, 19, -1)]
