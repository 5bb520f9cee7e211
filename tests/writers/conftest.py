"""Predictions to write."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from geolocate.records import Candidate, Concept, NamedPosition, Place, Position, Prediction
from geolocate.writers import open_writers


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


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes predictions as a format of that name; returns the file."""

    def write(name: str, *predictions: Prediction) -> Path:
        path = tmp_path / f"out.{name}"
        with open_writers({name: path}) as writers:
            for prediction in predictions:
                writers.write(prediction)
            writers.close()
        return path

    return write


#: Names of files and words of strangers that end a text, a tag or a page somewhere, or are no text.
HOSTILE = (
    b"caf\xe9/\xff.jpg",
    b"</script><img src=x onerror=alert(1)>.jpg",
    b"]]></name><b>.jpg",
    b"a&amp;b&#0;.jpg",
    b"quote\"and'and\\.jpg",
    b"$[description]$[name].jpg",
    b"a\x01\x07\x1b[31m\x7f.jpg",
    b"tab\tline\nreturn\r.jpg",
    "\ufffe\uffff\u2028\u202e.jpg".encode(),
    b"=cmd|' /C calc'!A0",
    "\U0001f9ed 東京.jpg".encode(),
    b"\xed\xa0\x80.jpg",
    b"x" * 4000,
)


@pytest.fixture
def hostile() -> list[Prediction]:
    """Photos of hostile names at places of such names, with such concepts, models and errors; half failed."""
    predictions = []
    for number, raw in enumerate(HOSTILE):
        name = raw.decode("utf-8", "surrogateescape")
        place = Place(name, name, name, "XX", Position(1.0, 2.0))
        guess = candidate(1, named=NamedPosition(place, 1.0))
        predictions.append(
            Prediction(name, (guess, candidate(2)), (Concept(name, 0.5),), Position(1, 2), name)
        )
        predictions.append(Prediction(f"{number}/{name}", model=name, notes=(name,), error=name))
    return predictions


@pytest.fixture
def everywhere() -> list[Prediction]:
    """Photos at the edges of the map, at nothing, and at numbers that are none."""
    corners = [(0.0, 180.0), (-0.0, -180.0), (90.0, -0.0), (-90.0, 1e-7), (-1e-9, 12.3456788), (51.4779, 0)]
    corners += [(math.nan, 1.0), (1.0, math.inf)]
    return [
        Prediction(f"{number}.jpg", (candidate(1, position=Position(*corner), named=None),))
        for number, corner in enumerate(corners)
    ] + [Prediction("nothing.jpg"), Prediction("bad.jpg", error="none")]
