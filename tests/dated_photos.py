"""Small JPEGs that say when and where they were taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hostile.exif_blocks import Block, ascii_text, rationals
from PIL import Image


def dated_photo(
    path: Path,
    taken: str | None = None,
    position: tuple[float, float] | None = None,
    offset: str | None = None,
    seed: int = 0,
) -> Path:
    """Writes a photo of noise; `taken` as EXIF has it (2024:06:01 12:00:00), `offset` as +02:00."""
    exif = {0x9003: ascii_text(taken.encode())} if taken else {}
    if offset:
        exif[0x9011] = ascii_text(offset.encode())
    gps = {}
    if position:
        for tag, degrees, signs in ((1, position[0], b"NS"), (3, position[1], b"EW")):
            gps[tag] = ascii_text(signs[degrees < 0 :][:1])
            gps[tag + 1] = rationals((round(abs(degrees) * 10**6), 10**6), (0, 1), (0, 1))
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    block = Block(exif=exif, gps=gps).build()
    Image.fromarray(pixels).save(path, quality=85, exif=block)
    return path
