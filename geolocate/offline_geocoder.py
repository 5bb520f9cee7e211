"""The offline place index behind geopy's `Geocoder` interface, for code that already speaks geopy."""

from __future__ import annotations

from typing import Any, NoReturn

from geopy.adapters import BaseSyncAdapter
from geopy.exc import GeocoderUnavailable
from geopy.geocoders.base import DEFAULT_SENTINEL, Geocoder
from geopy.location import Location
from geopy.point import Point

from geolocate.places import PlaceIndex
from geolocate.records import Place, Position


class _NoNetwork(BaseSyncAdapter):  # type: ignore[misc]
    """Takes the place of geopy's HTTP client, so that no request can leave."""

    def get_text(self, url: str, *, timeout: float, headers: dict[str, str]) -> NoReturn:
        raise GeocoderUnavailable("the offline geocoder asks no service")

    get_json = get_text


class OfflineGeocoder(Geocoder):  # type: ignore[misc]
    """GeoNames places above 500 people; reverse and forward look-ups without the network.

    >>> OfflineGeocoder().reverse((48.8566, 2.3522)).raw["country_code"]
    'FR'
    """

    def __init__(self, index: PlaceIndex | None = None) -> None:
        super().__init__(adapter_factory=_NoNetwork)
        self._index = index or PlaceIndex.load()

    def reverse(self, query: Any, *, exactly_one: bool = True, timeout: Any = DEFAULT_SENTINEL) -> Any:
        """The nearest place as a geopy `Location` (a list of it if not `exactly_one`).

        `raw` has name, region, country, country_code, geonames_id, distance_km and ocean.

        Args:
            query: a geopy Point, (latitude, longitude) or "latitude, longitude", degrees.
            timeout: ignored; no service is asked.

        Raises:
            ValueError: the query is no position.
        """
        point = Point(query)
        (named,) = self._index.name([Position(point.latitude, point.longitude)])
        assert named.place is not None  # the index always has a nearest place
        location = _location(named.place, distance_km=named.distance_km, ocean=named.ocean)
        return location if exactly_one else [location]

    def geocode(self, query: str, *, exactly_one: bool = True, timeout: Any = DEFAULT_SENTINEL) -> Any:
        """Places with exactly this name, in any case: the most populous, or all of them; None without one."""
        rows = self._index.rows_named(query.strip())
        if not rows.size:
            return None
        locations = [_location(self._index.place(int(row))) for row in (rows[:1] if exactly_one else rows)]
        return locations[0] if exactly_one else locations


def _location(place: Place, **more: object) -> Location:
    assert place.position is not None  # of the index
    address = ", ".join(part for part in (place.name, place.region, place.country) if part)
    raw = {
        "name": place.name,
        "region": place.region,
        "country": place.country,
        "country_code": place.country_code,
        "geonames_id": place.geonames_id,
        **more,
    }
    return Location(address, (place.position.latitude, place.position.longitude, 0.0), raw)
