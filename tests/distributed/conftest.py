"""Photos for jobs, and one cluster for all tests here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if find_spec("ray") is None:  # not imported: geolocate tells it things before
    pytest.skip("needs ray (the extra 'ray')", allow_module_level=True)

from geolocate.distributed.cluster import Pool, started


@pytest.fixture(scope="session")
def mixed_photos(tmp_path_factory: pytest.TempPathFactory, drawn_photos: Path) -> Path:
    """Photos with and without positions, copies, a link, failures, and a name that is no text."""
    folder = tmp_path_factory.mktemp("mixed") / "photos"
    shutil.copytree(drawn_photos, folder)
    (folder / "more").mkdir()
    random = np.random.default_rng(1)
    for number in range(40):
        pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(folder / "more" / f"{number:02}.jpg")
    shutil.copy(folder / "alps.jpg", folder / "more" / "copy of alps.jpg")
    shutil.copy(folder / "more" / "00.jpg", folder / "zz copy.jpg")
    os.link(folder / "more" / "01.jpg", folder / "zz link.jpg")
    (folder / "more" / "damaged.jpg").write_bytes((folder / "alps.jpg").read_bytes()[:900])
    (folder / "no photo.jpg").write_text("text")
    (folder / "empty.jpg").touch()
    shutil.copy(folder / "more" / "02.jpg", os.path.join(os.fsencode(folder), b"\xff name.jpg"))
    return folder


@pytest.fixture(scope="package")
def pool() -> Iterator[Pool]:
    """Two actors and two decoders, in a cluster that lasts for all tests here."""
    pool = Pool("cpu", actors=2, decoders=2, threads=1)
    with started(pool):
        yield pool
