"""What the user knows: which points it leaves, and what it says where none is left."""

from __future__ import annotations

import numpy as np
import pytest
from geopy.distance import geodesic

from geolocate.errors import UsageError
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex
from geolocate.priors import Box, Countries, Near, Prior, UtcOffset, clock_fit, restricted
from geolocate.records import Position

ROME, PARIS, FIJI, TAVEUNI = (41.9, 12.5), (48.86, 2.35), (-17.8, 178.0), (-16.9, -179.9)
MID_ATLANTIC = (0.0, -25.0)


def gallery(*coordinates: tuple[float, float]) -> Gallery:
    size = len(coordinates)
    places = PlaceIndex.load().nearest_ids(coordinates).astype(np.int64)
    return Gallery(np.array(coordinates), np.ones(size, np.float32), np.eye(size, dtype=np.float32), places)


@pytest.fixture(scope="module")
def world() -> Gallery:
    return gallery(ROME, PARIS, FIJI, TAVEUNI, MID_ATLANTIC)


def left(world: Gallery, *priors: Prior) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in restricted(world, priors).coordinates]


def test_a_circle_keeps_what_lies_in_it_by_the_geodesic(world: Gallery) -> None:
    distance = geodesic(ROME, PARIS).kilometers
    assert left(world, Near(Position(*ROME), distance * 1.000001)) == [ROME, PARIS]
    assert left(world, Near(Position(*ROME), distance * 0.999999)) == [ROME]


def test_a_circle_at_the_edge_is_measured_on_the_ellipsoid_and_not_on_the_sphere() -> None:
    draw = np.random.default_rng(1)
    bearings = draw.uniform(0, 360, 200)
    from geopy.distance import distance

    ring = [distance(kilometers=50 * f).destination(ROME, b) for b in bearings for f in (0.9999, 1.0001)]
    found = Near(Position(*ROME), 50.0).log_at(np.array([(p.latitude, p.longitude) for p in ring]))
    assert np.isfinite(found).tolist() == [True, False] * 200


def test_a_box_may_cross_the_antimeridian(world: Gallery) -> None:
    assert left(world, Box(-20, 170, -10, -170)) == [FIJI, TAVEUNI]
    assert left(world, Box(-20, -180, -10, -170)) == [TAVEUNI]
    assert left(world, Box(-90, -180, 90, 180)) == left(world)
    assert left(gallery((0, 180.0), (0, -180.0)), Box(-1, 179, 1, 180)) == [(0, 180), (0, -180)]


def test_countries_keep_their_points_in_either_case_and_nothing_at_sea(world: Gallery) -> None:
    assert left(world, Countries(("it", "FJ"))) == [ROME, FIJI, TAVEUNI]
    own = Gallery(world.coordinates, world.weights, world.embeddings)  # without precomputed places
    assert left(own, Countries(("IT", "FJ"))) == [ROME, FIJI, TAVEUNI]
    codes = PlaceIndex.load().country_codes
    assert not np.isfinite(Countries(codes).log_at(np.array([MID_ATLANTIC]))).any()


def test_several_priors_hold_together(world: Gallery) -> None:
    assert left(world, Countries(("IT", "FR")), Box(45, -10, 60, 30)) == [PARIS]


def test_the_posterior_of_what_is_left_is_that_of_excluded_logits(world: Gallery) -> None:
    kept = restricted(world, [Countries(("IT", "FJ"))])
    logits = np.array([0.3, 2.0, 0.1, 1.0, 3.0])
    masked = np.where(np.isfinite(Countries(("IT", "FJ")).log_at(world.coordinates)), logits, -np.inf)
    expected = np.exp(masked) / np.exp(masked).sum()
    within = np.exp((kept.embeddings @ logits.astype(np.float32)).astype(np.float64))
    assert within / within.sum() == pytest.approx(expected[expected > 0], rel=1e-6)


def test_a_single_point_that_is_left_keeps_its_own_cell_and_does_not_claim_the_globe(world: Gallery) -> None:
    alone = restricted(world, [Countries(("IT",))])
    half = geodesic(ROME, PARIS).kilometers / 2
    assert alone.credible_radius_km(0, np.ones(1)) == pytest.approx(half, rel=0.006)


def test_where_no_point_is_left_the_error_says_how_far_the_nearest_is(world: Gallery) -> None:
    with pytest.raises(UsageError, match=r"no point in --near 42\.5,12\.5,10: the nearest is 66\.7 km"):
        restricted(world, [Near(Position(42.5, 12.5), 10)])
    with pytest.raises(UsageError, match="no point in --country CL"):
        restricted(world, [Countries(("CL",))])


def test_priors_that_exclude_each_other_are_named_with_what_each_leaves(world: Gallery) -> None:
    with pytest.raises(
        UsageError, match=r"--country IT \(1 point\) and --bbox -20,170,-10,-170 \(2 points\)"
    ):
        restricted(world, [Countries(("IT",)), Box(-20, 170, -10, -170)])


@pytest.mark.parametrize(
    ("code", "hint"),
    [("ZZ", "two letters"), ("Italy", "did you mean IT"), ("uk", "did you mean GB"), ("EU", ""), ("", "")],
)
def test_what_is_no_country_is_refused_with_a_hint(code: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"is no country code.*{hint}"):
        Countries((code,))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Near(Position(91, 0), 5),
        lambda: Near(Position(0, 181), 5),
        lambda: Near(Position(float("nan"), 0), 5),
        lambda: Near(Position(0, 0), 0),
        lambda: Near(Position(0, 0), float("nan")),
        lambda: Near(Position(0, 0), float("inf")),
        lambda: Box(10, 0, 5, 20),
        lambda: Box(0, 0, float("nan"), 20),
        lambda: Box(0, -190, 5, 20),
        lambda: Countries(()),
    ],
)
def test_what_is_nowhere_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError):
        wrong()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("hours", "longitude"),
    [
        pytest.param(1, 9.2, id="Milan"),
        pytest.param(2, 2.35, id="Paris-summer"),
        pytest.param(2, -8.5, id="Galicia-summer"),
        pytest.param(8, 87.6, id="Urumqi"),
        pytest.param(5.75, 85.3, id="Kathmandu"),
        pytest.param(-7, -122.4, id="California-summer"),
        pytest.param(13, 176.0, id="New-Zealand-summer"),
        pytest.param(14, -157.4, id="Kiritimati"),
    ],
)
def test_the_clocks_of_the_world_fit_where_they_hang(hours: float, longitude: float) -> None:
    assert clock_fit(round(60 * hours), np.array([longitude]))[0] > 0.75


def test_a_clock_speaks_against_the_other_side_of_the_world_but_never_rules_it_out() -> None:
    logs = UtcOffset(60, reliability=0.9).log_at(np.array([(45.0, 9.0), (45.0, -120.0)]))
    assert logs[0] == pytest.approx(0.0, abs=1e-9)
    assert np.log(0.01) < logs[1] < np.log(0.05)
    flat = UtcOffset(60, reliability=0.0).log_at(np.array([(45.0, 9.0), (45.0, -120.0)]))
    assert flat[0] == flat[1]
