"""Where a photo may have been taken, from photos near in time whose positions are known.

The nearest fix before and the nearest after make a mixture of Gaussians on the ground: the photographer was
on the way between them, or stayed at one of them, or made an excursion; each spread grows with the time that
has passed, so an hour is not a day. What the model makes of it: :mod:`geolocate.album_evidence`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolocate.extra_points import ExtraPoints
from geolocate.records import Position
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

#: In the notes of rows whose place rests mainly on neighbours.
NOTE_ALBUM = "album"
#: In fixes of the same minute; the rest stays with the model, for clocks are off and cards of cameras mixed.
TRUST = 0.8
#: A fix so far away in time has lost 63 % of the trust.
TRUST_HOURS = 24.0
#: At this speed half of the trust is lost: the faster one moves, the more harm a clock does that is off.
TRUST_KMH = 600.0
#: No fix farther away in time is looked at.
MAX_GAP_HOURS = 96.0
#: Spread at a gap of zero: positioning error, and a stroll while the shutter is open.
FIX_KM = 0.1
#: Speeds at which spreads grow, and where each ends: on foot round a place, on the road, by train or plane.
WALK_KMH, WALK_LIMIT_KM = 3.0, 15.0
ROAD_KMH, ROAD_LIMIT_KM = 40.0, 200.0
FAST_KMH = 250.0
#: Nobody travels faster, so one of two such fixes is wrong.
MAX_KMH = 1200.0
#: A wider Gaussian says nothing that the gallery does not; its share goes back to the model.
WIDEST_KM = 1000.0
#: Of how far one has come since the fix that is nearer in time, at constant speed: how uneven speeds are.
UNEVEN = 0.25
#: Having stayed at a fix is less likely by a factor e for each such speed that the way from there then took.
RUSH_KMH = 300.0
#: Between fixes closer than this nobody was on the way.
SAME_PLACE_KM = 5.0
#: A day: by then a night was spent somewhere, most likely near one of the two fixes.
NIGHT_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Fix:
    """Another photo's position, and how far away in time, at least 0."""

    position: Position
    hours: float


@dataclass(frozen=True, slots=True)
class _Gaussian:
    centre: Position
    share: float
    spread_km: float


def reach(before: Fix | None, after: Fix | None) -> ExtraPoints:
    """Where a photo between two fixes may have been taken; shares sum to the trust in the fixes, below 1.

    No points where neither fix is near enough in time.
    """
    fixes = [fix for fix in (before, after) if fix is not None and fix.hours <= MAX_GAP_HOURS]
    if not fixes:
        return ExtraPoints(np.empty((0, 2)), np.empty(0), np.empty(0))
    gaussians = _between(*fixes) if len(fixes) == 2 else _from_one(fixes[0], 1.0)
    trust = TRUST * math.exp(-min(fix.hours for fix in fixes) / TRUST_HOURS)
    if len(fixes) == 2:
        trust /= 1.0 + _speed_kmh(*fixes) / TRUST_KMH
    parts = [gaussian for gaussian in gaussians if gaussian.spread_km <= WIDEST_KM]
    return ExtraPoints(
        np.array([(part.centre.latitude, part.centre.longitude) for part in parts]).reshape(-1, 2),
        trust * np.array([part.share for part in parts]),
        np.array([part.spread_km for part in parts]),
    )


def _walk_km(hours: float) -> float:
    return FIX_KM + min(WALK_KMH * hours, WALK_LIMIT_KM)


def _road_km(hours: float) -> float:
    return FIX_KM + min(ROAD_KMH * hours, ROAD_LIMIT_KM)


def _from_one(fix: Fix, share: float) -> list[_Gaussian]:
    return [
        _Gaussian(fix.position, 0.55 * share, _walk_km(fix.hours)),
        _Gaussian(fix.position, 0.30 * share, _road_km(fix.hours)),
        _Gaussian(fix.position, 0.15 * share, FIX_KM + FAST_KMH * fix.hours),
    ]


def _speed_kmh(before: Fix, after: Fix) -> float:
    """From one fix to the other; 0 within one place, whatever the clocks say."""
    distance = EARTH_RADIUS_KM * _angle(_vector(before.position), _vector(after.position))
    hours = max(before.hours + after.hours, 1.0 / 3600.0)
    return distance / hours if distance > SAME_PLACE_KM else 0.0


def _between(before: Fix, after: Fix) -> list[_Gaussian]:
    total = before.hours + after.hours
    start, end = _vector(before.position), _vector(after.position)
    distance = EARTH_RADIUS_KM * _angle(start, end)
    # Never quite 0 or 1: a share of the time is divided by below.
    fraction = min(max(before.hours / total, 1e-6), 1.0 - 1e-6) if total > 0 else 0.5
    speed = _speed_kmh(before, after)
    if speed > MAX_KMH:
        return _from_one(before, 1.0 - fraction) + _from_one(after, fraction)
    middle = _interpolated(start, end, fraction)
    away = 2.0 * fraction * (1.0 - fraction) * total  # hours to the nearer fix, but smooth
    travelled = min(distance, speed * away)
    stayed_before = stayed_after = 0.0
    if speed:
        stayed = 0.15 + 0.75 * (1.0 - math.exp(-total / NIGHT_HOURS))
        # Whoever stayed at one of them went the whole way in the time to the other.
        stayed_before = stayed * (1.0 - fraction) * math.exp(-speed / (1.0 - fraction) / RUSH_KMH)
        stayed_after = stayed * fraction * math.exp(-speed / fraction / RUSH_KMH)
    moved = 1.0 - stayed_before - stayed_after
    return [
        _Gaussian(middle, 0.85 * moved, _walk_km(away) + UNEVEN * travelled),
        _Gaussian(middle, 0.15 * moved, _road_km(away) + UNEVEN * travelled),
        _Gaussian(before.position, stayed_before, _walk_km(before.hours)),
        _Gaussian(after.position, stayed_after, _walk_km(after.hours)),
    ]


def _vector(position: Position) -> NDArray[np.float64]:
    vector: NDArray[np.float64] = unit_vectors([position.latitude], [position.longitude])[0]
    return vector


def _angle(start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
    return 2.0 * math.asin(min(1.0, float(np.linalg.norm(end - start)) / 2.0))


def _interpolated(start: NDArray[np.float64], end: NDArray[np.float64], fraction: float) -> Position:
    """On the great circle from `start` to `end`; of two antipodes, the nearer end."""
    angle = _angle(start, end)
    if math.pi - angle < 1e-6:
        return _position(start if fraction < 0.5 else end)
    if angle < 1e-9:
        return _position(start)
    mixed = (math.sin((1.0 - fraction) * angle) * start + math.sin(fraction * angle) * end) / math.sin(angle)
    return _position(mixed)


def _position(vector: NDArray[np.float64]) -> Position:
    x, y, z = (float(axis) for axis in vector)
    return Position(math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x)))
