"""Small bundles for tests: whole by their manifest, though their files hold no model."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from geolocate.bundle import ImageInput, Manifest, write_manifest


def make_bundle(
    folder: Path,
    name: str = "mine",
    files: dict[str, bytes] | None = None,
    *,
    trained: bool = True,
    **facts: Any,
) -> Path:
    """Writes a bundle of three files, one of them in a subfolder, and returns its folder."""
    default = {"CARD.md": b"# mine\n", "image_encoder.fp32.onnx": b"graph" * 1000, "tokenizer/t.json": b"{}"}
    for path, data in (default if files is None else files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    image = ImageInput(224, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    manifest = Manifest(
        name=name,
        version="1",
        licence="MIT",
        source="made up",
        trained=trained,
        image=image,
        feature_dim=8,
        embedding_dim=4,
        logit_scale=2.0,
        **facts,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, manifest)
    return folder


def zipped(folder: Path, archive: Path, prefix: str = "", method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Packs a folder, under a folder name inside the archive if `prefix` is given."""
    with zipfile.ZipFile(archive, "w", method) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, prefix + path.relative_to(folder).as_posix())
    return archive
