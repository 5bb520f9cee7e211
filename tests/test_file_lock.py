"""One claim on a file at a time, gone with its holder."""

from __future__ import annotations

import os
from pathlib import Path

from geolocate.file_lock import lock


def test_a_file_is_claimed_once_and_free_again_when_its_holder_closes(tmp_path: Path) -> None:
    path = tmp_path / "held"
    with path.open("wb") as first, path.open("wb") as second:
        assert lock(first.fileno())
        assert not lock(second.fileno())
        first.close()
        assert lock(second.fileno())


def test_a_claim_leaves_the_place_to_write_at(tmp_path: Path) -> None:
    path = tmp_path / "held"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        assert lock(descriptor)
        os.write(descriptor, b"row")
        assert path.stat().st_size == 3
    finally:
        os.close(descriptor)
