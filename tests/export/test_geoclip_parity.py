"""Ours and the `geoclip` package, both with one seeded random CLIP ViT-L/14, give the same embeddings.

The only place where geoclip's and transformers' code runs: as the other side of a comparison.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from geolocate.equal_earth import project
from geolocate_export.clip_weights import ClipWeights, load_clip
from geolocate_export.geoclip import find_geoclip_files, geoclip_model, load_heads
from geolocate_export.model import GeoModel
from geolocate_export.parity import generated_photos

transformers = pytest.importorskip("transformers")

#: Largest difference of L2-normalised embeddings.
LIMIT = 1e-4
#: How far the float64 projection may move a location embedding away from the published float32 one.
FLOAT64_LIMIT = 1e-3
#: Spreads the features of random towers as far as trained ones: with 1 they hardly depend on the input.
INITIALIZER_FACTOR = 3.0


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random CLIP ViT-L/14 in the layout of openai/clip-vit-large-patch14: 1.7 GB, deleted afterwards."""
    folder = tmp_path_factory.mktemp("clip-vit-large-patch14")
    torch.manual_seed(14)
    config = transformers.CLIPConfig(
        projection_dim=768,
        initializer_factor=INITIALIZER_FACTOR,
        vision_config={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "patch_size": 14,
            "projection_dim": 768,
            "initializer_factor": INITIALIZER_FACTOR,
        },
        text_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "projection_dim": 768,
            "bos_token_id": 0,
            "eos_token_id": 2,  # as published: pools at the highest id
            "initializer_factor": INITIALIZER_FACTOR,
        },
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def geoclip_package() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script inside geoclip is deprecated
        return pytest.importorskip("geoclip")


@pytest.fixture(scope="module")
def theirs(clip_folder: Path, geoclip_package: ModuleType) -> Any:
    image_processor = transformers.CLIPImageProcessor()
    with pytest.MonkeyPatch.context() as patch:
        # The real folder holds a tokeniser as well, which geoclip loads and never uses.
        patch.setattr(
            transformers.AutoProcessor, "from_pretrained", classmethod(lambda *_, **__: image_processor)
        )
        return geoclip_package.GeoCLIP(clip_path=str(clip_folder)).eval()


@pytest.fixture(scope="module")
def weights(clip_folder: Path) -> ClipWeights:
    return load_clip(clip_folder)


@pytest.fixture(scope="module")
def ours(weights: ClipWeights) -> GeoModel:
    return geoclip_model(load_heads(find_geoclip_files()), weights.image, weights.vision)


@pytest.fixture(scope="module")
def photos() -> np.ndarray[Any, Any]:
    return generated_photos(4, 224)


def test_image_embeddings_equal_geoclips(theirs: Any, ours: GeoModel, photos: np.ndarray[Any, Any]) -> None:
    with torch.inference_mode():
        pixels = torch.cat(
            [theirs.image_encoder.preprocess_image(Image.fromarray(photo)) for photo in photos]
        )
        expected = functional.normalize(theirs.image_encoder(pixels), dim=1)
        found = ours.image_encoder(torch.from_numpy(photos))
    assert float((expected[0] - expected[1:]).abs().max()) > 100 * LIMIT, "the photos cannot be told apart"
    difference = float((expected - found).abs().max())
    print(f"image embeddings: max abs difference {difference:.2g}")
    assert difference < LIMIT


def test_location_embeddings_of_the_whole_gallery_equal_geoclips(
    theirs: Any, ours: GeoModel, geoclip_package: ModuleType
) -> None:
    """Their float32 projection goes into both; how far ours in float64 moves them is bounded too."""
    their_projection = geoclip_package.model.location_encoder.equal_earth_projection
    degrees = theirs.gps_gallery
    assert degrees.shape == (100_000, 2)
    differences, float64_differences = [], []
    with torch.inference_mode():
        for part in degrees.split(5_000):
            expected = functional.normalize(theirs.location_encoder(part), dim=1)
            float32 = ours.location_encoder(their_projection(part))
            float64 = ours.location_encoder(torch.from_numpy(project(part.double().numpy())).float())
            differences.append(float((expected - float32).abs().max()))
            float64_differences.append(float((expected - float64).abs().max()))
    print(
        f"location embeddings: max abs difference {max(differences):.2g}; "
        f"with the projection in float64 {max(float64_differences):.2g}"
    )
    assert max(differences) < LIMIT
    assert max(float64_differences) < FLOAT64_LIMIT


def test_logits_equal_geoclips_forward(
    theirs: Any, ours: GeoModel, photos: np.ndarray[Any, Any], geoclip_package: ModuleType
) -> None:
    degrees = theirs.gps_gallery[:1_000]
    projected = geoclip_package.model.location_encoder.equal_earth_projection(degrees)
    with torch.inference_mode():
        pixels = torch.cat(
            [theirs.image_encoder.preprocess_image(Image.fromarray(photo)) for photo in photos]
        )
        expected = theirs(pixels, degrees)
        images = ours.image_encoder(torch.from_numpy(photos))
        found = ours.logit_scale.exp() * images @ ours.location_encoder(projected).T
    assert float((expected - found).abs().max()) < float(ours.logit_scale.detach().exp()) * LIMIT


def test_text_features_equal_transformers_clip(theirs: Any, weights: ClipWeights) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.zeros((6, 77), dtype=torch.int64)
    for row, length in enumerate((0, 1, 5, 20, 74, 75)):
        tokens[row, 0] = 49406
        tokens[row, 1 : 1 + length] = torch.randint(0, 49406, (length,), generator=generator)
        tokens[row, 1 + length] = 49407
    with torch.inference_mode():
        expected = theirs.image_encoder.CLIP.get_text_features(input_ids=tokens)
        expected = functional.normalize(getattr(expected, "pooler_output", expected), dim=1)
        found = functional.normalize(weights.text_tower()(tokens), dim=1)
    assert float((expected[0] - expected[1:]).abs().max()) > 100 * LIMIT, "the texts cannot be told apart"
    difference = float((expected - found).abs().max())
    print(f"text features: max abs difference {difference:.2g}")
    assert difference < LIMIT
