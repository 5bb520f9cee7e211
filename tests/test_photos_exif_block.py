"""EXIF blocks read alone, for a first look at all photos of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from geolocate.errors import PhotoError
from geolocate.exif import ExifFacts, read_exif
from geolocate.photos import decode_photo, read_exif_block


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_block_is_the_one_that_decoding_gives_and_a_bad_file_is_a_photo_error(
    tmp_path: Path, kind: str
) -> None:
    exif = Image.Exif()
    exif[0x0132] = "2024:06:01 12:00:00"
    path = tmp_path / f"photo.{kind.lower()}"
    Image.new("RGB", (64, 48)).save(path, kind, exif=exif)
    facts = read_exif(read_exif_block(path))
    assert facts == read_exif(decode_photo(path, size=32).exif)
    assert facts != ExifFacts()
    path.write_bytes(b"no photo at all")
    with pytest.raises(PhotoError):
        read_exif_block(path)


def test_a_photo_cut_off_in_its_pixels_still_says_when_it_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0132] = "2024:06:01 12:00:00"
    path = tmp_path / "photo.jpg"
    Image.effect_noise((256, 256), 90).convert("RGB").save(path, exif=exif)
    path.write_bytes(path.read_bytes()[:2000])
    assert read_exif(read_exif_block(path)).taken is not None
