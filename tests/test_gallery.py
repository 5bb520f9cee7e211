"""Ranking and the credible radius, against brute force and hand-computed cases."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from geopy.distance import great_circle
from hypothesis import given, settings
from hypothesis import strategies as st

from geolocate.errors import GalleryError
from geolocate.gallery import Gallery
from geolocate.ranking import MERGE_RADIUS_KM, Neighbours, merged, published, strongest, weighted_quantile
from geolocate.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors


def gallery(coordinates: list[tuple[float, float]], weights: list[float] | None = None) -> Gallery:
    size = len(coordinates)
    return Gallery(
        np.array(coordinates, dtype=np.float64),
        np.array(weights or [1.0] * size, dtype=np.float32),
        np.zeros((size, 2), dtype=np.float32),
    )


def random_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """Half spread over the sphere, half crowded within a degree or two."""
    z = rng.uniform(-1, 1, count)
    points = np.stack((np.degrees(np.arcsin(z)), rng.uniform(-180, 180, count)), axis=1)
    crowd = count // 2
    points[:crowd] = np.array([48.85, 2.35]) + rng.normal(0, 0.7, (crowd, 2))
    return points


def brute_force_merge(
    posterior: np.ndarray, vectors: np.ndarray, radius_km: float
) -> list[tuple[int, float]]:
    places: list[list[float]] = []
    for index in np.argsort(-posterior, kind="stable"):
        for place in places:
            if great_circle_km(vectors[[int(place[0])]], vectors[index])[0] <= radius_km:
                place[1] += float(posterior[index])
                break
        else:
            places.append([index, float(posterior[index])])
    return [(int(i), p) for i, p in sorted(places, key=lambda place: -place[1])]


@pytest.mark.parametrize("spread", [0.1, 2.0, 8.0])
def test_merged_is_the_walk_down_the_list_that_it_says(spread: float) -> None:
    rng = np.random.default_rng(7)
    vectors = unit_vectors(*random_points(rng, 400).T)
    logits = rng.normal(0, spread, 400)
    posterior = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
    expected = brute_force_merge(posterior, vectors, MERGE_RADIUS_KM)
    found = merged(posterior, Neighbours.of(vectors), 400)
    assert [i for i, _ in found] == [i for i, _ in expected]
    np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], rtol=1e-6)
    assert sum(p for _, p in found) == pytest.approx(1, abs=1e-5)


def test_probabilities_of_the_whole_gallery_are_added_where_the_pool_is_smaller() -> None:
    """The expectation walks down all 4,000 points; the pool holds 512 of them."""
    rng = np.random.default_rng(11)
    vectors = unit_vectors(*random_points(rng, 4000).T)
    logits = rng.normal(0, 3, 4000)
    posterior = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
    expected = brute_force_merge(posterior, vectors, MERGE_RADIUS_KM)[:20]
    found = merged(posterior, Neighbours.of(vectors), 20)
    assert [i for i, _ in found] == [i for i, _ in expected]
    np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], rtol=1e-6)
    everything = merged(posterior, Neighbours.of(vectors), 4000)
    assert sum(p for _, p in everything) == pytest.approx(1, abs=1e-5)


def test_neighbours_are_those_of_a_full_search_at_the_poles_and_the_date_line_too() -> None:
    rng = np.random.default_rng(12)
    places = np.concatenate(
        (
            random_points(rng, 500),
            np.stack((90 - rng.exponential(0.2, 200), rng.uniform(-180, 180, 200)), axis=1),
            np.stack((rng.normal(0, 0.3, 200), (rng.normal(180, 0.3, 200) + 180) % 360 - 180), axis=1),
        )
    )
    vectors = unit_vectors(*places.T)
    rows, found = Neighbours.of(vectors).round(np.arange(len(vectors)))
    full = [np.flatnonzero(great_circle_km(vectors, v) <= MERGE_RADIUS_KM) for v in vectors]
    assert len(found) == sum(map(len, full)) > 2000
    for row in range(len(vectors)):
        assert sorted(found[rows == row]) == full[row].tolist()


def test_more_candidates_never_change_the_ones_before_them() -> None:
    rng = np.random.default_rng(8)
    vectors = unit_vectors(*random_points(rng, 3000).T)
    posterior = rng.dirichlet(np.full(3000, 0.1)).astype(np.float32)
    many = merged(posterior, Neighbours.of(vectors), 200)
    for top_k in (1, 2, 5, 50):
        assert merged(posterior, Neighbours.of(vectors), top_k) == many[:top_k]


def test_five_candidates_are_five_places_even_where_one_city_holds_the_strongest_thousand() -> None:
    rng = np.random.default_rng(9)
    city = np.array([48.85, 2.35]) + rng.normal(0, 0.02, (1000, 2))
    elsewhere = random_points(rng, 40)[20:]
    coordinates = np.concatenate((city, elsewhere))
    posterior = np.concatenate((np.full(1000, 0.99 / 1000), np.full(20, 0.01 / 20))).astype(np.float32)
    vectors = unit_vectors(*coordinates.T)
    found = merged(posterior, Neighbours.of(vectors), 5)
    assert len(found) == 5
    chosen = vectors[[i for i, _ in found]]
    for row in range(5):
        others = np.delete(chosen, row, axis=0)
        assert great_circle_km(others, chosen[row]).min() > MERGE_RADIUS_KM


def test_points_keep_neighbours_apart_and_published_keeps_duplicates() -> None:
    three = gallery([(0, 0), (0, 0.01), (50, 50)], weights=[1, 3, 1])
    posterior = np.array([0.2, 0.6, 0.2], dtype=np.float32)
    assert [i for i, _ in three.rank(posterior, 3, "points")] == [1, 0, 2]
    rows = three.rank(posterior, 5, "published")
    assert [i for i, _ in rows] == [0, 1, 1, 1, 2]
    assert [p for _, p in rows] == pytest.approx([0.2] * 5)
    assert three.rows() == 5


def test_published_ranks_by_the_probability_of_one_row() -> None:
    ranked = published(np.array([0.5, 0.3, 0.2]), np.array([10, 1, 1], dtype=np.float32), 3)
    assert [i for i, _ in ranked] == [1, 2, 0]
    assert [p for _, p in ranked] == pytest.approx([0.3, 0.2, 0.05])


def test_ties_are_settled_by_gallery_order() -> None:
    assert strongest(np.array([0.1, 0.3, 0.3, 0.3]), 2).tolist() == [1, 2]


def test_top_k_above_the_gallery_gives_the_whole_gallery() -> None:
    three = gallery([(0, 0), (0, 90), (50, 50)])
    posterior = np.array([0.2, 0.5, 0.3], dtype=np.float32)
    for ranking in ("merged", "points", "published"):
        assert [i for i, _ in three.rank(posterior, 99, ranking)] == [1, 2, 0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_weighted_quantile_is_exact(share: float) -> None:
    rng = np.random.default_rng(3)
    values = rng.uniform(0, 20_000, 5000)
    weights = rng.dirichlet(np.full(5000, 0.05)).astype(np.float32)
    order = np.argsort(values)
    total = np.cumsum(weights[order].astype(np.float64))
    expected = values[order][np.searchsorted(total, share * total[-1] * (1 - 1e-12))]
    assert weighted_quantile(values, weights, share) == pytest.approx(expected)


def test_credible_radius_holds_half_and_is_never_finer_than_the_gallery() -> None:
    line = gallery([(0, 0), (0, 1), (0, 2), (0, 3)])
    degree_km = EARTH_RADIUS_KM * np.pi / 180
    spread = np.array([0.3, 0.1, 0.2, 0.4], dtype=np.float32)
    assert line.credible_radius_km(0, spread) == pytest.approx(2 * degree_km)
    certain = np.array([1, 0, 0, 0], dtype=np.float32)
    assert line.credible_radius_km(0, certain) == pytest.approx(degree_km / 2)
    assert line.credible_radius_km(3, certain) == pytest.approx(3 * degree_km)


def test_a_gallery_of_one_point_claims_no_more_than_the_globe() -> None:
    alone = gallery([(48.85, 2.35)])
    radius = alone.credible_radius_km(0, np.array([1.0], dtype=np.float32))
    assert radius == pytest.approx(np.pi * EARTH_RADIUS_KM)


def test_distances_agree_with_geopy_across_the_date_line_and_at_the_poles() -> None:
    pairs = [((0, 179.9), (0, -179.9)), ((90, 0), (89.9, 120)), ((10, 20), (-30, 150)), ((5, 5), (5, 5.0001))]
    for first, second in pairs:
        vectors = unit_vectors(*zip(first, second, strict=True))
        expected = great_circle(first, second, radius=EARTH_RADIUS_KM).kilometers
        assert great_circle_km(vectors[:1], vectors[1])[0] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(
    "coordinates", [[], [(91, 0)], [(0, 181)], [(float("nan"), 0)]], ids=["empty", "lat", "lon", "nan"]
)
def test_a_gallery_off_the_globe_is_refused(coordinates: list[tuple[float, float]]) -> None:
    with pytest.raises(GalleryError):
        Gallery(
            np.array(coordinates, dtype=np.float64).reshape(-1, 2),
            np.ones(len(coordinates), dtype=np.float32),
            np.zeros((len(coordinates), 2), dtype=np.float32),
        )


def seconds_of_other_threads() -> float:
    """Processor time that this process's other threads have used."""
    own = str(threading.get_native_id())
    stats = [task / "stat" for task in Path("/proc/self/task").iterdir() if task.name != own]
    # Fields 14 and 15 of proc(5), counted behind the name in brackets.
    ticks = sum(sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) for stat in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the processor time of threads from /proc")
def test_ranking_leaves_the_other_cores_to_decoding() -> None:
    rng = np.random.default_rng(13)
    many = gallery([(float(a), float(b)) for a, b in random_points(rng, 20_000)])
    posterior = rng.dirichlet(np.full(20_000, 10.0)).astype(np.float32)
    many.rank(posterior, 1, "merged")
    others, own = seconds_of_other_threads(), time.thread_time()
    for _ in range(40):
        index, _probability = many.rank(posterior, 1, "merged")[0]
        many.credible_radius_km(index, posterior)
    assert seconds_of_other_threads() - others < (time.thread_time() - own) / 4


def test_zeros_of_a_sharp_posterior_come_last_by_index() -> None:
    posterior = np.zeros(5000, dtype=np.float32)
    posterior[[7, 4000, 9]] = [0.5, 0.3, 0.2]
    assert strongest(posterior, 5).tolist() == [7, 4000, 9, 0, 1]


@settings(deadline=None, max_examples=100)
@given(
    size=st.integers(1, 4000), count=st.integers(1, 900), sharpness=st.integers(0, 40), steps=st.booleans()
)
def test_the_strongest_are_those_of_a_stable_sort(size: int, count: int, sharpness: int, steps: bool) -> None:
    """Ties and zeros included, however sharp the posterior is and however few of it are sampled."""
    posterior = np.random.default_rng(size * 1000 + count).random(size) ** sharpness
    posterior = (np.round(posterior * 12) if steps else posterior).astype(np.float32)
    expected = np.argsort(-posterior, kind="stable")[:count]
    assert np.array_equal(strongest(posterior, count), expected)
