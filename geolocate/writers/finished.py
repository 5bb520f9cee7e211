"""Which photos an earlier run has finished, in a few bytes for each."""

from __future__ import annotations

import os
from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGEST_BYTES = 8


class PathDigest:
    """Keyed 64-bit digests of paths: no names that meet on purpose.

    Two of a million paths share a digest by chance once in 40 million runs.
    """

    def __init__(self) -> None:
        self._key = os.urandom(16)

    def __call__(self, path: str) -> int:
        data = path.encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(data, digest_size=DIGEST_BYTES, key=self._key).digest(), "little")


class FinishedPhotos:
    """A bag of paths, 12 bytes each."""

    def __init__(self) -> None:
        self._digest = PathDigest()
        self._added = array("Q")
        self._sorted: NDArray[Any] | None = None
        self._taken: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self._added)

    def add(self, photo: str) -> None:
        """Puts a path in, as often as it was a photo of the run; all of them before any is taken."""
        self._added.append(self._digest(photo))

    def take(self, photo: str) -> bool:
        """Whether a path is in, and takes it out: True as many times as it was put in."""
        if not self._added:
            return False
        import numpy as np

        if self._sorted is None or self._taken is None:
            self._sorted = np.frombuffer(self._added, dtype=np.uint64)  # the array's own memory, no copy
            self._sorted.sort()
            self._taken = np.zeros(len(self._added), dtype=np.uint32)  # counted at the first of equal digests
        digest = np.uint64(self._digest(photo))
        first = int(self._sorted.searchsorted(digest, "left"))
        beyond = int(self._sorted.searchsorted(digest, "right"))
        if first == beyond or self._taken[first] == beyond - first:
            return False
        self._taken[first] += 1
        return True
