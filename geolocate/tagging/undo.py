"""Taking changes back: each file gets what it held before, unless somebody has changed it since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geolocate.errors import GeolocateError, PhotoError, PhotoNotFound, TagRefused
from geolocate.tagging.change_log import Change, ChangeLog
from geolocate.tagging.folder import Folder, split_path
from geolocate.tagging.in_place import BACKUP_SUFFIX, file_digest
from geolocate.tagging.photo_file import SIDECAR_SUFFIX
from geolocate.tagging.sidecar import replace


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of one file.

    Attributes:
        path: of the photo or sidecar, absolute.
        error: why it was left as it is; None where it is as it was before.
    """

    path: str
    error: str | None = None


def undo(log: ChangeLog, root: Path) -> Iterator[Undone]:
    """Takes back what a log holds, the newest change first; what never happened is passed over in silence.

    May be killed at any moment and called again. Nothing outside of `root` is touched.

    Raises:
        UsageError: the log cannot be read.
    """
    for change in log.newest_first():
        target = change.photo + SIDECAR_SUFFIX if change.kind == "sidecar" else change.photo
        try:
            done = _undo_one(change, root)
        except (GeolocateError, OSError, OverflowError) as error:  # of a time that no file can have
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            yield Undone(target, reason)
        else:
            if done:
                yield Undone(target)


def remove_leftovers(log: ChangeLog, root: Path) -> None:
    """Removes the temporary file that a run left if it was killed: it was working on the last change."""
    for change in log.newest_first():
        try:
            parent, _ = split_path(change.photo)
            with Folder(root, parent) as folder:
                folder.remove_temporary(change.temporary)
        except (PhotoError, OSError):
            pass  # it is not where this run works
        return


def _undo_one(change: Change, root: Path) -> bool:
    """Whether there was anything to take back. Raises PhotoError or OSError where it cannot be."""
    parent, name = split_path(change.photo)
    with Folder(root, parent) as folder:
        folder.remove_temporary(change.temporary)
        if change.kind == "sidecar":
            return _undo_sidecar(change, folder, name + SIDECAR_SUFFIX)
        return change.kind == "photo" and _undo_photo(change, folder, name)


def _undo_sidecar(change: Change, folder: Folder, name: str) -> bool:
    status = folder.status(name)
    now = _digest(folder, name)
    if now == change.before:
        return False
    if status is None or now != change.after:
        raise TagRefused("changed since: left as it is")
    if change.previous is None:
        folder.remove(name)
        folder.sync()
        return True
    replace(folder, change.temporary, name, change.previous, change.mode, status, change.mtime_ns)
    return True


def _undo_photo(change: Change, folder: Folder, name: str) -> bool:
    backup = name + BACKUP_SUFFIX
    now, kept = _digest(folder, name), _digest(folder, backup)
    if now == change.before:
        if kept == change.before:  # killed before the photo was replaced
            folder.remove(backup)
        return False
    if now != change.after:
        if not now and kept:
            raise PhotoNotFound(f"gone; what it was is in {backup}")
        raise TagRefused("changed since: left as it is")
    if kept != change.before:
        raise TagRefused(f"{backup} is gone or changed: left as it is")
    folder.move(backup, name)
    folder.sync()
    return True


def _digest(folder: Folder, name: str) -> str:
    """SHA-256 of a file, hex; empty where there is none."""
    return "" if folder.status(name) is None else file_digest(folder.open(name))
