"""Files that are no photo, half a photo, too much of a photo, or one in colours that need care."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import pictures
from hostile.program import costs, row_error, row_of, rows, run
from PIL import Image

from geolocate.photos import decode_photo

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="peak memory as Linux tells it")


def placed(path: Path) -> tuple[str, str]:
    """Where a run places a photo, as the row has it."""
    row = row_of(run(path))
    assert row["error"] == ""
    return row["latitude"], row["longitude"]


def colour_of(path: Path, image: Image.Image, file_format: str, **options: object) -> tuple[int, ...]:
    """What the encoder sees in the middle of a picture that a run places."""
    path.write_bytes(pictures.encoded(image, file_format, **options))
    assert row_error(path) == ""
    return tuple(int(level) for level in decode_photo(path, size=32).pixels[16, 16])


@pytest.mark.row(3)
@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"Dear diary,\n", "not a photo")])
def test_an_empty_file_and_text_are_rows(tree: Path, content: bytes, reason: str) -> None:
    (tree / "a.jpg").write_bytes(content)
    assert reason in row_error(tree)


@pytest.mark.row(4)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_content_decides_whatever_the_name_says(tree: Path, file_format: str) -> None:
    named, right = tree / "a.jpg", tree / f"a.{file_format.lower()}"
    named.write_bytes(pictures.photo(file_format))
    right.write_bytes(pictures.photo(file_format))
    assert placed(named) == placed(right)


@pytest.mark.row(5)
@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.7\n"])
def test_postscript_and_pdf_are_refused_and_no_program_is_started(
    tree: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "a.jpg").write_bytes(content)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    assert "not a photo" in row_error(tree, "--device", "cpu")


@pytest.mark.row(6)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_half_a_photo_is_a_row_and_one_option_takes_what_there_is(tree: Path, file_format: str) -> None:
    whole = pictures.photo(file_format)
    (tree / "a.jpg").write_bytes(whole[: len(whole) // 2])
    assert row_error(tree).startswith("damaged")
    if file_format != "WEBP":  # of which there is nothing before all of it is there
        assert row_error(tree, "--allow-truncated") == ""


@linux_only
@pytest.mark.row(7)
def test_bombs_are_rows_and_memory_stays_flat(tree: Path, good: Path) -> None:
    bombs = {"pixels.png": pictures.png_bomb(), "texts.png": pictures.png_text_bomb()}
    for name, content in bombs.items():
        (tree / name).write_bytes(content)
    done = run(tree)
    assert done.exit_code == 3
    too_large, damaged = (row["error"] for row in rows(done.stdout))
    assert too_large.endswith("pixels than the limit of 178,956,970")
    assert damaged.startswith("damaged")
    for cost in costs(good, sorted(tree.iterdir())):
        assert cost.seconds < 1
        assert cost.mib < 100


@pytest.mark.row(8)
@pytest.mark.parametrize("shape", [(1, 1), (1, 50_000), (50_000, 1)])
def test_one_pixel_and_one_line_of_pixels_are_placed(tree: Path, shape: tuple[int, int]) -> None:
    (tree / "a.png").write_bytes(pictures.encoded(Image.new("RGB", shape, "teal"), "PNG"))
    assert row_error(tree) == ""


@pytest.mark.row(9)
def test_every_kind_of_colour_reaches_the_encoder_as_what_it_is(tree: Path) -> None:
    path, side = tree / "a.jpg", (48, 48)

    def near(found: tuple[int, ...], expected: tuple[int, int, int]) -> bool:
        return all(abs(have - want) <= 6 for have, want in zip(found, expected, strict=True))

    assert near(colour_of(path, Image.new("CMYK", side, (255, 0, 255, 0)), "JPEG"), (0, 255, 0))
    half = Image.fromarray(np.full(side, 0x8080, np.uint16))
    assert near(colour_of(path, half, "PNG"), (128, 128, 128))
    palette = Image.new("P", side, 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert near(colour_of(path, palette, "PNG", transparency=0), (0, 0, 255))
    assert near(colour_of(path, palette, "PNG", transparency=1), (255, 255, 255))
    assert near(colour_of(path, Image.new("RGBA", side, (255, 0, 0, 0)), "PNG"), (255, 255, 255))
    assert near(colour_of(path, Image.new("LA", side, (0, 51)), "PNG"), (204, 204, 204))


@linux_only
@pytest.mark.row(10)
def test_of_ten_thousand_frames_the_first_is_placed_at_once(tree: Path, good: Path) -> None:
    makers: dict[str, Callable[[int], bytes]] = {
        "a.gif": pictures.gif_frames, "b.webp": pictures.webp_frames, "c.tif": pictures.tiff_frames,
    }  # fmt: skip
    for name, frames in makers.items():
        (tree / name).write_bytes(frames(10_000))
        single = tree / f"single-{name}"
        single.write_bytes(frames(1))
        assert placed(tree / name) == placed(single)
    for cost in costs(good, sorted(tree.iterdir())):
        assert cost.error is None
        assert cost.seconds < 0.5
        assert cost.mib < 100


@pytest.mark.row(11)
@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8, 0, 99])
def test_a_turned_photo_is_placed_as_its_upright_copy(tree: Path, orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    image = Image.fromarray(pictures.scene(224, 224))  # as the encoder takes it: nothing is rounded
    stored = image.transpose(turns[orientation]) if orientation in turns else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tree / "upright.png").write_bytes(pictures.encoded(image, "PNG"))
    (tree / "turned.png").write_bytes(pictures.encoded(stored, "PNG", exif=exif))
    assert placed(tree / "turned.png") == placed(tree / "upright.png")


@pytest.mark.row(12)
@pytest.mark.parametrize("profile", [b"no profile", bytes(128) + b"\xff" * 400], ids=["text", "table"])
def test_a_corrupt_profile_is_ignored(tree: Path, profile: bytes) -> None:
    (tree / "plain.png").write_bytes(pictures.photo("PNG"))
    (tree / "profile.png").write_bytes(pictures.photo("PNG", icc_profile=profile))
    assert placed(tree / "profile.png") == placed(tree / "plain.png")
