"""What every hostile test needs: one good photo, so that a run has something to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import exif_blocks, pictures


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A photo that is in order, with a position in its EXIF, outside the folder `tree`."""
    path = tmp_path / "good.jpg"
    position = exif_blocks.position_block(exif_blocks.degrees(10, 30, 0), exif_blocks.degrees(20, 0, 0))
    path.write_bytes(pictures.photo("JPEG", exif=position))
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty folder for what a test wants to have in one."""
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder
