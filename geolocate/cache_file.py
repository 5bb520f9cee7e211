"""An SQLite file in the user's cache folder that runs may share, and without which every run goes on.

Folder 0700, file 0600: what is kept tells of the user's photos. A damaged file is set aside and a new one
begins; a full or read-only disk is said once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from geolocate.private_files import make_private_file, make_private_folder

#: How long a run waits for another one that is writing.
BUSY_TIMEOUT_S = 30.0
#: What SQLite keeps beside a file, and what a damaged one is renamed to.
SIDE_SUFFIXES = ("-wal", "-shm", "-journal")
DAMAGED_SUFFIX = ".damaged"


class CacheFile:
    """One table of things that could be found out again.

    Args:
        path: the SQLite file; its folder is made.
        opening: statements with their values that are run when the file is opened, the first of them making
            the table where there is none.
        what: what is kept, in the plural ("place names").
        warn: is told once if the cache cannot be used, or was set aside.
    """

    def __init__(
        self,
        path: Path,
        opening: Sequence[tuple[str, tuple[Any, ...]]],
        what: str,
        warn: Callable[[str], None],
    ) -> None:
        self._path = path
        self._opening = opening
        self._what = what
        self._warn = warn
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._open()
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError:
            self._set_aside()
        except OSError as error:
            self._give_up(error)

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Rows of a statement; none where the cache cannot be used."""
        return self._guarded(lambda connection: connection.execute(statement, values).fetchall())

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """A statement once for each row of values, in one transaction."""

        def work(connection: sqlite3.Connection) -> list[Any]:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(statement, rows)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
            return []

        self._guarded(work)

    def _guarded(self, work: Callable[[sqlite3.Connection], list[Any]]) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return work(self._connection)
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError:
            self._set_aside()
        return []

    def close(self) -> None:
        """Closes the file; nothing is kept after that."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        make_private_folder(self._path.parent)
        # SQLite gives its side files the permissions of the main file; those of a killed run may be older.
        make_private_file(self._path)
        for suffix in SIDE_SUFFIXES:
            side = self._path.with_name(self._path.name + suffix)
            if side.exists():
                make_private_file(side)
        # Each statement is its own transaction; the caller holds a lock across threads.
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            # Two runs that open a new file at once cannot both switch it; whoever is later finds it switched.
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            for statement, values in self._opening:
                connection.execute(statement, values)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        """The file is damaged: it goes out of the way and a new one begins."""
        self.close()
        aside = self._path.with_name(self._path.name + DAMAGED_SUFFIX)
        try:
            self._path.replace(aside)
            for suffix in SIDE_SUFFIXES:
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
        else:
            self._warn(f"the cache of {self._what} was damaged; it is now {aside}, and a new one begins")

    def _give_up(self, error: Exception) -> None:
        self.close()
        self._warn(f"{self._what} are not kept: {self._path} cannot be used ({error})")
