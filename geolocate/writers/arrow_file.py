"""A target as the file that pyarrow writes to."""

from __future__ import annotations

import io
from typing import Any

from geolocate.writers.target import Target


class TargetFile(io.RawIOBase):
    """Passes on what it gets; the target is committed by its owner, so closing this does nothing to it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._size = 0

    def writable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes so far: of a pipe too, which has no position of its own."""
        return self._size

    def write(self, data: Any) -> int:
        """Raises as :meth:`geolocate.writers.target.Target.write`."""
        block = bytes(data)
        self._target.write(block)
        self._size += len(block)
        return len(block)
