"""Where neighbours in time say a photo was taken, before any model has looked at it."""

from __future__ import annotations

import numpy as np
import pytest
from geopy.distance import geodesic

from geolocate.album import FIX_KM, MAX_GAP_HOURS, TRUST, WIDEST_KM, Fix, reach
from geolocate.records import Position

ROME, PARIS = Position(41.9, 12.5), Position(48.86, 2.35)


def test_no_fix_says_nothing() -> None:
    assert len(reach(None, None)) == 0
    assert len(reach(Fix(ROME, MAX_GAP_HOURS + 1), None)) == 0


def test_an_hour_is_not_a_day() -> None:
    minute, hour, day = (reach(Fix(ROME, hours), None) for hours in (1 / 60, 1.0, 24.0))
    assert minute.spreads_km[0] < hour.spreads_km[0] < day.spreads_km[0]
    assert TRUST >= minute.shares.sum() > hour.shares.sum() > day.shares.sum() > 0
    assert minute.spreads_km[0] < 0.2
    assert minute.spreads_km[0] >= FIX_KM


def test_spreads_that_reach_round_the_world_are_left_to_the_model() -> None:
    assert (reach(Fix(ROME, 24.0), None).spreads_km <= WIDEST_KM).all()


def test_between_two_fixes_on_the_way_one_is_on_the_way() -> None:
    # Rome to Paris in six hours, a third of the way in time
    points = reach(Fix(ROME, 2.0), Fix(PARIS, 4.0))
    strongest = points.coordinates[points.shares.argmax()]
    whole = geodesic((ROME.latitude, ROME.longitude), (PARIS.latitude, PARIS.longitude)).km
    assert geodesic(strongest, (ROME.latitude, ROME.longitude)).km == pytest.approx(whole / 3, rel=0.01)
    assert geodesic(strongest, (PARIS.latitude, PARIS.longitude)).km == pytest.approx(whole * 2 / 3, rel=0.01)


def test_over_a_long_time_one_rather_stayed_at_one_of_two_places() -> None:
    points = reach(Fix(ROME, 24.0), Fix(PARIS, 30.0))
    strongest = points.coordinates[points.shares.argmax()]
    assert strongest.tolist() == pytest.approx([ROME.latitude, ROME.longitude])


def test_in_a_plane_nobody_stayed_behind() -> None:
    far = Position(41.9, 70.0)  # about 4,600 km
    points = reach(Fix(ROME, 2.5), Fix(far, 2.5))
    middle = points.shares[np.abs(points.coordinates[:, 1] - 41.25) < 1].sum()
    assert middle > 0.9 * points.shares.sum()


def test_two_fixes_that_nobody_could_both_have_reached_count_each_for_itself() -> None:
    points = reach(Fix(ROME, 0.01), Fix(PARIS, 0.01))
    assert {round(float(latitude), 2) for latitude in points.coordinates[:, 0]} == {41.9, 48.86}


def test_the_faster_one_moves_the_less_a_clock_is_trusted() -> None:
    still = reach(Fix(ROME, 0.5), Fix(ROME, 0.5)).shares.sum()
    train = reach(Fix(ROME, 0.5), Fix(Position(43.0, 11.5), 0.5)).shares.sum()
    assert still > 1.2 * train


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Position(0, 179.9), Position(0, -179.9)),
        (Position(90, 0), Position(89.9, 180)),
        (ROME, ROME),
        (Position(10, 20), Position(-10, -160)),  # antipodes
    ],
    ids=["antimeridian", "pole", "same", "antipodes"],
)
@pytest.mark.parametrize("hours", [(0.0, 0.0), (0.0, 1.0), (3.0, 0.0), (20.0, 20.0)])
def test_every_pair_of_fixes_gives_positions_on_the_globe(
    before: Position, after: Position, hours: tuple[float, float]
) -> None:
    points = reach(Fix(before, hours[0]), Fix(after, hours[1]))
    assert 0 < points.shares.sum() <= TRUST + 1e-12
    assert (points.shares >= 0).all()
    assert (np.abs(points.coordinates) <= (90, 180)).all()
    assert (points.spreads_km >= FIX_KM).all()


def test_over_the_antimeridian_the_middle_is_not_in_africa() -> None:
    points = reach(Fix(Position(0, 179.0), 1.0), Fix(Position(0, -179.0), 1.0))
    assert (np.abs(points.coordinates[:, 1]) > 178).all()
