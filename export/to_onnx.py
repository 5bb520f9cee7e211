"""From a torch model to a bundle: graphs, gallery, manifest and card, let out only where parity holds.

The bundle is built in a temporary folder beside its place and moved there at the end: a failure leaves
nothing, and an earlier bundle stays as it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from geolocate import bundle
from geolocate.bundle import ImageInput, Manifest, image_encoder_name, write_manifest
from geolocate.equal_earth import project
from geolocate.errors import OutputError, UsageError
from geolocate.gallery_csv import GalleryPoints
from geolocate.places import PlaceIndex
from geolocate_export import graphs
from geolocate_export.card import card
from geolocate_export.checkpoint import Provenance, save_checkpoint
from geolocate_export.model import GeoModel
from geolocate_export.parity import (
    DEFAULT_PARITY_LIMIT,
    PARITY_PHOTOS,
    cpu_session,
    enforce_parity,
    generated_photos,
    measure_parity,
    run_batched,
)
from geolocate_export.trained_concepts import TrainedConcept, write_basis, write_concepts

#: Gallery points that are embedded at once; the same at every export, so that the same rows come out.
GALLERY_BATCH = 1024
#: Folder of the torch weights inside a bundle that ships them.
CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What an export writes besides the encoders themselves.

    Attributes:
        name, version, licence, source, trained: as in the manifest.
        gallery: the points that photos are placed on.
        gallery_method: how they were chosen, for the card.
        parity_limit: largest difference from torch that is let through.
        gallery_dtype: of the stored embeddings; float16 halves the file and is cast once at load.
        half_storage: weights that float16 holds exactly are stored so (see :func:`graphs.store_as_half`).
        ship_checkpoint: put the torch weights (float16) into the bundle.
        accuracy, temperature, calibration: as in the manifest.
        concepts: what the outputs of the model's concept module are, one by one; empty where it has none.
    """

    name: str
    version: str
    licence: str
    source: str
    trained: bool
    gallery: GalleryPoints
    gallery_method: str
    parity_limit: float = DEFAULT_PARITY_LIMIT
    gallery_dtype: type[np.floating] = np.float32
    half_storage: bool = True
    ship_checkpoint: bool = False
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    calibration: Mapping[str, Any] = field(default_factory=dict)
    concepts: tuple[TrainedConcept, ...] = ()


@dataclass(frozen=True, slots=True)
class NewBundle:
    """A bundle in the making, all but its manifest and card written and parity held.

    Attributes:
        folder: where it is built.
        manifest: as it would be written.
        photos: uint8 (N, S, S, 3) that parity was measured on.
        coordinates, gallery_embeddings: of the gallery, (M, 2) and (M, d).
    """

    folder: Path
    manifest: Manifest
    photos: NDArray[np.uint8]
    coordinates: NDArray[np.float64]
    gallery_embeddings: NDArray[np.float32]


#: Adds parts to a bundle in the making, and says so in the manifest that it returns.
Complete = Callable[[NewBundle], Manifest]


def export_bundle(
    model: GeoModel,
    plan: BundlePlan,
    output: Path,
    *,
    force: bool = False,
    photos: NDArray[np.uint8] | None = None,
    complete: Complete = lambda new: new.manifest,
    say: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Exports `model` to the folder `output`.

    Args:
        force: replace what stands at `output`, once the new bundle is complete.
        photos: uint8 (N, S, S, 3) to measure parity on, N >= 16; generated ones by default.
        complete: adds parts that not every bundle has, before the manifest is written.
        say: gets a line at each step.

    Raises:
        OutputError: `output` exists and `force` was not given, or it cannot be written.
        ParityError: a graph differs from torch by more than the limit; `output` is as it was before.
        UsageError: the runtime could not project coordinates as the model does.
        ValueError: the plan does not name the model's concepts.
    """
    count = model.config.concepts.count if model.config.concepts else 0
    if len(plan.concepts) != count:
        raise ValueError(f"the plan names {len(plan.concepts)} concepts, the model has {count}")
    if model.config.location.projection != "equal_earth":
        raise UsageError(
            "a location encoder of plain degrees cannot be exported: bundles project Equal Earth"
        )
    output = output.absolute()
    refuse_existing(output, force)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{output.name}.", dir=output.parent, ignore_cleanup_errors=True
        ) as scratch:
            built = Path(scratch) / "new"
            built.mkdir()
            manifest = _build(model, plan, built, photos, complete, say)
            _move_into_place(built, output, Path(scratch) / "old")
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}") from error
    return manifest


def refuse_existing(output: Path, force: bool) -> None:
    """Raises OutputError where `output` exists, unless with `force` it is a bundle or an empty folder."""
    if not output.exists() and not output.is_symlink():
        return
    if not force:
        raise OutputError(f"{output} exists; --force replaces it")
    is_bundle = (output / bundle.MANIFEST_NAME).is_file()
    if output.is_symlink() or not output.is_dir() or not (is_bundle or not any(output.iterdir())):
        raise OutputError(f"{output} is neither a bundle nor an empty folder; --force replaces only those")


def _move_into_place(built: Path, output: Path, aside: Path) -> None:
    """Swaps `built` in for `output`; where the second rename fails the old one comes back."""
    if not output.exists():
        built.rename(output)
        return
    output.rename(aside)
    try:
        built.rename(output)
    except OSError:
        aside.rename(output)
        raise


def _build(
    model: GeoModel,
    plan: BundlePlan,
    folder: Path,
    photos: NDArray[np.uint8] | None,
    complete: Complete,
    say: Callable[[str], None],
) -> Manifest:
    config = model.config
    model.eval()
    say("exporting the encoders")
    protos = {
        image_encoder_name("fp32"): graphs.image_encoder_graph(
            model.image_encoder, config.image.image_size, model.concepts
        ),
        bundle.IMAGE_HEAD: graphs.image_head_graph(
            model.image_encoder, config.image.feature_dim, model.concepts
        ),
        bundle.LOCATION_ENCODER: graphs.location_encoder_graph(model.location_encoder),
        bundle.RETRIEVAL: graphs.retrieval_graph(config.embedding_dim),
    }
    if plan.half_storage:
        protos = {name: graphs.store_as_half(proto) for name, proto in protos.items()}
    sessions = {
        "image_encoder": cpu_session(protos[image_encoder_name("fp32")]),
        "image_head": cpu_session(protos[bundle.IMAGE_HEAD]),
        "location_encoder": cpu_session(protos[bundle.LOCATION_ENCODER]),
    }
    say(f"embedding the gallery of {len(plan.gallery.coordinates):,} points")
    coordinates = plan.gallery.coordinates  # (M, 2)
    embeddings = embed_coordinates(sessions["location_encoder"], coordinates)  # (M, d)
    say("measuring parity with torch")
    if photos is None:
        photos = generated_photos(PARITY_PHOTOS, config.image.image_size)
    parity = measure_parity(model, sessions, photos, coordinates, embeddings)
    enforce_parity(parity, plan.parity_limit)
    sessions.clear()  # gigabytes, before as many are written
    say("writing the bundle")
    _write_files(folder, protos, plan, embeddings)
    if model.concepts is not None:
        write_concepts(folder, plan.concepts)
        write_basis(folder, model.concepts)
    if plan.ship_checkpoint:
        provenance = Provenance(plan.trained, plan.source, plan.accuracy, plan.temperature)
        save_checkpoint(
            model, folder / CHECKPOINT, torch.float16, provenance=provenance, concepts=plan.concepts
        )
    manifest = Manifest(
        name=plan.name,
        version=plan.version,
        licence=plan.licence,
        source=plan.source,
        trained=plan.trained,
        image=ImageInput(config.image.image_size, config.image.mean, config.image.std),
        feature_dim=config.image.feature_dim,
        embedding_dim=config.embedding_dim,
        logit_scale=float(model.logit_scale.detach()),
        temperature=plan.temperature,
        calibration=plan.calibration,
        concept_count=len(plan.concepts),
        accuracy=plan.accuracy,
        parity=parity,
    )
    protos.clear()  # as well, before more is built
    manifest = complete(NewBundle(folder, manifest, photos, coordinates, embeddings))
    text = card(manifest, len(coordinates), plan.gallery_method)
    (folder / bundle.CARD).write_text(text, encoding="utf-8")
    return write_manifest(folder, manifest)


def embed_coordinates(
    session: onnxruntime.InferenceSession, coordinates: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Degrees (M, 2) to embeddings (M, d): projected in float64, then by the exported location encoder."""
    return run_batched(session, project(coordinates).astype(np.float32), GALLERY_BATCH)


def _write_files(
    folder: Path, protos: dict[str, onnx.ModelProto], plan: BundlePlan, embeddings: NDArray[np.float32]
) -> None:
    for name, proto in protos.items():
        (folder / name).write_bytes(graphs.graph_bytes(proto))
    places = PlaceIndex.load().nearest_ids(plan.gallery.coordinates)  # (M,)
    np.save(folder / bundle.GALLERY_COORDINATES, plan.gallery.coordinates)
    np.save(folder / bundle.GALLERY_WEIGHTS, plan.gallery.weights)
    np.save(folder / bundle.GALLERY_EMBEDDINGS, embeddings.astype(plan.gallery_dtype))
    np.save(folder / bundle.GALLERY_PLACES, places.astype(np.int64))
