"""Photos that are the same file once more: told before they are decoded, so that each is encoded once.

Hard links have one inode. Copies have one size; only where two sizes meet are files read and compared by
their hash, so archives without copies pay nothing but a look at each file's status.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from geolocate.decoded_item import FileState, FoundFile, SeenPhoto
from geolocate.regular_file import open_at_once
from geolocate.sources.urls import is_url, public_name

Value = TypeVar("Value")

#: Earlier photos that are remembered, the latest ones: some 500 bytes each.
REMEMBERED_PHOTOS = 32_768
#: Images that are kept for photos that come again: some 5 KB each.
REMEMBERED_IMAGES = 4096
#: Larger files are compared by inode alone: reading them again would cost more than decoding.
MAX_COMPARED_BYTES = 256 * 2**20
#: In the notes of photos that came before.
NOTE_DUPLICATE = "duplicate"


def told_apart(photos: Iterator[str], skip: Callable[[str], bool]) -> Iterator[SeenPhoto]:
    """The photos that are not skipped; those that came before, be it among the skipped, say so."""
    seen = SeenPhotos(REMEMBERED_PHOTOS)
    # What is recent here is recent where the images are: both see the same photos in the same order.
    passed: Recent[None] = Recent(REMEMBERED_IMAGES)
    for path in photos:
        file = FoundFile(path, file_state(path))
        original = seen.original(file)
        if skip(public_name(path)):
            continue
        at_hand = original is not None and original in passed
        passed.put(original or file, None)
        yield SeenPhoto(file, original, at_hand)


@dataclass(slots=True)
class _Photo:
    path: str
    state: FileState
    digest: bytes | None = None


class SeenPhotos:
    """The photos of a run so far, of which a bounded number is remembered.

    Args:
        remembered: at most so many.
    """

    def __init__(self, remembered: int = REMEMBERED_PHOTOS) -> None:
        self._remembered = remembered
        self._by_state: OrderedDict[FileState, _Photo] = OrderedDict()
        #: By size, then by hash; None is that of the first of its size until another comes.
        self._by_size: dict[int, dict[bytes | None, _Photo]] = {}

    def original(self, file: FoundFile) -> FoundFile | None:
        """The earlier photo that is the same file as this one, or a copy of it; None for a new one.

        To be asked for each photo once, in their order.
        """
        path, state = file
        if state is None:
            return None
        known = self._by_state.get(state) if state.inode else None  # some systems number no files
        if known is None:
            known = self._copy(new := _Photo(path, state))
            if known is None:
                self._remember(new)
                return None
        self._by_state.move_to_end(known.state)
        return FoundFile(known.path, known.state)

    def _copy(self, photo: _Photo) -> _Photo | None:
        """An earlier photo with the content of this one."""
        same_size = self._by_size.get(photo.state.size)
        if not same_size or not 0 < photo.state.size <= MAX_COMPARED_BYTES:
            return None
        if (first := same_size.pop(None, None)) is not None:
            if file_state(first.path) == first.state:
                first.digest = _digest(first.path)
                same_size.setdefault(first.digest, first)
            else:  # changed since: it is no measure of anything
                del self._by_state[first.state]
        photo.digest = _digest(photo.path)
        return None if photo.digest is None else same_size.get(photo.digest)

    def _remember(self, photo: _Photo) -> None:
        self._by_state[photo.state] = photo
        self._by_size.setdefault(photo.state.size, {}).setdefault(photo.digest, photo)
        if len(self._by_state) > self._remembered:
            self._forget(next(iter(self._by_state.values())))

    def _forget(self, photo: _Photo) -> None:
        del self._by_state[photo.state]
        same_size = self._by_size.get(photo.state.size, {})
        if same_size.get(photo.digest) is photo:
            del same_size[photo.digest]
        if not same_size:
            self._by_size.pop(photo.state.size, None)


def file_state(path: str) -> FileState | None:
    """Of a regular file; None for what is none, or cannot be looked at: decoding says what is wrong.

    Of a URL it is None as well: nobody is asked about it before it is fetched.
    """
    if is_url(path):
        return None
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _digest(path: str) -> bytes | None:
    """SHA-256 of a file's content; None where it cannot be read."""
    try:
        with open(path, "rb", opener=open_at_once) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError):
        return None


class Recent(Generic[Value]):
    """The values that were put last, by the file that they are of, a bounded number of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[FoundFile, Value] = OrderedDict()

    def put(self, file: FoundFile, value: Value) -> None:
        """Keeps a value, as the newest; the oldest goes where there are too many."""
        self._values[file] = value
        self._values.move_to_end(file)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def __getitem__(self, file: FoundFile) -> Value:
        """The value of that file. Raises KeyError where it is kept no more."""
        return self._values[file]

    def __contains__(self, file: FoundFile) -> bool:
        return file in self._values
