"""What a training is recognised by when it is resumed: its data and the weights that it started from."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from geolocate_export.feature_set import FeatureSet
from geolocate_export.grounding import Geography

#: Photos whose features are looked at, evenly spaced: reading all could take minutes.
SAMPLED_PHOTOS = 256
#: Weights are the same if no tensor's sum moved by more than this share of its norm. Other random weights
#: move it by about 1, the rounding of another machine by 1e-6.
TOLERANCE = 1e-3


def data_fingerprint(
    photo_sets: tuple[FeatureSet | None, ...], gallery: NDArray[np.float64], geography: Geography | None
) -> str:
    """SHA-256 of what is learned from and measured on; of the features, shape and a sample of photos."""
    digest = hashlib.sha256()
    arrays: list[NDArray[Any]] = [gallery]
    for photos in photo_sets:
        digest.update(b"none" if photos is None else repr(photos.features.shape).encode())
        if photos is not None:
            rows = np.unique(np.linspace(0, len(photos) - 1, SAMPLED_PHOTOS).astype(np.intp))
            arrays += [photos.coordinates, photos.features[rows]]
    if geography is not None:
        arrays += [geography.coordinates, geography.truths, geography.held_out, geography.learned]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def sketch(module: nn.Module) -> dict[str, list[float]]:
    """The sum and the norm of each of a module's tensors, by name."""
    tensors = {name: tensor.detach().double() for name, tensor in module.state_dict().items()}
    return {name: [tensor.sum().item(), tensor.norm().item()] for name, tensor in tensors.items()}


def same_weights(first: dict[str, list[float]], second: dict[str, list[float]]) -> bool:
    """Whether two sketches can be of the same weights."""
    return first.keys() == second.keys() and all(
        abs(first[name][at] - second[name][at]) <= TOLERANCE * max(first[name][1], second[name][1])
        for name in first
        for at in (0, 1)
    )
