"""Which photos are in a shard: by a hash of each photo's name, so no machine need know of the others."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

from geolocate.errors import UsageError
from geolocate.sources.urls import ARCHIVE_SCHEMES, is_url, lasting_name, scheme_of, split_member
from geolocate.text_safety import printable

#: More parts than anyone has machines.
MAX_SHARDS = 1_000_000
#: One way to write each: 01/3 and 1/3 in two scripts would be one shard that is there twice.
_FORM = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,6})")
_SEPARATORS = os.sep + (os.altsep or "")


@dataclass(frozen=True, slots=True)
class Shard:
    """The `index`-th of `count` parts, counted from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that is written ``I/N``.

        Raises:
            UsageError: it is none.
        """
        found = _FORM.fullmatch(text)
        if not found or not 1 <= int(found[1]) <= int(found[2]) <= MAX_SHARDS:
            raise UsageError(
                f"{printable(text)[:40]!r} is no shard: I/N is the I-th of N parts, I from 1 to N"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, name: bytes) -> bool:
        """Whether a photo of that name is in it: its SHA-256 modulo the number of shards says in which."""
        digest = int.from_bytes(hashlib.sha256(name).digest(), "big")
        return digest % self.count == self.index - 1

    def holds_photo(self, argument: str, photo: str) -> bool:
        """Whether the photo is in it that was reached from that argument."""
        return self.holds(name_in(argument, photo))

    def rows(self, rows: int) -> range:
        """Which of so many rows of a table are in it, from 0: they are next to each other."""
        first, beyond = (-(-part * rows // self.count) for part in (self.index - 1, self.index))
        return range(first, beyond)


#: The whole, of which there is one part.
WHOLE = Shard(1, 1)


def name_in(argument: str, photo: str) -> bytes:
    """A photo's path relative to the argument that it was reached from, "/"-separated; so on every mount.

    That of a photo which is an argument itself is its last part, or its whole URL but for a signature. Of a
    member of an archive it is the path in the archive, before the archive's URL where one member is meant.
    """
    if is_url(photo):
        is_member = scheme_of(photo) in ARCHIVE_SCHEMES
        if photo == argument and (not is_member or is_url(split_member(photo).archive)):
            return os.fsencode(lasting_name(photo))
        photo = split_member(photo).name if is_member else photo
    root = argument.rstrip(_SEPARATORS)
    if photo.rstrip(_SEPARATORS) == root:
        name = re.split(f"[{re.escape(_SEPARATORS)}]", root)[-1]
    else:
        name = photo.removeprefix(root).lstrip(_SEPARATORS)
    return os.fsencode(name.replace(os.sep, "/"))
