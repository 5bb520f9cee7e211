"""Files with flipped bytes: a picture or a row error, never anything else, and never a hang."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hostile import exif_blocks, pictures

from geolocate.errors import PhotoError
from geolocate.exif import read_exif
from geolocate.photos import decode_photo

SEED = 20_261_120
ROUNDS = 120

BLOCK = exif_blocks.position_block(exif_blocks.degrees(43, 28, 2.8), exif_blocks.degrees(11, 53, 6.4))


def mutated(data: bytes, generator: random.Random) -> bytes:
    """A few bytes changed, most of them near the start, where headers are; sometimes cut or doubled."""
    changed = bytearray(data)
    for _ in range(generator.randint(1, 12)):
        reach = len(changed) if generator.random() < 0.3 else min(len(changed), 400)
        changed[generator.randrange(reach)] = generator.choice(
            (0, 1, 127, 128, 255, generator.randrange(256))
        )
    if generator.random() < 0.2:
        del changed[generator.randrange(len(changed)) :]
    if generator.random() < 0.1:
        changed += changed[generator.randrange(len(changed) + 1) :]
    return bytes(changed)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("file_format", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("allow_truncated", [False, True], ids=["strict", "truncated"])
def test_a_mutated_file_is_a_picture_or_a_row_error(
    tmp_path: Path, file_format: str, allow_truncated: bool
) -> None:
    generator = random.Random(f"{SEED} {file_format}")
    options = {"exif": BLOCK} if file_format in ("JPEG", "PNG", "WEBP", "AVIF") else {}
    good = pictures.photo(file_format, 90, 60, **options)
    path = tmp_path / "mutated.jpg"
    errors: list[str] = []
    for _ in range(ROUNDS):
        path.write_bytes(mutated(good, generator))
        try:
            photo = decode_photo(path, size=16, max_pixels=2**24, allow_truncated=allow_truncated)
        except PhotoError as error:
            errors.append(str(error))
        else:
            assert photo.pixels.shape == (16, 16, 3)
            read_exif(photo.exif)
    assert 0 < len(errors) <= ROUNDS
    assert all(0 < len(error) < 200 and "mutated" not in error for error in errors)


@pytest.mark.timeout(120)
def test_a_mutated_heic_is_a_picture_or_a_row_error(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the heic extra is not installed")
    if not pillow_heif.libheif_info()["HEIF"]:
        pytest.skip("this pillow-heif cannot encode HEIC")
    pillow_heif.register_heif_opener()
    generator = random.Random(SEED)
    good = pictures.photo("HEIF", 96, 64, exif=BLOCK)
    path = tmp_path / "mutated.heic"
    errors: list[str] = []
    for _ in range(ROUNDS):
        path.write_bytes(mutated(good, generator))
        try:
            read_exif(decode_photo(path, size=16, max_pixels=2**24).exif)
        except PhotoError as error:
            errors.append(str(error))
    assert errors
    assert all(0 < len(error) < 200 and "mutated" not in error for error in errors)
