"""JSON lines: the columns as keys in the same order, numbers as numbers, null for a blank."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from geolocate.records import Prediction
from geolocate.text_safety import to_bytes, to_unicode
from geolocate.writers.rows import Row, rows_of
from geolocate.writers.target import Target

#: The raw bytes of a name that is not UTF-8, base64; absent otherwise.
PHOTO_BYTES = "photo_bytes"

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
        lines = [_ENCODER.encode(_valid(row)) for row in rows_of(prediction)]
        self._target.write(("\n".join(lines) + "\n").encode())

    def close(self) -> None:
        """Commits."""
        self._target.commit()

    def abort(self) -> Path | None:
        """Gives up; returns the file that keeps what was written, if any."""
        return self._target.abandon()


def _valid(row: Row) -> Row:
    valid = {key: to_unicode(value) if isinstance(value, str) else value for key, value in row.items()}
    photo = str(row["photo"])
    if valid["photo"] != photo:
        raw = to_bytes(photo)
        try:
            # Under an ASCII locale even valid UTF-8 arrives as escapes.
            valid["photo"] = raw.decode("utf-8")
        except UnicodeDecodeError:
            valid[PHOTO_BYTES] = base64.b64encode(raw).decode("ascii")
    return valid
