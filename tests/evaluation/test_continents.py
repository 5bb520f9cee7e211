"""Continents: every country of the place index has one, and known places are on theirs."""

from __future__ import annotations

import numpy as np

from geolocate.evaluation.continents import CONTINENTS, NO_COUNTRY, continents_of
from geolocate.places import PlaceIndex


def test_every_country_is_on_exactly_one_continent() -> None:
    codes = [code for listed in CONTINENTS.values() for code in listed.split()]
    assert len(codes) == len(set(codes))
    assert set(PlaceIndex.load().country_codes) <= set(codes)


def test_known_places_are_on_their_continent() -> None:
    places = {
        (48.85, 2.35): "Europe",
        (41.01, 28.98): "Asia",  # Istanbul: by its country
        (30.04, 31.24): "Africa",
        (-33.87, 151.21): "Oceania",
        (-22.91, -43.17): "South America",
        (19.43, -99.13): "North America",
        (35.68, 139.69): "Asia",
        (-17.71, 178.07): "Oceania",
        (0.0, -30.0): NO_COUNTRY,
        (-80.0, 0.0): NO_COUNTRY,
        (90.0, 0.0): NO_COUNTRY,
    }
    assert continents_of(np.array(list(places))).tolist() == list(places.values())
