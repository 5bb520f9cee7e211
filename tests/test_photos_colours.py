"""Colours of every mode that a file can have, against values worked out by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import pictures
from numpy.typing import NDArray
from PIL import Image, ImageCms

from geolocate.photos import decode_photo
from geolocate.photos.resize import to_square

SIDE = 32


def colour(image: Image.Image) -> tuple[int, int, int]:
    """The one colour of the square made of an even picture."""
    pixels = to_square(image, 8)
    assert np.ptp(pixels.reshape(-1, 3).astype(int), axis=0).max() == 0
    red, green, blue = map(int, pixels[0, 0])
    return red, green, blue


def of_file(tmp_path: Path, data: bytes) -> NDArray[np.uint8]:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    return decode_photo(path, size=8).pixels


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBX", (10, 20, 30, 99), (10, 20, 30)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (0, 0, 0, 128), (127, 127, 127)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("LA", (40, 0), (255, 255, 255)),
        ("LA", (40, 255), (40, 40, 40)),
        ("La", (64, 128), (191, 191, 191)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("RGBa", (51, 0, 0, 51), (255, 204, 204)),
        ("I;16", 0x8080, (128, 128, 128)),
        ("I;16", 65_535, (255, 255, 255)),
        ("I;16", 300, (1, 1, 1)),
        ("I;16B", 0x4040, (64, 64, 64)),
        ("I", 200, (200, 200, 200)),
        ("I", 0x8080, (128, 128, 128)),
        ("F", 0.5, (128, 128, 128)),
        ("F", 100.0, (100, 100, 100)),
        ("F", 25_700.0, (100, 100, 100)),
    ],
)
def test_even_pictures_keep_their_colour(mode: str, value: object, expected: tuple[int, int, int]) -> None:
    got = colour(Image.new(mode, (SIDE, SIDE), value))  # type: ignore[arg-type]
    assert np.abs(np.subtract(got, expected)).max() <= 1


def test_lab_is_converted() -> None:
    lab = Image.merge("LAB", [Image.new("L", (SIDE, SIDE), level) for level in (136, 208, 195)])  # sRGB's red
    red, green, blue = colour(lab)
    assert red > 240
    assert green < 30
    assert blue < 30


def test_float_greys_beyond_every_scale_are_stretched_and_nan_is_dark() -> None:
    values = np.linspace(-1000.0, 1000.0, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    pixels = to_square(Image.fromarray(values), SIDE)[..., 0]
    assert (pixels[0, 0], pixels[-1, -1]) == (0, 255)
    values[3, 5], values[4, 5] = np.nan, np.inf
    broken = to_square(Image.fromarray(values), SIDE)[..., 0]
    assert (broken[3, 5], broken[4, 5]) == (0, 255)
    assert np.array_equal(broken[10:], pixels[10:])


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65_535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)
    for file_format in ("PNG", "TIFF"):
        pixels = of_file(tmp_path, pictures.encoded(Image.fromarray(ramp), file_format))
        assert abs(float(pixels.mean()) - 127.5) < 2
        assert pixels[0, 0, 0] < 30
        assert pixels[-1, -1, 0] > 225


def test_sixteen_bit_colour_is_scaled_too(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">HHH", 0x8080, 0x4040, 0xFFFF) * SIDE for _ in range(SIDE))
    header = pictures.png_chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0))
    body = pictures.png_chunk(b"IDAT", zlib.compress(rows)) + pictures.png_chunk(b"IEND", b"")
    assert tuple(of_file(tmp_path, pictures.PNG_SIGNATURE + header + body)[0, 0]) == (0x80, 0x40, 0xFF)


def test_a_palette_with_transparent_entries_shows_white_there(tmp_path: Path) -> None:
    image = Image.new("P", (SIDE, SIDE), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, SIDE, SIDE // 2))
    for transparency, expected in ((0, 255), (b"\0\xff", 255), (b"\x80\xff", 127)):
        pixels = of_file(tmp_path, pictures.encoded(image, "PNG", transparency=transparency))
        assert tuple(pixels[1, 4]) == (0, 0, 255)
        assert abs(int(pixels[6, 4, 1]) - expected) <= 1
        assert pixels[6, 4, 0] == 255


def test_a_colour_that_stands_for_transparent_shows_white(tmp_path: Path) -> None:
    image = Image.new("RGB", (SIDE, SIDE), (1, 2, 3))
    image.paste((200, 0, 0), (0, 0, SIDE, SIDE // 2))
    pixels = of_file(tmp_path, pictures.encoded(image, "PNG", transparency=(1, 2, 3)))
    assert tuple(pixels[1, 4]) == (200, 0, 0)
    assert tuple(pixels[6, 4]) == (255, 255, 255)


def test_a_hidden_colour_does_not_bleed_over_its_edge(tmp_path: Path) -> None:
    image = Image.new("RGBA", (SIDE, SIDE), (0, 255, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, SIDE, SIDE // 2 + 2))
    assert of_file(tmp_path, pictures.encoded(image, "PNG")).min() >= 254


def test_cmyk_jpeg_has_the_right_colours(tmp_path: Path) -> None:
    image = Image.new("CMYK", (SIDE, SIDE), (255, 0, 255, 0))
    red, green, blue = map(int, of_file(tmp_path, pictures.encoded(image, "JPEG", quality=95))[4, 4])
    assert (red < 8, green > 247, blue < 8) == (True, True, True)


def test_pictures_in_another_colour_space_come_out_in_srgb(tmp_path: Path) -> None:
    """Linear light of 0.2140 is what sRGB encodes as 0.5: IEC 61966-2-1."""
    linear = _linear_profile()
    level = round(0.2140 * 255)
    for mode in ("RGB", "RGBA"):
        image = Image.new("RGB", (SIDE, SIDE), (level, level, level)).convert(mode)
        pixels = of_file(tmp_path, pictures.encoded(image, "PNG", icc_profile=linear))
        assert np.abs(pixels.astype(int) - 128).max() <= 2


def test_a_profile_for_another_mode_is_ignored(tmp_path: Path) -> None:
    image = Image.new("L", (SIDE, SIDE), 90)
    assert of_file(tmp_path, pictures.encoded(image, "PNG", icc_profile=_linear_profile()))[0, 0, 0] == 90


def _linear_profile() -> bytes:
    """sRGB's own profile, with its three tone curves replaced by straight lines."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    for number in range(count):
        tag, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + size] = b"curv" + bytes(
                size - 4
            )  # a curve of no points is the identity
        if tag == b"desc":
            start = profile.index("sRGB".encode("utf-16-be"), offset)
            profile[start : start + 8] = "line".encode("utf-16-be")
    return bytes(profile)
