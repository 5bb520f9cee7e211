"""Promises of the place index behind geopy's interface."""

from __future__ import annotations

import pytest
from geopy.exc import GeocoderUnavailable
from geopy.geocoders.base import Geocoder
from geopy.point import Point

from geolocate.offline_geocoder import OfflineGeocoder


@pytest.fixture(scope="module")
def geocoder() -> OfflineGeocoder:
    return OfflineGeocoder()


@pytest.mark.parametrize(
    "query", [(43.467448, 11.885127), Point(43.467448, 11.885127), "43.467448, 11.885127"]
)
def test_reverse_takes_whatever_geopy_takes(geocoder: OfflineGeocoder, query: object) -> None:
    assert isinstance(geocoder, Geocoder)
    location = geocoder.reverse(query)
    assert location.address == "Arezzo, Tuscany, Italy"
    assert location.raw["country_code"] == "IT"
    assert location.raw["distance_km"] == pytest.approx(0.62, abs=1)
    assert location.latitude == pytest.approx(43.46, abs=0.02)
    assert geocoder.reverse(query, exactly_one=False) == [location]


def test_geocode_finds_the_most_populous_place_of_a_name(geocoder: OfflineGeocoder) -> None:
    assert geocoder.geocode("cambridge").raw["country_code"] == "GB"
    everywhere = geocoder.geocode("Cambridge", exactly_one=False)
    assert {location.raw["country_code"] for location in everywhere} >= {"GB", "US", "CA"}
    assert geocoder.geocode("no such place") is None
    assert geocoder.geocode("no such place", exactly_one=False) is None


def test_what_is_no_position_is_refused(geocoder: OfflineGeocoder) -> None:
    with pytest.raises(ValueError, match="unknown format"):
        geocoder.reverse("Arezzo")


def test_it_cannot_reach_the_network(geocoder: OfflineGeocoder) -> None:
    with pytest.raises(GeocoderUnavailable):
        geocoder.adapter.get_json("http://127.0.0.1/", timeout=1, headers={})
