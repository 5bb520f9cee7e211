"""The photos of a run with their positions in time: read once, kept in a temporary SQLite database.

SQLite's private database has no name: nothing of it is left, however the run ends. Memory stays flat.
Clocks with a stated offset from UTC are compared in UTC; if either of two clocks has none, both are compared
by their local time.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from types import TracebackType

import numpy as np

from geolocate.album import MAX_GAP_HOURS, Fix
from geolocate.errors import PhotoError
from geolocate.exif import ExifFacts, read_exif
from geolocate.photos import read_exif_block
from geolocate.priors import UtcOffset, clock_fit
from geolocate.records import Position
from geolocate.sources.limits import FetchLimits
from geolocate.sources.threads import WaitingThreads
from geolocate.sources.urls import is_url

#: Other files of the same picture were taken within this: times are kept to the second, some with a rounding.
SAME_PICTURE_S = 2.0
#: How likely a clock is set to the zone that it is in, before any photo with a position has shown it, and how
#: many photos that belief is worth.
CLOCK_RELIABILITY, CLOCK_BELIEF = 0.9, 10.0

_PATHS_AT_ONCE = 1000
_EPOCH = datetime(1970, 1, 1)
_TABLES = """
CREATE TABLE photos (id INTEGER PRIMARY KEY, path BLOB NOT NULL);
CREATE TABLE fixes (utc REAL, local REAL NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL);
CREATE INDEX by_utc ON fixes (utc) WHERE utc IS NOT NULL;
CREATE INDEX by_local ON fixes (local);
CREATE INDEX by_local_alone ON fixes (local) WHERE utc IS NULL;
"""


class AlbumFixes:
    """Paths of a run in their order, and the positions and times that their EXIF states.

    A context manager; the database goes away with it. Any thread may use it.

    Args:
        fetch: how much and how long photos at URLs may take to come; they are fetched twice.

    Attributes:
        photos, fixes: how many there are.
    """

    def __init__(self, fetch: FetchLimits | None = None) -> None:
        self.photos = self.fixes = 0
        self._fetch = fetch or FetchLimits()
        self._clocks: dict[int, tuple[int, float]] = {}  # offset -> photos with a position, fits
        self._lock = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(_TABLES)

    def read(self, paths: Iterable[str]) -> None:
        """Reads the EXIF of photos; whatever is wrong with one, decoding will say."""
        self._database.execute("BEGIN")
        for path, facts in self._with_facts(paths):
            self._database.execute("INSERT INTO photos (path) VALUES (?)", (os.fsencode(path),))
            self.photos += 1
            if facts is not None:
                self.add(facts)
        self._database.execute("COMMIT")

    def _with_facts(self, paths: Iterable[str]) -> Iterator[tuple[str, ExifFacts | None]]:
        """What EXIF says of each, in order; those at URLs are fetched a few ahead."""
        threads = WaitingThreads[ExifFacts | None](self._fetch.parallel, "album")
        ahead: deque[tuple[str, Future[ExifFacts | None] | None]] = deque()
        try:
            for path in paths:
                ahead.append((path, threads.submit(partial(self._facts, path)) if is_url(path) else None))
                while ahead and (ahead[0][1] is None or len(ahead) > self._fetch.parallel):
                    yield self._resolved(*ahead.popleft())
            while ahead:
                yield self._resolved(*ahead.popleft())
        finally:
            threads.close()

    def _resolved(self, path: str, facts: Future[ExifFacts | None] | None) -> tuple[str, ExifFacts | None]:
        return path, self._facts(path) if facts is None else facts.result()

    def _facts(self, path: str) -> ExifFacts | None:
        try:
            if not is_url(path):
                return read_exif(read_exif_block(path))
            from geolocate.sources.fetch import fetched

            with fetched(path, self._fetch) as file:
                return read_exif(read_exif_block(file))
        except PhotoError:
            return None

    def add(self, facts: ExifFacts) -> None:
        """Takes one photo's position and time in, where it has both."""
        if facts.position is None or facts.taken is None:
            return
        local, utc = _seconds(facts)
        self._database.execute(
            "INSERT INTO fixes VALUES (?, ?, ?, ?)",
            (utc, local, facts.position.latitude, facts.position.longitude),
        )
        self.fixes += 1
        if facts.utc_offset_minutes is not None:
            count, fits = self._clocks.get(facts.utc_offset_minutes, (0, 0.0))
            self._clocks[facts.utc_offset_minutes] = count + 1, fits + _fit(facts)

    def paths(self) -> Iterator[str]:
        """The photos in their order."""
        last = 0
        while True:
            with self._lock:
                rows = self._database.execute(
                    "SELECT id, path FROM photos WHERE id > ? ORDER BY id LIMIT ?", (last, _PATHS_AT_ONCE)
                ).fetchall()
            if not rows:
                return
            for last, path in rows:  # noqa: B007
                yield os.fsdecode(path)

    def round(self, facts: ExifFacts) -> tuple[Fix | None, Fix | None]:
        """The nearest fix at or before a photo's time and the nearest after it.

        The photo's own position never counts. Neither does another file of the same picture: for a photo with
        a position, those of the same two seconds or at exactly the same spot.
        """
        if facts.taken is None:
            return None, None
        local, utc = _seconds(facts)
        if utc is None:
            clocks = [("local", local, "1")]
        else:
            clocks = [("utc", utc, "utc IS NOT NULL"), ("local", local, "utc IS NULL")]
        sides: list[Fix | None] = []
        for before in (True, False):
            found = [self._nearest(*clock, before=before, own=facts.position) for clock in clocks]
            sides.append(min((fix for fix in found if fix), key=lambda fix: fix.hours, default=None))
        return sides[0], sides[1]

    def _nearest(
        self, column: str, time: float, among: str, *, before: bool, own: Position | None
    ) -> Fix | None:
        farthest = MAX_GAP_HOURS * 3600.0
        side = f"{column} BETWEEN :time - :farthest AND :time"
        if not before:
            side = f"{column} > :time AND {column} <= :time + :farthest"
        where = f"{among} AND {side}"
        values = {"time": time, "farthest": farthest}
        if own is not None:
            where += f" AND abs({column} - :time) > {SAME_PICTURE_S}"
            where += " AND NOT (latitude = :latitude AND longitude = :longitude)"
            values |= {"latitude": own.latitude, "longitude": own.longitude}
        with self._lock:
            row = self._database.execute(
                f"SELECT {column}, latitude, longitude FROM fixes WHERE {where} "
                f"ORDER BY {column} {'DESC' if before else 'ASC'} LIMIT 1",
                values,
            ).fetchone()
        return None if row is None else Fix(Position(row[1], row[2]), abs(row[0] - time) / 3600.0)

    def clock(self, facts: ExifFacts) -> UtcOffset | None:
        """What the offset of a photo's clock says, as far as it fits the run's photos with a position.

        None where EXIF states no offset.
        """
        if facts.utc_offset_minutes is None:
            return None
        count, fits = self._clocks.get(facts.utc_offset_minutes, (0, 0.0))
        if facts.position is not None and facts.taken is not None and count:  # not by its own position
            count, fits = count - 1, fits - _fit(facts)
        reliability = (CLOCK_BELIEF * CLOCK_RELIABILITY + fits) / (CLOCK_BELIEF + count)
        return UtcOffset(facts.utc_offset_minutes, reliability)

    def __enter__(self) -> AlbumFixes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._database.close()


def _fit(facts: ExifFacts) -> float:
    assert facts.position is not None
    assert facts.utc_offset_minutes is not None
    return float(clock_fit(facts.utc_offset_minutes, np.array([facts.position.longitude]))[0])


def _seconds(facts: ExifFacts) -> tuple[float, float | None]:
    """Local time and UTC as seconds; the latter None without an offset."""
    assert facts.taken is not None
    local = (facts.taken - _EPOCH).total_seconds()
    offset = facts.utc_offset_minutes
    return local, None if offset is None else local - 60.0 * offset
