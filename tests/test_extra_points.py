"""Posteriors over the gallery and points outside it, on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.extra_points import ExtraPoints, Posterior
from geolocate.gallery import Gallery
from geolocate.ranking import RANKINGS, Neighbours, Ranking
from geolocate.records import Position
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

KM_PER_DEGREE = EARTH_RADIUS_KM * np.pi / 180.0


def gallery(*coordinates: tuple[float, float]) -> Gallery:
    size = len(coordinates)
    return Gallery(np.array(coordinates), np.ones(size, np.float32), np.eye(size, dtype=np.float32))


def extra(*rows: tuple[float, float, float, float]) -> ExtraPoints:
    """Rows of latitude, longitude, share, spread in km."""
    table = np.array(rows, dtype=np.float64)
    return ExtraPoints(table[:, :2], table[:, 2], table[:, 3])


@pytest.fixture
def three() -> Posterior:
    return Posterior(gallery((0, 0), (0, 10), (50, 50)), np.array([0.5, 0.3, 0.2], np.float32))


@pytest.mark.parametrize("ranking", RANKINGS)
def test_without_extra_points_everything_is_as_the_gallery_says(three: Posterior, ranking: Ranking) -> None:
    assert three.rank(3, ranking) == three.gallery.rank(three.shares, 3, ranking)
    assert three.credible_radius_km(0) == three.gallery.credible_radius_km(0, three.shares)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_an_extra_point_wins_by_its_share_of_the_mixture(three: Posterior, ranking: Ranking) -> None:
    mixed = three.mixed(extra((-30, 20, 1.0, 1.0)), 0.6)
    (first, second) = mixed.rank(2, ranking)
    assert first == (3, pytest.approx(0.6))
    assert second == (0, pytest.approx(0.2))
    assert mixed.position(3) == Position(-30.0, 20.0)
    assert mixed.shares.sum() + mixed.extra.shares.sum() == pytest.approx(1.0)


def test_an_extra_point_near_a_gallery_point_is_one_place_with_it(three: Posterior) -> None:
    mixed = three.mixed(extra((0.0, 0.1, 1.0, 1.0)), 0.4)  # 11 km from the first
    ((index, probability), *_) = mixed.rank(3, "merged")
    assert (index, probability) == (3, pytest.approx(0.4 + 0.3))


def test_the_radius_of_one_gaussian_is_its_own_median(three: Posterior) -> None:
    alone = three.mixed(extra((10, 10, 1.0, 5.0)), 1.0)
    assert alone.credible_radius_km(3, 0.5) == pytest.approx(5.0 * np.sqrt(2 * np.log(2)), rel=0.04)
    ninety = 5.0 * np.sqrt(2 * np.log(10))
    assert ninety * 0.999 <= alone.credible_radius_km(3, 0.9) <= ninety * 1.06


def test_a_mixture_that_cannot_decide_has_the_radius_of_both_places(three: Posterior) -> None:
    mixed = three.mixed(extra((0, 20, 1.0, 0.1)), 0.45)
    # 0.45 on the extra point, and 0.165 ten degrees away: half of it all lies within those.
    assert mixed.credible_radius_km(3) == pytest.approx(10 * KM_PER_DEGREE, rel=1e-6)


def test_round_a_gallery_point_the_gallery_is_no_finer_than_it_is(three: Posterior) -> None:
    mixed = three.mixed(extra((0, 0.001, 1.0, 0.01)), 0.9)
    assert mixed.credible_radius_km(0) == pytest.approx(5 * KM_PER_DEGREE)


def test_points_over_the_antimeridian_are_one_place() -> None:
    edge = Posterior(gallery((0, 179.95), (40, 0)), np.array([0.9, 0.1], np.float32))
    mixed = edge.mixed(extra((0, -179.95, 1.0, 1.0)), 0.3)
    ((index, probability), *_) = mixed.rank(2, "merged")
    assert (index, probability) == (0, pytest.approx(0.63 + 0.3))


def test_neighbours_extended_by_points_are_those_of_all_points_at_once() -> None:
    draw = np.random.default_rng(3)
    coordinates = np.stack((draw.uniform(44, 46, 3000), draw.uniform(9, 12, 3000)), axis=1)
    vectors = unit_vectors(*coordinates.T)
    whole, grown = Neighbours.of(vectors), Neighbours.of(vectors[:2900]).extended(vectors[2900:])
    some = np.array([0, 17, 2899, 2900, 2999])
    pairs = [{*zip(*map(np.ndarray.tolist, n.round(some)), strict=True)} for n in (whole, grown)]
    assert pairs[0] == pairs[1]


def test_a_share_that_is_no_number_is_seen(three: Posterior) -> None:
    assert three.is_finite()
    assert not three.mixed(extra((0, 0, float("nan"), 1.0)), 0.5).is_finite()
