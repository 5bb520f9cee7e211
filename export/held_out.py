"""What a model in training is worth on photos that it does not learn from: retrieval over a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geolocate.equal_earth import project
from geolocate.evaluation.distances import pair_distances_km
from geolocate.evaluation.metrics import ACCURACY_THRESHOLDS_KM
from geolocate_export.feature_set import FeatureSet
from geolocate_export.model import GeoModel, LocationConfig

#: Points or photos that are encoded at once.
BATCH = 4096
#: One degree is so much of the plane that the location encoder sees, where degrees are taken plainly.
DEGREE_SCALE = 1.0 / 180.0


def plane_coordinates(coordinates: NDArray[np.float64], config: LocationConfig) -> NDArray[np.float32]:
    """What a location encoder takes for degrees (M, 2): float32 (M, 2), projected in float64."""
    if config.projection == "degrees":
        return (coordinates[:, ::-1] * DEGREE_SCALE).astype(np.float32)
    return project(coordinates).astype(np.float32)


@torch.inference_mode()
def embed_locations(model: GeoModel, coordinates: NDArray[np.float64]) -> Tensor:
    """Degrees (M, 2) to location embeddings (M, d), on the model's device."""
    plane = torch.from_numpy(plane_coordinates(coordinates, model.config.location))  # (M, 2)
    device = model.logit_scale.device
    return torch.cat([model.location_encoder(part.to(device)) for part in torch.split(plane, BATCH)])


@torch.inference_mode()
def embed_features(model: GeoModel, features: NDArray[np.floating[Any]]) -> Tensor:
    """Raw features (P, c) to image embeddings (P, d), on the model's device."""
    device = model.logit_scale.device
    parts = (np.ascontiguousarray(features[at : at + BATCH], np.float32) for at in _starts(len(features)))
    return torch.cat([model.image_encoder.head(torch.from_numpy(part).to(device)) for part in parts])


@dataclass(frozen=True)
class HeldOut:
    """Distances of the best gallery points from the truth.

    Attributes:
        km: by retrieval in the feature space, which is what the program does, (P,).
        concept_km: by retrieval in the concept space, (P,); None where the model has no concepts.
        loss: mean cross-entropy of the photos against their own places and the gallery.
    """

    km: NDArray[np.float64]
    concept_km: NDArray[np.float64] | None
    loss: float


@torch.inference_mode()
def evaluate(model: GeoModel, data: FeatureSet, gallery: NDArray[np.float64]) -> HeldOut:
    """Places the photos of `data`, as inference sees them (view 0), on the gallery (M, 2)."""
    images = embed_features(model, data.features[:, 0])  # (P, d)
    points = embed_locations(model, gallery)  # (M, d)
    km = retrieval_km(images, points, data.coordinates, gallery)
    own = embed_locations(model, data.coordinates)  # (P, d)
    factor = model.logit_scale.exp()
    losses = []
    for image, place in zip(torch.split(images, BATCH), torch.split(own, BATCH), strict=True):
        right = factor * (image * place).sum(dim=1, keepdim=True)  # (B, 1)
        logits = torch.cat((right, factor * image @ points.T), dim=1)  # (B, 1 + M)
        losses.append(logits.logsumexp(dim=1) - right[:, 0])  # (B,)
    loss = float(torch.cat(losses).mean())
    if model.concepts is None:
        return HeldOut(km, None, loss)
    z_img, z_loc = model.concepts(images), model.concepts.location_scores(points)  # (P, K), (M, K)
    return HeldOut(km, retrieval_km(z_img, z_loc, data.coordinates, gallery), loss)


def retrieval_km(
    images: Tensor, points: Tensor, coordinates: NDArray[np.float64], gallery: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Great-circle km (P,) from the truth (P, 2) to the gallery points (M, 2) most like each image (P, d)."""
    best = (
        torch.cat([(part @ points.T).argmax(dim=1) for part in torch.split(images, BATCH)]).cpu().numpy()
    )  # (P,)
    return pair_distances_km(coordinates, gallery[best])


def shares_within(km: NDArray[np.float64]) -> dict[float, float]:
    """Share of guesses (0 to 1) within each of the literature's distances."""
    return {threshold: float((km <= threshold).mean()) for threshold in ACCURACY_THRESHOLDS_KM}


def _starts(count: int) -> Iterator[int]:
    yield from range(0, count, BATCH)
