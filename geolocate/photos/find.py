"""Finding photos: arguments and folders become paths, one at a time, in an order that never changes.

In folders a list of extensions selects and hidden names are skipped; nothing is opened here. A path that is
given explicitly is always passed on: what is wrong with it, decoding says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from geolocate.errors import UsageError
from geolocate.photo_names import PHOTO_EXTENSIONS, RAW_EXTENSIONS, VIDEO_EXTENSIONS, extension_of
from geolocate.sources.limits import FetchLimits
from geolocate.sources.urls import archive_kind, file_path, is_url, scheme_of, without_secrets
from geolocate.text_safety import printable

#: Of a path in a warning, in characters.
SHOWN_LENGTH = 200

#: A dangling link, or an entry that went away since its folder was read.
_GONE = (FileNotFoundError, NotADirectoryError)

_SEPARATORS = os.sep + (os.altsep or "")


def find_photos(
    arguments: Iterable[str],
    *,
    on_warning: Callable[[str], None],
    exclude: Collection[str] = (),
    limits: FetchLimits | None = None,
    on_found: Callable[[str, str], None] = lambda argument, photo: None,
) -> Iterator[str]:
    """Yields the photos of the arguments, lazily: the paths as reached from the argument, or their URLs.

    Arguments come in their order, folders depth-first by name (as bytes), files and subfolders interleaved. A
    folder that is reached twice, by a link or by another argument, is searched once. Memory is the names of
    one folder's photos and subfolders at each level of depth, and 70 bytes for each folder seen.

    Args:
        arguments: photos, folders, archives (:mod:`geolocate.sources.listing`) and URLs; undecodable bytes as
            surrogate escapes (:func:`os.fsdecode`).
        on_warning: told of folders that cannot be read and, at the end, of RAW and video files.
        exclude: the run's own output files, which are never input.
        limits: for what is fetched.
        on_found: told of each photo, and of the argument that it was reached from, before it is yielded.
    """
    search = _Search(on_warning, _Excluded(exclude))
    for argument in map(_local, arguments):
        for photo in _photos_of(argument, search, limits):
            on_found(argument, photo)
            yield photo
    search.report_skipped()


def _photos_of(argument: str, search: _Search, limits: FetchLimits | None) -> Iterator[str]:
    if is_url(argument):
        yield from _elsewhere(argument, search, limits)
        return
    try:
        found = os.stat(argument)
    except (OSError, ValueError):
        found = None
    if found is not None and stat.S_ISDIR(found.st_mode):
        yield from search.walk(argument, found)
    elif argument in search.excluded:
        search.on_warning(f"{printable(argument)} is an output of this run: not read as a photo")
    elif found is not None and stat.S_ISREG(found.st_mode) and archive_kind(argument):
        yield from _elsewhere(argument, search, limits)
    else:
        yield argument


def _local(argument: str) -> str:
    """The path of a file:// URL; anything else as it is, and one of another machine too: reading it fails.

    White space round a URL, as columns of tables have it, is none of it.
    """
    if "://" in argument and is_url(bare := argument.strip()):
        argument = bare
    if scheme_of(argument) == "file":
        with suppress(UsageError):
            return file_path(argument)
    return argument


def _elsewhere(argument: str, search: _Search, limits: FetchLimits | None) -> Iterator[str]:
    from geolocate.sources.listing import photos_in  # what reads archives is not for every run

    return photos_in(argument, search.selects, search.on_warning, limits or FetchLimits())


def count_photos(
    arguments: Iterable[str],
    *,
    exclude: Collection[str] = (),
    counts: Callable[[str, str], bool] = lambda argument, photo: True,
) -> int:
    """How many photos :func:`find_photos` yields; reads folders, opens no file.

    Args:
        counts: which of them are meant, by the argument and the photo.
    """
    count = 0

    def add(argument: str, photo: str) -> None:
        nonlocal count
        count += counts(argument, photo)

    for _ in find_photos(arguments, on_warning=lambda _: None, exclude=exclude, on_found=add):
        pass
    return count


def check_arguments(arguments: Iterable[str], limits: FetchLimits | None = None) -> None:
    """Checks before any work that each argument exists; a dangling link counts as there, and so does a URL.

    Raises:
        UsageError: names the first one that is missing, or a URL that cannot be read.
        ExtraMissing: what reads such URLs is not installed.
    """
    for argument in map(_local, arguments):
        if is_url(argument):
            from geolocate.sources.listing import check_source

            check_source(argument, limits or FetchLimits())
            continue
        try:
            Path(argument).lstat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise UsageError(f"no such file or folder: {printable(without_secrets(argument))}") from None
        except OSError:
            continue  # it is there, or may be: decoding will say what is wrong with it


def _shortened(path: str) -> str:
    """A path that a person can read: of a long one, the beginning and the end."""
    return (
        path if len(path) <= SHOWN_LENGTH else f"{path[: SHOWN_LENGTH // 2]}...{path[-SHOWN_LENGTH // 2 :]}"
    )


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file and no link, as the folder itself tells on most systems."""
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False


class _Excluded:
    """Output files of the run, compared by their real path; most photos are cleared by their name alone."""

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = {os.path.realpath(path) for path in paths}
        self._names = {os.path.basename(path) for path in self._paths}

    def __contains__(self, path: str) -> bool:
        if not self._paths:
            return False
        return self.has_file(path) or (os.path.islink(path) and os.path.realpath(path) in self._paths)

    def has_file(self, path: str) -> bool:
        """Whether a path that is no link itself is one of them."""
        return os.path.basename(path) in self._names and os.path.realpath(path) in self._paths


@dataclass(slots=True)
class _Search:
    """One run's search of folders: what it has seen and what it has passed over."""

    on_warning: Callable[[str], None]
    excluded: _Excluded
    seen: set[int] = field(default_factory=set)
    raw: int = 0
    video: int = 0

    def walk(self, folder: str, status: os.stat_result) -> Iterator[str]:
        """Yields the photos under a folder; no recursion, so depth is no limit."""
        drive, tail = os.path.splitdrive(folder)
        levels = [self._enter(drive + (tail.rstrip(_SEPARATORS) or tail[:1]), status)]
        while levels:
            entry = next(levels[-1], None)
            if entry is None:
                levels.pop()
                continue
            path, is_photo = entry
            if is_photo:
                if not self.excluded.has_file(path):
                    yield path
                continue
            try:
                found = os.stat(path)
            except OSError as error:
                found = None  # named like a photo, it becomes one that fails; else it may hold photos
                if not isinstance(error, _GONE) and not self.selects(path):
                    self._cannot("looked at, what may be in it is left out", path, error)
                    continue
            if found is not None and stat.S_ISDIR(found.st_mode):
                levels.append(self._enter(path, found))
            elif found is not None and not stat.S_ISREG(found.st_mode):
                continue  # FIFO, socket, device: opening one can block or do harm
            elif self.selects(path) and path not in self.excluded:
                yield path

    def _enter(self, folder: str, status: os.stat_result) -> Iterator[tuple[str, bool]]:
        """The paths in a folder that may matter, by name, and whether each is a photo for certain.

        The others are folders, links and what cannot be told without a look. Files that are no photos cost
        no look and no memory, so that a million of them do no harm. Empty where the folder has been searched
        before.
        """
        identity = status.st_dev << 64 | status.st_ino
        if status.st_ino and identity in self.seen:
            return
        self.seen.add(identity)
        try:
            with os.scandir(folder) as entries:
                names = []  # as bytes, which are smaller and sort as they should
                others = set()  # folders and links, of which there are few
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not _is_file(entry):
                        names.append(os.fsencode(entry.name))
                        others.add(names[-1])
                    elif self.selects(entry.name):
                        names.append(os.fsencode(entry.name))
        except OSError as error:
            self._cannot("read, its photos are left out", f"folder {folder}", error)
            return
        names.sort()
        start = os.path.join(folder, "")  # a Path would drop the leading "./"
        for name in names:
            yield start + os.fsdecode(name), name not in others

    def _cannot(self, what: str, path: str, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        self.on_warning(f"{_shortened(printable(path))} cannot be {what}: {reason}")

    def selects(self, path: str) -> bool:
        """Whether a file is taken for a photo, by its name; RAW and video files are counted."""
        extension = extension_of(path)
        self.raw += extension in RAW_EXTENSIONS
        self.video += extension in VIDEO_EXTENSIONS
        return extension in PHOTO_EXTENSIONS

    def report_skipped(self) -> None:
        """Says once how many RAW and video files were passed over."""
        counts = [f"{count} {kind}" for count, kind in ((self.raw, "RAW"), (self.video, "video")) if count]
        if counts:
            files = "file, which is" if self.raw + self.video == 1 else "files, which are"
            self.on_warning(f"left out {' and '.join(counts)} {files} not decoded")
