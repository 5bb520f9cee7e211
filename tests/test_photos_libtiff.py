"""A damaged TIFF is a row, and no line of libtiff's own beside it."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image

from geolocate.errors import PhotoDamaged
from geolocate.photos import decode_photo


def test_libtiff_writes_nothing_on_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((300, 300), 50).save(buffer, "TIFF", compression="tiff_lzw")
    damaged = bytearray(buffer.getvalue())
    damaged[100:200] = random.Random(1).randbytes(100)
    path = tmp_path / "damaged.tif"
    path.write_bytes(damaged)
    with pytest.raises(PhotoDamaged):
        decode_photo(path, size=32)
    assert capfd.readouterr() == ("", "")
