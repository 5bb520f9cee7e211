"""Where an output goes: a file that appears only when it is complete, or a pipe that gets every row at once.

A file is written as ``NAME.partial`` beside its target and moved into place by :meth:`Target.commit`; until
then the old file, if any, is untouched.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from geolocate.errors import OutputError, UsageError
from geolocate.file_lock import lock
from geolocate.writers.stream import (
    OutputPath,
    StreamTarget,
    descriptor_named,
    is_direct,
    is_standard_output,
    output_error,
    shown,
)

PARTIAL_SUFFIX = ".partial"
MANIFEST_SUFFIX = ".manifest.json"
JOURNAL_SUFFIX = ".journal"


class Target(Protocol):
    """A place for bytes."""

    def write(self, data: bytes) -> None:
        """Writes all of `data` or raises OutputError; it is out of this process when the call returns."""

    def commit(self) -> None:
        """The output is complete: makes it visible, durable, and closes it."""

    def abandon(self) -> Path | None:
        """The output is not complete: closes it; returns the file that keeps what was written, if any."""


def open_target(
    path: OutputPath,
    *,
    overwrite: bool = False,
    resume: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Target:
    """Opens an output before any work is done.

    Args:
        path: a file, a pipe or device, or "-" for standard output.
        overwrite: discard what an unfinished earlier run left.
        resume: keep it until the first write, which begins at the start.
        say: told that a named pipe has no reader yet; opening it waits for one.

    Raises:
        OutputError: the folder is missing or read-only, or `path` is a folder.
        UsageError: an earlier run left ``NAME.partial``, or another run is writing it now.
    """
    if is_standard_output(path):
        return StreamTarget.standard_output()
    if (number := descriptor_named(path)) is not None:
        return StreamTarget.descriptor(number, path)
    if is_direct(path):
        return StreamTarget.device(path, say)
    return FileTarget(path, overwrite=overwrite, resume=resume)


class FileTarget:
    """A regular file, complete or not there; of a link, the file behind it.

    Raises:
        OutputError, UsageError: as `open_target`.
    """

    def __init__(self, path: OutputPath, *, overwrite: bool = False, resume: bool = False) -> None:
        self._name = shown(path)
        self.path = real_path(path)
        self.partial = partial_path(self.path)
        self._size = 0
        self._stale = resume
        check_replaceable(self.path)
        check_replaceable(self.partial)
        try:
            if self.path.exists() and not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            # O_NONBLOCK: what was checked can have become a pipe since.
            flags = os.O_WRONLY | os.O_CREAT
            flags |= sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
            self._descriptor: int | None = os.open(self.partial, flags, 0o666)
        except OSError as error:
            raise output_error(path, error) from error
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
        if not stat.S_ISREG(status.st_mode):
            raise OutputError(f"cannot write {shown(self.partial)}: it is no regular file")
        if status.st_size and not (overwrite or self._stale):
            raise UsageError(
                f"an unfinished run left {shown(self.partial)}; --overwrite discards it and starts again"
            )
        if not self._stale:
            os.ftruncate(self._descriptor, 0)
        with contextlib.suppress(OSError, AttributeError):
            os.fchmod(self._descriptor, stat.S_IMODE(self.path.stat().st_mode))

    def write(self, data: bytes) -> None:
        """Raises OutputError; the partial file then still ends where the last write ended."""
        assert self._descriptor is not None
        rest = memoryview(data)
        try:
            self._start_anew()
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
                os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise output_error(self._name, error) from error
        self._size += len(data)

    def _start_anew(self) -> None:
        if self._stale and self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
        self._stale = False

    def rewrite_start(self, data: bytes) -> None:
        """Replaces the first bytes, of formats whose header holds a count. Raises as :meth:`write`."""
        assert self._descriptor is not None
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, data)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
        except OSError as error:
            raise output_error(self._name, error) from error

    def commit(self) -> None:
        """Raises OutputError; the old file is intact then, the partial file kept."""
        assert self._descriptor is not None
        try:
            self._start_anew()
            os.fsync(self._descriptor)
            # Windows cannot move an open file; elsewhere the lock is kept until the file has its name.
            if os.name == "nt":
                self._close()
            self.partial.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise output_error(self._name, error) from error
        finally:
            self._close()

    def abandon(self) -> Path | None:
        """Keeps the partial file where it holds anything; it ends where the last complete write ended."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                if self._stale:
                    self._size = os.fstat(self._descriptor).st_size
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


def discard(*targets: Target | None) -> None:
    """Gives up outputs of which a part is of no use. Never raises."""
    for target in targets:
        kept = target.abandon() if target is not None else None
        if kept is not None:
            with contextlib.suppress(OSError):
                kept.unlink()


def real_path(path: OutputPath) -> Path:
    """Where a file really is or will be: a link keeps pointing where it did, the file behind it is replaced.

    Raises:
        OutputError: `path` is relative and the working folder is gone.
    """
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise output_error(path, error) from error


def check_replaceable(path: Path) -> None:
    """Raises OutputError where there is anything but a regular file; opens nothing: a pipe would block."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except FileNotFoundError:
        return
    except OSError as error:
        raise output_error(path, error) from error
    if not stat.S_ISREG(mode):
        raise OutputError(f"cannot write {shown(path)}: it is no regular file")


def own_files(path: Path) -> list[Path]:
    """Every file that the output `path` makes, itself first."""
    manifest = manifest_path(path)
    return [path, partial_path(path), manifest, partial_path(manifest), journal_path(path)]


def partial_path(path: Path) -> Path:
    """Where an output is written until it is complete."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def journal_path(path: Path) -> Path:
    """Where the journal of a run lies whose first output is `path`."""
    return path.with_name(path.name + JOURNAL_SUFFIX)


def manifest_path(path: Path) -> Path:
    """Where an output's manifest lies."""
    return path.with_name(path.name + MANIFEST_SUFFIX)


def content_of(path: Path) -> dict[str, Any]:
    """What tells that a file is the one that a manifest was written for: its size (`bytes`) and SHA-256.

    Raises:
        OutputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"bytes": file.tell(), "sha256": digest}
    except OSError as error:
        raise output_error(path, error) from error


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


def sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
