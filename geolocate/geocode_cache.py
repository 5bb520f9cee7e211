"""Answers of geocoding services, kept on disk so that no service is asked twice about one place.

They say where photos may have been taken, to 0.01 degree.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from geolocate.cache_file import CacheFile
from geolocate.private_files import cache_root
from geolocate.records import Place, Position

#: Another layout takes another file name.
CACHE_NAME = "geocoding-1.sqlite3"
#: The longest that the terms of the stricter services allow answers to be kept.
MAX_AGE_DAYS = 30

_DAY_S = 86_400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    service TEXT NOT NULL, latitude INTEGER NOT NULL, longitude INTEGER NOT NULL,
    place TEXT, asked REAL NOT NULL,
    PRIMARY KEY (service, latitude, longitude)
) WITHOUT ROWID
"""


def default_cache_path() -> Path:
    """Where the cache lives unless told otherwise."""
    return cache_root() / CACHE_NAME


class AnswerCache:
    """Places by service and by rounded position (hundredths of a degree).

    Args:
        path: the SQLite file; its folder is made.
        warn: is told once if the cache cannot be used, or was set aside.
        now: seconds since the epoch.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self._now = now
        expired = ("DELETE FROM answers WHERE asked <= ?", (now() - MAX_AGE_DAYS * _DAY_S,))
        self._file = CacheFile(path, [(_SCHEMA, ()), expired], "place names", warn)

    def get(self, service: str, latitude: int, longitude: int) -> tuple[bool, Place | None]:
        """(known, place): known with None where the service said that nothing is there."""
        oldest = self._now() - MAX_AGE_DAYS * _DAY_S
        rows = self._file.run(
            "SELECT place FROM answers WHERE service = ? AND latitude = ? AND longitude = ? AND asked > ?",
            (service, latitude, longitude, oldest),
        )
        if not rows:
            return False, None
        if rows[0][0] is None:
            return True, None
        try:
            return True, _place_from_json(rows[0][0])
        except (ValueError, TypeError, KeyError):
            return False, None

    def put(self, service: str, latitude: int, longitude: int, place: Place | None) -> None:
        """Keeps an answer; None where the service said that nothing is there."""
        text = None if place is None else json.dumps(asdict(place), ensure_ascii=False)
        self._file.run(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
            (service, latitude, longitude, text, self._now()),
        )

    def close(self) -> None:
        """Closes the file; nothing is kept after that."""
        self._file.close()


def _place_from_json(text: str) -> Place:
    fields = json.loads(text)
    return Place(**{**fields, "position": Position(**fields["position"])})
