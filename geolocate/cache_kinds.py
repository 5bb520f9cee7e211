"""What the program keeps in the user's cache folder, by kind: how much it is, and how it goes.

Only files whose names the program gives are its own; whatever else lies there stays, and no link is followed.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from geolocate.confined_open import walk
from geolocate.private_files import cache_root

_SQLITE = r"\.sqlite3(-wal|-shm|-journal|\.damaged)?"


@dataclass(frozen=True, slots=True)
class CacheKind:
    """One kind of things that are kept.

    Attributes:
        what: it is, and what it tells of the user.
        pattern: of the paths of its files below the cache folder, "/"-separated.
    """

    name: str
    what: str
    pattern: re.Pattern[str]


#: Every kind there is; who keeps another thing in the cache adds it here.
KINDS = (
    CacheKind(
        "places",
        "answers of geocoding services: where photos were guessed",
        re.compile(r"geocoding-\d+" + _SQLITE),
    ),
    CacheKind(
        "embeddings",
        "embeddings of photos, by a hash of their content",
        re.compile(r"embeddings-\d+" + _SQLITE),
    ),
    CacheKind(
        "galleries",
        "galleries of your own, embedded",
        re.compile(r"galleries/([0-9a-f]{32}|\.building-\w+)/(coordinates|weights|embeddings)\.npy"),
    ),
    CacheKind(
        "bottlenecks",
        "concept layers fitted to a model",
        re.compile(r"bottlenecks/([0-9a-f]{32}|\.fitting-\w+)\.npz"),
    ),
    CacheKind(
        "downloads",
        "weights that models pull fetched",
        re.compile(r"clip-vit-large-patch14/(config\.json|model\.safetensors)(\.partial)?"),
    ),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in the cache folder.

    Attributes:
        kind: None where the program did not make it.
        size: in bytes.
    """

    path: Path
    kind: CacheKind | None
    size: int


def kept_files(root: Path | None = None) -> Iterator[Kept]:
    """Every entry below the cache folder but folders; a link is an entry and is never the program's."""
    root = cache_root() if root is None else root
    for name, status in walk(root):
        own = (kind for kind in KINDS if kind.pattern.fullmatch(name))
        yield Kept(root / name, next(own, None) if stat.S_ISREG(status.st_mode) else None, status.st_size)


def clear(names: Collection[str], root: Path | None = None) -> list[Kept]:
    """Removes the files of these kinds, and the folders that are empty then; returns what went.

    Raises:
        OSError: a file cannot be removed.
    """
    root = cache_root() if root is None else root
    gone = [kept for kept in kept_files(root) if kept.kind is not None and kept.kind.name in names]
    for kept in gone:
        kept.path.unlink(missing_ok=True)
    for folder in sorted({kept.path.parent for kept in gone}, reverse=True):
        while folder != root and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
    return gone
