"""The published GeoCLIP as a bundle: local CLIP weights, and heads and gallery of the geoclip package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from geolocate.bundle import Manifest
from geolocate.published import GEOCLIP
from geolocate_export.clip_weights import load_clip
from geolocate_export.geoclip import find_geoclip_files, geoclip_model, load_gallery, load_heads
from geolocate_export.to_onnx import BundlePlan, export_bundle

#: Largest difference from torch: twenty-four layers add up more rounding than the starter's.
PARITY_LIMIT = 1e-4
GALLERY_METHOD = (
    "The gallery published with GeoCLIP: 100,000 coordinates of its training photos, equal ones joined, "
    "their number being the weight."
)


def build_geoclip(
    output: Path,
    clip_weights: Path,
    heads: Path | None = None,
    *,
    say: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Exports the published GeoCLIP to the folder `output`, where nothing stands yet.

    Args:
        clip_weights: as :func:`load_clip`.
        heads: folder with GeoCLIP's files; None takes the installed package.
        say: gets a line at each step.

    Raises:
        ExtraMissing, WeightsError, GalleryError: the weights or the gallery cannot be had.
        OutputError, ParityError: as :func:`export_bundle`.
    """
    files = find_geoclip_files(heads, say=say)
    gallery = load_gallery(files)
    say(f"reading {clip_weights}")
    clip = load_clip(clip_weights)
    model = geoclip_model(load_heads(files), clip.image, clip.vision)
    plan = BundlePlan(
        name=GEOCLIP.name,
        version="1",
        licence=GEOCLIP.licence,
        source=f"Backbone: {clip.source}. Heads and gallery: {files.source}.",
        trained=True,
        gallery=gallery,
        gallery_method=GALLERY_METHOD,
        parity_limit=PARITY_LIMIT,
    )
    del clip
    return export_bundle(model, plan, output, say=say)
