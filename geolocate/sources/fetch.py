"""One photo, brought to a private file for as long as it is decoded.

A file and not memory: decoders of processes of their own (`--isolate`) open it by its path, and so learn
neither the URL nor any credentials.
"""

from __future__ import annotations

import atexit
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from geolocate.errors import ExtraMissing, PhotoNotReadable, UsageError
from geolocate.sources.archives import ARCHIVES
from geolocate.sources.limits import FetchLimits
from geolocate.sources.retrying import Patience
from geolocate.sources.streams import cannot, copy, open_stream
from geolocate.sources.urls import ARCHIVE_SCHEMES, check_url, file_path, scheme_of, split_member

_folder_lock = threading.Lock()
_folder: tempfile.TemporaryDirectory[str] | None = None


@contextmanager
def fetched(photo: str, limits: FetchLimits) -> Iterator[str]:
    """The path of a file, for this user's eyes alone, that has a photo's content and goes away afterwards.

    Args:
        photo: a URL, of a member of an archive too.

    Raises:
        PhotoError: it cannot be had; the reason does not repeat the URL.
    """
    try:
        check_url(photo)
    except (UsageError, ExtraMissing) as error:
        raise PhotoNotReadable(str(error)) from None
    try:
        descriptor, path = _private_file()
    except OSError as error:
        raise cannot(error) from None
    try:
        try:
            with os.fdopen(descriptor, "wb") as file:
                _bring(photo, limits, file)
        except OSError as error:
            raise PhotoNotReadable(f"cannot be kept for decoding: {error.strerror or error}") from None
        yield path
    finally:
        with suppress(FileNotFoundError):  # the program ended meanwhile
            os.unlink(path)


def _bring(photo: str, limits: FetchLimits, file: BinaryIO) -> None:
    try:
        if scheme_of(photo) in ARCHIVE_SCHEMES:
            member = split_member(photo)
            with ARCHIVES.hold(member.kind, member.archive, member.name, limits) as archive:
                archive.copy(member.name, file)
            return
        place = file_path(photo) if scheme_of(photo) == "file" else photo
        stream = open_stream(place, Patience(limits, limits.total_s))
        try:
            copy(stream, file, limits.max_bytes)
        finally:
            stream.close()
    except ExtraMissing as error:
        raise PhotoNotReadable(str(error)) from None


def _private_file() -> tuple[int, str]:
    """A new file, open, in a folder that is made for the first and removed when the program ends.

    Raises:
        OSError: there is no room for it, or the program ends.
    """
    global _folder
    with _folder_lock:
        if _folder is None:
            _folder = tempfile.TemporaryDirectory(prefix="geolocate-", ignore_cleanup_errors=True)
            atexit.register(_remove, _folder)
        return tempfile.mkstemp(prefix="photo-", dir=_folder.name)


def _remove(folder: tempfile.TemporaryDirectory[str]) -> None:
    """Threads that still fetch make no file while it is emptied, nor after."""
    with _folder_lock:
        folder.cleanup()
