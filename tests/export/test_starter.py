"""The starter bundle as it is shipped, and `geolocate export` of its own checkpoint."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from geolocate import bundle
from geolocate.cli.export import command
from geolocate.cli.opening import introduction
from geolocate.concepts import ConceptBank
from geolocate.errors import BundleError, ExtraMissing, GalleryError, ParityError
from geolocate.evaluation.calibration import binomial_interval
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex
from geolocate.session import ImageEncoder, ImageHead, LocationEncoder
from geolocate.sphere import unit_vectors
from geolocate_export.checkpoint import load_checkpoint, save_checkpoint
from geolocate_export.command import export_checkpoint
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.parity import generated_photos
from geolocate_export.trained_concepts import SHOWN_AUC

MAX_BYTES = 20 * 10**6
MAX_IMAGE_WEIGHTS = 2_500_000


@pytest.fixture(scope="module")
def starter() -> bundle.Bundle:
    return bundle.load_bundle("starter")


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is exported in a second."""
    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32}
    config = ModelConfig(ImageConfig(vision, 16), LocationConfig(frequencies=8, hidden=16), embedding_dim=8)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    torch.manual_seed(6)
    save_checkpoint(GeoModel(config), folder)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    folder = tmp_path_factory.mktemp("export") / "mine"
    export_checkpoint(output=folder, name="mine")
    return bundle.load_bundle(folder)


@pytest.mark.parametrize("name", ["my model", "Zürich", "-x"])
def test_a_name_under_which_no_bundle_could_be_loaded_is_refused_before_the_work(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(BundleError, match="cannot be a bundle's name"):
        export_checkpoint(tmp_path / name, output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_it_is_small_and_whole(starter: bundle.Bundle) -> None:
    assert sum(entry.size for entry in starter.manifest.files.values()) <= MAX_BYTES
    assert [name for name, problem in starter.verify() if problem] == []
    model = load_checkpoint(starter.path / "checkpoint")
    assert sum(weight.numel() for weight in model.image_encoder.parameters()) <= MAX_IMAGE_WEIGHTS
    assert starter.manifest.embedding_dim <= 128


def test_no_shipped_file_tells_where_it_was_built(starter: bundle.Bundle) -> None:
    marks = re.compile(rb"/(home|root|tmp|Users|work)/|site-packages|torch/nn|\.py\b")
    for name in starter.manifest.files:
        found = marks.search((starter.path / name).read_bytes())
        assert found is None, f"{name}: {found and found.group()!r}"


def test_its_card_and_every_run_say_first_how_good_it_is(starter: bundle.Bundle) -> None:
    assert starter.manifest.trained
    accuracy = starter.manifest.accuracy
    assert str(accuracy["summary"]).startswith(("better than", "no better than"))
    card = (starter.path / bundle.CARD).read_text(encoding="utf-8")
    assert card.splitlines()[0] == f"**starter {starter.manifest.version}: {accuracy['summary']}.**"
    for row in ("model", "constant guess", "random gallery point", "model minus constant guess"):
        assert f"| {row} |" in card
        assert len(accuracy[row]["median_km"]) in (1, 3)
    assert next(introduction(starter, "fp32")) == f"model starter (fp32): {accuracy['summary']}"


def test_its_verdict_is_what_its_numbers_say(starter: bundle.Bundle) -> None:
    differences = [
        row for name, row in starter.manifest.accuracy.items() if name.startswith("model minus constant")
    ]
    assert differences
    beats = all(row["median_km"][2] < 0 for row in differences) or all(
        row["within_750_km"][1] > 0 for row in differences
    )
    assert str(starter.manifest.accuracy["summary"]).startswith("better than") == beats


def test_its_circles_held_what_they_state_on_photos_that_they_were_not_fitted_on(
    starter: bundle.Bundle,
) -> None:
    calibration = starter.manifest.calibration
    for stated, share in calibration["held_out_coverage"].items():
        low, high = binomial_interval(round(share * calibration["photos"]), calibration["photos"])
        assert low <= float(stated) <= high


def test_it_shows_concepts_whose_regions_it_finds_again_and_no_others(starter: bundle.Bundle) -> None:
    bank = ConceptBank.from_bundle(starter)
    assert bank is not None
    for entry in bank.entries:
        assert entry.shown == (entry.auc is not None and entry.auc >= SHOWN_AUC), entry.name
    assert sum(entry.auc is not None and entry.auc >= 0.8 for entry in bank.entries) >= 20


def test_its_graph_equals_its_checkpoint(starter: bundle.Bundle) -> None:
    photos = generated_photos(3, starter.manifest.image.size, seed=7)
    model = load_checkpoint(starter.path / "checkpoint")
    with torch.inference_mode():
        expected = model.image_encoder(torch.from_numpy(photos)).numpy()
    np.testing.assert_allclose(ImageEncoder(starter, "cpu")(photos).embeddings, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_photos_embedding_is_the_same_bits_at_batch_1_3_and_8(starter: bundle.Bundle, threads: int) -> None:
    photos = generated_photos(8, starter.manifest.image.size, seed=8)
    encoder = ImageEncoder(starter, "cpu", threads=threads)
    whole = encoder(photos).embeddings
    for batch in (1, 3):
        parts = np.concatenate([encoder(photos[at : at + batch]).embeddings for at in range(0, 8, batch)])
        assert np.array_equal(parts, whole), f"batch {batch}"


def test_the_gallery_covers_every_country_and_the_whole_inhabited_world(starter: bundle.Bundle) -> None:
    gallery, index = Gallery.from_bundle(starter), PlaceIndex.load()
    assert 10_000 <= len(gallery) <= 20_000
    assert gallery.places is not None
    rows = index.rows_of(gallery.places)
    assert (rows >= 0).all()
    assert set(index.country[rows]) == set(index.country), "a country without a point"
    assert len(np.unique(gallery.coordinates, axis=0)) == len(gallery)
    # An inhabited place anywhere has a point within 100 km.
    some = np.random.default_rng(0).choice(len(index), 2000, replace=False)
    places = unit_vectors(index.latitude[some], index.longitude[some])
    chords = np.sqrt(np.maximum(0.0, 2 - 2 * (places @ gallery.vectors.T).max(axis=1)))
    assert (6371.0088 * 2 * np.arcsin(chords / 2)).max() <= 100.001


def test_exporting_its_checkpoint_gives_its_embeddings_back(
    starter: bundle.Bundle, exported: bundle.Bundle
) -> None:
    assert exported.manifest.name == "mine"
    photos = generated_photos(3, starter.manifest.image.size, seed=9)
    before, after = (ImageEncoder(of, "cpu")(photos).embeddings for of in (starter, exported))
    assert np.array_equal(before, after)
    # Of the exporter's graphs only what they compute: it names nodes otherwise from version to version.
    heads = [ImageHead(of, "cpu") for of in (starter, exported)]
    features = np.random.default_rng(9).normal(size=(4, starter.manifest.feature_dim)).astype(np.float32)
    assert np.array_equal(*(head(features).embeddings for head in heads))
    encoders = [LocationEncoder(of, "cpu") for of in (starter, exported)]
    points = np.random.default_rng(9).uniform(-0.5, 0.5, (4, 2)).astype(np.float32)
    assert np.array_equal(*(encode(points) for encode in encoders))
    for name in (bundle.RETRIEVAL, bundle.GALLERY_EMBEDDINGS):
        assert (exported.path / name).read_bytes() == (starter.path / name).read_bytes(), name
    assert exported.manifest.parity["image_encoder"]["max_abs_difference"] <= 1e-5
    assert exported.manifest.parity["top1_drift_km"] == 0


def test_a_checkpoint_and_a_gallery_of_ones_own(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.csv").write_text("lat,lon\n48.85,2.35\n48.85,2.35\n-33.87,151.21\n")
    arguments = [str(tiny_checkpoint), "--name", "two", "--gallery", "g.csv"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout == ""
    gallery = Gallery.from_bundle(bundle.load_bundle(tmp_path / "two"))
    assert gallery.weights.tolist() == [2.0, 1.0]


def test_a_wrong_gallery_stops_before_any_work(tmp_path: Path) -> None:
    bad = tmp_path / "g.csv"
    bad.write_text("LAT,LON\n151.21,-33.87\n")
    result = CliRunner().invoke(command, ["--gallery", str(bad), "--output", str(tmp_path / "new")])
    assert isinstance(result.exception, GalleryError)
    assert not (tmp_path / "new").exists()


def test_a_parity_limit_of_0_fails_and_leaves_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    arguments = [str(tiny_checkpoint), "--parity-limit", "0", "--output", str(tmp_path / "new")]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, ParityError)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("geolocate_export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(command, [])
    assert isinstance(result.exception, ExtraMissing)
    assert "geolocate[export]" in str(result.exception)


@pytest.mark.parametrize("name", ["../up", "-x", ".hidden", "a/b", ""])
def test_a_name_that_is_no_folder_name_is_a_usage_error(name: str) -> None:
    assert CliRunner().invoke(command, [f"--name={name}"]).exit_code == 2
