"""Concepts: only what stands out, the same at each rank, and never invented."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from geolocate import Geolocator
from geolocate.bundle import (
    CONCEPT_BASIS,
    CONCEPTS,
    IMAGE_HEAD,
    image_encoder_name,
    load_bundle,
    read_bundle,
    write_manifest,
)
from geolocate.concepts import ConceptBank
from geolocate.encoding import EncodedImage
from geolocate.errors import BundleDamaged


@pytest.fixture
def without_concepts(tmp_path: Path) -> Path:
    """The starter without its own concepts."""
    folder = Path(shutil.copytree(load_bundle("starter").path, tmp_path / "bundle"))
    for name in (image_encoder_name("fp32"), IMAGE_HEAD):
        graph = onnx.load(folder / name)
        (scores,) = (output for output in graph.graph.output if output.name == "concept_scores")
        graph.graph.output.remove(scores)
        onnx.save(graph, folder / name)
    for name in (CONCEPTS, CONCEPT_BASIS):
        (folder / name).unlink()
    write_manifest(folder, replace(read_bundle(folder).manifest, concept_count=0))
    return folder


@pytest.fixture
def with_concepts(without_concepts: Path) -> Path:
    """A bundle with three concepts: two opposite directions and one that lies across."""
    folder = without_concepts
    basis = np.zeros((3, 128), dtype=np.float32)
    basis[0, 0], basis[1, 0], basis[2, 1] = 1, -1, 1
    np.save(folder / CONCEPT_BASIS, basis)
    listed = [{"name": name, "baseline": 0.1} for name in ("dune", "forest", "souk")]
    (folder / CONCEPTS).write_text(json.dumps({"kind": "zero-shot", "concepts": listed}))
    write_manifest(folder, replace(load_bundle(folder).manifest, concept_count=3))
    return folder


def listed_with(baseline: str) -> str:
    """Three concepts, the last with this baseline."""
    concept = '{"name": "dune", "baseline": '
    return f'{{"kind": "zero-shot", "concepts": [{concept}0}}, {concept}0}}, {concept}{baseline}}}]}}'


def test_the_score_is_the_cosine_above_the_average_photo(with_concepts: Path) -> None:
    bank = ConceptBank.from_bundle(load_bundle(with_concepts))
    assert bank is not None
    embedding = np.zeros(128, dtype=np.float32)
    embedding[0], embedding[1] = 0.6, 0.8
    found = bank.strongest(EncodedImage("a.jpg", embedding), 5)
    assert [concept.name for concept in found] == ["souk", "dune"]
    assert [concept.score for concept in found] == pytest.approx([0.7, 0.5])
    assert bank.strongest(EncodedImage("a.jpg", embedding), 1) == found[:1]
    assert bank.strongest(EncodedImage("a.jpg", -embedding), 5)[0].name == "forest"


def test_rows_carry_concepts_and_say_that_nobody_trained_them(
    with_concepts: Path, drawn_photos: Path
) -> None:
    geolocator = Geolocator.load(with_concepts, device="cpu")
    for prediction in geolocator.locate([drawn_photos], top_k=2):
        assert len({c.name for c in prediction.concepts} & {"dune", "forest"}) <= 1
        assert ("zero-shot" in prediction.notes) == bool(prediction.concepts)
    for prediction in geolocator.locate([drawn_photos], concepts=0):
        assert prediction.concepts == ()
        assert "zero-shot" not in prediction.notes


def test_a_bundle_without_concepts_shows_none(without_concepts: Path) -> None:
    assert ConceptBank.from_bundle(load_bundle(without_concepts)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind": "zero-shot", "concepts": [{"name": "dune"}]}',
        listed_with("NaN"),
        listed_with("1" + "0" * 400),
        "[" * 99999,
    ],
)
def test_concepts_that_do_not_fit_are_refused(with_concepts: Path, text: str) -> None:
    (with_concepts / CONCEPTS).write_text(text)
    write_manifest(with_concepts, read_bundle(with_concepts).manifest)
    with pytest.raises(BundleDamaged):
        ConceptBank.from_bundle(load_bundle(with_concepts))


@pytest.mark.parametrize("value", [np.nan, "north"])
def test_directions_that_are_no_numbers_are_refused(with_concepts: Path, value: object) -> None:
    np.save(with_concepts / CONCEPT_BASIS, np.full((3, 128), value))
    write_manifest(with_concepts, read_bundle(with_concepts).manifest)
    with pytest.raises(BundleDamaged):
        ConceptBank.from_bundle(load_bundle(with_concepts))
