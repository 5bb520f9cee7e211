"""Bundles of which a file was replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from geolocate.bundle import MANIFEST_NAME, FileEntry, sha256_of


def relisted(folder: Path, name: str, **changes: Any) -> None:
    """Makes the manifest agree with a file that a test has replaced, and changes other entries."""
    manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    entry = FileEntry((folder / name).stat().st_size, sha256_of(folder / name))
    manifest["files"][name] = {"size": entry.size, "sha256": entry.sha256}
    manifest.update(changes)
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
