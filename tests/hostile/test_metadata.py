"""EXIF that lies, loops or makes no sense: the photo is placed, and no truth is taken from it."""

from __future__ import annotations

import math
import struct
import sys
from pathlib import Path

import pytest
from hostile import exif_blocks, pictures
from hostile.exif_blocks import degrees, doubles, position_block, rationals
from hostile.program import costs, row_of, run

NORTH, EAST = degrees(10, 30, 0), degrees(20, 0, 0)


def truth(tree: Path, block: bytes) -> tuple[str, str, str]:
    """What the row of a photo with that block says of its position, and the notes."""
    (tree / "a.jpg").write_bytes(pictures.photo("JPEG", exif=block))
    row = row_of(run(tree))
    assert row["error"] == ""
    assert row["latitude"]
    assert bool(row["error_km"]) == bool(row["exif_latitude"])
    return row["exif_latitude"], row["exif_longitude"], row["notes"]


@pytest.mark.row(13)
@pytest.mark.parametrize(
    "builder", [exif_blocks.cyclic, exif_blocks.huge_counts, exif_blocks.widest, exif_blocks.chained]
)
def test_directories_in_circles_and_counts_of_a_billion_leave_the_truth_blank(tree: Path, builder) -> None:  # type: ignore[no-untyped-def]
    block = builder()
    if len(block) > 65_000:  # what fits into no JPEG's segment
        (tree / "a.webp").write_bytes(pictures.photo("WEBP", exif=block))
        row = row_of(run(tree))
        assert (row["error"], row["exif_latitude"]) == ("", "")
    else:
        assert truth(tree, block)[:2] == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory as Linux tells it")
@pytest.mark.row(13)
def test_crafted_metadata_is_back_within_a_second_and_300_mib(
    tree: Path, good: Path, real_photos: Path
) -> None:
    for builder in (exif_blocks.cyclic, exif_blocks.huge_counts):
        (tree / f"{builder.__name__}.jpg").write_bytes(pictures.photo("JPEG", exif=builder()))
    for builder in (exif_blocks.widest, exif_blocks.chained):
        (tree / f"{builder.__name__}.webp").write_bytes(pictures.photo("WEBP", exif=builder()))
    heic = (real_photos / "exif" / "IMG_5195.HEIC").read_bytes()
    for box in (b"iloc", b"iinf", b"ipco", b"ipma", b"meta"):
        crafted, at = bytearray(heic), heic.index(box)
        crafted[at + 8 : at + 64] = b"\xff" * 56
        (tree / f"{box.decode()}.heic").write_bytes(crafted)
    files = sorted(tree.iterdir())
    for path, cost in zip(files, costs(good, files), strict=True):
        assert cost.seconds < 1, path.name
        assert cost.mib < 300, path.name
        assert not cost.truth, path.name


@pytest.mark.row(14)
def test_odd_spellings_of_a_position_are_understood(tree: Path) -> None:
    expected = ("10.500000", "20.000000", "")
    for north, east in ((b"n", b"e"), (b"N\0\0\0", b"E\0"), (b" N ", b"E")):
        assert truth(tree, position_block(NORTH, EAST, north, east)) == expected
    assert truth(tree, position_block(degrees(10.5), degrees(20, 0))) == expected
    assert truth(tree, position_block(degrees(10.5), EAST, b"S", b"w")) == ("-10.500000", "-20.000000", "")


@pytest.mark.row(14)
@pytest.mark.parametrize(
    "block",
    [
        position_block(rationals((0, 0), (0, 0), (0, 0)), EAST),
        position_block(rationals((10, 1), (30, 0), (0, 1)), EAST),
        position_block(NORTH, EAST, north=None),
        position_block(NORTH, EAST, east=b""),
        position_block(NORTH, EAST, b"X"),
        position_block(degrees(1, 2, 3, 4), EAST),
    ],
    ids=["0/0", "x/0", "no N", "empty E", "X", "four parts"],
)
def test_what_is_no_position_gives_no_truth(tree: Path, block: bytes) -> None:
    assert truth(tree, block) == ("", "", "")


@pytest.mark.row(15)
@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (degrees(91), EAST),
        (degrees(90, 0, 1), EAST),
        (NORTH, degrees(181)),
        (NORTH, degrees(180, 1, 0)),
        (doubles(math.nan), EAST),
        (NORTH, doubles(math.inf)),
        (rationals((2**32 - 1, 1)), EAST),
    ],
)
def test_positions_off_the_globe_are_rejected(
    tree: Path, latitude: exif_blocks.Value, longitude: exif_blocks.Value
) -> None:
    assert truth(tree, position_block(latitude, longitude)) == ("", "", "")


@pytest.mark.row(16)
def test_zero_zero_is_no_truth_but_flagged_and_the_equator_is_one(tree: Path) -> None:
    zero = rationals((0, 1), (0, 1), (0, 1))
    assert truth(tree, position_block(zero, zero)) == ("", "", "exif-zero")
    assert truth(tree, position_block(zero, EAST)) == ("0.000000", "20.000000", "")


def test_a_block_cut_off_anywhere_leaves_the_photo_alone(tree: Path) -> None:
    block = position_block(NORTH, EAST)
    for number, end in enumerate(range(6, len(block), 7)):
        (tree / f"{number:03}.jpg").write_bytes(pictures.photo("JPEG", 16, 16, exif=block[:end]))
    done = run(tree)
    assert done.exit_code == 0, done.stderr


def test_a_value_beyond_the_end_of_the_block_is_none(tree: Path) -> None:
    block = bytearray(position_block(NORTH, EAST))
    at = block.index(struct.pack("<HHI", 2, 5, 3)) + 8
    block[at : at + 4] = struct.pack("<I", 2**32 - 1)
    assert truth(tree, bytes(block)) == ("", "", "")
