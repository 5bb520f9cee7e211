"""Where on Earth a concept is known to live: facts as JSON, and their truth at coordinates.

A fact is an object with a `kind`:

    countries   {"codes": [...], "unknown": [...]}   the point's country is listed; unknown: it occurs there
    regions     {"regions": {"IN": ["Kerala"]}, "unknown": {"IN": [...]}}   the same for first-level regions
    latitude    {"from": 0, "to": 23.5}              of the absolute value, or with "signed": true as it is
    boxes       {"boxes": [[S, W, N, E], ...]}       in one of them; W > E crosses the date line
    coast       {"within_km": 20}                    so near the sea (the mask's cells are 11 km)
    inland      {"beyond_km": 300}                   so far from it
    population  {"within_km": 15, "at_least": 1e6}   a place of so many people so near
    climate     {"zones": ["Af", "Am"]}              Koeppen-Geiger zones, or what they begin with ("BW", "D")
    all, any    {"facts": [...]}                     every one, at least one
    not         {"fact": {...}}                      the opposite

Regions are spelled as the place index spells them, and are those of the nearest place. Truth is 1, 0 or nan:
unknown. Where no country is (open sea, Antarctica) facts about countries and regions are unknown, and so are
facts about climate where the raster has only sea. Unknown runs through combinations as in Kleene's
logic: 0 and unknown is 0, 1 or unknown is 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import ConceptSetError
from geolocate.places import PlaceIndex
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors
from geolocate_export.climate_zones import ZONES, climate_zones
from geolocate_export.coast import sea_distances_km

#: Finer distances to the sea the land mask does not know.
MIN_COAST_KM = 12.0
#: Smaller places are too many to compare each with every point.
MIN_POPULATION = 10_000
#: Facts inside facts, at most so deep.
MAX_DEPTH = 8
#: Points times places that are compared at a time.
_CHUNK = 4_000_000

Fact = Mapping[str, Any]
Floats = NDArray[np.float64]
Truth = NDArray[np.float32]


class HasFact(Protocol):
    """A concept, as far as truth is concerned."""

    @property
    def fact(self) -> Fact | None: ...


class Points:
    """Positions (M, 2) with what facts ask about them, each looked up once.

    Raises:
        ValueError: not (M, 2), not numbers, or outside the globe.
    """

    def __init__(self, coordinates: Floats) -> None:
        self.coordinates = np.asarray(coordinates, np.float64)
        if self.coordinates.ndim != 2 or self.coordinates.shape[1] != 2:
            raise ValueError(f"coordinates {self.coordinates.shape} are not (M, 2)")
        self.vectors = unit_vectors(*self.coordinates.T)  # (M, 3)
        self._index = PlaceIndex.load()
        self._near_people: dict[tuple[float, float], Truth] = {}

    def __len__(self) -> int:
        return len(self.coordinates)

    @cached_property
    def countries(self) -> NDArray[np.int64]:
        """Rows (M,) in the place index's country codes, -1 for none."""
        places = self._index.geonames_id[self._nearest]
        return self._index.country_rows(*self.coordinates.T, places=places)

    @cached_property
    def regions(self) -> NDArray[np.int64]:
        """Rows (M,) in the place index's region names; of use where there is a country."""
        return self._index.region[self._nearest].astype(np.int64)

    @cached_property
    def _nearest(self) -> NDArray[np.int64]:
        return self._index.nearest(*self.coordinates.T)[0]

    @cached_property
    def sea_km(self) -> Floats:
        """Distances (M,) to the sea."""
        return sea_distances_km(self.coordinates)

    @cached_property
    def climates(self) -> NDArray[np.int64]:
        """Rows (M,) in ZONES, -1 for none."""
        return climate_zones(self.coordinates)

    def near_people(self, within_km: float, at_least: float) -> Truth:
        """(M,) 1 where a place of at least so many people lies within so many km."""
        key = (within_km, at_least)
        if key not in self._near_people:
            rows = np.flatnonzero(self._index.population >= at_least)
            places = unit_vectors(self._index.latitude[rows], self._index.longitude[rows])  # (n, 3)
            cosine = math.cos(min(within_km / EARTH_RADIUS_KM, math.pi))
            step = max(1, _CHUNK // max(1, len(rows)))
            parts = [
                (self.vectors[start : start + step] @ places.T >= cosine).any(axis=1)
                for start in range(0, len(self), step)
            ]
            self._near_people[key] = np.concatenate([*parts, np.zeros(0, bool)]).astype(np.float32)
        return self._near_people[key]


def truth(fact: Fact, coordinates: Floats | Points) -> Truth:
    """1 where a fact holds, 0 where not, nan where unknown: (M,) for positions (M, 2).

    Raises:
        ConceptSetError: that is no fact.
        ValueError: coordinates outside the globe.
        ExtraMissing: a climate fact without the climate data.
    """
    check_fact(fact, "the fact")
    points = coordinates if isinstance(coordinates, Points) else Points(coordinates)
    return _truth(fact, points)


def truths(concepts: Iterable[HasFact], coordinates: Floats) -> Truth:
    """The truth of K concepts' facts at M positions, (K, M); a row of nan where a concept has none.

    Raises:
        ConceptSetError, ValueError, ExtraMissing: see :func:`truth`.
    """
    points = Points(coordinates)
    unknown = np.full(len(points), np.nan, np.float32)
    rows = [unknown if concept.fact is None else truth(concept.fact, points) for concept in concepts]
    return np.stack(rows) if rows else np.zeros((0, len(points)), np.float32)


def check_fact(fact: Any, owner: str, depth: int = 0) -> None:
    """Refuses what is no fact; `owner` starts the message ("concept 'sari'").

    Raises:
        ConceptSetError: unknown kind or country, missing or surplus keys, values without sense.
    """
    if depth > MAX_DEPTH:
        raise ConceptSetError(f"{owner}: facts are nested more than {MAX_DEPTH} deep")
    if not isinstance(fact, Mapping):
        raise ConceptSetError(f"{owner}: a fact is an object with a kind, not {str(fact)[:60]!r}")
    kind = fact.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConceptSetError(f"{owner}: there is no kind of fact {kind!r}; kinds: {', '.join(_KINDS)}")
    needed, optional, check, _ = _KINDS[kind]
    keys = set(fact) - {"kind"}
    if missing := [key for key in needed if key not in keys]:
        raise ConceptSetError(f"{owner}: a fact of kind {kind} needs {' and '.join(missing)}")
    if surplus := keys - set(needed) - set(optional):
        raise ConceptSetError(f"{owner}: a fact of kind {kind} has no {', '.join(sorted(map(str, surplus)))}")
    if problem := check(fact):
        raise ConceptSetError(f"{owner}: {problem}")
    for part in fact["facts"] if kind in ("all", "any") else [fact["fact"]] if kind == "not" else []:
        check_fact(part, owner, depth + 1)


def _truth(fact: Fact, points: Points) -> Truth:
    """The truth (M,) of a fact that was checked."""
    return _KINDS[fact["kind"]][3](fact, points)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_countries(fact: Fact) -> str:
    codes, unknown = fact["codes"], fact.get("unknown", [])
    for name, listed in (("codes", codes), ("unknown", unknown)):
        if not isinstance(listed, list) or not all(isinstance(code, str) for code in listed):
            return f"{name} of a countries fact is a list of ISO 3166 codes"
        if strange := sorted(set(listed) - set(PlaceIndex.load().country_codes)):
            return f"no country has the code {', '.join(strange)}"
    if not codes:
        return "a countries fact names no country"
    if len(set(codes + unknown)) < len(codes) + len(unknown):
        twice = sorted({code for code in codes + unknown if (codes + unknown).count(code) > 1})
        return f"{', '.join(twice)} stands twice in a countries fact"
    return ""


def _countries(fact: Fact, points: Points) -> Truth:
    order = {code: row for row, code in enumerate(PlaceIndex.load().country_codes)}
    table = np.zeros(len(order) + 1, np.float32)  # the last row, -1, is no country
    table[[order[code] for code in fact["codes"]]] = 1
    table[[order[code] for code in fact.get("unknown", [])] + [-1]] = np.nan
    listed: Truth = table[points.countries]
    return listed


@cache
def _region_names(code: str) -> frozenset[str]:
    """The regions that the place index knows in a country; none where there is no such country."""
    index = PlaceIndex.load()
    if code not in index.country_codes:
        return frozenset()
    rows = np.unique(index.region[index.country == index.country_codes.index(code)])
    return frozenset(index.region_names[row] for row in rows) - {""}


def _check_regions(fact: Fact) -> str:
    listed, unknown = fact["regions"], fact.get("unknown", {})
    if not isinstance(listed, Mapping) or not isinstance(unknown, Mapping) or not listed:
        return "regions and unknown of a regions fact are objects of countries and their regions"
    for code, names in (*listed.items(), *unknown.items()):
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            return f"the regions of {code} are a list of names"
        if code not in PlaceIndex.load().country_codes:
            return f"no country has the code {code}"
        if strange := sorted(set(names) - _region_names(code)):
            return f"the place index knows no region {', '.join(strange)} in {code}"
        both = [*listed.get(code, []), *unknown.get(code, [])]
        if twice := sorted({name for name in names if both.count(name) > 1}):
            return f"{', '.join(twice)} in {code} stands twice in a regions fact"
    return ""


def _regions(fact: Fact, points: Points) -> Truth:
    index = PlaceIndex.load()
    holds = np.where(points.countries < 0, np.float32(np.nan), np.float32(0))
    for key, value in (("unknown", np.nan), ("regions", 1)):
        for code, names in fact.get(key, {}).items():
            inside = points.countries == index.country_codes.index(code)
            # Countries share names of regions, and each has a row of its own.
            rows = [row for row, name in enumerate(index.region_names) if name in names]
            holds[inside & np.isin(points.regions, rows)] = value
            # A place whose region the index does not know may lie in any of them.
            holds[inside & (points.regions == 0)] = np.nan
    return holds


def _check_latitude(fact: Fact) -> str:
    start, end, signed = fact["from"], fact["to"], fact.get("signed", False)
    if not isinstance(signed, bool):
        return "signed of a latitude fact is true or false"
    if not (_is_number(start) and _is_number(end) and (-90 if signed else 0) <= start < end <= 90):
        return f"a latitude fact does not go from {start} to {end}"
    return ""


def _latitude(fact: Fact, points: Points) -> Truth:
    latitude = points.coordinates[:, 0]
    if not fact.get("signed", False):
        latitude = np.abs(latitude)
    inside: NDArray[np.bool_] = (latitude >= fact["from"]) & (latitude <= fact["to"])
    return inside.astype(np.float32)


def _check_boxes(fact: Fact) -> str:
    boxes = fact["boxes"]
    if not isinstance(boxes, list) or not boxes:
        return "boxes is a list of [south, west, north, east]"
    for box in boxes:
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            return f"a box is [south, west, north, east], not {str(box)[:60]}"
        south, west, north, east = box
        if not (-90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180 and west != east):
            return f"the box {box} is not south, west, north, east"
    return ""


def _boxes(fact: Fact, points: Points) -> Truth:
    latitude, longitude = points.coordinates.T
    inside = np.zeros(len(points), bool)
    for south, west, north, east in fact["boxes"]:
        across = (longitude >= west) & (longitude <= east)
        if west > east:
            across = (longitude >= west) | (longitude <= east)
        inside |= (latitude >= south) & (latitude <= north) & across
    return inside.astype(np.float32)


def _check_coast(fact: Fact) -> str:
    key = "within_km" if fact["kind"] == "coast" else "beyond_km"
    if not (_is_number(fact[key]) and MIN_COAST_KM <= fact[key] <= 3000):
        return f"{key} of a {fact['kind']} fact lies between {MIN_COAST_KM:g} and 3000"
    return ""


def _check_population(fact: Fact) -> str:
    if not (_is_number(fact["within_km"]) and 0 < fact["within_km"] <= 1000):
        return "within_km of a population fact lies between 0 and 1000"
    if not (_is_number(fact["at_least"]) and MIN_POPULATION <= fact["at_least"] <= 3e7):
        return f"at_least of a population fact lies between {MIN_POPULATION} and 30000000"
    return ""


def _check_climate(fact: Fact) -> str:
    zones = fact["zones"]
    if not isinstance(zones, list) or not zones or not all(isinstance(zone, str) and zone for zone in zones):
        return "zones of a climate fact is a list of Koeppen-Geiger zones"
    strange = [zone for zone in zones if not any(known.startswith(zone) for known in ZONES)]
    return f"there is no climate zone {', '.join(strange)}" if strange else ""


def _climate(fact: Fact, points: Points) -> Truth:
    table = np.array([*(any(map(zone.startswith, fact["zones"])) for zone in ZONES), np.nan], np.float32)
    listed: Truth = table[points.climates]
    return listed


def _check_parts(fact: Fact) -> str:
    listed = isinstance(fact["facts"], list) and len(fact["facts"]) > 1
    return "" if listed else f"facts of kind {fact['kind']} is a list of at least two"


def _combined(fact: Fact, points: Points) -> Truth:
    parts = np.stack([_truth(part, points) for part in fact["facts"]])  # (F, M)
    decisive = np.float32(0 if fact["kind"] == "all" else 1)
    unsettled = np.where(np.isnan(parts).any(axis=0), np.float32(np.nan), 1 - decisive)
    return np.where((parts == decisive).any(axis=0), decisive, unsettled).astype(np.float32)


#: Kind -> keys it needs, keys it may have, what is wrong with its values ("" for nothing), its truth.
_KINDS: dict[
    str, tuple[tuple[str, ...], tuple[str, ...], Callable[[Fact], str], Callable[[Fact, Points], Truth]]
] = {
    "countries": (("codes",), ("unknown",), _check_countries, _countries),
    "regions": (("regions",), ("unknown",), _check_regions, _regions),
    "latitude": (("from", "to"), ("signed",), _check_latitude, _latitude),
    "boxes": (("boxes",), (), _check_boxes, _boxes),
    "coast": (
        ("within_km",),
        (),
        _check_coast,
        lambda fact, points: (points.sea_km <= fact["within_km"]).astype(np.float32),
    ),
    "inland": (
        ("beyond_km",),
        (),
        _check_coast,
        lambda fact, points: (points.sea_km > fact["beyond_km"]).astype(np.float32),
    ),
    "population": (
        ("within_km", "at_least"),
        (),
        _check_population,
        lambda fact, points: points.near_people(fact["within_km"], fact["at_least"]),
    ),
    "climate": (("zones",), (), _check_climate, _climate),
    "all": (("facts",), (), _check_parts, _combined),
    "any": (("facts",), (), _check_parts, _combined),
    "not": (("fact",), (), lambda fact: "", lambda fact, points: 1 - _truth(fact["fact"], points)),
}
