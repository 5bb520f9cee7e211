"""Parts of which nothing is known: sorted by path, each photo once."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from geolocate.records import Prediction
from geolocate.sources.urls import is_ambiguous
from geolocate.text_safety import to_bytes
from geolocate.writers.prediction_json import prediction_from_json, prediction_to_json


class SortedByPath:
    """The photos of all parts in the order in which a run over their folder gives them.

    Of a photo that is there more than once the first counts that did not fail, else the first; of URLs whose
    difference is hidden, all. They are sorted on disk, in a temporary file without a name.

    Args:
        parts: the predictions of each.

    Attributes:
        repeats: how many were left out, once all were read.
    """

    def __init__(self, parts: Iterable[Iterator[Prediction]]) -> None:
        self._parts = parts
        self.repeats = 0

    def __iter__(self) -> Iterator[Prediction]:
        """Raises TableError where a part cannot be read."""
        with closing(sqlite3.connect("")) as database:
            database.execute(
                "CREATE TABLE rows (path BLOB, failed INT, number INTEGER PRIMARY KEY, data BLOB)"
            )
            for part in self._parts:
                database.executemany(
                    "INSERT INTO rows (path, failed, data) VALUES (?, ?, ?)", map(_row, part)
                )
            before = None
            for path, data in database.execute("SELECT path, data FROM rows ORDER BY path, failed, number"):
                prediction = prediction_from_json(json.loads(data))
                if path == before and not is_ambiguous(prediction.photo):
                    self.repeats += 1
                    continue
                before = path
                yield prediction


def _row(prediction: Prediction) -> tuple[bytes, bool, bytes]:
    return _in_order(prediction.photo), prediction.error is not None, prediction_to_json(prediction)


def _in_order(photo: str) -> bytes:
    """Bytes that sort as folders are searched: depth-first, names as bytes, which NUL is in none of."""
    return to_bytes(photo.replace(os.sep, "/")).replace(b"/", b"\0")
