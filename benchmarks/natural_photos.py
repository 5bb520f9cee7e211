"""Generated photos with the statistics of natural ones: amplitude falls as 1/frequency.

So the entropy decoder has about as much to do as with a camera's file, and nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

JPEG_QUALITY = 90
#: Each photo has a position in its EXIF, so that reading it and measuring the error are timed too.
GPS_IFD, GPS_TAGS = 0x8825, (1, 3)


def natural_photo(megapixels: float, seed: int = 7) -> Image.Image:
    """4:3, RGB: noise whose amplitude falls as 1/frequency, with correlated channels."""
    width = 16 * round((megapixels * 1e6 * 4 / 3) ** 0.5 / 16)
    height = width * 3 // 4
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    layers = []
    for _ in range(3):
        spectrum = np.fft.rfft2(random.standard_normal((height, width), dtype=np.float32)) / frequency
        spectrum[0, 0] = 0
        layer = np.fft.irfft2(spectrum, (height, width))
        layers.append((layer / layer.std()).astype(np.float32))
    channels = [128 + 50 * layers[0] + 12 * layer for layer in (layers[1], 0 * layers[0], layers[2])]
    return Image.fromarray(np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8))


def write_natural_photos(folder: Path, count: int, megapixels: float) -> list[Path]:
    """Writes `count` distinct JPEGs with positions, and returns their paths.

    The noise is periodic: each photo is the first one, moved and turned round, which is as natural.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(natural_photo(megapixels))  # (H, W, 3)
    random = np.random.default_rng(12)
    paths = []
    for number in range(count):
        shift = (int(random.integers(pixels.shape[0])), int(random.integers(pixels.shape[1])))
        moved = np.roll(pixels, shift, axis=(0, 1))[:: 1 - 2 * (number % 2)]
        path = folder / f"{number:06}.jpg"
        exif = Image.Exif()
        gps = exif.get_ifd(GPS_IFD)
        for tag, degrees, signs in zip(
            GPS_TAGS, random.uniform((-60, -180), (70, 180)), ("NS", "EW"), strict=True
        ):
            gps[tag], gps[tag + 1] = signs[int(degrees < 0)], (float(abs(degrees)), 0.0, 0.0)
        Image.fromarray(np.ascontiguousarray(moved)).save(path, quality=JPEG_QUALITY, exif=exif)
        paths.append(path)
    return paths
