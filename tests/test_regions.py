"""The posterior by country, on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.extra_points import ExtraPoints, Posterior
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex
from geolocate.regions import by_country

ROME, MILAN, PARIS, NEW_YORK, MID_ATLANTIC = (
    (41.9, 12.5),
    (45.5, 9.2),
    (48.86, 2.35),
    (40.7, -74.0),
    (0.0, -25.0),
)


@pytest.fixture(params=[True, False], ids=["places", "own"])
def posterior(request: pytest.FixtureRequest) -> Posterior:
    coordinates = np.array([ROME, PARIS, MILAN, NEW_YORK, MID_ATLANTIC])
    places = PlaceIndex.load().nearest_ids(coordinates).astype(np.int64) if request.param else None
    gallery = Gallery(coordinates, np.ones(5, np.float32), np.eye(5, dtype=np.float32), places)
    return Posterior(gallery, np.array([0.2, 0.3, 0.25, 0.15, 0.1], np.float32))


def test_a_country_sums_its_points_and_stands_at_its_strongest(posterior: Posterior) -> None:
    assert by_country(posterior, 10) == [
        (2, pytest.approx(0.45)),
        (1, pytest.approx(0.3)),
        (3, pytest.approx(0.15)),
        (4, pytest.approx(0.1)),
    ]


def test_no_more_countries_than_asked_for(posterior: Posterior) -> None:
    assert [index for index, _ in by_country(posterior, 2)] == [2, 1]


def test_points_outside_the_gallery_count_for_their_country(posterior: Posterior) -> None:
    reference = ExtraPoints(np.array([(47.0, 2.4)]), np.array([1.0]), np.array([1.0]))
    ranked = by_country(posterior.mixed(reference, 0.5), 2)
    assert ranked == [(5, pytest.approx(0.65)), (2, pytest.approx(0.225))]
