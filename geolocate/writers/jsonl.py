"""JSON lines: the columns as keys in the same order, numbers as numbers, null for a blank."""

from __future__ import annotations

import json
from pathlib import Path

from geolocate.records import Prediction
from geolocate.writers.rows import in_json, rows_of
from geolocate.writers.target import Target

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class JsonlWriter:
    """Writes one object per row as they come."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def write(self, prediction: Prediction) -> None:
        """Writes the rows of one photo at once.

        Raises:
            OutputError: the disk is full or gone.
        """
        lines = [_ENCODER.encode(in_json(row)) for row in rows_of(prediction)]
        self._target.write(("\n".join(lines) + "\n").encode())

    def close(self) -> None:
        """Commits."""
        self._target.commit()

    def abort(self) -> Path | None:
        """Gives up; returns the file that keeps what was written, if any."""
        return self._target.abandon()
