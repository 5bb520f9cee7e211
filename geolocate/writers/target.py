"""Where an output goes: a file that appears only when it is complete, or a pipe that gets every row at once.

A file is written as ``NAME.partial`` beside its target and moved into place by :meth:`Target.commit`; until
then the old file, if any, is untouched.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from geolocate.errors import OutputError, UsageError
from geolocate.file_lock import lock
from geolocate.text_safety import printable

STANDARD_OUTPUT = "-"
PARTIAL_SUFFIX = ".partial"
MANIFEST_SUFFIX = ".manifest.json"


class Target(Protocol):
    """A place for bytes."""

    def write(self, data: bytes) -> None:
        """Writes all of `data` or raises OutputError; it is out of this process when the call returns."""

    def commit(self) -> None:
        """The output is complete: makes it visible, durable, and closes it."""

    def abandon(self) -> Path | None:
        """The output is not complete: closes it; returns the file that keeps what was written, if any."""


def open_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Target:
    """Opens an output before any work is done.

    Args:
        path: a file, a pipe or device, or "-" for standard output.
        overwrite: discard what an unfinished earlier run left.

    Raises:
        OutputError: the folder is missing or read-only, or `path` is a folder.
        UsageError: an earlier run left ``NAME.partial``, or another run is writing it now.
    """
    if os.fspath(path) == STANDARD_OUTPUT:
        return StreamTarget.standard_output()
    if is_direct(path):
        return StreamTarget.device(path)
    return FileTarget(path, overwrite=overwrite)


def is_direct(path: str | os.PathLike[str]) -> bool:
    """Whether rows go straight to `path`: standard output, a pipe, a device."""
    name = os.fspath(path)
    if name == STANDARD_OUTPUT or name.startswith(("/dev/", "/proc/")):
        return True
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class StreamTarget:
    """A pipe, a device or standard output: no second chance, so nothing is held back."""

    def __init__(self, stream: IO[bytes], name: str, *, owned: bool) -> None:
        self._stream = stream
        self._name = name
        self._owned = owned

    @classmethod
    def standard_output(cls) -> StreamTarget:
        """Raises OutputError where the program was started with standard output closed."""
        if sys.stdout is None:
            raise OutputError("cannot write to standard output: it is closed")
        sys.stdout.flush()
        return cls(sys.stdout.buffer, "standard output", owned=False)

    @classmethod
    def device(cls, path: str | os.PathLike[str]) -> StreamTarget:
        """Raises OutputError where it cannot be opened."""
        try:
            # Unbuffered: what a full device refused must not be tried again when the stream is closed.
            return cls(Path(path).open("wb", buffering=0), _shown(path), owned=True)
        except OSError as error:
            raise _output_error(_shown(path), error) from error

    def write(self, data: bytes) -> None:
        """Raises BrokenPipeError where the reader has gone, OutputError for any other failure."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._stream.write(rest) :]
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _output_error(self._name, error) from error

    def commit(self) -> None:
        """Raises as :meth:`write`."""
        self.write(b"")
        if self._owned:
            self._stream.close()

    def abandon(self) -> Path | None:
        """Nothing to keep."""
        if self._owned:
            with contextlib.suppress(OSError):
                self._stream.close()
        return None


class FileTarget:
    """A regular file, complete or not there.

    Raises:
        OutputError, UsageError: as `open_target`.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self._name = _shown(path)
        # A link keeps pointing where it did; the file behind it is replaced.
        self.path = Path(os.path.realpath(path))
        self.partial = partial_path(self.path)
        self._size = 0
        try:
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if self.path.exists() and not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            self._descriptor: int | None = os.open(self.partial, flags, 0o666)
        except OSError as error:
            raise _output_error(self._name, error) from error
        try:
            self._claim(overwrite)
        except BaseException:
            self._close()
            raise

    def _claim(self, overwrite: bool) -> None:
        assert self._descriptor is not None
        if not lock(self._descriptor):
            raise UsageError(f"another run is writing {self._name} at this moment")
        status = os.fstat(self._descriptor)
        if status.st_size and not overwrite:
            raise UsageError(
                f"an unfinished run left {_shown(self.partial)}; --overwrite discards it and starts again"
            )
        os.ftruncate(self._descriptor, 0)
        with contextlib.suppress(OSError, AttributeError):
            os.fchmod(self._descriptor, stat.S_IMODE(self.path.stat().st_mode))

    def write(self, data: bytes) -> None:
        """Raises OutputError; the partial file then still ends where the last write ended."""
        assert self._descriptor is not None
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise _output_error(self._name, error) from error
        self._size += len(data)

    def commit(self) -> None:
        """Raises OutputError; the old file is intact then, the partial file kept."""
        assert self._descriptor is not None
        try:
            os.fsync(self._descriptor)
            # Windows cannot move an open file; elsewhere the lock is kept until the file has its name.
            if os.name == "nt":
                self._close()
            self.partial.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise _output_error(self._name, error) from error
        finally:
            self._close()

    def abandon(self) -> Path | None:
        """Keeps the partial file where it holds anything; it ends where the last complete write ended."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                if self._size == 0:
                    self.partial.unlink()
            self._close()
        return self.partial if self._size and self.partial.exists() else None

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)


def partial_path(path: Path) -> Path:
    """Where an output is written until it is complete."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def manifest_path(path: Path) -> Path:
    """Where an output's manifest lies."""
    return path.with_name(path.name + MANIFEST_SUFFIX)


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> Path:
    """Writes ``NAME.manifest.json`` beside the output `path`, complete or not at all; returns where.

    Raises:
        OutputError: it cannot be written.
    """
    target = FileTarget(manifest_path(path), overwrite=True)
    try:
        # ASCII escapes carry even the undecodable bytes of a path.
        target.write((json.dumps(dict(manifest), indent=1, default=os.fspath) + "\n").encode("ascii"))
        target.commit()
    except BaseException:
        target.abandon()
        target.partial.unlink(missing_ok=True)
        raise
    return target.path


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _shown(path: str | os.PathLike[str]) -> str:
    return printable(os.fspath(path))


def _output_error(name: str, error: OSError) -> OutputError:
    return OutputError(f"cannot write {name}: {error.strerror or error}")
