"""Archives that are open: listed and read at the same time, by any number of threads.

An archive from a server, or a compressed tar, is read once; a photo that is asked for when its archive has
been closed (by `--album`, which reads all photos twice) has it read again.
"""

from __future__ import annotations

import atexit
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol, cast

from geolocate.errors import PhotoError
from geolocate.photo_names import is_photo_name, without_dots
from geolocate.sources.limits import FetchLimits
from geolocate.sources.retrying import Patience
from geolocate.sources.streams import copy, open_file, open_stream
from geolocate.sources.tar_archive import TarArchive
from geolocate.sources.urls import file_path, is_url, scheme_of
from geolocate.sources.zip_archive import ZipArchive

#: Archives that stay open: photos of several small ones are on their way at the same time.
OPEN_ARCHIVES = 64
#: Disk that open archives take, two archives of any size aside.
SPOOLED_BYTES = 4 * 2**30
#: A zip archive from a server is fetched whole, for its list of members stands at its end.
MAX_ZIP_BYTES = 64 * 2**30


class Archive(Protocol):
    """What zip and tar archives have in common."""

    fault: str | None
    passed_over: int
    spooled_bytes: int

    def names(self) -> Iterator[str]:
        """The names of its files."""

    def copy(self, name: str, file: BinaryIO) -> None:
        """The bytes of one of them into a file. Raises PhotoError."""

    def close(self) -> None:
        """Lets go of it."""


class _Held:
    """An archive, or why it cannot be opened, and how many are at it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.archive: Archive | None = None
        self.error: PhotoError | None = None
        self.users = 0


class Archives:
    """The archives that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[object, ...], _Held] = OrderedDict()

    @contextmanager
    def hold(self, kind: str, place: str, member: str, limits: FetchLimits) -> Iterator[Archive]:
        """An archive, open for as long as this lasts, and a while longer.

        Args:
            kind: "zip" or "tar".
            place: its path or URL.
            member: which will be asked for; any that is called like a photo can be as well.

        Raises:
            PhotoError: it cannot be opened; without another try where it failed before.
        """
        path = file_path(place) if scheme_of(place) == "file" else place
        member = without_dots(member)
        key = (kind, path, _state(path), "" if is_photo_name(member) else member)
        with self._lock:
            held = self._held.setdefault(key, _Held())
            self._held.move_to_end(key)
            held.users += 1
        try:
            with held.lock:
                if held.archive is None and held.error is None:
                    try:
                        held.archive = _open(kind, path, member, limits)
                    except PhotoError as error:
                        held.error = error
            if held.archive is None:
                raise held.error or AssertionError
            yield held.archive
        finally:
            with self._lock:
                held.users -= 1
                self._close_some()

    def forget(self, place: str) -> None:
        """Has the archive of a server read anew where nobody is at it: a new run begins."""
        with self._lock:
            for key in [key for key, held in self._held.items() if key[1] == place and not held.users]:
                self._drop(key)

    def close(self) -> None:
        """Closes all that nobody is at."""
        with self._lock:
            for key in [key for key, held in self._held.items() if not held.users]:
                self._drop(key)

    def _close_some(self) -> None:
        """Closes those that were not used for longest."""
        spooled = sum(held.archive.spooled_bytes for held in self._held.values() if held.archive)
        for key, held in list(self._held.items()):
            many = len(self._held) > OPEN_ARCHIVES or (spooled > SPOOLED_BYTES and len(self._held) > 2)
            if many and not held.users:
                spooled -= held.archive.spooled_bytes if held.archive else 0
                self._drop(key)

    def _drop(self, key: tuple[object, ...]) -> None:
        held = self._held.pop(key)
        if held.archive is not None:
            held.archive.close()


#: Of the process: listing and decoding meet here.
ARCHIVES = Archives()
atexit.register(ARCHIVES.close)


def _state(path: str) -> tuple[int, ...]:
    """What tells a file of this machine from itself after a change; nothing of a URL."""
    if is_url(path):
        return ()
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _open(kind: str, path: str, member: str, limits: FetchLimits) -> Archive:
    if kind == "zip":
        whole = _whole(path, limits)
        return ZipArchive(whole, limits.max_bytes, whole.seek(0, os.SEEK_END) if is_url(path) else 0)
    stream = open_stream(path, Patience(limits, None))
    file = None if is_url(path) else open_file(path)
    return TarArchive(stream, file, lambda name: is_photo_name(name) or name == member, limits.max_bytes)


def _whole(path: str, limits: FetchLimits) -> BinaryIO:
    """A file of this machine; of a URL all of its content, in a file without a name."""
    if not is_url(path):
        return open_file(path)
    file = cast(BinaryIO, tempfile.TemporaryFile(prefix="geolocate-"))  # noqa: SIM115
    stream = open_stream(path, Patience(limits, None))
    try:
        copy(stream, file, MAX_ZIP_BYTES)
    except BaseException:
        file.close()
        raise
    finally:
        stream.close()
    return file
