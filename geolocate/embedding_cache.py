"""Image embeddings of photos, kept on disk so that no photo of a reference is encoded twice.

The key is the photo's content and the model, so a renamed photo is known and another model starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geolocate.cache_file import CacheFile
from geolocate.private_files import cache_root

#: Another layout, or other rules of decoding, take another file name.
CACHE_NAME = "embeddings-1.sqlite3"
#: SQLite's oldest bound on values in one statement is 999.
_AT_ONCE = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS embeddings (
    model TEXT NOT NULL, content TEXT NOT NULL, embedding BLOB NOT NULL,
    PRIMARY KEY (model, content)
) WITHOUT ROWID
"""


def default_cache_path() -> Path:
    """Where the cache lives unless told otherwise."""
    return cache_root() / CACHE_NAME


class EmbeddingCache:
    """Embeddings of one model by the SHA-256 of the photo's content.

    Args:
        path: the SQLite file; its folder is made.
        model: what tells one model, precision and way of decoding from all others.
        width: d.
        warn: is told once if the cache cannot be used, or was set aside.
    """

    def __init__(self, path: Path, model: str, width: int, warn: Callable[[str], None]) -> None:
        self._model = model
        self._width = width
        self._file = CacheFile(path, [(_SCHEMA, ())], "embeddings of photos", warn)

    def get(self, contents: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The embeddings (d,) that are known, by content."""
        found: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(contents), _AT_ONCE):
            some = contents[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT content, embedding FROM embeddings WHERE model = ? AND content IN ({marks})"
            for content, data in self._file.run(query, (self._model, *some)):
                if isinstance(data, bytes) and len(data) == 4 * self._width:
                    embedding = np.frombuffer(data, dtype="<f4").astype(np.float32)
                    if np.isfinite(embedding).all():
                        found[content] = embedding
        return found

    def put(self, embeddings: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keeps embeddings (d,) with their contents."""
        self._file.run_many(
            "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)",
            [(self._model, content, row.astype("<f4").tobytes()) for content, row in embeddings],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
