"""What `geolocate export` does: a checkpoint and a gallery in, a bundle out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from geolocate.bundle import GALLERY_COORDINATES, GALLERY_WEIGHTS, Bundle, Manifest, load_bundle
from geolocate.bundle_store import checked_name
from geolocate.gallery_csv import GalleryPoints, read_gallery
from geolocate_export.checkpoint import load_checkpoint
from geolocate_export.parity import DEFAULT_PARITY_LIMIT
from geolocate_export.starter import GALLERY_METHOD, NAME
from geolocate_export.to_onnx import CHECKPOINT, BundlePlan, export_bundle, refuse_existing

UNKNOWN_SOURCE = (
    "Encoders: a checkpoint of the person who ran the export. "
    "Names: GeoNames (https://www.geonames.org), CC BY 4.0."
)


def export_checkpoint(
    checkpoint: Path | None = None,
    *,
    output: Path | None = None,
    name: str | None = None,
    gallery: Path | None = None,
    parity_limit: float = DEFAULT_PARITY_LIMIT,
    force: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Exports a checkpoint to a bundle.

    Args:
        checkpoint: folder with config.json and weights.safetensors; None takes the starter's own.
        output: folder of the bundle; None takes the name, in the current folder.
        name: of the bundle; None takes the checkpoint's folder, or the starter's.
        gallery: CSV of coordinates; None takes the starter's gallery.
        parity_limit, force, say: as :func:`export_bundle`.

    Raises:
        BundleError: there is no such checkpoint, it cannot be read, or no bundle can have that name.
        GalleryError: the CSV is no gallery.
        OutputError, ParityError: as :func:`export_bundle`.
    """
    starter = load_bundle(NAME)
    source = starter.path / CHECKPOINT if checkpoint is None else checkpoint
    name = checked_name(name or (NAME if checkpoint is None else checkpoint.resolve().name))
    output = Path(name) if output is None else output
    refuse_existing(output, force)  # before the work, not after it
    points, method = _gallery(gallery, starter)
    say(f"reading {source}")
    model = load_checkpoint(source)
    own: dict[str, Any] = {
        "version": starter.manifest.version,
        "licence": starter.manifest.licence,
        "source": starter.manifest.source,
        "trained": starter.manifest.trained,
    }
    foreign: dict[str, Any] = {
        "version": "0",
        "licence": "that of the checkpoint; names of places CC BY 4.0 (GeoNames)",
        "source": UNKNOWN_SOURCE,
        "trained": True,
    }
    plan = BundlePlan(
        name=name,
        gallery=points,
        gallery_method=method,
        parity_limit=parity_limit,
        gallery_dtype=np.float16 if checkpoint is None else np.float32,
        ship_checkpoint=checkpoint is None,
        **(own if checkpoint is None else foreign),
    )
    manifest = export_bundle(model, plan, output, force=force, say=say)
    worst = max(value["max_abs_difference"] for value in manifest.parity.values() if isinstance(value, dict))
    say(
        f"wrote {output}: parity holds, max abs difference {worst:.2g}, "
        f"drift of the best place {manifest.parity['top1_drift_km']:g} km"
    )
    return manifest


def _gallery(path: Path | None, starter: Bundle) -> tuple[GalleryPoints, str]:
    """The points to export with how they were chosen: those of the CSV, else the starter's."""
    if path is not None:
        points = read_gallery(path)
        rows = int(points.weights.sum())
        return points, f"From {path.name}: {rows:,} rows, equal ones joined, their number being the weight."
    coordinates = np.array(starter.array(GALLERY_COORDINATES, ndim=2), dtype=np.float64)
    weights = np.array(starter.array(GALLERY_WEIGHTS, ndim=1), dtype=np.float32)
    return GalleryPoints(coordinates, weights), GALLERY_METHOD
