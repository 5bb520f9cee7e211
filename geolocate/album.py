"""Where a photo may have been taken, from photos near in time whose positions are known.

The nearest fix before and the nearest after make a mixture of Gaussians on the ground: the photographer was
on the way between them, or stayed at one of them, or made an excursion; each spread grows with the time that
has passed, so an hour is not a day. The mixture is a prior beside the model's own: pi = (1 - trust) * gallery
+ trust * album, and what the model sees weighs both by Bayes' rule. Where it contradicts the neighbours, as
with a clock that is an hour off, the answer falls back to the model's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geolocate.extra_points import ExtraPoints, Posterior
from geolocate.priors import Prior
from geolocate.ranking import MERGE_RADIUS_KM
from geolocate.records import Position
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

#: In the notes of rows whose place rests mainly on neighbours.
NOTE_ALBUM = "album"
#: What the model keeps even beside a fix of the same minute: clocks are off, cards of two cameras are mixed.
TRUST = 0.85
#: A fix so far away in time has lost 63 % of the trust.
TRUST_HOURS = 48.0
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
#: Between fixes closer than this nobody was on the way.
SAME_PLACE_KM = 5.0
#: A day: by then a night was spent somewhere, most likely near one of the two fixes.
NIGHT_HOURS = 24.0
#: What the model says of a position is averaged over the gallery points in a circle of at least this radius.
EVIDENCE_KM = 50.0


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
    parts = [part for gaussian in gaussians for part in _split(gaussian) if gaussian.spread_km <= WIDEST_KM]
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


def _between(before: Fix, after: Fix) -> list[_Gaussian]:
    total = before.hours + after.hours
    start, end = _vector(before.position), _vector(after.position)
    distance = EARTH_RADIUS_KM * _angle(start, end)
    fraction = before.hours / total if total > 0 else 0.5
    if distance > MAX_KMH * total + SAME_PLACE_KM:
        return _from_one(before, 1.0 - fraction) + _from_one(after, fraction)
    middle = _interpolated(start, end, fraction)
    away = 2.0 * fraction * (1.0 - fraction) * total  # hours to the nearer fix, but smooth
    travelled = distance / total * away if total > 0 else 0.0
    stayed = 0.0
    if distance > SAME_PLACE_KM:
        stayed = 0.15 + 0.6 * (1.0 - math.exp(-total / NIGHT_HOURS))
    return [
        _Gaussian(middle, 0.85 * (1.0 - stayed), _walk_km(away) + UNEVEN * travelled),
        _Gaussian(middle, 0.15 * (1.0 - stayed), _road_km(away) + UNEVEN * travelled),
        _Gaussian(before.position, stayed * (1.0 - fraction), _walk_km(before.hours)),
        _Gaussian(after.position, stayed * fraction, _walk_km(after.hours)),
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


def _split(gaussian: _Gaussian) -> list[_Gaussian]:
    """A Gaussian wider than one place as 19 narrower ones (a hexagon of centres), with the same variance."""
    if gaussian.spread_km <= MERGE_RADIUS_KM:
        return [gaussian]
    step = 0.8  # between centres, in spreads
    offsets = [(0.0, 0.0)]
    for ring, count in ((1.0, 6), (2.0, 12)):
        for number in range(count):
            bearing = 2.0 * math.pi * number / count
            length = ring * step * (1.0 if ring == 1.0 or number % 2 == 0 else math.sqrt(3.0) / 2.0)
            offsets.append((length, bearing))
    weights = np.exp([-(length**2) / 1.5 for length, _ in offsets])  # variance 0.75 of each axis
    weights /= weights.sum()
    centres_variance = float(np.sum(weights * [length**2 / 2.0 for length, _ in offsets]))
    width = gaussian.spread_km * math.sqrt(max(1.0 - centres_variance, 0.1))
    return [
        _Gaussian(
            _destination(gaussian.centre, length * gaussian.spread_km, bearing),
            gaussian.share * float(weight),
            width,
        )
        for (length, bearing), weight in zip(offsets, weights, strict=True)
    ]


def _destination(start: Position, km: float, bearing: float) -> Position:
    """The position `km` along a great circle that leaves `start` at `bearing` (radians from north)."""
    arc, phi = km / EARTH_RADIUS_KM, math.radians(start.latitude)
    sine = math.sin(phi) * math.cos(arc) + math.cos(phi) * math.sin(arc) * math.cos(bearing)
    turn = math.atan2(math.sin(bearing) * math.sin(arc) * math.cos(phi), math.cos(arc) - math.sin(phi) * sine)
    longitude = (start.longitude + math.degrees(turn) + 180.0) % 360.0 - 180.0
    return Position(math.degrees(math.asin(max(-1.0, min(1.0, sine)))), longitude)


def placed(posterior: Posterior, album: ExtraPoints, priors: Sequence[Prior] = ()) -> tuple[Posterior, float]:
    """The posterior of a photo under the album's prior too, and the share of it that rests on the album.

    Args:
        posterior: under the gallery's own prior.
        album: see :func:`reach`.
        priors: hard ones of the run, which hold for the album's positions too.
    """
    shares = album.shares.copy()
    for prior in priors:
        shares *= np.exp(prior.log_at(album.coordinates))
    likely = shares * _lifts(posterior, album)
    total = float(likely.sum())
    model = 1.0 - float(album.shares.sum())
    if not total > 0:  # nothing is left of it, or the model gave no number
        return posterior, 0.0
    weight = total / (total + model)
    normalised = ExtraPoints(album.coordinates, likely / total, album.spreads_km)
    return posterior.mixed(normalised, weight), weight


def _lifts(posterior: Posterior, points: ExtraPoints) -> NDArray[np.float64]:
    """How much likelier than by the gallery's prior alone each point (E,) is to the model, as a factor.

    Averaged over the gallery points round it, or the nearest one: a gallery says nothing finer.
    """
    gallery = posterior.gallery
    vectors = gallery.vectors
    total_weight = float(gallery.weights.sum(dtype=np.float64))
    others = unit_vectors(*posterior.extra.coordinates.T) if len(posterior.extra) else np.empty((0, 3))
    lifts = np.empty(len(points))
    for row, centre in enumerate(unit_vectors(*points.coordinates.T) if len(points) else ()):
        cosines = np.einsum("ij,j->i", vectors, centre)  # (M,); no BLAS, as in the ranking
        radius = max(EVIDENCE_KM, 2.0 * float(points.spreads_km[row]))
        limit = min(math.cos(min(radius / EARTH_RADIUS_KM, math.pi)), float(cosines.max()) - 1e-12)
        near = np.flatnonzero(cosines >= limit)
        seen = float(posterior.shares[near].sum(dtype=np.float64))
        seen += float(posterior.extra.shares[others @ centre >= limit].sum())
        lifts[row] = seen / (float(gallery.weights[near].sum(dtype=np.float64)) / total_weight)
    return lifts
