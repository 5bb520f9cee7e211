"""The encoders in torch: shapes, sums and norms, and checkpoints that lose nothing and execute nothing."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from geolocate.equal_earth import project
from geolocate.errors import BundleDamaged, BundleNotFound
from geolocate_export.checkpoint import WEIGHTS_NAME, load_checkpoint, round_to_half, save_checkpoint
from geolocate_export.model import (
    GeoModel,
    ImageConfig,
    LocationConfig,
    LocationEncoder,
    ModelConfig,
    equal_earth,
)

TINY = ModelConfig(
    image=ImageConfig(
        vision={"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32},
        feature_dim=24,
    ),
    location=LocationConfig(frequencies=8, hidden=16),
    embedding_dim=12,
)


@pytest.fixture
def model() -> GeoModel:
    torch.manual_seed(1)
    return GeoModel(TINY).eval()


def test_image_shapes_are_those_of_the_configuration(model: GeoModel) -> None:
    pixels = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    features = model.image_encoder.features(pixels)
    assert features.shape == (5, 24)
    assert model.image_encoder.head(features).shape == (5, 12)
    assert torch.equal(model.image_encoder(pixels), model.image_encoder.head(features))


def test_features_stay_raw_and_embeddings_have_unit_length(model: GeoModel) -> None:
    pixels = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    features = model.image_encoder.features(pixels)
    assert (features.norm(dim=1) - 1).abs().min() > 1e-2
    torch.testing.assert_close(model.image_encoder(pixels).norm(dim=1), torch.ones(5))


def test_pixels_are_normalised_inside(model: GeoModel) -> None:
    seen = []
    model.image_encoder.backbone.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    model.image_encoder.features(torch.full((1, 32, 32, 3), 255, dtype=torch.uint8))
    expected = [(1 - m) / s for m, s in zip(TINY.image.mean, TINY.image.std, strict=True)]
    torch.testing.assert_close(seen[0][0, :, 7, 9], torch.tensor(expected))


def test_a_location_is_the_normalised_sum_of_its_capsules(model: GeoModel) -> None:
    encoder = model.location_encoder
    points = torch.tensor(project(np.array([[48.85, 2.35], [-33.87, 151.21]])), dtype=torch.float32)
    total = sum(capsule(points) for capsule in encoder.capsules)
    torch.testing.assert_close(encoder(points), total / total.norm(dim=1, keepdim=True))


def test_capsules_have_geoclips_layout_and_size() -> None:
    encoder = LocationEncoder(LocationConfig(), 512)
    state = encoder.state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == 9_449_472
    assert state["capsules.0.capsule.0.b"].shape == (256, 2)
    assert state["capsules.2.capsule.5.weight"].shape == (1024, 1024)
    assert state["capsules.1.head.0.weight"].shape == (512, 1024)
    assert not any(name.endswith(".b") for name, _ in encoder.named_parameters()), "frequencies are frozen"
    for index, sigma in enumerate((1, 16, 256)):
        assert state[f"capsules.{index}.capsule.0.b"].std().item() == pytest.approx(sigma, rel=0.15)


def test_fourier_features_are_cosines_then_sines_of_two_pi_b_v(model: GeoModel) -> None:
    fourier = model.location_encoder.capsules[2].capsule[0]
    point = torch.tensor([[0.31, -0.27]])
    angle = 2 * math.pi * point.double() @ fourier.b.double().T
    expected = torch.cat((angle.cos(), angle.sin()), dim=1).float()
    torch.testing.assert_close(fourier(point), expected, rtol=0, atol=1e-6)


def test_torch_and_numpy_project_alike() -> None:
    degrees = np.random.default_rng(0).uniform((-90, -180), (90, 180), size=(1000, 2))
    np.testing.assert_allclose(equal_earth(torch.from_numpy(degrees)).numpy(), project(degrees), atol=1e-14)


def test_logits_are_scaled_cosines(model: GeoModel) -> None:
    pixels = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    logits = model(pixels, torch.tensor([[48.85, 2.35], [-33.87, 151.21]]))
    assert logits.shape == (3, 2)
    assert logits.abs().max() <= 1 / 0.07 + 1e-4
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_a_configuration_survives_json() -> None:
    assert ModelConfig.from_json(TINY.to_json()) == TINY


@pytest.mark.parametrize("text", ["{}", '{"image": 3}', "[]", "not json"])
def test_a_wrong_configuration_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ModelConfig.from_json(text)


def test_towers_of_open_clip_go_by_name() -> None:
    config = ImageConfig.of_open_clip("ViT-L-14-quickgelu")
    assert (config.feature_dim, config.image_size, config.quick_gelu) == (768, 224, True)
    with pytest.raises(ValueError, match="knows no model"):
        ImageConfig.of_open_clip("no-such-tower")


def test_a_half_checkpoint_of_rounded_weights_loses_nothing(model: GeoModel, tmp_path: Path) -> None:
    round_to_half(model)
    save_checkpoint(model, tmp_path, torch.float16)
    loaded = load_checkpoint(tmp_path)
    assert loaded.config == TINY
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
        assert loaded.state_dict()[name].dtype == tensor.dtype


def test_a_pickle_as_weights_is_refused_and_nothing_is_executed(model: GeoModel, tmp_path: Path) -> None:
    witness = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (witness,)  # type: ignore[return-value]

    folder = tmp_path / "checkpoint"
    save_checkpoint(model, folder)
    (folder / WEIGHTS_NAME).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BundleDamaged, match="cannot be loaded"):
        load_checkpoint(folder)
    assert not witness.exists()


def test_weights_of_another_model_are_refused(model: GeoModel, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"embedding_dim": 12', '"embedding_dim": 13'))
    with pytest.raises(BundleDamaged, match="cannot be loaded"):
        load_checkpoint(tmp_path)


def test_a_folder_without_weights_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="not a checkpoint"):
        load_checkpoint(tmp_path)
