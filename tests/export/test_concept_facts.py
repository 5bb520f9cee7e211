"""Facts about concepts hold where geography says so, and their logic knows the unknown."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the export extra is not installed")

from geolocate.errors import ConceptSetError, ExtraMissing
from geolocate.places import PlaceIndex
from geolocate.records import Position
from geolocate.sphere import great_circle_km, unit_vectors
from geolocate_export import climate_zones
from geolocate_export.coast import CELL_DEGREES, sea_distances_km
from geolocate_export.concept_facts import check_fact, truth, truths
from geolocate_export.concept_set import GEOGRAPHIC, ConceptSet, load_concept_set

ROOT = Path(__file__).resolve().parents[2]
NAN = float("nan")

POINTS = {
    "Cairo": (30.044, 31.236),
    "Reykjavik": (64.146, -21.942),
    "Singapore": (1.29, 103.85),
    "Ulaanbaatar": (47.92, 106.92),
    "Zurich": (47.377, 8.54),
    "Manaus": (-3.119, -60.022),
    "Denver": (39.739, -104.985),
    "Suva": (-18.141, 178.442),
    "Taveuni": (-16.8, -179.98),
    "Athens": (37.984, 23.728),
    "Yakutsk": (62.03, 129.73),
    "Alice Springs": (-23.7, 133.88),
    "Lhasa": (29.65, 91.12),
    "Nuuk": (64.177, -51.736),
    "South Pole": (-90.0, 0.0),
    "North Pole": (90.0, 0.0),
    "Pacific": (-48.9, -123.4),
}


def places(*names: str) -> NDArray[np.float64]:
    return np.array([POINTS[name] for name in names])


def countries(*codes: str, unknown: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"kind": "countries", "codes": [*codes], **({"unknown": [*unknown]} if unknown else {})}


@pytest.fixture(scope="module")
def geographic() -> ConceptSet:
    return load_concept_set(GEOGRAPHIC)


@pytest.fixture(scope="module")
def gallery() -> NDArray[np.float64]:
    points: NDArray[np.float64] = np.load(ROOT / "models" / "starter" / "gallery_coordinates.npy")
    return points


@pytest.fixture(scope="module")
def known(geographic: ConceptSet, gallery: NDArray[np.float64]) -> NDArray[np.float32]:
    return truths(geographic, gallery)


def test_countries_are_those_of_the_points_and_unknown_where_there_is_none() -> None:
    fact = countries("EG", "SG", unknown=("IS",))
    points = places("Cairo", "Reykjavik", "Singapore", "Ulaanbaatar", "South Pole", "Pacific")
    np.testing.assert_array_equal(truth(fact, points), [1, NAN, 1, 0, NAN, NAN])


def test_regions_are_those_of_the_nearest_place_in_their_country_alone() -> None:
    fact = {"kind": "regions", "regions": {"GB": ["Wales"]}, "unknown": {"US": ["Colorado"]}}
    cardiff, bristol = (51.48, -3.18), (51.45, -2.59)
    points = np.concatenate([[cardiff, bristol], places("Denver", "Zurich", "South Pole", "Pacific")])
    np.testing.assert_array_equal(truth(fact, points), [1, 0, NAN, 0, NAN, NAN])


def test_a_region_of_the_same_name_in_another_country_is_another() -> None:
    cordoba_argentina, monteria = (-31.41, -64.18), (8.75, -75.88)
    venezuela, colombia = (5.66, -67.6), (-4.2, -69.94)  # Puerto Ayacucho, Leticia
    points = np.array([cordoba_argentina, monteria, venezuela, colombia, (-6.23, -77.87)])
    peru = {"kind": "regions", "regions": {"PE": ["Amazonas"]}}
    assert truth(peru, points).tolist() == [0, 0, 0, 0, 1]
    both = {"kind": "regions", "regions": {"PE": ["Amazonas"], "VE": ["Amazonas"]}}
    assert truth(both, points).tolist() == [0, 0, 1, 0, 1]


def test_many_countries_at_once_follow_the_rules_of_naming(gallery: NDArray[np.float64]) -> None:
    index = PlaceIndex.load()
    random = np.random.default_rng(4)
    anywhere = np.stack([random.uniform(-90, 90, 1500), random.uniform(-180, 180, 1500)], axis=1)
    points = np.concatenate([anywhere, gallery[::20], places(*POINTS)])
    rows = index.country_rows(*points.T)
    named = index.name([Position(*point) for point in points.tolist()])
    for row, found in zip(rows, named, strict=True):
        expected = "" if found.ocean else found.place.country_code
        assert (index.country_codes[row] if row >= 0 else "") == expected


def test_latitudes_are_of_both_sides_unless_signed() -> None:
    points = places("Singapore", "Cairo", "Alice Springs", "South Pole", "North Pole")
    both = {"kind": "latitude", "from": 20, "to": 90}
    assert truth(both, points).tolist() == [0, 1, 1, 1, 1]
    assert truth({**both, "signed": True}, points).tolist() == [0, 1, 0, 0, 1]


def test_a_box_may_cross_the_date_line() -> None:
    points = np.array([(-18.1, 178.4), (-16.8, -179.98), (-17.0, 180.0), (-17.0, -180.0), (-17.0, 0.0)])
    assert truth({"kind": "boxes", "boxes": [[-20, 177, -16, -179]]}, points).tolist() == [1, 1, 1, 1, 0]
    assert truth({"kind": "boxes", "boxes": [[-20, -179, -16, 177]]}, points).tolist() == [0, 0, 0, 0, 1]


def test_the_coast_is_near_reykjavik_and_far_from_ulaanbaatar() -> None:
    points = places("Reykjavik", "Singapore", "Athens", "Cairo", "Zurich", "Ulaanbaatar", "Pacific")
    near = truth({"kind": "coast", "within_km": 25}, points)
    assert near.tolist() == [1, 1, 1, 0, 0, 0, 1]
    far = truth({"kind": "inland", "beyond_km": 1000}, points)
    assert far.tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_distances_to_the_sea_are_those_of_the_nearest_cell_at_sea() -> None:
    index = PlaceIndex.load()
    rows, columns = np.nonzero(~index.land_mask())
    centres = unit_vectors(90 - (rows + 0.5) * CELL_DEGREES, (columns + 0.5) * CELL_DEGREES - 180)
    points = places("Cairo", "Zurich", "Ulaanbaatar", "Taveuni", "Nuuk", "Denver", "South Pole", "North Pole")
    distances = sea_distances_km(points)
    for vector, distance in zip(unit_vectors(*points.T), distances, strict=True):
        # To the cell's edge, not to its centre, and from the middle of the point's own column.
        assert -6 <= great_circle_km(centres, vector).min() - distance <= 14


def test_the_date_line_and_both_spellings_of_it_are_one_place() -> None:
    east, west = np.array([(-16.8, 180.0), (65.0, 180.0)]), np.array([(-16.8, -180.0), (65.0, -180.0)])
    np.testing.assert_allclose(sea_distances_km(east), sea_distances_km(west), atol=1e-6)
    zones = {"kind": "climate", "zones": ["A", "B", "C", "D", "E"]}
    np.testing.assert_array_equal(truth(zones, east), truth(zones, west))


def test_climates_are_those_of_the_textbooks() -> None:
    expected = {"Cairo": "BWh", "Singapore": "Af", "Manaus": "Af", "Zurich": "Cfb", "Athens": "Csa"}
    for name, zone in expected.items():
        assert truth({"kind": "climate", "zones": [zone]}, places(name)).tolist() == [1], name
    cold = truth({"kind": "climate", "zones": ["D", "ET"]}, places("Yakutsk", "Nuuk", "Singapore"))
    assert cold.tolist() == [1, 1, 0]
    assert truth({"kind": "climate", "zones": ["EF"]}, places("South Pole")).tolist() == [1]
    assert np.isnan(truth({"kind": "climate", "zones": ["A"]}, places("Pacific"))).all()


def test_a_large_town_is_near_or_not() -> None:
    fact = {"kind": "population", "within_km": 20, "at_least": 1_000_000}
    assert truth(fact, places("Cairo", "Singapore", "Reykjavik", "Pacific")).tolist() == [1, 1, 0, 0]


def test_unknown_runs_through_combinations_as_in_kleenes_logic() -> None:
    # At the South Pole the country is unknown, the latitude is known.
    points = places("South Pole", "Cairo")
    egypt, south = countries("EG"), {"kind": "latitude", "from": -90, "to": 0, "signed": True}
    for kind, fact, expected in (
        ("all", south, [NAN, 0]),
        ("all", {"kind": "not", "fact": south}, [0, 1]),
        ("any", south, [1, 1]),
        ("any", {"kind": "not", "fact": south}, [NAN, 1]),
    ):
        np.testing.assert_array_equal(truth({"kind": kind, "facts": [egypt, fact]}, points), expected)
    np.testing.assert_array_equal(truth({"kind": "not", "fact": egypt}, points), [NAN, 0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=4))
def test_what_holds_and_its_opposite_add_up_wherever_it_is_known(points: list[tuple[float, float]]) -> None:
    fact = {
        "kind": "any",
        "facts": [
            {"kind": "all", "facts": [countries("BR"), {"kind": "coast", "within_km": 100}]},
            {"kind": "climate", "zones": ["BW"]},
        ],
    }
    where = np.array(points)
    holds, fails = truth(fact, where), truth({"kind": "not", "fact": fact}, where)
    both = np.isfinite(holds)
    assert np.array_equal(both, np.isfinite(fails))
    assert set(holds[both]) <= {0.0, 1.0}
    np.testing.assert_array_equal(holds[both] + fails[both], 1)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ("coast", "a fact is an object"),
        ({}, "there is no kind of fact None"),
        ({"kind": ["all"]}, "there is no kind of fact"),
        ({"kind": "coast"}, "needs within_km"),
        ({"kind": "coast", "within_km": 5}, "between 12 and 3000"),
        ({"kind": "coast", "within_km": True}, "between 12 and 3000"),
        ({"kind": "coast", "within_km": 20, "beyond_km": 30}, "has no beyond_km"),
        ({"kind": "countries", "codes": []}, "names no country"),
        ({"kind": "countries", "codes": "TH"}, "a list of ISO 3166 codes"),
        ({"kind": "countries", "codes": ["th"]}, "no country has the code th"),
        ({"kind": "countries", "codes": ["TH"], "unknown": ["TH"]}, "TH stands twice"),
        ({"kind": "regions", "regions": {}}, "are objects of countries"),
        ({"kind": "regions", "regions": ["Kerala"]}, "are objects of countries"),
        ({"kind": "regions", "regions": {"IN": []}}, "the regions of IN are a list of names"),
        ({"kind": "regions", "regions": {"IN": "Kerala"}}, "the regions of IN are a list of names"),
        ({"kind": "regions", "regions": {"IN": [""]}}, "knows no region"),
        ({"kind": "regions", "regions": {"IN": ["kerala"]}}, "knows no region kerala in IN"),
        ({"kind": "regions", "regions": {"IN": ["Wales"]}}, "knows no region Wales in IN"),
        ({"kind": "regions", "regions": {"ZZ": ["Wales"]}}, "no country has the code ZZ"),
        ({"kind": "regions", "regions": {"IN": ["Goa", "Goa"]}}, "Goa in IN stands twice"),
        (
            {"kind": "regions", "regions": {"IN": ["Goa"]}, "unknown": {"IN": ["Goa"]}},
            "Goa in IN stands twice",
        ),
        ({"kind": "regions", "regions": {"IN": ["Goa"]}, "unknown": {"IN": ["X"]}}, "no region X in IN"),
        ({"kind": "latitude", "from": 30, "to": 20}, "does not go from 30 to 20"),
        ({"kind": "latitude", "from": -30, "to": 20}, "does not go from -30 to 20"),
        ({"kind": "latitude", "from": 0, "to": NAN}, "does not go from 0 to nan"),
        ({"kind": "boxes", "boxes": [[10, 0, 0, 5]]}, "is not south, west, north, east"),
        ({"kind": "boxes", "boxes": [[0, 0, 10]]}, "a box is"),
        ({"kind": "population", "within_km": 20, "at_least": 10}, "at_least of a population fact"),
        ({"kind": "climate", "zones": ["Q"]}, "no climate zone Q"),
        ({"kind": "climate", "zones": [""]}, "a list of Koeppen-Geiger zones"),
        ({"kind": "all", "facts": [countries("TH")]}, "a list of at least two"),
        ({"kind": "not", "fact": {"kind": "any"}}, "needs facts"),
    ],
)
def test_what_is_no_fact_is_refused_with_its_owner(fact: Any, message: str) -> None:
    with pytest.raises(ConceptSetError) as refused:
        check_fact(fact, "concept 'dune'")
    assert str(refused.value).startswith("concept 'dune': ")
    assert message in str(refused.value)


def test_facts_nested_without_end_are_refused() -> None:
    fact = countries("TH")
    for _ in range(20):
        fact = {"kind": "not", "fact": fact}
    with pytest.raises(ConceptSetError, match="nested more than"):
        check_fact(fact, "the fact")


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.array([(91.0, 0.0)]), np.array([(0.0, NAN)])])
def test_coordinates_that_are_none_are_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"not \(M, 2\)|outside"):
        truth(countries("TH"), points)


def test_without_the_climate_data_its_facts_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(climate_zones, "PACKAGE", "no_such_package")
    climate_zones._raster.cache_clear()
    try:
        with pytest.raises(ExtraMissing, match=r"pip install 'geolocate\[export\]'"):
            truth({"kind": "climate", "zones": ["A"]}, places("Cairo"))
    finally:
        climate_zones._raster.cache_clear()


def test_no_points_and_no_concepts_give_empty_answers(geographic: ConceptSet) -> None:
    assert truths(geographic, np.zeros((0, 2))).shape == (len(geographic), 0)
    assert truths([], places("Cairo")).shape == (0, 1)


def test_no_fact_of_the_set_is_true_everywhere_or_nowhere(
    geographic: ConceptSet, known: NDArray[np.float32]
) -> None:
    for concept, row in zip(geographic, known, strict=True):
        if concept.fact is None:
            assert np.isnan(row).all(), concept.name
            continue
        # Three points: small countries with a script of their own have no more in the gallery.
        assert np.nansum(row) >= 3, concept.name
        assert np.nanmean(row) <= 0.95, concept.name
        assert np.isfinite(row).mean() >= 0.4, concept.name


@pytest.mark.parametrize(
    ("place", "holds", "fails"),
    [
        (
            "Cairo",
            "desert climate; Arabic script; date palms; right-hand traffic",
            "Thai script; mangrove; taiga",
        ),
        (
            "Singapore",
            "equatorial rain; left-hand traffic; hawker centre",
            "continental winter; right-hand traffic",
        ),
        (
            "Reykjavik",
            "Icelandic text; lava field; northern lights",
            "rice paddy; left-hand traffic; Greek script",
        ),
        ("Ulaanbaatar", "Cyrillic script; deel; steppe climate", "coconut palms; fishing village; sari"),
        ("Lhasa", "prayer flags; high plateau; Tibetan script", "tropical climate; coral lagoon"),
        ("Alice Springs", "outback; road train; Christmas in summer", "Arabic script; northern lights"),
        ("Manaus", "tropical climate; blackwater river; Portuguese text", "windmill; coral lagoon; taiga"),
        ("Nuuk", "iceberg; fjord; dog sled", "olive grove; forest"),
        ("Zurich", "German text; alpine peaks; oceanic overcast", "rice paddy; left-hand traffic"),
        ("Suva", "pandanus; left-hand traffic; trade-wind coast", "northern lights; German text"),
    ],
)
def test_well_known_places_have_what_they_are_known_for(
    geographic: ConceptSet, place: str, holds: str, fails: str
) -> None:
    values = dict(zip((c.name for c in geographic), truths(geographic, places(place))[:, 0], strict=True))
    for name in holds.split("; "):
        assert values[name] == 1, name
    for name in fails.split("; "):
        assert values[name] == 0, name


def test_a_gallery_of_ten_thousand_points_takes_seconds(
    geographic: ConceptSet, gallery: NDArray[np.float64]
) -> None:
    begun = time.perf_counter()
    assert truths(geographic, gallery).shape == (len(geographic), len(gallery))
    assert time.perf_counter() - begun < 30  # 2 to 3 seconds on a free core
