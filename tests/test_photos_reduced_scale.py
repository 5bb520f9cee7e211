"""Decoding at reduced scale costs next to nothing of what a real encoder sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import SHARED
from numpy.typing import NDArray
from PIL import Image

from geolocate.photos import decode_photo
from geolocate.photos.resize import OVERSAMPLING

SIDE = 224
#: With the mean embedding taken off, for all photos look alike to a bare cosine.
LEAST_COSINE = 0.999


#: Side of a tile of noise, and its standard deviation in values of 0 to 255.
TILE, NOISE = 512, 8.0


def natural_noise() -> NDArray[np.float64]:
    """(TILE, TILE), periodic, its amplitude falling as 1/frequency as that of natural pictures does."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    frequency[0, 0] = np.inf
    white = np.random.default_rng(3).standard_normal((TILE, TILE))
    noise: NDArray[np.float64] = np.fft.irfft2(np.fft.rfft2(white) / frequency, (TILE, TILE))
    return NOISE * noise / noise.std()


def enlarged(path: Path, folder: Path, shorter: int) -> Path:
    """The photo as JPEG, its shorter side so long, with noise in place of the detail that it never had."""
    with Image.open(path) as photo:
        scale = shorter / min(photo.size)
        large = photo.convert("RGB").resize(
            [round(side * scale) for side in photo.size], Image.Resampling.LANCZOS
        )
    repeats = -(-large.height // TILE), -(-large.width // TILE)
    noise = np.tile(natural_noise(), repeats)[: large.height, : large.width, None]
    target = folder / f"{path.stem}.jpg"
    Image.fromarray(np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8)).save(target, quality=90)
    return target


def test_the_embedding_keeps_its_direction(real_photos: Path, tmp_path: Path) -> None:
    backbone = SHARED / "backbones" / "mobilenet_v2.onnx"
    if not backbone.is_file():
        pytest.skip("needs the real encoder in ../shared/backbones")
    session = onnxruntime.InferenceSession(str(backbone), providers=["CPUExecutionProvider"])

    def embedding(path: Path, exact: bool) -> NDArray[np.float32]:
        pixels = decode_photo(path, size=SIDE, exact=exact).pixels.astype(np.float32)
        image = (pixels.transpose(2, 0, 1)[None] - 127.0) / 127.5
        row: NDArray[np.float32] = session.run(["embedding"], {"image": image})[0][0]
        return row

    # Just large enough for half the scale: no size leaves fewer pixels.
    originals = sorted((real_photos / "landmarks").glob("*.jpg"))
    photos = [enlarged(path, tmp_path, 2 * OVERSAMPLING * SIDE) for path in originals]
    exact = np.stack([embedding(path, True) for path in photos])
    reduced = np.stack([embedding(path, False) for path in photos])
    assert not np.array_equal(exact, reduced), "nothing was reduced"
    a, b = exact - exact.mean(axis=0), reduced - exact.mean(axis=0)
    cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    assert cosines.min() >= LEAST_COSINE


@pytest.mark.parametrize("size", [(2759, 2688), (2688, 2759), (3001, 1797)])
def test_a_size_that_no_scale_divides_does_not_move_the_picture(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """The reduced picture is rounded up: placed on that, the square would be another one."""
    columns, rows = np.linspace(0, 60, size[0]), np.linspace(0, 60, size[1])
    waves = 128 + 100 * np.sin(columns)[None, :] * np.sin(rows)[:, None]
    path = tmp_path / "waves.jpg"
    Image.fromarray(waves.astype(np.uint8)).save(path, quality=95)
    exact, reduced = (decode_photo(path, size=SIDE, exact=way).pixels.astype(int) for way in (True, False))
    assert np.abs(exact - reduced).max() <= 2
