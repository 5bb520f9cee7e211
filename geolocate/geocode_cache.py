"""Answers of geocoding services, kept on disk so that no service is asked twice about one place.

An SQLite file in the user's cache folder (folder 0700, file 0600: it says where photos may have been
taken, to 0.01 degree). Runs may share it. Without it, if the disk is full or read-only, geocoding goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import platformdirs

from geolocate.records import Place, Position

#: Another layout takes another file name.
CACHE_NAME = "geocoding-1.sqlite3"
#: The longest that the terms of the stricter services allow answers to be kept.
MAX_AGE_DAYS = 30
#: How long a run waits for another one that is writing.
BUSY_TIMEOUT_S = 30.0

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
    return platformdirs.user_cache_path("geolocate", appauthor=False) / CACHE_NAME


class AnswerCache:
    """Places by service and by rounded position (hundredths of a degree).

    Args:
        path: the SQLite file; its folder is made.
        warn: is told once if the cache cannot be used, or was set aside.
        now: seconds since the epoch.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._warn = warn
        self._now = now
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._open()
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError:
            self._set_aside()
        except OSError as error:
            self._give_up(error)

    def get(self, service: str, latitude: int, longitude: int) -> tuple[bool, Place | None]:
        """(known, place): known with None where the service said that nothing is there."""
        oldest = self._now() - MAX_AGE_DAYS * _DAY_S
        rows = self._run(
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
        self._run(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
            (service, latitude, longitude, text, self._now()),
        )

    def close(self) -> None:
        """Closes the file; nothing is kept after that."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[str | None]]:
        """Rows of a statement; none where the cache cannot be used."""
        if self._connection is None:
            return []
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError:
            self._set_aside()
        return []

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its side files the permissions of the main file.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        # Each statement is its own transaction; the caller holds a lock across threads.
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            # Two runs that open a new file at once cannot both switch it; whoever is later finds it switched.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            connection.execute("DELETE FROM answers WHERE asked <= ?", (self._now() - MAX_AGE_DAYS * _DAY_S,))
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        """The file is damaged: it goes out of the way and a new one begins."""
        self.close()
        aside = self._path.with_name(self._path.name + ".damaged")
        try:
            self._path.replace(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
        else:
            self._warn(f"the cache of place names was damaged; it is now {aside}, and a new one begins")

    def _give_up(self, error: Exception) -> None:
        self.close()
        self._warn(f"place names are not kept: {self._path} cannot be used ({error})")


def _place_from_json(text: str) -> Place:
    fields = json.loads(text)
    return Place(**{**fields, "position": Position(**fields["position"])})
