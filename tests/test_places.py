"""Promises of the offline place index."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geolocate.places import DATA_PATH, PlaceIndex
from geolocate.records import Position
from geolocate.sphere import EARTH_RADIUS_KM, chord_to_km

#: One metre, the tolerance between places that are equally far.
TIE_KM = 0.001
LEVELS_KM = (0.003, 0.03, 0.3, 3.0, 30.0)


@pytest.fixture(scope="module")
def index() -> PlaceIndex:
    return PlaceIndex.load()


def spread_points(index: PlaceIndex, count: int, seed: int) -> NDArray[np.float64]:
    """Degrees (count, 2): a third all over the globe, the rest round places; poles and +-180 among them."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count // 3, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sphere = np.degrees(
        np.stack([np.arcsin(vectors[:, 2]), np.arctan2(vectors[:, 1], vectors[:, 0])], axis=1)
    )
    rows = random.integers(0, len(index), count - len(sphere))
    scale = np.degrees(random.choice(LEVELS_KM, len(rows)) / EARTH_RADIUS_KM)
    near = np.stack([index.latitude[rows], index.longitude[rows]], axis=1)
    near = near + random.normal(size=near.shape) * scale[:, None]
    edges = [
        (latitude, longitude)
        for latitude in (-90.0, -89.999, -60.0, -17.0, 0.0, 17.0, 66.0, 89.999, 90.0)
        for longitude in (-180.0, -179.9999, -90.0, 0.0, 179.9999, 180.0)
    ]
    points = np.concatenate([sphere, near])
    points[: len(edges)] = edges
    clipped: NDArray[np.float64] = np.clip(points, [-90, -180], [90, 180])
    return clipped


def vectors_of(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (N, 3), on their own account: rounding in the index must not hide in the expectation."""
    phi, lam = np.deg2rad(latitude.astype(np.float64)), np.deg2rad(longitude.astype(np.float64))
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def brute_force_km(index: PlaceIndex, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance to the nearest place by looking at every place, in float64 and by differences."""
    places = vectors_of(index.latitude, index.longitude).T.copy()  # (3, M)
    best = np.empty(len(points))
    for row, (x, y, z) in enumerate(vectors_of(points[:, 0], points[:, 1])):
        best[row] = np.min((places[0] - x) ** 2 + (places[1] - y) ** 2 + (places[2] - z) ** 2)
    return chord_to_km(np.sqrt(best))


def test_the_nearest_place_is_the_one_that_a_search_of_all_places_finds(index: PlaceIndex) -> None:
    points = spread_points(index, 10_000, seed=2)
    rows, distances = index.nearest(points[:, 0], points[:, 1])
    expected = brute_force_km(index, points)
    np.testing.assert_allclose(distances, expected, rtol=0, atol=TIE_KM)
    chosen = vectors_of(index.latitude[rows], index.longitude[rows])
    recomputed = chord_to_km(np.linalg.norm(chosen - vectors_of(points[:, 0], points[:, 1]), axis=1))
    np.testing.assert_allclose(recomputed, expected, rtol=0, atol=TIE_KM)


def test_a_look_up_does_not_depend_on_its_batch_mates(index: PlaceIndex) -> None:
    points = spread_points(index, 300, seed=3)
    together = index.nearest(points[:, 0], points[:, 1])[0]
    alone = [index.nearest([latitude], [longitude])[0][0] for latitude, longitude in points]
    assert together.tolist() == alone


def test_both_names_of_the_antimeridian_and_every_longitude_of_a_pole_are_one_point(
    index: PlaceIndex,
) -> None:
    rows, distances = index.nearest([-16.8, -16.8], [180.0, -180.0])
    assert rows[0] == rows[1]
    assert index.place(rows[0]).country == "Fiji"
    assert distances[0] == pytest.approx(distances[1])
    for latitude in (90.0, -90.0):
        rows, _ = index.nearest([latitude] * 4, [-180.0, -90.0, 0.0, 90.0])
        assert len(set(rows.tolist())) == 1


@pytest.mark.parametrize(
    ("latitude", "longitude", "place", "region", "country", "code"),
    [
        (43.467448, 11.885127, "Arezzo", "Tuscany", "Italy", "IT"),
        (27.1751, 78.0421, "Agra", "Uttar Pradesh", "India", "IN"),
        (-13.1631, -72.5450, "Machupicchu", "Cuzco Department", "Peru", "PE"),
    ],
)
def test_well_known_positions_have_their_names(
    index: PlaceIndex, latitude: float, longitude: float, place: str, region: str, country: str, code: str
) -> None:
    (named,) = index.name([Position(latitude, longitude)])
    assert named.place is not None
    assert (named.place.name, named.place.region) == (place, region)
    assert (named.place.country, named.place.country_code) == (country, code)
    assert 0 < named.distance_km < 10
    assert not named.ocean


@pytest.mark.parametrize("position", [(0.0, -30.0), (-30.0, 80.0), (40.0, -50.0), (90.0, 0.0), (0.0, 180.0)])
def test_mid_ocean_says_so_and_still_gives_the_nearest_place(
    index: PlaceIndex, position: tuple[float, float]
) -> None:
    (named,) = index.name([Position(*position)])
    assert named.ocean
    assert named.place is not None
    assert named.distance_km > 50


@pytest.mark.parametrize(
    "position", [(-90.0, 0.0), (72.0, -40.0), (24.5, 13.0), (-25.0, 125.0), (37.94, 23.64), (46.45, 6.5)]
)
def test_deserts_ice_sheets_harbours_and_lakes_are_not_the_ocean(
    index: PlaceIndex, position: tuple[float, float]
) -> None:
    (named,) = index.name([Position(*position)])
    assert not named.ocean


@pytest.mark.parametrize(
    "position", [(-90.0, 0.0), (-77.85, 166.67), (-64.8, -62.9), (-75.1, 123.3), (-54.4, 3.4)]
)
def test_no_country_is_named_in_antarctica_or_a_thousand_kilometres_from_its_places(
    index: PlaceIndex, position: tuple[float, float]
) -> None:
    (named,) = index.name([Position(*position)])
    assert named.place is not None
    assert (named.place.country_code, named.place.country, named.place.region) == ("", "", "")
    assert named.place.name
    assert named.distance_km > 900
    assert not named.ocean


@pytest.mark.parametrize(
    ("position", "code"),
    [((79.5, -42.0), "GL"), ((76.5, -118.0), "CA"), ((-31.5, 127.5), "AU"), ((80.5, 95.5), "RU")],
)
def test_the_emptiest_land_keeps_its_country(
    index: PlaceIndex, position: tuple[float, float], code: str
) -> None:
    (named,) = index.name([Position(*position)])
    assert named.distance_km > 500
    assert named.place is not None
    assert named.place.country_code == code


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(float("nan"), 0.0), (0.0, float("inf")), (90.001, 0.0), (0.0, -180.001), (-91.0, 0.0)],
)
def test_positions_that_are_none_are_refused(index: PlaceIndex, latitude: float, longitude: float) -> None:
    with pytest.raises(ValueError, match="outside latitude"):
        index.nearest([0.0, latitude], [0.0, longitude])
    with pytest.raises(ValueError, match="outside latitude"):
        index.name([Position(latitude, longitude)])


def test_arrays_of_different_lengths_are_refused(index: PlaceIndex) -> None:
    with pytest.raises(ValueError, match="not of one length"):
        index.nearest([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="not \\(M, 2\\)"):
        index.nearest_ids([1.0, 2.0])


def test_a_position_that_comes_again_is_not_looked_up_again(
    index: PlaceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Position(12.3456, 65.4321), Position(-12.3456, 65.4321)
    named = index.name([first])
    looked_up = []
    real = PlaceIndex.nearest
    monkeypatch.setattr(PlaceIndex, "nearest", lambda *given: looked_up.append(given[1:]) or real(*given))
    assert index.name([first, first]) == named * 2
    assert looked_up == []
    assert index.name([second, first])[1:] == named
    assert [len(latitudes) for latitudes, _ in looked_up] == [1]


def test_names_are_remembered_up_to_a_limit(index: PlaceIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geolocate.places.REMEMBERED_NAMES", 20)
    positions = [Position(latitude / 7, 10.0) for latitude in range(50)]
    wanted = index.name(positions)
    assert wanted == [named for position in positions for named in index.name([position])]
    assert 0 < len(index._named) <= 20
    assert index.name(positions) == wanted
    assert len(index._named) <= 20


def test_no_position_gives_no_name(index: PlaceIndex) -> None:
    assert index.name([]) == []
    rows, distances = index.nearest([], [])
    assert rows.shape == distances.shape == (0,)


def test_places_are_found_again_by_their_geonames_id(index: PlaceIndex) -> None:
    rows = np.array([0, 1, 77_777, len(index) - 1])
    ids = index.nearest_ids(np.stack([index.latitude[rows], index.longitude[rows]], axis=1))
    assert [index.place(row).geonames_id for row in index.rows_of(ids)] == ids.tolist()
    assert index.rows_of(index.geonames_id[rows]).tolist() == rows.tolist()
    assert index.rows_of([-5, 0, 2**40]).tolist() == [-1, -1, -1]
    with pytest.raises(IndexError):
        index.place(-1)


def test_every_place_has_a_name_a_country_and_a_position(index: PlaceIndex) -> None:
    assert len(index) == 234_908
    assert len(np.unique(index.geonames_id)) == len(index)
    assert all(index.place_name(row) for row in range(len(index)))
    assert all(len(code) == 2 and code.isupper() for code in index.country_codes)
    assert all(name and name == name.strip() for name in index.country_names)
    assert np.mean(index.region == 0) < 0.005
    assert index.population.max() > 10_000_000


def test_the_same_name_gives_the_most_populous_place_first(index: PlaceIndex) -> None:
    rows = index.rows_named("pARIS")
    assert index.place(rows[0]).country_code == "FR"
    assert len(rows) > 5
    assert index.rows_named("Nowhere At All").size == 0


def test_the_shared_index_cannot_be_changed(index: PlaceIndex) -> None:
    assert PlaceIndex.load() is index
    with pytest.raises(ValueError, match="read-only"):
        index.latitude[0] = 0.0


def test_the_data_is_small_and_names_its_sources() -> None:
    assert DATA_PATH.stat().st_size <= 10_000_000
    notice = (DATA_PATH.parent / "NOTICE").read_text(encoding="utf-8")
    assert "GeoNames" in notice
    assert "Creative Commons Attribution 4.0" in notice
    assert "Natural Earth" in notice


def test_a_damaged_data_file_is_an_error_not_a_wrong_place(tmp_path: Path) -> None:
    damaged = tmp_path / "places.npz"
    content = bytearray(DATA_PATH.read_bytes())
    content[1_000_000] ^= 0xFF
    damaged.write_bytes(content)
    with pytest.raises((ValueError, OSError, zipfile.BadZipFile)):
        PlaceIndex(damaged)


def test_the_index_needs_neither_geopy_nor_scipy() -> None:
    code = (
        "import sys; from geolocate.places import PlaceIndex; PlaceIndex.load().nearest([1.0], [2.0]); "
        "print(sorted({'geopy', 'scipy', 'PIL', 'torch', 'onnxruntime'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
