"""GeoJSON (RFC 7946): one feature for each photo and rank, a line each, written as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from geolocate.records import Prediction
from geolocate.writers.rows import Row, in_json, rows_of
from geolocate.writers.target import Target

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_BEGINNING = b'{"type": "FeatureCollection", "features": [\n'
_END = b"\n]}\n"


class GeojsonWriter:
    """A FeatureCollection of points; what has no position has a null geometry (RFC 7946, 3.2)."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before = _BEGINNING

    def write(self, prediction: Prediction) -> None:
        """Writes the features of one photo at once.

        Raises:
            OutputError: the disk is full or gone.
        """
        features = ",\n".join(_ENCODER.encode(_feature(row)) for row in rows_of(prediction))
        self._target.write(self._before + features.encode())
        self._before = b",\n"

    def close(self) -> None:
        """Ends the collection, which may be empty, and commits."""
        self._target.write((_BEGINNING if self._before is _BEGINNING else b"") + _END)
        self._target.commit()

    def abort(self) -> Path | None:
        """Gives up; returns the file that keeps the features so far, if any: one a line, no whole GeoJSON."""
        return self._target.abandon()


def _feature(row: Row) -> dict[str, Any]:
    point = [row["longitude"], row["latitude"]]
    geometry = None if None in point else {"type": "Point", "coordinates": point}
    return {"type": "Feature", "geometry": geometry, "properties": in_json(row)}
