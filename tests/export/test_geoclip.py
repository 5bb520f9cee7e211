"""The published heads and gallery: pinned, complete, and read without running anything."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from geolocate.errors import WeightsError
from geolocate_export.geoclip import (
    GALLERY_FILE,
    LOCATION_FILE,
    LOGIT_SCALE_FILE,
    PINNED_VERSION,
    find_geoclip_files,
    geoclip_model,
    load_gallery,
    load_heads,
)
from geolocate_export.model import ImageConfig

#: A backbone of the right width that costs nothing.
SMALL_BACKBONE = ImageConfig(
    {"layers": 1, "width": 8, "head_width": 8, "patch_size": 16, "image_size": 16}, feature_dim=768
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The four files apart from the distribution."""
    for path in find_geoclip_files().paths.values():
        shutil.copy(path, tmp_path)
    return tmp_path


def test_the_installed_distribution_is_the_pinned_release() -> None:
    files = find_geoclip_files()
    assert files.pinned
    assert files.source == f"geoclip {PINNED_VERSION}"


def test_geoclips_code_is_never_imported() -> None:
    program = (
        "import sys; from geolocate_export.geoclip import *; "
        "load_heads(find_geoclip_files()); assert 'geoclip' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_gallery_has_94123_points_that_stand_for_100000_rows() -> None:
    points = load_gallery(find_geoclip_files())
    assert points.coordinates.shape == (94_123, 2)
    assert points.coordinates.dtype == np.float64
    assert points.weights.sum() == 100_000
    assert points.weights.max() == 37
    assert len(np.unique(points.coordinates, axis=0)) == 94_123


def test_the_heads_have_the_published_scale_and_every_parameter() -> None:
    heads = load_heads(find_geoclip_files())
    assert heads.logit_scale == pytest.approx(3.68103, abs=1e-5)
    model = geoclip_model(heads, SMALL_BACKBONE)
    assert sum(tensor.numel() for tensor in model.location_encoder.state_dict().values()) == 9_449_472
    assert model.logit_scale.item() == pytest.approx(3.68103, abs=1e-5)
    assert torch.equal(
        model.location_encoder.capsules[2].capsule[0].b, heads.location_encoder["capsules.2.capsule.0.b"]
    )


def test_a_folder_serves_as_well_as_the_distribution(folder: Path) -> None:
    files = find_geoclip_files(folder)
    assert files.pinned
    assert set(files.paths) == {path.name for path in folder.iterdir()}


def test_another_release_is_refused_unless_asked_for_and_then_said(folder: Path) -> None:
    torch.save(torch.tensor(4.0), folder / LOGIT_SCALE_FILE)
    with pytest.raises(WeightsError, match=f"not the files of geoclip {PINNED_VERSION}: {LOGIT_SCALE_FILE}"):
        find_geoclip_files(folder)
    said: list[str] = []
    files = find_geoclip_files(folder, accept_unpinned=True, say=said.append)
    assert len(said) == 1
    assert LOGIT_SCALE_FILE in said[0]
    assert "not pinned" in files.source
    assert load_heads(files).logit_scale == 4.0


def test_a_missing_file_and_a_second_one_are_named(folder: Path) -> None:
    (folder / "copy").mkdir()
    shutil.copy(folder / GALLERY_FILE, folder / "copy")
    with pytest.raises(WeightsError, match=f"more than one {GALLERY_FILE}"):
        find_geoclip_files(folder)
    shutil.rmtree(folder / "copy")
    (folder / GALLERY_FILE).unlink()
    with pytest.raises(WeightsError, match=f"no {GALLERY_FILE}"):
        find_geoclip_files(folder)


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_with_code_is_refused_and_nothing_runs(folder: Path, tmp_path: Path, archive: bool) -> None:
    target = tmp_path / "ran"
    if archive:
        torch.save({"LocEnc0.capsule.0.b": Payload(target)}, folder / LOCATION_FILE)
    else:
        (folder / LOCATION_FILE).write_bytes(pickle.dumps({"LocEnc0": Payload(target)}, protocol=2))
    files = find_geoclip_files(folder, accept_unpinned=True)
    with pytest.raises(WeightsError, match=LOCATION_FILE):
        load_heads(files)
    assert not target.exists()


def test_heads_that_lack_a_key_or_meet_another_width_are_refused(folder: Path) -> None:
    heads = load_heads(find_geoclip_files())
    with pytest.raises(WeightsError, match="features have width 512, GeoCLIP's heads take 768"):
        geoclip_model(heads, ImageConfig(SMALL_BACKBONE.vision, feature_dim=512))
    state = torch.load(folder / LOCATION_FILE, weights_only=True)
    del state["LocEnc1.head.0.bias"]
    torch.save(state, folder / LOCATION_FILE)
    with pytest.raises(WeightsError, match=r"capsules\.1\.head\.0\.bias"):
        geoclip_model(load_heads(find_geoclip_files(folder, accept_unpinned=True)), SMALL_BACKBONE)
