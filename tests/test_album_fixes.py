"""Positions and times of a run's photos: who is whose neighbour in time, and what never counts."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dated_photos import dated_photo

from geolocate.album import MAX_GAP_HOURS, Fix
from geolocate.album_fixes import AlbumFixes
from geolocate.exif import ExifFacts
from geolocate.records import Position

NOON = datetime(2024, 6, 1, 12)
ROME, MILAN, PARIS = Position(41.9, 12.5), Position(45.5, 9.2), Position(48.86, 2.35)


def facts(minutes: float, position: Position | None = None, offset: int | None = None) -> ExifFacts:
    return ExifFacts(position, NOON + timedelta(minutes=minutes), offset)


def album(*photos: ExifFacts) -> AlbumFixes:
    fixes = AlbumFixes()
    for photo in photos:
        fixes.add(photo)
    return fixes


def places(pair: tuple[Fix | None, Fix | None]) -> list[Position | None]:
    return [None if fix is None else fix.position for fix in pair]


def test_the_neighbours_are_the_nearest_in_time_on_either_side() -> None:
    with album(facts(-90, PARIS), facts(-10, ROME), facts(30, MILAN), facts(60, PARIS)) as fixes:
        before, after = fixes.round(facts(0))
    assert before == Fix(ROME, pytest.approx(10 / 60))
    assert after == Fix(MILAN, pytest.approx(30 / 60))


def test_photos_without_a_position_or_a_time_are_no_fixes_and_have_no_neighbours() -> None:
    with album(facts(0), ExifFacts(ROME, None)) as fixes:
        assert fixes.fixes == 0
        assert fixes.round(facts(1)) == (None, None)
        assert fixes.round(ExifFacts()) == (None, None)


def test_nothing_is_looked_at_beyond_some_days() -> None:
    with album(facts(-60 * MAX_GAP_HOURS - 1, ROME), facts(60 * MAX_GAP_HOURS + 1, ROME)) as fixes:
        assert fixes.round(facts(0)) == (None, None)


def test_clocks_of_two_zones_are_compared_in_utc() -> None:
    # 12:00 in Rome is 10:00 UTC, and 10:05 in London is 9:05 UTC
    with album(facts(0, ROME, offset=120), facts(-115, PARIS, offset=60)) as fixes:
        before, after = fixes.round(facts(-120, offset=0))  # 10:00 UTC
    assert before == Fix(ROME, 0.0)
    assert after is None
    assert places((before, after)) == [ROME, None]


def test_a_clock_without_a_zone_is_compared_by_local_time_only() -> None:
    with album(facts(0, ROME, offset=120), facts(-120, PARIS, offset=None)) as fixes:
        assert places(fixes.round(facts(1))) == [ROME, None]
        # with a zone: 10:01 UTC is a minute after Rome, and 10:01 local is a minute after Paris
        before, _ = fixes.round(facts(-119, offset=0))
        assert before is not None
        assert before.hours == pytest.approx(1 / 60)


def test_the_own_position_never_counts() -> None:
    own = facts(0, ROME)
    with album(own, facts(-20, MILAN)) as fixes:
        assert places(fixes.round(own)) == [MILAN, None]


def test_a_copy_of_the_photo_does_not_leak_its_position() -> None:
    own = facts(0, ROME)
    resized = facts(0, ROME)
    rounded = facts(1 / 60, Position(41.9001, 12.5))  # another program's second and fifth decimal
    edited = facts(7, ROME)  # the time of the edit
    with album(own, resized, rounded, edited, facts(20, MILAN)) as fixes:
        assert places(fixes.round(own)) == [None, MILAN]


def test_the_position_of_a_copy_serves_a_photo_that_lost_its_own() -> None:
    with album(facts(0, ROME)) as fixes:
        assert places(fixes.round(facts(0))) == [ROME, None]


def test_a_clock_that_contradicts_the_positions_loses_its_credit() -> None:
    with album(*(facts(k, ROME, offset=540) for k in range(40))) as fixes:
        wrong = fixes.clock(facts(0, offset=540))
        fresh = fixes.clock(facts(0, offset=-300))
    assert wrong is not None
    assert fresh is not None
    assert wrong.reliability < 0.25
    assert fresh.reliability == pytest.approx(0.9)
    assert AlbumFixes().clock(facts(0)) is None


def test_a_clock_is_not_judged_by_the_own_position() -> None:
    own = facts(0, ROME, offset=540)
    with album(own) as fixes:
        clock = fixes.clock(own)
    assert clock is not None
    assert clock.reliability == pytest.approx(0.9)


def test_paths_come_back_in_order_with_any_bytes_and_bad_photos_stay_in(tmp_path: Path) -> None:
    good = dated_photo(tmp_path / "good.jpg", "2024:06:01 12:00:00", (41.9, 12.5), "+02:00")
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")
    paths = [os.fspath(good), os.fspath(tmp_path / "bad.jpg"), odd, os.fspath(good)]
    with AlbumFixes() as fixes:
        fixes.read(iter(paths))
        assert list(fixes.paths()) == paths
        assert (fixes.photos, fixes.fixes) == (4, 2)
        assert places(fixes.round(ExifFacts(None, datetime(2024, 6, 1, 10, 1), 0))) == [ROME, None]


def test_no_file_of_the_album_is_to_be_seen_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", os.fspath(tmp_path))
    with album(*(facts(k, Position(k / 1000, 0)) for k in range(50_000))) as fixes:
        assert list(tmp_path.iterdir()) == []
        assert fixes.round(facts(25_000.5))[0] == Fix(Position(25.0, 0), pytest.approx(0.5 / 60))
