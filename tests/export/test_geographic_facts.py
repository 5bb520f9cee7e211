"""The geographic set's facts at towns near their edges: where a whole country or a coarse box is wrong."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the export extra is not installed")

from geolocate_export.concept_facts import truths
from geolocate_export.concept_set import GEOGRAPHIC, load_concept_set

TOWNS = {
    "Abidjan": (5.34, -4.03),
    "Addis Ababa": (9.03, 38.74),
    "Agadir": (30.42, -9.6),
    "Amman": (31.95, 35.93),
    "Amsterdam": (52.37, 4.89),
    "Antwerp": (51.22, 4.4),
    "Athens": (37.98, 23.73),
    "Baku": (40.4, 49.87),
    "Bamberg": (49.89, 10.89),
    "Beijing": (39.9, 116.4),
    "Beirut": (33.89, 35.5),
    "Bengaluru": (12.97, 77.59),
    "Berlin": (52.52, 13.4),
    "Bhagalpur": (25.24, 86.97),
    "Bhubaneswar": (20.27, 85.84),
    "Bologna": (44.49, 11.34),
    "Bolzano": (46.5, 11.35),
    "Bratislava": (48.15, 17.11),
    "Bucharest": (44.43, 26.1),
    "Cardiff": (51.48, -3.18),
    "Chamonix": (45.92, 6.87),
    "Chandigarh": (30.74, 76.79),
    "Charlottetown": (46.24, -63.13),
    "Chennai": (13.09, 80.28),
    "Chester": (53.19, -2.89),
    "Chicago": (41.88, -87.63),
    "Coimbatore": (11.0, 76.96),
    "Copenhagen": (55.68, 12.57),
    "Cortina d'Ampezzo": (46.54, 12.14),
    "Cusco": (-13.52, -71.97),
    "Damascus": (33.51, 36.29),
    "Dar es Salaam": (-6.82, 39.27),
    "Darjeeling": (27.04, 88.26),
    "Datong": (40.09, 113.29),
    "Derry": (55.0, -7.31),
    "Doha": (25.29, 51.53),
    "Edinburgh": (55.95, -3.19),
    "Florence": (43.78, 11.25),
    "Gangtok": (27.33, 88.61),
    "Genoa": (44.41, 8.93),
    "Guilin": (25.28, 110.29),
    "Halifax": (44.65, -63.58),
    "Havana": (23.13, -82.38),
    "Ho Chi Minh City": (10.78, 106.7),
    "Hohhot": (40.81, 111.65),
    "Hong Kong": (22.3, 114.17),
    "Husum": (54.48, 9.05),
    "Hyderabad": (17.38, 78.47),
    "Iquitos": (-3.75, -73.25),
    "Jodhpur": (26.27, 73.01),
    "Khon Kaen": (16.43, 102.83),
    "Kigali": (-1.95, 30.06),
    "Kingston": (44.23, -76.48),
    "Kochi": (9.94, 76.26),
    "Kolkata": (22.56, 88.36),
    "Kuwait City": (29.37, 47.98),
    "Kyiv": (50.45, 30.52),
    "Leh": (34.16, 77.58),
    "Lhasa": (29.65, 91.1),
    "Limassol": (34.68, 33.04),
    "Liverpool": (53.41, -2.98),
    "London": (51.51, -0.13),
    "Luanda": (-8.84, 13.23),
    "Lucknow": (26.84, 80.92),
    "Ludhiana": (30.91, 75.85),
    "Luxembourg": (49.61, 6.13),
    "Macau": (22.1987, 113.5439),
    "Madrid": (40.42, -3.7),
    "Marrakech": (31.63, -8.0),
    "Mbeya": (-8.9, 33.45),
    "Mestia": (43.05, 42.73),
    "Milan": (45.46, 9.19),
    "Mombasa": (-4.05, 39.66),
    "Montreal": (45.51, -73.59),
    "Moscow": (55.75, 37.62),
    "Mumbai": (19.07, 72.88),
    "Munich": (48.14, 11.58),
    "Muscat": (23.58, 58.41),
    "Mykonos": (37.45, 25.33),
    "Mysuru": (12.3, 76.64),
    "Naivasha": (-0.72, 36.43),
    "Newcastle": (54.97, -1.61),
    "Nice": (43.7, 7.27),
    "Oranjestad": (12.52, -70.03),
    "Orizaba": (18.85, -97.1),
    "Padua": (45.41, 11.88),
    "Paris": (48.86, 2.35),
    "Port Louis": (-20.16, 57.5),
    "Pristina": (42.67, 21.17),
    "Puncak Jaya": (-4.08, 137.16),
    "Ruegen": (54.42, 13.43),
    "Rimouski": (48.45, -68.53),
    "Rome": (41.89, 12.48),
    "Saint John's": (47.56, -52.71),
    "Santa Cruz de la Sierra": (-17.79, -63.18),
    "Singapore": (1.29, 103.85),
    "Skopje": (42.0, 21.43),
    "Sofia": (42.7, 23.32),
    "Solapur": (17.67, 75.91),
    "Sri Ganganagar": (29.92, 73.88),
    "Sydney, Nova Scotia": (46.14, -60.18),
    "Tbilisi": (41.69, 44.83),
    "Tokyo": (35.69, 139.69),
    "Toronto": (43.7, -79.42),
    "Trinidad, Bolivia": (-14.83, -64.9),
    "Tripoli": (32.88, 13.19),
    "Udaipur": (24.57, 73.69),
    "Valletta": (35.9, 14.51),
    "Venice": (45.44, 12.33),
    "Verona": (45.44, 10.99),
    "Vilnius": (54.69, 25.28),
    "Vung Tau": (10.35, 107.08),
    "Weston-super-Mare": (51.35, -2.98),
    "Willemstad": (12.12, -68.93),
    "Woodstock, Vermont": (43.62, -72.52),
    "Yaounde": (3.87, 11.52),
    "Yerevan": (40.18, 44.51),
}

#: Concept, where it holds, where not, where the set says that it does not know.
EDGES = [
    (
        "red triangle warning sign",
        "Baku; Tbilisi; Yerevan; Kuwait City; Doha; Muscat; Beirut; Damascus; Tripoli; Limassol; Valletta; "
        "Hong Kong; Macau; Abidjan; Yaounde; Kigali; Luanda; Pristina; Addis Ababa; Port Louis",
        "Toronto; Tokyo",
        "Havana",
    ),
    (
        "green highway sign",
        "Rome; Chicago",
        "Paris; Berlin",
        "Moscow; Sofia; Bucharest; Vilnius; Skopje; Bratislava; Kyiv; Limassol",
    ),
    (
        "Devanagari script",
        "Mumbai; Jodhpur; Udaipur; Lucknow; Solapur",
        "Bhubaneswar; Chennai",
        "Ludhiana",
    ),
    ("Tamil script", "Coimbatore; Chennai", "Bengaluru; Kochi", "Singapore"),
    ("Telugu script", "Hyderabad", "Chennai; Bengaluru", ""),
    ("Malayalam script", "Kochi", "Coimbatore; Mysuru", ""),
    ("Kannada script", "Bengaluru; Mysuru", "Hyderabad; Solapur", ""),
    ("Gujarati script", "", "Udaipur; Mumbai", ""),
    ("Bengali script", "Kolkata", "Bhagalpur; Gangtok; Bhubaneswar", ""),
    ("Gurmukhi script", "Ludhiana; Chandigarh", "Sri Ganganagar", ""),
    ("Mongolian vertical script", "Hohhot", "Beijing; Datong", ""),
    ("Welsh text", "Cardiff", "Liverpool; Chester; Weston-super-Mare", ""),
    ("kilt", "Edinburgh", "Newcastle; Derry", ""),
    ("Dutch text", "Oranjestad; Willemstad; Amsterdam; Antwerp", "Paris; Luxembourg", ""),
    ("German text", "Berlin; Bolzano", "Milan; Paris", "Luxembourg"),
    ("French text", "Montreal; Paris", "Charlottetown; Sydney, Nova Scotia; Antwerp", "Toronto"),
    ("ARRET sign", "Montreal", "Toronto; Kingston; Halifax; Charlottetown", ""),
    ("bullet train", "Tokyo", "Athens", "Paris; Madrid; Rome; Berlin"),
    ("snow-capped tropics", "Orizaba; Puncak Jaya", "Singapore", ""),
    ("alpine peaks", "Chamonix; Cortina d'Ampezzo; Bolzano", "Venice; Milan; Bologna; Genoa", ""),
    ("chalet", "Chamonix; Cortina d'Ampezzo", "Milan; Venice; Padua; Verona", ""),
    ("prayer flags", "Lhasa; Leh; Gangtok; Darjeeling", "Lucknow; Chandigarh; Ludhiana", ""),
    ("maroon monks", "Lhasa; Leh; Gangtok", "Lucknow; Chandigarh", ""),
    ("quinoa and potatoes", "Cusco", "Iquitos; Trinidad, Bolivia", ""),
    ("Andean valley", "Cusco", "Iquitos; Trinidad, Bolivia", ""),
    ("Andean poncho", "Cusco", "Iquitos; Santa Cruz de la Sierra", ""),
    ("rift escarpment", "Naivasha; Addis Ababa; Mbeya", "Dar es Salaam; Mombasa", ""),
    ("Wadden sea beach", "Husum", "Copenhagen; Ruegen", ""),
    ("iceberg", "Saint John's", "Rimouski", ""),
    ("coral lagoon", "", "Kuwait City; Hong Kong; Macau; Singapore", "Vung Tau"),
    ("karst towers", "Guilin", "Khon Kaen", ""),
    ("white cubic houses", "Mykonos", "Athens", ""),
    ("Mediterranean cove", "Nice", "Venice", ""),
    ("watchtower village", "Mestia", "Tbilisi", ""),
    ("hop garden", "", "London; Bamberg; Munich", ""),
    ("covered bridge", "Woodstock, Vermont", "Chicago", ""),
    ("argan trees", "Agadir", "Marrakech", ""),
    ("traditional Chinese", "Macau; Hong Kong", "Tokyo", ""),
    ("left-hand traffic", "Macau; Hong Kong", "Berlin", ""),
    ("English signs", "London", "Paris", "Macau; Hong Kong"),
]

ROWS = [
    (concept, town, value)
    for concept, *columns in EDGES
    for value, towns in zip((1.0, 0.0, np.nan), columns, strict=True)
    for town in towns.split("; ")
    if town
]


@pytest.fixture(scope="module")
def values() -> dict[tuple[str, str], float]:
    concepts = load_concept_set(GEOGRAPHIC)
    known = truths(concepts, np.array(list(TOWNS.values())))  # (K, M)
    return {
        (concept.name, town): float(value)
        for concept, row in zip(concepts, known, strict=True)
        for town, value in zip(TOWNS, row, strict=True)
    }


@pytest.mark.parametrize(("concept", "town", "expected"), ROWS)
def test_a_fact_says_of_a_town_what_travellers_would(
    values: dict[tuple[str, str], float], concept: str, town: str, expected: float
) -> None:
    np.testing.assert_equal(values[concept, town], expected)
