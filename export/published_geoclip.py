"""The published GeoCLIP as a bundle: CLIP weights of this machine, GeoCLIP's own heads and gallery.

torch has two exporters; `benchmarks/exporters.py` compares them on this image encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from geolocate.bundle import Manifest
from geolocate.gallery_csv import read_gallery
from geolocate.published import GEOCLIP
from geolocate_export.clip_weights import load_clip
from geolocate_export.geoclip import find_geoclip_files, geoclip_model, load_gallery, load_heads
from geolocate_export.text_parts import add_text
from geolocate_export.to_onnx import BundlePlan, NewBundle, export_bundle, refuse_existing
from geolocate_export.variants import add_precisions, check_precisions
from geolocate_export.zero_shot import add_zero_shot_concepts

VERSION = "1"
#: Largest difference from torch: twenty-four layers add up more rounding than the starter's.
PARITY_LIMIT = 1e-4
GALLERY_METHOD = (
    "The gallery published with GeoCLIP: 100,000 coordinates sampled from the MediaEval Placing Tasks 2016 "
    "photos, equal ones joined, their number being the weight."
)


def build_geoclip(
    output: Path,
    clip_weights: Path | None = None,
    heads: Path | None = None,
    *,
    precisions: Sequence[str] = ("fp32", "int8"),
    photos: Path | None = None,
    gallery: Path | None = None,
    accept_unpinned: bool = False,
    parity_limit: float = PARITY_LIMIT,
    force: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Exports the published GeoCLIP to the folder `output`.

    Args:
        clip_weights: as :func:`load_clip`; None downloads.
        heads: folder with GeoCLIP's files; None takes the installed package.
        precisions: variants of the image encoder, as :func:`add_precisions`.
        photos: folder of photos for the means of the modality gap, as :func:`add_text`, and the concepts.
        gallery: CSV of coordinates in place of the published ones.
        accept_unpinned: take heads of another release than the pinned one.
        parity_limit: largest difference from torch, text encoder included.
        force: replace a bundle that stands at `output`.
        say: gets a line at each step.

    Raises:
        ExtraMissing, WeightsError, GalleryError: the weights or the gallery cannot be had.
        OutputError, ParityError: as :func:`export_bundle`.
        UsageError: as :func:`add_precisions` and :func:`add_text`.
    """
    refuse_existing(output, force)  # before the work, not after it
    check_precisions(precisions)
    files = find_geoclip_files(heads, accept_unpinned=accept_unpinned, say=say)
    points = load_gallery(files) if gallery is None else read_gallery(gallery)
    method = GALLERY_METHOD if gallery is None else f"From {gallery.name}, equal coordinates joined."
    say(f"reading {clip_weights or 'CLIP'}")
    clip = load_clip(clip_weights, say=say)
    model = geoclip_model(load_heads(files), clip.image, clip.vision)
    clip = replace(clip, vision={})  # the model has its own copy, of more than a gigabyte
    plan = BundlePlan(
        name=GEOCLIP.name,
        version=VERSION,
        licence=GEOCLIP.licence,
        source=f"Backbone: {clip.source}. Heads and gallery: {files.source}.",
        trained=True,
        gallery=points,
        gallery_method=method,
        parity_limit=parity_limit,
    )

    def complete(new: NewBundle) -> Manifest:
        if clip.text is not None:
            manifest, mean_embedding = add_text(new, clip, model, photos, parity_limit, say=say)
            new = replace(new, manifest=manifest)
            manifest = add_zero_shot_concepts(new, clip, model, mean_embedding, say=say)
            new = replace(new, manifest=manifest)
        return add_precisions(new, model, precisions, say=say)

    return export_bundle(model, plan, output, force=force, complete=complete, say=say)
