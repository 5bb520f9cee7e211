"""The published GeoCLIP: heads and gallery out of the `geoclip` distribution, whose code is never imported.

Source: https://github.com/VicenteVivan/geo-clip (MIT), package `geoclip` on PyPI; paper arXiv 2309.16020. The
files are found by name in the installed distribution or in a folder, and held against the SHA-256 of 1.3.0.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geolocate.bundle import sha256_of
from geolocate.errors import ExtraMissing, WeightsError
from geolocate.gallery_csv import GalleryPoints, read_gallery
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig

DISTRIBUTION = "geoclip"
LICENCE = "MIT"
#: The release whose files are pinned here.
PINNED_VERSION = "1.3.0"

IMAGE_MLP_FILE = "image_encoder_mlp_weights.pth"
LOCATION_FILE = "location_encoder_weights.pth"
LOGIT_SCALE_FILE = "logit_scale_weights.pth"
GALLERY_FILE = "coordinates_100K.csv"
#: SHA-256 of the four files in release 1.3.0.
PINNED_SHA256: Mapping[str, str] = {
    IMAGE_MLP_FILE: "5342c391eec961796d04d02f2bd670bfa97b34ce32c656d0e0676581103c2c14",
    LOCATION_FILE: "94b80ae3af89fca78539e129dd2929d321247f5ceeeb0a31bc2c31041a253394",
    LOGIT_SCALE_FILE: "9568e2e09dd19083082bf285b2c0c126867e40dbd275a8ee8c621888b861904e",
    GALLERY_FILE: "3a00b1ba58f13443db726533b6399b39609e292df09d4e58792fa5949d1838b1",
}
#: Before the capsule's number, in GeoCLIP's names and in ours.
CAPSULE_PREFIX, OUR_CAPSULE_PREFIX = "LocEnc", "capsules."


@dataclass(frozen=True, slots=True)
class GeoclipFiles:
    """Where the published files lie.

    Attributes:
        paths: by name, all four of :data:`PINNED_SHA256`.
        version: of the distribution; empty where they come from a folder.
        pinned: whether every file is that of :data:`PINNED_VERSION`, byte for byte.
    """

    paths: Mapping[str, Path]
    version: str
    pinned: bool

    @property
    def source(self) -> str:
        """For the manifest: what the heads are."""
        if self.pinned:
            return f"{DISTRIBUTION} {PINNED_VERSION}"
        return f"{DISTRIBUTION} {self.version or 'from a folder'} (files not pinned)"


@dataclass(frozen=True, slots=True)
class GeoclipHeads:
    """What GeoCLIP trained, under the names of this project's modules.

    Attributes:
        image_mlp: state of `ImageEncoder.mlp`, 768 -> 768 -> 512.
        location_encoder: state of `LocationEncoder`, frequencies included.
        logit_scale: natural logarithm of the factor on the cosine.
    """

    image_mlp: Mapping[str, Tensor]
    location_encoder: Mapping[str, Tensor]
    logit_scale: float


def find_geoclip_files(
    folder: Path | None = None,
    *,
    accept_unpinned: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> GeoclipFiles:
    """Finds the published files and checks their SHA-256.

    Args:
        folder: searched with its subfolders, in place of the installed distribution.
        accept_unpinned: take files of another release; `say` is told which.

    Raises:
        ExtraMissing: no folder was given and `geoclip` is not installed.
        WeightsError: a file is missing, there more than once, or not the pinned one without being accepted.
    """
    if folder is None:
        version, candidates = _installed_files()
        origin = f"{DISTRIBUTION} {version}"
    else:
        version, origin = "", str(folder)
        candidates = [path for path in folder.rglob("*") if path.name in PINNED_SHA256 and path.is_file()]
    paths = {}
    for name in PINNED_SHA256:
        found = [path for path in candidates if path.name == name]
        if len(found) != 1:
            raise WeightsError(f"{origin} has {'no' if not found else 'more than one'} {name}")
        paths[name] = found[0]
    differing = [name for name, path in paths.items() if sha256_of(path) != PINNED_SHA256[name]]
    if differing:
        message = f"{origin}: not the files of {DISTRIBUTION} {PINNED_VERSION}: {', '.join(differing)}"
        if not accept_unpinned:
            raise WeightsError(f"{message}; accept them expressly if you trust where they come from")
        say(f"{message}; taken as asked")
    return GeoclipFiles(paths, version, not differing)


def _installed_files() -> tuple[str, list[Path]]:
    """Version and data files of the installed distribution, from its record: nothing of it is imported."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise ExtraMissing("the published GeoCLIP's heads need", "export") from None
    listed = [entry for entry in distribution.files or [] if entry.name in PINNED_SHA256]
    return distribution.version, [
        path for path in (Path(str(entry.locate())) for entry in listed) if path.is_file()
    ]


def load_heads(files: GeoclipFiles) -> GeoclipHeads:
    """Reads the heads; a pickle that holds more than tensors is refused before anything in it runs.

    Raises:
        WeightsError: a file is no state of tensors, or its keys are not those of GeoCLIP.
    """
    image_mlp = _state(files.paths[IMAGE_MLP_FILE])
    location = {}
    for name, tensor in _state(files.paths[LOCATION_FILE]).items():
        if not name.startswith(CAPSULE_PREFIX):
            raise WeightsError(f"{LOCATION_FILE} has the unknown key {name!r}")
        location[OUR_CAPSULE_PREFIX + name.removeprefix(CAPSULE_PREFIX)] = tensor
    scale = _load(files.paths[LOGIT_SCALE_FILE])
    if not isinstance(scale, Tensor) or scale.numel() != 1 or not math.isfinite(float(scale)):
        raise WeightsError(f"{LOGIT_SCALE_FILE} is not one number")
    return GeoclipHeads(image_mlp, location, float(scale))


def load_gallery(files: GeoclipFiles) -> GalleryPoints:
    """The published gallery: 94,123 distinct coordinates in float64, with weights that sum to 100,000.

    Raises:
        GalleryError: the file is no gallery.
    """
    return read_gallery(files.paths[GALLERY_FILE])


def geoclip_model(
    heads: GeoclipHeads, image: ImageConfig, vision_state: Mapping[str, Tensor] | None = None
) -> GeoModel:
    """The published model, in evaluation mode.

    Args:
        image: the backbone's sizes.
        vision_state: its weights; without them the backbone stays random; only what follows is GeoCLIP.

    Raises:
        WeightsError: backbone and heads do not fit each other, key by key and size by size.
    """
    width, embedding_dim = _sizes(heads)
    if image.feature_dim != width:
        raise WeightsError(
            f"the backbone's features have width {image.feature_dim}, GeoCLIP's heads take {width}"
        )
    model = GeoModel(ModelConfig(image, LocationConfig(), embedding_dim))
    try:
        model.image_encoder.mlp.load_state_dict(dict(heads.image_mlp))
        model.location_encoder.load_state_dict(dict(heads.location_encoder))
        if vision_state is not None:
            assert model.image_encoder.backbone is not None, "weights are given for a tower that there is"
            model.image_encoder.backbone.load_state_dict(dict(vision_state))
    except RuntimeError as error:
        raise WeightsError(f"the weights do not fit GeoCLIP: {' '.join(str(error).split())}") from error
    with torch.no_grad():
        model.logit_scale.fill_(heads.logit_scale)
    return model.eval()


def _sizes(heads: GeoclipHeads) -> tuple[int, int]:
    """Widths c and d of the heads."""
    try:
        return heads.image_mlp["0.weight"].shape[1], heads.image_mlp["2.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise WeightsError(f"{IMAGE_MLP_FILE} is not GeoCLIP's image head") from error


def _state(path: Path) -> dict[str, Tensor]:
    state = _load(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path.name} is no table of tensors")
    return {
        str(name): tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()
    }


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} holds more than tensors and was not loaded: a pickle can run code"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
