"""EXIF facts out of good, odd and hostile blocks."""

from __future__ import annotations

import logging
import math
import random
import struct
import time
import tracemalloc
from datetime import datetime
from pathlib import Path

import pytest
from hostile import exif_blocks as blocks
from hypothesis import given, settings
from hypothesis import strategies as st

from geolocate.exif import ExifFacts, read_exif
from geolocate.exif_block import distil, orientation
from geolocate.photos import decode_photo
from geolocate.records import Position

PHOTOS = Path(__file__).parents[2] / "shared" / "photos" / "exif"
NOWHERE = ExifFacts()


def real(name: str) -> bytes | None:
    path = PHOTOS / name
    if not path.is_file():
        pytest.skip(f"{path} is missing: real photos are not part of the repository")
    return decode_photo(path, size=32).exif


def position(latitude: blocks.Value, longitude: blocks.Value, **hemispheres: bytes | None) -> Position | None:
    return read_exif(blocks.position_block(latitude, longitude, **hemispheres)).position  # type: ignore[arg-type]


def test_a_real_photo_gives_its_position_and_time() -> None:
    facts = read_exif(real("DSCN0010.jpg"))
    assert facts.position is not None
    assert facts.position.latitude == pytest.approx(43.467448, abs=1e-5)
    assert facts.position.longitude == pytest.approx(11.885127, abs=1e-5)
    assert facts.taken == datetime(2008, 10, 22, 16, 28, 39)
    assert facts.utc_offset_minutes is None
    assert facts.notes == ()


def test_a_real_heic_gives_its_position_and_zone() -> None:
    pytest.importorskip("pillow_heif", reason="the heic extra is not installed")
    facts = read_exif(real("IMG_5195.HEIC"))
    assert facts.position is not None
    assert facts.position.latitude == pytest.approx(39.051344, abs=1e-5)
    assert facts.position.longitude == pytest.approx(-94.288772, abs=1e-5)
    assert facts.utc_offset_minutes == -300


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_all_hemispheres_are_read(order: str) -> None:
    south = blocks.degrees(33, 51, 30.6, order=order)
    west = blocks.degrees(151, 12, 54.0, order=order)
    found = read_exif(blocks.position_block(south, west, b"S", b"W", order)).position
    assert found is not None
    assert found.latitude == pytest.approx(-(33 + 51 / 60 + 30.6 / 3600), abs=1e-6)
    assert found.longitude == pytest.approx(-(151 + 12 / 60 + 54 / 3600), abs=1e-6)


def test_coordinates_of_one_or_two_parts_are_normalised() -> None:
    found = position(blocks.degrees(48.8584), blocks.degrees(2, 17.67))
    assert found is not None
    assert found.latitude == pytest.approx(48.8584, abs=1e-6)
    assert found.longitude == pytest.approx(2 + 17.67 / 60, abs=1e-6)


@pytest.mark.parametrize(("north", "east"), [(b"n", b"e"), (b"N\0\0\0", b"E\0"), (b"N ", b" e")])
def test_odd_spellings_of_the_hemisphere_are_understood(north: bytes, east: bytes) -> None:
    found = position(blocks.degrees(10, 0, 0), blocks.degrees(20, 0, 0), north=north, east=east)
    assert found == Position(10.0, 20.0)


@pytest.mark.parametrize(
    ("north", "east"), [(None, b"E"), (b"N", None), (b"", b"E"), (b"X", b"E"), (b"E", b"N")]
)
def test_without_a_hemisphere_there_is_no_position(north: bytes | None, east: bytes | None) -> None:
    assert position(blocks.degrees(10, 0, 0), blocks.degrees(20, 0, 0), north=north, east=east) is None


@pytest.mark.parametrize(
    "latitude",
    [
        blocks.rationals((0, 0), (0, 0), (0, 0)),
        blocks.rationals((43, 1), (0, 0), (0, 1)),
        blocks.rationals((43, 1), (1, 0), (0, 1)),
        blocks.rationals(),
        blocks.rationals((1, 1), (1, 1), (1, 1), (1, 1)),
        blocks.rationals((91, 1), (0, 1), (0, 1)),
        blocks.rationals((90, 1), (0, 1), (1, 1)),
        blocks.rationals((43, 1), (61, 1), (0, 1)),
        blocks.rationals((2**32 - 1, 1), (2**32 - 1, 1), (2**32 - 1, 1)),
        blocks.doubles(math.nan, 0, 0),
        blocks.doubles(math.inf, 0, 0),
        blocks.doubles(43, -math.inf, 0),
        blocks.Value(blocks.SRATIONAL, 3, struct.pack("<iiiiii", -43, 1, 0, 1, 0, 1)),
        blocks.ascii_text(b"43.467448"),
    ],
    ids=[
        "0/0", "minutes 0/0", "minutes 1/0", "no parts", "four parts", "91", "90 and a second", "61 minutes",
        "largest", "NaN", "inf", "-inf minutes", "negative", "text",
    ],
)  # fmt: skip
def test_an_impossible_latitude_is_no_position(latitude: blocks.Value) -> None:
    assert position(latitude, blocks.degrees(11, 0, 0)) is None


def test_longitude_181_is_rejected_and_180_is_not() -> None:
    assert position(blocks.degrees(1, 0, 0), blocks.degrees(181, 0, 0)) is None
    assert position(blocks.degrees(1, 0, 0), blocks.degrees(180, 0, 0)) == Position(1.0, 180.0)


def test_exactly_zero_zero_is_not_taken_as_truth_but_flagged() -> None:
    facts = read_exif(blocks.position_block(blocks.degrees(0, 0, 0), blocks.degrees(0, 0, 0), b"S", b"W"))
    assert facts.position is None
    assert facts.notes == ("exif-zero",)


@pytest.mark.parametrize(("method", "note"), [(b"geolocate estimate 9.9", "exif-estimate"), (b"GPS", None)])
def test_an_estimate_of_this_program_is_not_taken_as_truth(method: bytes, note: str | None) -> None:
    block = blocks.Block(
        gps={
            1: blocks.ascii_text(b"N"),
            2: blocks.degrees(46, 0, 0),
            3: blocks.ascii_text(b"E"),
            4: blocks.degrees(8, 0, 0),
            27: blocks.Value(blocks.UNDEFINED, 8 + len(method), b"ASCII\0\0\0" + method),
        }
    )
    facts = read_exif(block.build())
    assert facts.position == (None if note else Position(46.0, 8.0))
    assert facts.notes == ((note,) if note else ())


def test_a_photo_on_the_equator_keeps_its_position() -> None:
    facts = read_exif(blocks.position_block(blocks.degrees(0, 0, 0), blocks.degrees(32, 30, 0)))
    assert facts.position == Position(0.0, 32.5)
    assert facts.notes == ()


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [(b"+02:00", 120), (b"-03:30", -210), (b"+00:00", 0), (b"+99:00", None), (b"Z", None), (b"   :  ", None)],
)
def test_the_zone_of_the_time_is_read_where_it_can_be_true(zone: bytes, minutes: int | None) -> None:
    exif = {0x9003: blocks.ascii_text(b"2021:04:11 15:47:53"), 0x9011: blocks.ascii_text(zone)}
    facts = read_exif(blocks.Block(exif=exif).build())
    assert facts.taken == datetime(2021, 4, 11, 15, 47, 53)
    assert facts.utc_offset_minutes == minutes


def test_a_clock_that_was_never_set_gives_way_to_another_time() -> None:
    block = blocks.Block(
        image={0x0132: blocks.ascii_text(b"2019:08:01 10:00:00")},
        exif={
            0x9003: blocks.ascii_text(b"0000:00:00 00:00:00"),
            0x9004: blocks.ascii_text(b"    :  :     :  :  "),
        },
    ).build()
    assert read_exif(block).taken == datetime(2019, 8, 1, 10, 0, 0)


@pytest.mark.parametrize(
    "block", [None, b"", b"Exif\0\0", b"II*\0", b"MM\0*\0\0", b"\xff\xd8\xff\xe1", b"ftypheic" * 9]
)
def test_no_block_gives_no_facts(block: bytes | None) -> None:
    assert read_exif(block) == NOWHERE
    assert orientation(block) == 1


@pytest.mark.timeout(30)
@pytest.mark.parametrize("builder", [blocks.cyclic, blocks.huge_counts, blocks.widest, blocks.chained])
def test_a_crafted_block_costs_neither_time_nor_memory(builder: object) -> None:
    block = builder()  # type: ignore[operator]
    read_exif(b"")  # the import of exifread is not what is measured
    tracemalloc.start()
    started = time.perf_counter()
    facts = read_exif(block)
    orientation(block)
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert facts.position is None
    assert seconds < 1
    assert peak < 16 * 2**20


def test_a_block_above_one_mebibyte_is_not_read() -> None:
    good = blocks.position_block(blocks.degrees(10, 0, 0), blocks.degrees(20, 0, 0))
    assert read_exif(good + bytes(2**20 - len(good))).position == Position(10.0, 20.0)
    assert read_exif(good + bytes(2**20 - len(good) + 1)) == NOWHERE


def test_exifread_is_given_a_dozen_entries_whatever_the_block_holds() -> None:
    block = blocks.Block(
        image={tag: blocks.ascii_text(b"x" * 200) for tag in range(0x0200, 0x0300)},
        exif={0x927C: blocks.Value(blocks.UNDEFINED, 500_000, bytes(500_000))},
        gps={1: blocks.ascii_text(b"N"), 2: blocks.degrees(1, 2, 3)},
    ).build()
    small = distil(block)
    assert small is not None
    assert len(small) < 300


def test_nothing_is_logged_about_broken_metadata(caplog: pytest.LogCaptureFixture) -> None:
    exif = {0x9003: blocks.ascii_text(b"\xff\xfe\xfd")}
    with caplog.at_level(logging.WARNING):
        read_exif(blocks.Block(exif=exif).build())
    assert caplog.records == []


def test_mutated_blocks_never_raise() -> None:
    seed_blocks = [
        blocks.position_block(blocks.degrees(43, 28, 2.8), blocks.degrees(11, 53, 6.4)),
        blocks.huge_counts(),
        blocks.cyclic(),
    ]
    generator = random.Random(20_261_120)
    for _ in range(1_500):
        block = bytearray(generator.choice(seed_blocks))
        for _ in range(generator.randint(1, 8)):
            block[generator.randrange(len(block))] = generator.choice(
                (0, 1, 5, 12, 127, 255, generator.randrange(256))
            )
        facts = read_exif(
            bytes(block[: generator.randint(1, len(block))] if generator.random() < 0.2 else block)
        )
        assert 1 <= orientation(bytes(block)) <= 8
        if facts.position is not None:
            assert -90 <= facts.position.latitude <= 90
            assert -180 <= facts.position.longitude <= 180


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_behind_a_good_header_never_raise(tail: bytes) -> None:
    read_exif(blocks.header() + tail)
    orientation(blocks.header(">") + tail)


def test_what_exifread_tells_others_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    read_exif(blocks.Block(exif={0x9003: blocks.ascii_text(b"\xff\xfe\xfd")}).build())
    logger = logging.getLogger("exifread")
    assert not logger.disabled
    logger.warning("of somebody else's photo")
    assert caplog.messages == ["of somebody else's photo"]
