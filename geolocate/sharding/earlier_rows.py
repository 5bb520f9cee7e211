"""Where each photo stands among the rows of the run that goes on here."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from geolocate.writers.finished import PathDigest

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EarlierRows:
    """Photos in the order of their rows, 28 bytes each; a photo may have several rows."""

    def __init__(self) -> None:
        self._digest = PathDigest()
        self._added = array("Q")
        self._arrays: tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None = None

    def __len__(self) -> int:
        return len(self._added)

    def add(self, photo: str) -> None:
        """The photo of the next row; all of them before any is looked up."""
        self._added.append(self._digest(photo))

    def take(self, photo: str) -> int | None:
        """The next row of that photo, counted from 0; None where there is no more."""
        if not self._added:
            return None
        import numpy as np

        if self._arrays is None:
            added = np.frombuffer(self._added, dtype=np.uint64)
            order = np.argsort(added, kind="stable")  # equal ones in the order of their rows
            self._arrays = added[order], order, np.zeros(len(added), dtype=np.uint32)
        digests, order, taken = self._arrays  # taken: counted at the first of equal digests
        digest = np.uint64(self._digest(photo))
        first = int(digests.searchsorted(digest, "left"))
        beyond = int(digests.searchsorted(digest, "right"))
        if first == beyond or taken[first] == beyond - first:
            return None
        taken[first] += 1
        return int(order[first + taken[first] - 1])
