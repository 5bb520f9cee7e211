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
from geolocate.concepts import TRAINED, ConceptBank, ConceptEntry
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


@pytest.mark.parametrize(
    "changed",
    [
        {"auc": "0.7"},
        {"auc": "nan"},
        {"auc": True},
        {"auc": 1.5},
        {"shown": "false"},
        {"shown": 0},
        {"shown_in_photos": None},
        {"prompts": "abc"},
        {"prompts": {"a": 1}},
        {"baseline": "0.1"},
        {"baseline": True},
        {"category": None},
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_refused_and_named(
    with_concepts: Path, changed: dict[str, object]
) -> None:
    listed = json.loads((with_concepts / CONCEPTS).read_text(encoding="utf-8"))
    listed["concepts"][1] |= {"auc": 0.7, "shown": False, "prompts": ["a forest"], "category": "land"}
    for values, message in (({}, None), (changed, rf"concepts\.json: {next(iter(changed))}: ")):
        listed["concepts"][1] |= values
        (with_concepts / CONCEPTS).write_text(json.dumps(listed), encoding="utf-8")
        write_manifest(with_concepts, read_bundle(with_concepts).manifest)
        if message is None:
            assert ConceptBank.from_bundle(load_bundle(with_concepts)) is not None
            continue
        with pytest.raises(BundleDamaged, match=message):
            ConceptBank.from_bundle(load_bundle(with_concepts))


@pytest.mark.parametrize("value", [np.nan, "north"])
def test_directions_that_are_no_numbers_are_refused(with_concepts: Path, value: object) -> None:
    np.save(with_concepts / CONCEPT_BASIS, np.full((3, 128), value))
    write_manifest(with_concepts, read_bundle(with_concepts).manifest)
    with pytest.raises(BundleDamaged):
        ConceptBank.from_bundle(load_bundle(with_concepts))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_left_out_and_the_others_stay(value: float) -> None:
    entries = tuple(ConceptEntry(name, "", (), 0.0, None, True, True) for name in ("a", "b", "c"))
    bank = ConceptBank(entries, np.eye(3, dtype=np.float32), TRAINED)
    scores = np.array([0.2, value, 0.7], np.float32)
    image = EncodedImage("a.jpg", np.ones(3, np.float32), scores)
    assert [concept.name for concept in bank.strongest(image, 3)] == ["c", "a"]


@pytest.mark.parametrize("name", ["two\nrows", "\x1b[31mred", "x" * 201, "", 7, None])
def test_a_name_that_could_harm_a_row_or_a_terminal_is_refused(with_concepts: Path, name: object) -> None:
    listed = json.loads((with_concepts / CONCEPTS).read_text(encoding="utf-8"))
    listed["concepts"][0]["name"] = name
    (with_concepts / CONCEPTS).write_text(json.dumps(listed), encoding="utf-8")
    write_manifest(with_concepts, read_bundle(with_concepts).manifest)
    with pytest.raises(BundleDamaged, match="printable letters") as caught:
        ConceptBank.from_bundle(load_bundle(with_concepts))
    assert str(caught.value).isprintable()
