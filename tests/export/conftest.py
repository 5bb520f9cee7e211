"""What several tests of the torch side share: the published heads as a bundle."""

from __future__ import annotations

import pytest
import torch

from geolocate.bundle import Bundle, load_bundle
from geolocate_export.geoclip import find_geoclip_files, geoclip_model, load_gallery, load_heads
from geolocate_export.model import ImageConfig
from geolocate_export.to_onnx import BundlePlan, export_bundle


@pytest.fixture(scope="session")
def published_heads(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """GeoCLIP's own heads and gallery, exported; the backbone is a small random one."""
    torch.manual_seed(0)
    files = find_geoclip_files()
    backbone = {"layers": 1, "width": 16, "head_width": 16, "patch_size": 16, "image_size": 16}
    model = geoclip_model(load_heads(files), ImageConfig(backbone, feature_dim=768))
    plan = BundlePlan(
        name="published-heads",
        version="1",
        licence="MIT",
        source=files.source,
        trained=False,
        gallery=load_gallery(files),
        gallery_method="published",
        parity_limit=1e-4,
    )
    folder = tmp_path_factory.mktemp("bundle") / "published-heads"
    export_bundle(model, plan, folder)
    return load_bundle(folder)
