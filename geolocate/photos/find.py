"""Finding photos: arguments and folders become paths, one at a time, in an order that never changes.

In folders a list of extensions selects and hidden names are skipped; nothing is opened here. A path that is
given explicitly is always passed on: what is wrong with it, decoding says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from geolocate.errors import PhotoFormatRefused, UsageError
from geolocate.photos.identify import HEADER_BYTES, identify
from geolocate.text_safety import printable

#: Extensions that select a file in a folder; the content then decides the decoder.
PHOTO_EXTENSIONS = frozenset(
    "jpg jpeg jpe jfif jif mpo png apng webp gif bmp dib tif tiff avif heic heif hif".split()
)
#: Counted in one note, because somebody may expect them to be read.
RAW_EXTENSIONS = frozenset(
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf "
    "srw x3f".split()
)
VIDEO_EXTENSIONS = frozenset("3gp avi insv lrv m2ts m4v mkv mov mp4 mpeg mpg mts webm wmv".split())

#: No system opens a longer path; a list with longer entries is no list of paths.
LONGEST_PATH_BYTES = 65_536

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
) -> Iterator[str]:
    """Yields the photos of the arguments, lazily: the paths as reached from the argument.

    Arguments come in their order, folders depth-first by name (as bytes), files and subfolders interleaved. A
    folder that is reached twice, by a link or by another argument, is searched once. Memory is the names of
    one folder's photos and subfolders at each level of depth, and 70 bytes for each folder seen.

    Args:
        arguments: photos and folders; undecodable bytes as surrogate escapes (:func:`os.fsdecode`).
        on_warning: told of folders that cannot be read and, at the end, of RAW and video files.
        exclude: the run's own output files, which are never input.
    """
    search = _Search(on_warning, _Excluded(exclude))
    for argument in arguments:
        try:
            found = os.stat(argument)
        except (OSError, ValueError):
            found = None
        if found is not None and stat.S_ISDIR(found.st_mode):
            yield from search.walk(argument, found)
        elif argument in search.excluded:
            on_warning(f"{printable(argument)} is an output of this run: not read as a photo")
        else:
            yield argument
    search.report_skipped()


def count_photos(arguments: Iterable[str], *, exclude: Collection[str] = ()) -> int:
    """How many photos :func:`find_photos` yields; reads folders, opens no file."""
    return sum(1 for _ in find_photos(arguments, on_warning=lambda _: None, exclude=exclude))


def check_arguments(arguments: Iterable[str]) -> None:
    """Checks before any work that each argument exists; a dangling link counts as there.

    Raises:
        UsageError: names the first one that is missing.
    """
    for argument in arguments:
        try:
            Path(argument).lstat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise UsageError(f"no such file or folder: {printable(argument)}") from None
        except OSError:
            continue  # it is there, or may be: decoding will say what is wrong with it


def read_path_list(stream: BinaryIO, null: bool) -> Iterator[str]:
    """Yields the paths of a list as they arrive: one a line, or separated by NUL bytes.

    Blank entries are left out. Lines may end in CR LF; NUL bytes end a path in either form, since no path
    contains one.

    Args:
        stream: binary, such as ``sys.stdin.buffer``; read no further than asked for.
        null: only NUL separates, so paths may contain line feeds.

    Raises:
        UsageError: an entry is longer than any path, or the list is a photo itself, among whose bytes there
            may be the root of the file system.
    """
    read = getattr(
        stream, "read1", stream.read
    )  # read1 hands over what a pipe holds and does not wait for more
    rest = b""
    begun = False
    while chunk := read(LONGEST_PATH_BYTES):
        if not begun and (kind := _picture(chunk)):
            raise UsageError(f"the list of paths is a {kind} picture: name the file, its content is no list")
        begun = True
        *complete, rest = _split(rest + chunk, null)
        yield from (os.fsdecode(entry) for entry in complete if entry)
        if len(rest) > LONGEST_PATH_BYTES:
            raise UsageError("the list of paths has an entry that is longer than any path")
    rest = rest.removesuffix(b"\r") if not null else rest
    if rest:
        yield os.fsdecode(rest)


def _picture(beginning: bytes) -> str | None:
    """Which picture begins so; None where it may as well be text."""
    try:
        kind = identify(beginning[:HEADER_BYTES])
    except PhotoFormatRefused:
        return None
    # Two letters begin a bitmap, and names like BMW.jpg; its header has zeros in it, one after the other.
    return kind if kind != "BMP" or b"\0\0" in beginning[:HEADER_BYTES] else None


def _split(data: bytes, null: bool) -> list[bytes]:
    if null:
        return data.split(b"\0")
    *complete, rest = data.replace(b"\0", b"\n").split(b"\n")
    return [*(line.removesuffix(b"\r") for line in complete), rest]


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
                if not isinstance(error, _GONE) and not self._selects(path):
                    self._cannot("looked at, what may be in it is left out", path, error)
                    continue
            if found is not None and stat.S_ISDIR(found.st_mode):
                levels.append(self._enter(path, found))
            elif found is not None and not stat.S_ISREG(found.st_mode):
                continue  # FIFO, socket, device: opening one can block or do harm
            elif self._selects(path) and path not in self.excluded:
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
                    elif self._selects(entry.name):
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

    def _selects(self, path: str) -> bool:
        _, dot, extension = path.rpartition(".")
        extension = extension.lower() if dot else ""
        self.raw += extension in RAW_EXTENSIONS
        self.video += extension in VIDEO_EXTENSIONS
        return extension in PHOTO_EXTENSIONS

    def report_skipped(self) -> None:
        """Says once how many RAW and video files were passed over."""
        counts = [f"{count} {kind}" for count, kind in ((self.raw, "RAW"), (self.video, "video")) if count]
        if counts:
            files = "file, which is" if self.raw + self.video == 1 else "files, which are"
            self.on_warning(f"left out {' and '.join(counts)} {files} not decoded")
