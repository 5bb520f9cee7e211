"""What `geolocate export` does: a checkpoint and a gallery in, a bundle out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from geolocate.bundle import GALLERY_COORDINATES, GALLERY_WEIGHTS, Bundle, Manifest, load_bundle
from geolocate.bundle_store import checked_name
from geolocate.errors import UsageError
from geolocate.gallery_csv import GalleryPoints, read_gallery
from geolocate_export.checkpoint import CONFIG_NAME, load_checkpoint, load_provenance
from geolocate_export.parity import DEFAULT_PARITY_LIMIT
from geolocate_export.starter import GALLERY_METHOD, NAME
from geolocate_export.to_onnx import CHECKPOINT, BundlePlan, export_bundle, refuse_existing
from geolocate_export.trained_concepts import read_concepts
from geolocate_export.training_folder import MODEL, newest_training

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
        checkpoint: folder with config.json and weights.safetensors, or a training's folder; None takes the
            newest training in the current folder, else the starter's own checkpoint.
        output: folder of the bundle; None takes the name, in the current folder.
        name: of the bundle; None takes the checkpoint's folder, or the training's, or the starter's.
        gallery: CSV of coordinates; None takes the starter's gallery.
        parity_limit, force, say: as :func:`export_bundle`.

    Raises:
        UsageError: the checkpoint has no image encoder, or a location encoder of plain degrees.
        BundleError: there is no such checkpoint, it cannot be read, or no bundle can have that name.
        GalleryError: the CSV is no gallery.
        OutputError, ParityError: as :func:`export_bundle`.
    """
    starter = load_bundle(NAME)
    checkpoint = newest_training() if checkpoint is None else checkpoint
    name = checked_name(name or (NAME if checkpoint is None else checkpoint.resolve().name))
    source = starter.path / CHECKPOINT if checkpoint is None else _model_in(checkpoint)
    output = Path(name) if output is None else output
    refuse_existing(output, force)  # before the work, not after it
    points, method = _gallery(gallery, starter)
    say(f"reading {source}")
    model = load_checkpoint(source)
    if model.image_encoder.backbone is None:
        raise UsageError(f"{source} has heads only: a bundle needs the image encoder they were trained on")
    provenance = load_provenance(source)
    own: dict[str, Any] = {
        "version": starter.manifest.version,
        "licence": starter.manifest.licence,
        "source": starter.manifest.source,
        "trained": starter.manifest.trained,
        "accuracy": starter.manifest.accuracy,
        "temperature": starter.manifest.temperature,
        "calibration": starter.manifest.calibration,
    }
    foreign: dict[str, Any] = {
        "version": "0",
        "licence": "that of the checkpoint; names of places CC BY 4.0 (GeoNames)",
        "source": " ".join(filter(None, (provenance.source, UNKNOWN_SOURCE))),
        "trained": provenance.trained,
        "accuracy": provenance.accuracy,
        "temperature": provenance.temperature,
    }
    plan = BundlePlan(
        name=name,
        gallery=points,
        gallery_method=method,
        parity_limit=parity_limit,
        gallery_dtype=np.float16 if checkpoint is None else np.float32,
        ship_checkpoint=checkpoint is None,
        concepts=read_concepts(source, model.config.concepts.count) if model.config.concepts else (),
        **(own if checkpoint is None else foreign),
    )
    manifest = export_bundle(model, plan, output, force=force, say=say)
    worst = max(value["max_abs_difference"] for value in manifest.parity.values() if isinstance(value, dict))
    say(
        f"wrote {output}: parity holds, max abs difference {worst:.2g}, "
        f"drift of the best place {manifest.parity['top1_drift_km']:g} km"
    )
    return manifest


def _model_in(folder: Path) -> Path:
    """The checkpoint of a training's folder; any other folder is one itself."""
    return folder / MODEL if (folder / MODEL / CONFIG_NAME).is_file() else folder


def _gallery(path: Path | None, starter: Bundle) -> tuple[GalleryPoints, str]:
    """The points to export with how they were chosen: those of the CSV, else the starter's."""
    if path is not None:
        points = read_gallery(path)
        rows = int(points.weights.sum())
        return points, f"From {path.name}: {rows:,} rows, equal ones joined, their number being the weight."
    coordinates = np.array(starter.array(GALLERY_COORDINATES, ndim=2), dtype=np.float64)
    weights = np.array(starter.array(GALLERY_WEIGHTS, ndim=1), dtype=np.float32)
    return GalleryPoints(coordinates, weights), GALLERY_METHOD
