"""The published GeoCLIP's bundle is whole: each precision, text, parity rows, nothing left on failure.

The backbone is a small random CLIP with features as wide as ViT-L/14's; heads are the published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from geolocate import Geolocator
from geolocate.bundle import MODALITY_MEANS, TEXT_ENCODER, TOKENIZER, image_encoder_name, load_bundle
from geolocate.concepts import ConceptBank
from geolocate.errors import ParityError, UsageError
from geolocate.session import ImageEncoder
from geolocate.text import TextEncoder
from geolocate_export import published_geoclip, variants
from geolocate_export.clip_weights import load_clip
from geolocate_export.parity import generated_photos
from geolocate_export.published_geoclip import build_geoclip

VISION = {"layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import json

    import open_clip
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(3)
    model = open_clip.CLIP(768, CLIPVisionCfg(**VISION), CLIPTextCfg(**TEXT), quick_gelu=True)
    config = {"embed_dim": 768, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gallery") / "points.csv"
    generator = np.random.default_rng(0)
    rows = [f"{a:.6f},{b:.6f}" for a, b in generator.uniform((-60, -180), (70, 180), (300, 2))]
    path.write_text("\n".join(["LAT,LON", *rows, rows[0]]))
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index, picture in enumerate(generated_photos(16, 64)):
        Image.fromarray(picture).save(folder / f"{index:02}.png")
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path, gallery: Path, photos: Path) -> Path:
    output = tmp_path_factory.mktemp("models") / "geoclip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "INT8_MIN_CENTRED_COSINE", 0.9)  # the tower is random: its int8 means nothing
        build_geoclip(
            output, clip_folder, gallery=gallery, photos=photos, precisions=("fp32", "int8", "fp16")
        )
    return output


def test_the_bundle_is_whole_and_verifies(built: Path) -> None:
    bundle = load_bundle(built)
    assert all(problem is None for _, problem in bundle.verify())
    assert bundle.manifest.precisions == ("fp32", "int8", "fp16")
    for name in (TEXT_ENCODER, TOKENIZER, MODALITY_MEANS, *map(image_encoder_name, ("fp32", "int8", "fp16"))):
        assert bundle.has(name)
    assert bundle.manifest.logit_scale == pytest.approx(3.68103, abs=1e-5)
    assert len(bundle.array("gallery_coordinates.npy", ndim=2)) == 300


def test_each_precision_has_its_own_row(built: Path) -> None:
    parity = load_bundle(built).manifest.parity
    for precision in ("fp32", "int8"):
        row = parity[f"image_encoder.{precision}"]
        assert row["n"] >= 16
        assert 0.9 <= row["min_centred_cosine"] <= 1.0 + 1e-6
        assert row["top1_drift_km"] >= 0
    assert parity["image_encoder.fp32"]["max_abs_difference"] < 1e-5
    assert (
        parity["image_encoder.int8"]["max_abs_difference"]
        > parity["image_encoder.fp32"]["max_abs_difference"]
    )
    assert parity["text_encoder"]["max_abs_difference"] < 1e-5
    assert "not measured" in parity["image_encoder.fp16"]


def test_int8_rows_do_not_depend_on_batch_mates(built: Path) -> None:
    encoder = ImageEncoder(load_bundle(built), "cpu", "int8")
    pixels = generated_photos(8, 32, seed=4)
    together = encoder(pixels).embeddings
    assert np.array_equal(np.concatenate([encoder(row[None]).embeddings for row in pixels]), together)
    parts = [encoder(part).embeddings for part in (pixels[:3], pixels[3:])]
    assert np.array_equal(np.concatenate(parts), together)


def test_float16_is_checked_by_onnx_with_the_same_interface(built: Path) -> None:
    half, whole = (onnx.load(built / image_encoder_name(precision)) for precision in ("fp16", "fp32"))
    onnx.checker.check_model(half, full_check=True)
    for side in ("input", "output"):
        assert [(v.name, v.type.tensor_type.elem_type) for v in getattr(half.graph, side)] == [
            (v.name, v.type.tensor_type.elem_type) for v in getattr(whole.graph, side)
        ]


def test_text_goes_through_tower_gap_and_head_as_in_torch(built: Path, clip_folder: Path) -> None:
    encoder = TextEncoder(load_bundle(built), "cpu")
    tokens = encoder.tokenizer(["a souk in the desert", "fjord"])
    with torch.inference_mode():
        raw = load_clip(clip_folder).text_tower()(torch.from_numpy(tokens.ids)).numpy()
    assert encoder.features(tokens) == pytest.approx(raw, abs=1e-4)
    assert encoder.means is not None
    closed = encoder.means.close_gap(raw)
    head = onnxruntime.InferenceSession(str(built / "image_head.onnx"), providers=["CPUExecutionProvider"])
    expected = head.run(None, {"features": closed})[0]
    assert encoder(tokens) == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(encoder(tokens)[:1], encoder(encoder.tokenizer(["a souk in the desert"])))


def test_int8_past_its_limit_is_left_out_and_said(
    tmp_path: Path, clip_folder: Path, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "INT8_MIN_CENTRED_COSINE", 1.1)
    said: list[str] = []
    manifest = build_geoclip(tmp_path / "out", clip_folder, gallery=gallery, say=said.append)
    assert manifest.precisions == ("fp32",)
    assert not (tmp_path / "out" / image_encoder_name("int8")).exists()
    assert "image_encoder.int8" in manifest.parity
    assert any("int8 is left out" in line for line in said)
    assert any("modality gap" in line for line in said)
    assert not load_bundle(tmp_path / "out").has(MODALITY_MEANS)


def _no_parity(patch: pytest.MonkeyPatch, options: dict[str, Any], folder: Path) -> None:
    options["parity_limit"] = 0.0


def _few_photos(patch: pytest.MonkeyPatch, options: dict[str, Any], folder: Path) -> None:
    (folder / "few").mkdir()
    options["photos"] = folder / "few"


def _unknown_precision(patch: pytest.MonkeyPatch, options: dict[str, Any], folder: Path) -> None:
    options["precisions"] = ("fp32", "int4")


def _text_wrong(patch: pytest.MonkeyPatch, options: dict[str, Any], folder: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ParityError("text_encoder differs")

    patch.setattr(published_geoclip, "add_text", refuse)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_no_parity, ParityError),
        (_few_photos, UsageError),
        (_unknown_precision, UsageError),
        (_text_wrong, ParityError),
    ],
)
def test_a_failed_export_leaves_nothing(
    tmp_path: Path,
    clip_folder: Path,
    gallery: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pytest.MonkeyPatch, dict[str, Any], Path], None],
    error: type[Exception],
) -> None:
    options: dict[str, Any] = {"gallery": gallery}
    spoil(monkeypatch, options, tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(error):
        build_geoclip(tmp_path / "models" / "out", clip_folder, **options)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_zero_shot_concept_counts_above_its_mean_over_the_photos(built: Path, photos: Path) -> None:
    bank = ConceptBank.from_bundle(load_bundle(built))
    assert bank is not None
    assert bank.kind == "zero-shot"
    assert len(set(bank.names)) == len(bank.names) > 40
    np.testing.assert_allclose(np.linalg.norm(bank.basis, axis=1), 1, atol=1e-5)
    located = Geolocator.load(built, device="cpu", precision="fp32")
    scores = [bank.image_scores(image) for image in located.encode_images([photos]) if image.error is None]
    assert len(scores) == 16
    np.testing.assert_allclose(np.mean(scores, axis=0), 0, atol=1e-4)  # of the photos that it was built with
    assert np.max(scores) > 0
