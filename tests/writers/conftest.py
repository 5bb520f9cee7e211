"""Predictions to write."""

from __future__ import annotations

import pytest

from geolocate.records import Candidate, Concept, NamedPosition, Place, Position, Prediction


def candidate(rank: int, *, ocean: bool = False, **changes: object) -> Candidate:
    """A guess at Arezzo."""
    place = Place("Arezzo", "Tuscany", "Italy", "IT", Position(43.46276, 11.88068), 3182884)
    values: dict[str, object] = {
        "rank": rank,
        "position": Position(43.4674482, -73.9),
        "probability": 0.123456789 / rank,
        "radius_km": 12.34567 if rank == 1 else None,
        "named": NamedPosition(place, 0.6256, ocean),
        "error_km": 1.0005,
    }
    return Candidate(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def located() -> Prediction:
    """A photo with two candidates, concepts and an EXIF position."""
    return Prediction(
        photo="photos/a.jpg",
        candidates=(candidate(1), candidate(2)),
        concepts=(Concept("souk", 0.51239), Concept("tuk-tuk", 0.25)),
        exif=Position(43.467448111, -0.0000001),
        model="starter",
        notes=("uncertain",),
    )


@pytest.fixture
def at_sea() -> Prediction:
    """A photo whose best guess is out at sea."""
    return Prediction(photo="sea.jpg", candidates=(candidate(1, ocean=True), candidate(2)), model="starter")


@pytest.fixture
def failed() -> Prediction:
    """A photo that failed."""
    return Prediction(photo="bad.jpg", model="starter", notes=("duplicate",), error='truncated, "really"')
