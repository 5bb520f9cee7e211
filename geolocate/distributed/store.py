"""OUTPUT of a job: a folder, or a prefix of an object store, whose files appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from geolocate.errors import ExtraMissing, OutputError, UsageError
from geolocate.file_lock import lock
from geolocate.text_safety import printable
from geolocate.writers.stream import output_error, shown
from geolocate.writers.target import sync_folder

#: Names of files that are not complete yet: `.NAME.HEX.tmp`.
_TEMPORARY = re.compile(r"\.[a-z0-9-]+\.(json|parquet)\.[0-9a-f]{32}\.tmp")
_SCHEME = "://"


class Store(Protocol):
    """Small files by name, "/"-separated; machines get it by value, and it holds no credentials.

    Its text is how a person calls it.
    """

    def claimed(self) -> AbstractContextManager[None]:
        """Makes sure that no other job writes there, where that can be known. Raises UsageError."""

    def sizes(self) -> dict[str, int]:
        """Names and sizes (bytes) of all files. Raises OutputError."""

    def read(self, names: Iterable[str]) -> list[bytes]:
        """The contents of files. Raises OutputError where one is missing or cannot be read."""

    def put(self, name: str, content: bytes) -> None:
        """Writes or replaces a file, complete and durable or not at all. Raises OutputError."""

    def remove(self, names: Iterable[str]) -> None:
        """Removes files; those that are gone are no fault. Raises OutputError."""


def open_store(output: str) -> Store:
    """The store that an argument names; nothing is created yet.

    Raises:
        UsageError: it cannot be written to, or holds credentials.
        ExtraMissing: the client of an object store is not installed.
    """
    scheme, separator, rest = output.partition(_SCHEME)
    if separator and scheme == "file":
        return Folder(Path(os.path.realpath(rest)))
    if separator and scheme.isalnum():
        return ObjectStore(scheme.lower(), rest)
    return Folder(Path(os.path.realpath(output)))


class Folder:
    """A folder that every machine sees under the same path.

    Raises:
        UsageError: it is a file.
    """

    def __init__(self, path: Path) -> None:
        if os.path.lexists(path) and not path.is_dir():
            raise UsageError(f"{printable(str(path))} is no folder: OUTPUT becomes one")
        self._path = path

    def __str__(self) -> str:
        return printable(str(self._path))

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Claims the folder, creating it if need be, until the context or the process ends.

        Files that writers were killed over are swept away.

        Raises:
            UsageError: another job is writing there now.
            OutputError: it cannot be created.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            descriptor = None if os.name == "nt" else os.open(self._path, os.O_RDONLY)
        except OSError as error:
            raise output_error(self._path, error) from error
        try:
            if descriptor is not None and not lock(descriptor):
                raise UsageError(f"another job is writing {self} at this moment")
            self._sweep()
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _sweep(self) -> None:
        with contextlib.suppress(OSError):  # what cannot be removed does no harm
            for path in chain(self._path.glob(".*.tmp"), self._path.glob("plan/.*.tmp")):
                if _TEMPORARY.fullmatch(path.name):
                    path.unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        """As :class:`Store`."""
        found = {}
        try:
            for folder, _, names in os.walk(self._path):
                for name in names:
                    path = Path(folder, name)
                    found[path.relative_to(self._path).as_posix()] = path.lstat().st_size
        except OSError as error:
            raise output_error(self._path, error) from error
        return found

    def read(self, names: Iterable[str]) -> list[bytes]:
        """As :class:`Store`."""
        return [self._read(self._path / name) for name in names]

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise OutputError(f"cannot read {shown(path)}: {error.strerror}") from error

    def put(self, name: str, content: bytes) -> None:
        """As :class:`Store`: under a temporary name, then renamed."""
        path = self._path / name
        # Two tries of one task may write at the same time: each has a name of its own.
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise output_error(path, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        sync_folder(path.parent)

    def remove(self, names: Iterable[str]) -> None:
        """As :class:`Store`."""
        for name in names:
            try:
                (self._path / name).unlink(missing_ok=True)
            except OSError as error:
                raise output_error(self._path / name, error) from error


class ObjectStore:
    """A prefix of an object store, through fsspec; a put is one request, or none.

    Credentials are found by the store's own client, in the environment of each machine.

    Raises:
        UsageError: a store that nothing can be written to, or a URL with credentials in it.
        ExtraMissing: its client is not installed.
    """

    def __init__(self, scheme: str, rest: str) -> None:
        if "@" in rest.partition("/")[0] or "?" in rest:
            raise UsageError(
                f"OUTPUT {scheme}{_SCHEME}... holds credentials: their place is each machine's environment"
            )
        self._scheme = scheme
        self._prefix = rest.rstrip("/")
        if not self._prefix:
            raise UsageError(f"OUTPUT {scheme}{_SCHEME} names no bucket")
        _ = self._files

    def __str__(self) -> str:
        return printable(f"{self._scheme}{_SCHEME}{self._prefix}")

    @property
    def _files(self) -> Any:
        try:
            import fsspec

            kind = fsspec.get_filesystem_class(self._scheme)
        except ImportError:
            raise ExtraMissing(f"{self._scheme}{_SCHEME} needs", "remote") from None
        except ValueError:
            raise UsageError(f"nobody knows how to write to {self._scheme}{_SCHEME}") from None
        return kind()  # fsspec keeps one of each kind

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Object stores have no locks: two jobs with one OUTPUT write the same files, one after the other."""
        yield

    def sizes(self) -> dict[str, int]:
        """As :class:`Store`."""
        with self._saying("listed"):
            files = self._files
            files.invalidate_cache()
            try:
                found = files.find(self._prefix, detail=True)
            except FileNotFoundError:
                return {}
            start = len(self._prefix) + 1
            return {name[start:]: int(entry["size"] or 0) for name, entry in found.items()}

    def read(self, names: Iterable[str]) -> list[bytes]:
        """As :class:`Store`, many at the same time."""
        paths = [self._path(name) for name in names]
        if not paths:
            return []
        with self._saying("read"):
            contents = self._files.cat(paths)
            return [contents[path] for path in paths]

    def put(self, name: str, content: bytes) -> None:
        """As :class:`Store`."""
        with self._saying("written"):
            self._files.pipe_file(self._path(name), content)

    def remove(self, names: Iterable[str]) -> None:
        """As :class:`Store`."""
        paths = [self._path(name) for name in names]
        if paths:
            with self._saying("emptied"):
                self._files.rm(paths)

    def _path(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    @contextlib.contextmanager
    def _saying(self, what: str) -> Iterator[None]:
        """Faults by their kind alone: what a client says may hold credentials."""
        try:
            yield
        except Exception as error:  # each client has a tree of its own
            raise OutputError(f"{self} cannot be {what}: {_kind(error)}") from None


def _kind(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or file"
    if isinstance(error, PermissionError):
        return "access denied: check the credentials in the environment"
    return type(error).__name__
