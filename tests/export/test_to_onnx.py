"""Exports: complete, equal to torch, and all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from geolocate import bundle
from geolocate.equal_earth import project
from geolocate.errors import OutputError, ParityError
from geolocate.gallery import Gallery
from geolocate.gallery_csv import GalleryPoints
from geolocate.places import PlaceIndex
from geolocate.session import ImageEncoder, Retrieval
from geolocate_export import graphs
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.parity import cpu_session, generated_photos
from geolocate_export.to_onnx import BundlePlan, export_bundle

#: A vision transformer: the other family of towers than the starter's.
CONFIG = ModelConfig(
    image=ImageConfig(
        vision={"layers": 2, "width": 64, "head_width": 32, "patch_size": 16, "image_size": 64},
        feature_dim=48,
    ),
    location=LocationConfig(frequencies=16, hidden=32),
    embedding_dim=24,
)


def plan(**changes: object) -> BundlePlan:
    coordinates = np.random.default_rng(3).uniform((-60, -180), (70, 180), size=(200, 2))
    values: dict[str, object] = {
        "name": "tiny",
        "version": "1",
        "licence": "MIT",
        "source": "nothing",
        "trained": False,
        "gallery": GalleryPoints(coordinates, np.arange(1, 201, dtype=np.float32)),
        "gallery_method": "random points",
    }
    return BundlePlan(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> GeoModel:
    torch.manual_seed(2)
    return GeoModel(CONFIG).eval()


@pytest.fixture(scope="module", autouse=True)
def traced_once() -> Iterator[None]:
    """Tracing takes seconds: graphs of one module are traced once, each export gets copies."""
    traced: dict[int, tuple[object, onnx.ModelProto]] = {}
    trace = graphs._export

    def remembered(module: torch.nn.Module, *arguments: Any) -> onnx.ModelProto:
        key = id(module)
        if key not in traced:
            traced[key] = (module, trace(module, *arguments))  # the module is kept, so its id stays its own
        proto = onnx.ModelProto()
        proto.CopyFrom(traced[key][1])
        return proto

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "_export", remembered)
        yield


@pytest.fixture(scope="module")
def exported(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    folder = tmp_path_factory.mktemp("export") / "tiny"
    export_bundle(model, plan(), folder)
    return bundle.load_bundle(folder)


def test_the_manifest_names_every_file_and_verifies(exported: bundle.Bundle) -> None:
    on_disk = {
        path.relative_to(exported.path).as_posix() for path in exported.path.rglob("*") if path.is_file()
    }
    assert set(exported.manifest.files) == on_disk - {bundle.MANIFEST_NAME}
    assert set(exported.manifest.files) == {
        "image_encoder.fp32.onnx",
        bundle.IMAGE_HEAD,
        bundle.LOCATION_ENCODER,
        bundle.RETRIEVAL,
        bundle.GALLERY_COORDINATES,
        bundle.GALLERY_WEIGHTS,
        bundle.GALLERY_EMBEDDINGS,
        bundle.GALLERY_PLACES,
        bundle.CARD,
    }
    assert [name for name, problem in exported.verify() if problem] == []
    assert (exported.manifest.feature_dim, exported.manifest.embedding_dim) == (48, 24)
    assert exported.manifest.image.size == 64


def test_parity_is_recorded_for_every_encoder(exported: bundle.Bundle) -> None:
    parity = exported.manifest.parity
    assert parity["image_encoder"]["n"] >= 16
    assert parity["top1_drift_km"] == 0
    for name in ("image_encoder", "image_head", "location_encoder"):
        assert 0 <= parity[name]["max_abs_difference"] <= 1e-5
        assert parity[name]["min_cosine"] > 0.9999999


def test_the_card_says_in_its_first_line_that_nothing_was_trained(exported: bundle.Bundle) -> None:
    assert "UNTRAINED" in (exported.path / bundle.CARD).read_text().splitlines()[0]


def test_the_gallery_carries_weights_places_and_embeddings(exported: bundle.Bundle, model: GeoModel) -> None:
    gallery = Gallery.from_bundle(exported)
    points = plan().gallery
    assert np.array_equal(gallery.coordinates, points.coordinates)
    assert np.array_equal(gallery.weights, points.weights)
    assert gallery.places is not None
    assert np.array_equal(gallery.places, PlaceIndex.load().nearest_ids(points.coordinates))
    with torch.inference_mode():
        expected = model.location_encoder(torch.from_numpy(project(points.coordinates)).float()).numpy()
    np.testing.assert_allclose(gallery.embeddings, expected, atol=1e-6)


def test_the_runtime_opens_what_was_exported(exported: bundle.Bundle, model: GeoModel) -> None:
    photos = generated_photos(4, 64)
    embeddings = ImageEncoder(exported, "cpu")(photos).embeddings
    with torch.inference_mode():
        np.testing.assert_allclose(embeddings, model.image_encoder(torch.from_numpy(photos)), atol=1e-6)
    gallery = Gallery.from_bundle(exported)
    retrieval = Retrieval(exported, gallery.embeddings, gallery.log_weights, "cpu")
    totals = [posterior.sum() for posterior in retrieval.posteriors(embeddings)]
    np.testing.assert_allclose(totals, np.ones(4), rtol=1e-5)


def test_retrieval_is_the_softmax_of_scaled_cosines_plus_the_prior() -> None:
    generator = np.random.default_rng(4)
    images, gallery = generator.normal(size=(3, 8)), generator.normal(size=(50, 8))
    prior, factor = generator.normal(size=50), 2.5
    logits = factor * images @ gallery.T + prior
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    posterior, probability, index = cpu_session(graphs.retrieval_graph(8)).run(
        ["posterior", "top_probability", "top_index"],
        {
            "image_embedding": images.astype(np.float32),
            "gallery": gallery.astype(np.float32),
            "log_prior": prior.astype(np.float32),
            "logit_factor": np.array(factor, np.float32),
            "top": np.array([4]),
        },
    )
    np.testing.assert_allclose(posterior, expected, rtol=1e-4)
    assert index.tolist() == np.argsort(-expected, axis=1)[:, :4].tolist()
    np.testing.assert_allclose(probability, -np.sort(-expected, axis=1)[:, :4], rtol=1e-4)


@pytest.mark.parametrize("limit", [0.0, 1e-12])
def test_a_failed_parity_leaves_no_file(model: GeoModel, tmp_path: Path, limit: float) -> None:
    with pytest.raises(ParityError, match="more than the parity limit"):
        export_bundle(model, plan(parity_limit=limit), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_numbers_fail_parity(tmp_path: Path) -> None:
    torch.manual_seed(2)
    broken = GeoModel(CONFIG)
    with torch.no_grad():
        broken.image_encoder.mlp[2].bias[0] = float("nan")
    with pytest.raises(ParityError, match="nan"):
        export_bundle(broken, plan(), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_force_keeps_the_old_bundle_where_the_new_one_fails(model: GeoModel, tmp_path: Path) -> None:
    old = tmp_path / "bundle"
    old.mkdir()
    (old / bundle.MANIFEST_NAME).write_text("old")
    with pytest.raises(ParityError):
        export_bundle(model, plan(parity_limit=0.0), old, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (old / bundle.MANIFEST_NAME).read_text() == "old"


def test_an_existing_folder_is_refused_and_force_replaces_only_bundles(
    model: GeoModel, tmp_path: Path
) -> None:
    old = tmp_path / "bundle"
    old.mkdir()
    (old / bundle.MANIFEST_NAME).write_text("old")
    with pytest.raises(OutputError, match="--force"):
        export_bundle(model, plan(), old)
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "only-copy.jpg").write_text("x")
    with pytest.raises(OutputError, match="neither a bundle nor"):
        export_bundle(model, plan(), precious, force=True)
    assert (precious / "only-copy.jpg").exists()
    export_bundle(model, plan(), old, force=True)
    assert json.loads((old / bundle.MANIFEST_NAME).read_text())["name"] == "tiny"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "photos"]


def test_two_exports_have_the_same_bytes(exported: bundle.Bundle, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = GeoModel(CONFIG).eval()  # another object: nothing is remembered of the first export
    again = export_bundle(model, plan(), tmp_path / "tiny")
    assert again.files == exported.manifest.files


def test_half_storage_changes_the_size_and_not_one_bit_of_the_output(model: GeoModel) -> None:
    torch.manual_seed(5)
    rounded = GeoModel(CONFIG).eval()
    with torch.no_grad():
        for tensor in rounded.parameters():
            tensor.copy_(tensor.half().float())
    full = graphs.image_encoder_graph(rounded.image_encoder, 64)
    small = graphs.store_as_half(onnx.ModelProto.FromString(graphs.graph_bytes(full)))
    assert len(graphs.graph_bytes(small)) < 0.6 * len(graphs.graph_bytes(full))
    photos = {"pixels": generated_photos(3, 64)}
    assert np.array_equal(cpu_session(full).run(None, photos)[0], cpu_session(small).run(None, photos)[0])


def test_weights_that_half_would_round_stay_as_they_are(model: GeoModel) -> None:
    full = graphs.image_encoder_graph(model.image_encoder, 64)
    before = graphs.graph_bytes(full)
    assert abs(len(graphs.graph_bytes(graphs.store_as_half(full))) - len(before)) < 0.05 * len(before)


def test_generated_photos_are_the_same_each_time_and_differ_from_each_other() -> None:
    first, again = generated_photos(4, 48), generated_photos(4, 48)
    assert first.shape == (4, 48, 48, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert all(photo.std() > 10 for photo in first)
    assert len({photo.tobytes() for photo in first}) == 4
