"""The offline place index: the nearest of 234,908 populated places (GeoNames), exactly, without the network.

Nearest means by chord of the unit sphere in float64, which orders places as the great circle does. Look-ups
descend a tree of balls: every aligned run of 16 rows of the data file is a ball (centre, radius), 16 such
runs are one of the next level, and so on. A ball whose nearest possible point lies beyond the farthest
possible point of another is left out. The order of the rows (compact patches, made by
scripts/build_places.py) decides the speed, never the answer.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geolocate.records import NamedPosition, Place, Position
from geolocate.sphere import chord_to_km, unit_vectors

DATA_PATH = Path(__file__).parent / "data" / "places.npz"
ATTRIBUTION = "Place names: GeoNames, CC BY 4.0"

#: Water farther than this from any place is the open sea; nearer, the place's name and country still help.
OCEAN_DISTANCE_KM = 50.0
#: Land farther than this from any place need not be of its country. Arctic Canada, Greenland and Siberia have
#: land of their own country up to 997 km from the nearest place; beyond are Antarctica and Bouvet Island.
COUNTRY_DISTANCE_KM = 1000.0
#: South of this, land is of no country that all others recognise (Antarctic Treaty, articles IV and VI).
ANTARCTIC_LATITUDE = -60.0
#: Positions whose names are kept, a few megabytes: photos are placed on the same points again and again.
REMEMBERED_NAMES = 10_000
#: Rows of a leaf of the search tree, and children of each node above.
LEAF_ROWS = 16
#: The land mask has cells of 0.1 degree.
MASK_ROWS, MASK_COLUMNS = 1800, 3600

#: Queries that descend the tree together: keeps the candidate arrays within tens of megabytes.
_CHUNK = 4096
#: Added to every bound, on chords of the unit sphere (6 mm): far above float64 rounding.
_SLACK = 1e-9
_DEGREE_UNITS = 100_000

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Level:
    """One level of the tree: balls (n, 3), (n,) over runs of LEAF_ROWS members of the level below."""

    centres: Floats
    radii: Floats


def _tree(points: Floats) -> list[_Level]:
    """Levels from the leaves up, until one is small enough to be searched whole."""
    levels: list[_Level] = []
    run, count = LEAF_ROWS, -1
    while count < 0 or count > LEAF_ROWS * LEAF_ROWS:
        starts = np.arange(0, len(points), run)
        sizes = np.diff(np.append(starts, len(points)))
        centres = np.add.reduceat(points, starts) / sizes[:, None]
        offsets = np.repeat(centres, sizes, axis=0)
        offsets -= points
        squares = np.einsum("ij,ij->i", offsets, offsets)
        levels.append(_Level(centres, np.sqrt(np.maximum.reduceat(squares, starts))))
        run, count = run * LEAF_ROWS, len(starts)
    return levels


class PlaceIndex:
    """Populated places, one row each; `PlaceIndex.load()` gives the one that is shipped.

    Attributes, all read-only arrays of length M:
        latitude, longitude: degrees with five decimals, as GeoNames gives them; float64.
        geonames_id, population: int32; population is 0 where GeoNames knows none.
        country: row of each place in `country_codes` (ISO 3166-1 alpha-2) and `country_names`; uint8.
        region: row of each place in `region_names`; 0 where the name of the region is unknown; uint16.
    """

    def __init__(self, path: Path = DATA_PATH) -> None:
        """Reads a data file of scripts/build_places.py.

        Raises:
            OSError, ValueError, KeyError: there is none, or it is something else.
        """
        with np.load(path, allow_pickle=False) as data:
            arrays: dict[str, NDArray[Any]] = {name: data[name] for name in data.files}
        self.latitude: Floats = arrays["latitude"] / _DEGREE_UNITS
        self.longitude: Floats = arrays["longitude"] / _DEGREE_UNITS
        self.geonames_id: NDArray[np.int32] = arrays["geonames_id"]
        self.population: NDArray[np.int32] = arrays["population"]
        self.country: NDArray[np.uint8] = arrays["country"]
        self.region: NDArray[np.uint16] = arrays["region"]
        self.country_codes = tuple(arrays["country_codes"].tobytes().decode().split("\n")[:-1])
        self.country_names = tuple(arrays["country_names"].tobytes().decode().split("\n")[:-1])
        self.region_names = tuple(arrays["region_names"].tobytes().decode().split("\n")[:-1])
        self._names = arrays["names"].tobytes()
        self._name_ends: Rows = np.flatnonzero(arrays["names"] == ord("\n"))
        self._land_zlib = arrays["land_zlib"].tobytes()
        self._points = unit_vectors(self.latitude, self.longitude)
        self._levels = _tree(self._points)
        self._named: dict[Position, NamedPosition] = {}
        for array in (
            self.latitude,
            self.longitude,
            self.geonames_id,
            self.population,
            self.country,
            self.region,
        ):
            array.flags.writeable = False

    @classmethod
    def load(cls) -> PlaceIndex:
        """The shipped index, read once per process and shared."""
        return _shipped()

    def __len__(self) -> int:
        return len(self.geonames_id)

    def nearest(self, latitudes: ArrayLike, longitudes: ArrayLike) -> tuple[Rows, Floats]:
        """Rows of the nearest places and great-circle distances in km, (N,) each, for degrees (N,), (N,).

        Raises:
            ValueError: as :func:`unit_vectors`.
        """
        queries = unit_vectors(latitudes, longitudes)
        rows = np.empty(len(queries), np.int64)
        chords = np.empty(len(queries))
        for start in range(0, len(queries), _CHUNK):
            part = slice(start, start + _CHUNK)
            rows[part], chords[part] = self._descend(queries[part])
        return rows, chord_to_km(chords)

    def nearest_ids(self, coordinates: ArrayLike) -> NDArray[np.int32]:
        """GeoNames ids (M,) of the places nearest to coordinates (M, 2), latitude first.

        Raises:
            ValueError: as :func:`unit_vectors`, or not (M, 2).
        """
        pairs = np.asarray(coordinates, np.float64)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(f"coordinates {pairs.shape} are not (M, 2)")
        return self.geonames_id[self.nearest(pairs[:, 0], pairs[:, 1])[0]]

    def _descend(self, queries: Floats) -> tuple[Rows, Floats]:
        """Nearest rows and their chords for unit vectors (N, 3)."""
        count = len(queries)
        top = len(self._levels[-1].centres)
        # Pairs (query, node), grouped by query: at first every node of the top level.
        query = np.repeat(np.arange(count), top)
        node = np.tile(np.arange(top), count)
        for depth in range(len(self._levels) - 1, -1, -1):
            level = self._levels[depth]
            distance = _distances(queries[query], level.centres[node])
            radius = level.radii[node]
            farthest = np.minimum.reduceat(distance + radius, _starts(query, count))
            kept = distance - radius <= farthest[query] + _SLACK
            below = len(self._levels[depth - 1].centres) if depth else len(self)
            query, node = np.repeat(query[kept], LEAF_ROWS), node[kept]
            node = (node[:, None] * LEAF_ROWS + np.arange(LEAF_ROWS)).reshape(-1)
            if node.size and node.max() >= below:  # the last run may be shorter
                query, node = query[node < below], node[node < below]
        distance = _distances(queries[query], self._points[node])
        starts = _starts(query, count)
        best = np.minimum.reduceat(distance, starts)
        hits = np.flatnonzero(distance == best[query])
        first = hits[np.searchsorted(query[hits], np.arange(count))]
        return node[first], best

    def rows_of(self, geonames_ids: ArrayLike) -> Rows:
        """Rows (N,) of GeoNames ids (N,), -1 where the index has no such place."""
        wanted = np.atleast_1d(np.asarray(geonames_ids, np.int64))
        ordered = self.geonames_id[self._id_order]
        slot = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        return np.where(ordered[slot] == wanted, self._id_order[slot], -1)

    @cached_property
    def _id_order(self) -> Rows:
        return np.argsort(self.geonames_id, kind="stable")

    def place_name(self, row: int) -> str:
        """The name of a row, in the local spelling that GeoNames prefers."""
        row = self._checked(row)
        start = int(self._name_ends[row - 1]) + 1 if row else 0
        return self._names[start : int(self._name_ends[row])].decode()

    def place(self, row: int) -> Place:
        """The place of a row.

        Raises:
            IndexError: there is no such row; -1, which `rows_of` gives for an unknown id, is none.
        """
        row = self._checked(row)
        return Place(
            name=self.place_name(row),
            region=self.region_names[self.region[row]],
            country=self.country_names[self.country[row]],
            country_code=self.country_codes[self.country[row]],
            position=Position(float(self.latitude[row]), float(self.longitude[row])),
            geonames_id=int(self.geonames_id[row]),
        )

    def _checked(self, row: int) -> int:
        if not 0 <= row < len(self):
            raise IndexError(f"no place in row {row}")
        return int(row)

    def name(self, positions: Sequence[Position]) -> list[NamedPosition]:
        """What each position is called: the nearest place, its distance, and whether this is the open sea.

        On land where the place says nothing of the country, the place has no country and no region.

        Raises:
            ValueError: as :func:`unit_vectors`.
        """
        # Begun anew where it is full, never emptied: another thread may be reading it.
        named = self._named if len(self._named) + len(positions) <= REMEMBERED_NAMES else {}
        if unknown := [position for position in positions if position not in named]:
            named.update(zip(unknown, self._look_up(unknown), strict=True))
        if len(named) <= REMEMBERED_NAMES:
            self._named = named
        return [named[position] for position in positions]

    def _look_up(self, positions: Sequence[Position]) -> list[NamedPosition]:
        latitudes = np.array([position.latitude for position in positions], np.float64)
        longitudes = np.array([position.longitude for position in positions], np.float64)
        rows, distances = self.nearest(latitudes, longitudes)
        ocean = self.at_sea(latitudes, longitudes, distances)
        return [
            NamedPosition(self._place_from(position, int(row), float(distance)), float(distance), bool(sea))
            for position, row, distance, sea in zip(positions, rows, distances, ocean, strict=True)
        ]

    def _place_from(self, position: Position, row: int, distance_km: float) -> Place:
        """The place of a row as it names a position: without its country where that is too far away."""
        place = self.place(row)
        assert place.position is not None  # of the index
        in_antarctica = position.latitude < ANTARCTIC_LATITUDE <= place.position.latitude
        if in_antarctica or distance_km > COUNTRY_DISTANCE_KM:
            return replace(place, region="", country="", country_code="")
        return place

    def country_rows(
        self, latitudes: ArrayLike, longitudes: ArrayLike, *, places: ArrayLike | None = None
    ) -> Rows:
        """Rows (N,) in `country_codes` of the countries of positions, by the rules of :meth:`name`.

        -1 on the open sea, and on land where the nearest place says nothing of the country.

        Args:
            places: GeoNames ids (N,) of the nearest places, where they are known: they cost most of the work.

        Raises:
            ValueError: as :func:`unit_vectors`.
        """
        latitude = np.atleast_1d(np.asarray(latitudes, np.float64))
        longitude = np.atleast_1d(np.asarray(longitudes, np.float64))
        rows, distances = self._nearest_of(latitude, longitude, places)
        nowhere = self.at_sea(latitude, longitude, distances) | (distances > COUNTRY_DISTANCE_KM)
        nowhere |= (latitude < ANTARCTIC_LATITUDE) & (self.latitude[rows] >= ANTARCTIC_LATITUDE)
        return np.where(nowhere, -1, self.country[rows].astype(np.int64))

    def _nearest_of(
        self, latitude: Floats, longitude: Floats, places: ArrayLike | None
    ) -> tuple[Rows, Floats]:
        """As :meth:`nearest`, looking only for those whose place is not known, or not to this index."""
        if places is None:
            return self.nearest(latitude, longitude)
        rows = self.rows_of(places)
        distances = chord_to_km(_distances(unit_vectors(latitude, longitude), self._points[rows]))
        unknown = rows < 0
        if unknown.any():
            rows[unknown], distances[unknown] = self.nearest(latitude[unknown], longitude[unknown])
        return rows, distances

    def land_mask(self) -> NDArray[np.bool_]:
        """True where a cell (MASK_ROWS, MASK_COLUMNS) touches land; row 0 is north, column 0 is west."""
        bits = np.unpackbits(self._land_bits.astype(np.uint8), count=MASK_ROWS * MASK_COLUMNS)
        return bits.astype(bool).reshape(MASK_ROWS, MASK_COLUMNS)

    def at_sea(self, latitudes: Floats, longitudes: Floats, distances_km: Floats) -> NDArray[np.bool_]:
        """(N,): farther than OCEAN_DISTANCE_KM from the nearest place, and no land in the 0.1 degree cell."""
        sea = np.asarray(distances_km) > OCEAN_DISTANCE_KM
        if sea.any():
            row = np.minimum((90 - np.asarray(latitudes)) * (MASK_ROWS / 180), MASK_ROWS - 1).astype(np.int64)
            column = ((np.asarray(longitudes) + 180) * (MASK_COLUMNS / 360)).astype(np.int64) % MASK_COLUMNS
            cell = row * MASK_COLUMNS + column
            land = self._land_bits[cell >> 3] >> (7 - (cell & 7)) & 1
            sea &= land == 0
        return sea

    @cached_property
    def _land_bits(self) -> NDArray[np.int64]:
        """The land mask, eight cells a byte, north-west first."""
        return np.frombuffer(zlib.decompress(self._land_zlib), np.uint8).astype(np.int64)

    def rows_named(self, name: str) -> Rows:
        """Rows of the places with exactly this name, in any case, the most populous first."""
        rows = np.array(self._rows_by_name.get(name.casefold(), ()), np.int64)
        return rows[np.argsort(-self.population[rows].astype(np.int64), kind="stable")]

    @cached_property
    def _rows_by_name(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self._names.decode().split("\n")[:-1]):
            rows.setdefault(name.casefold(), []).append(row)
        return rows


def _distances(a: Floats, b: Floats) -> Floats:
    """Chords between points (n, 3), (n, 3) -> (n,); differences keep their digits at short range."""
    offset = a - b
    chords: Floats = np.sqrt(np.einsum("ij,ij->i", offset, offset))
    return chords


def _starts(query: Rows, count: int) -> Rows:
    """Where each query's pairs begin; each query has at least one."""
    return np.searchsorted(query, np.arange(count))


@cache
def _shipped() -> PlaceIndex:
    return PlaceIndex()
