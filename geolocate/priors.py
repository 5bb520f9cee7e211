"""What is known besides the pixels, as log priors: for each point what is added to its logit.

Hard ones (-inf outside) hold for the whole run and leave a smaller gallery: circle, box, countries. Soft ones
hold for one photo: the offset of its clock from UTC. How many photos stand at a gallery point is a prior too,
the gallery's weights, and always counts. Photos near in time are :mod:`geolocate.album`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import UsageError
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex
from geolocate.records import Position
from geolocate.sphere import great_circle_km, unit_vectors

Floats = NDArray[np.float64]

#: Great circles on the mean sphere and WGS-84 geodesics differ by less than this share (0.56 % at most).
_SPHERE_ERROR = 0.006
#: Clocks minus the sun, in hours: within these for 99.9 % of the people of the world, with and without summer
#: time (the zones of tzdata 2024 at the populated places of GeoNames: -0.92 to +2.45).
CLOCK_MINUS_SUN_HOURS = (-1.0, 2.6)
#: How fast it becomes unlikely outside: western China lives 3.0 hours ahead of the sun.
_FLANK_HOURS = 0.5


class Prior(Protocol):
    """One source of what is known besides the pixels.

    Attributes:
        note: its token in the `notes` of each row that it had a say in.
        wish: how the user asked for it, for messages.
    """

    @property
    def note(self) -> str:
        """See the class."""

    @property
    def wish(self) -> str:
        """See the class."""

    def log_at(self, coordinates: Floats, places: NDArray[np.int64] | None = None) -> Floats:
        """What is added to the logits at coordinates in degrees (N, 2): (N,), -inf where it excludes.

        Args:
            places: GeoNames ids (N,) of their nearest places, where known.
        """


def _hard(inside: NDArray[np.bool_]) -> Floats:
    return np.where(inside, 0.0, -np.inf)


@dataclass(frozen=True)
class Near:
    """Within `km` of a centre, by the WGS-84 geodesic, as errors are measured.

    Raises:
        UsageError: no such circle.
    """

    centre: Position
    km: float
    note = "prior:near"

    def __post_init__(self) -> None:
        _check_latitude(self.centre.latitude, self.wish)
        _check_longitude(self.centre.longitude, self.wish)
        if not 0 < self.km < np.inf:
            raise UsageError(f"{self.wish}: the radius is a number of kilometres above 0")

    @property
    def wish(self) -> str:
        """As an option of the command line."""
        return f"--near {self.centre.latitude:g},{self.centre.longitude:g},{self.km:g}"

    def log_at(self, coordinates: Floats, places: NDArray[np.int64] | None = None) -> Floats:
        """See :class:`Prior`."""
        from geopy.distance import geodesic

        distances = self.distances_km(coordinates)
        doubtful = np.flatnonzero(np.abs(distances / self.km - 1.0) <= _SPHERE_ERROR)
        here = (self.centre.latitude, self.centre.longitude)
        distances[doubtful] = [geodesic(here, coordinates[row]).kilometers for row in doubtful]
        return _hard(distances <= self.km)

    def distances_km(self, coordinates: Floats) -> Floats:
        """Great-circle distances (N,) from the centre."""
        (centre,) = unit_vectors([self.centre.latitude], [self.centre.longitude])
        return great_circle_km(unit_vectors(*np.asarray(coordinates).T), centre)


@dataclass(frozen=True)
class Box:
    """Between two parallels and two meridians; over the antimeridian where `west` is greater than `east`.

    Raises:
        UsageError: no such box.
    """

    south: float
    west: float
    north: float
    east: float
    note = "prior:bbox"

    def __post_init__(self) -> None:
        for latitude in (self.south, self.north):
            _check_latitude(latitude, self.wish)
        for longitude in (self.west, self.east):
            _check_longitude(longitude, self.wish)
        if self.south > self.north:
            raise UsageError(f"{self.wish}: the south lies north of the north (the order is S,W,N,E)")

    @property
    def wish(self) -> str:
        """As an option of the command line."""
        return f"--bbox {self.south:g},{self.west:g},{self.north:g},{self.east:g}"

    def log_at(self, coordinates: Floats, places: NDArray[np.int64] | None = None) -> Floats:
        """See :class:`Prior`."""
        latitude, longitude = np.asarray(coordinates, np.float64).T
        # -180 and 180 are one meridian.
        east_of_west = (longitude - self.west) % 360.0
        width = 360.0 if self.east - self.west == 360.0 else (self.east - self.west) % 360.0
        return _hard((latitude >= self.south) & (latitude <= self.north) & (east_of_west <= width))


@dataclass(frozen=True)
class Countries:
    """In one of some countries, by the rules that name a position's country; nothing out at sea is.

    Attributes:
        codes: ISO 3166-1 alpha-2, in either case; kept in capitals.

    Raises:
        UsageError: no code, or one that is no country's.
    """

    codes: tuple[str, ...]
    note = "prior:country"

    def __post_init__(self) -> None:
        codes = tuple(dict.fromkeys(code.strip().upper() for code in self.codes))
        object.__setattr__(self, "codes", codes)
        known = PlaceIndex.load().country_codes
        for code in codes:
            if code not in known:
                raise UsageError(f"--country: {code or 'an empty text'!r} is no country code{_hint(code)}")
        if not codes:
            raise UsageError("--country needs at least one country code")

    @property
    def wish(self) -> str:
        """As an option of the command line."""
        return f"--country {','.join(self.codes)}"

    def log_at(self, coordinates: Floats, places: NDArray[np.int64] | None = None) -> Floats:
        """See :class:`Prior`."""
        index = PlaceIndex.load()
        found = index.country_rows(*np.asarray(coordinates).T, places=places)
        return _hard(np.isin(found, self._rows))

    @cached_property
    def _rows(self) -> list[int]:
        codes = PlaceIndex.load().country_codes
        return [codes.index(code) for code in self.codes]


@dataclass(frozen=True)
class UtcOffset:
    """A photo's clock stands `minutes` before UTC, east positive, so it was taken in a band of longitudes.

    Attributes:
        reliability: how likely the clock is of the zone that it was in, 0 to 1. What is left goes to all
            longitudes alike.
    """

    minutes: int
    reliability: float
    note = "prior:timezone"

    @property
    def wish(self) -> str:
        """What to call it in messages."""
        return f"a clock of UTC{self.minutes / 60:+g} h"

    def log_at(self, coordinates: Floats, places: NDArray[np.int64] | None = None) -> Floats:
        """See :class:`Prior`; 0 at what the clock fits."""
        longitude = np.asarray(coordinates, np.float64)[:, 1]
        fits = clock_fit(self.minutes, longitude)  # (N,), 0 to 1
        low, high = CLOCK_MINUS_SUN_HOURS
        share = (high - low) / 24.0  # of all longitudes that fit, so what a clock of any zone scores anywhere
        mixed = self.reliability * fits + (1.0 - self.reliability) * share
        logs: Floats = np.log(mixed / (self.reliability + (1.0 - self.reliability) * share))
        return logs


def clock_fit(minutes: int, longitudes: Floats) -> Floats:
    """How well a clock `minutes` before UTC fits longitudes (N,): 1 inside the band, falling off outside."""
    low, high = CLOCK_MINUS_SUN_HOURS
    middle = (low + high) / 2.0
    ahead = minutes / 60.0 - np.asarray(longitudes, np.float64) / 15.0
    ahead = (ahead - middle + 12.0) % 24.0 - 12.0  # the date line lies somewhere else than 180 degrees
    beyond = np.maximum(np.abs(ahead) - (high - low) / 2.0, 0.0)
    fit: Floats = np.exp(-beyond / _FLANK_HOURS)
    return fit


def inside(coordinates: Floats, priors: Sequence[Prior]) -> NDArray[np.bool_]:
    """Which of the coordinates in degrees (N, 2) hard priors leave, (N,)."""
    kept: NDArray[np.bool_] = np.ones(len(coordinates), bool)
    for prior in priors:
        kept &= np.isfinite(prior.log_at(coordinates))
    return kept


def restricted(gallery: Gallery, priors: Sequence[Prior]) -> Gallery:
    """The points of a gallery that hard priors leave.

    Raises:
        UsageError: none is left; says which prior excludes how much.
    """
    if not priors:
        return gallery
    logs = [prior.log_at(gallery.coordinates, gallery.places) for prior in priors]
    total = np.sum(logs, axis=0)  # (M,)
    kept = np.isfinite(total)
    if not kept.any():
        raise UsageError(_nothing_left(gallery, priors, logs))
    return gallery.subset(kept)


def _nothing_left(gallery: Gallery, priors: Sequence[Prior], logs: Sequence[Floats]) -> str:
    counts = [int(np.isfinite(log).sum()) for log in logs]
    for prior, count in zip(priors, counts, strict=True):
        if not count:
            nearest = ""
            if isinstance(prior, Near):
                distance = float(prior.distances_km(gallery.coordinates).min())
                nearest = f": the nearest is {distance:,.1f} km from its centre"
            return f"the gallery has no point in {prior.wish}{nearest}"
    parts = " and ".join(
        f"{prior.wish} ({count:,} point{'' if count == 1 else 's'})"
        for prior, count in zip(priors, counts, strict=True)
    )
    return f"what is known excludes everything: no point of the gallery lies in {parts}"


def _check_latitude(value: float, wish: str) -> None:
    if not abs(value) <= 90:  # written so that NaN fails too
        raise UsageError(f"{wish}: a latitude lies between -90 and 90, not {value:g} (latitude comes first)")


def _check_longitude(value: float, wish: str) -> None:
    if not abs(value) <= 180:
        raise UsageError(f"{wish}: a longitude lies between -180 and 180, not {value:g}")


#: What people write for a country that has another code.
_OFTEN_MEANT = {"UK": "GB", "EL": "GR"}


def _hint(text: str) -> str:
    """The code of the country that may be meant."""
    index = PlaceIndex.load()
    names: dict[str, Any] = {
        name.upper(): code for name, code in zip(index.country_names, index.country_codes, strict=True)
    }
    close = difflib.get_close_matches(text, names, n=1, cutoff=0.8) if len(text) > 2 else []
    code = _OFTEN_MEANT.get(text) or (names[close[0]] if close else None)
    return f": did you mean {code}?" if code else " (two letters, ISO 3166-1)"
