"""The loss of one training step: what is drawn, encoded and contrasted.

N photos of a batch, Q coordinates in the queue, G points of geography, V views, K concepts, c width of the
features, d of the shared space.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors
from geolocate_export import concept_alignment
from geolocate_export.coordinate_queue import CoordinateQueue, add_noise
from geolocate_export.feature_set import FeatureSet
from geolocate_export.grounding import Geography, Grounding
from geolocate_export.held_out import plane_coordinates
from geolocate_export.model import GeoModel
from geolocate_export.training_config import TrainingConfig

#: Names of what the loss is the sum of.
LOSS_PARTS = ("contrast", "concept_contrast", "divergence", "grounding")
#: CLIP's bound on the factor of the cosines.
MAX_LOGIT_SCALE = math.log(100.0)


class Heads(nn.Module):
    """The parts of a model that are trained, and the grounding beside them, without the image tower."""

    def __init__(self, model: GeoModel, grounding: Grounding | None) -> None:
        super().__init__()
        self.image_mlp = model.image_encoder.mlp
        self.location_encoder = model.location_encoder
        self.logit_scale = model.logit_scale
        self.concepts = model.concepts
        self.grounding = grounding

    @torch.no_grad()
    def clamp_scales(self) -> None:
        """Keeps the factors of the cosines where CLIP keeps its own."""
        self.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        if self.concepts is not None:
            self.concepts.logit_scale.clamp_(max=MAX_LOGIT_SCALE)


class Objective:
    """Draws what a step needs besides its photos, and computes its loss.

    Args:
        model: on `device`.
        data: the photos; None where only geography is learned from.
        geography: None, or with the weight 0, grounds nothing.
        queue: as long as the recipe says.
    """

    def __init__(
        self,
        model: GeoModel,
        config: TrainingConfig,
        data: FeatureSet | None,
        geography: Geography | None,
        queue: CoordinateQueue,
        device: torch.device,
    ) -> None:
        self.model, self.config, self.data, self.queue = model, config, data, queue
        self.device = device
        grounded = geography is not None and config.grounding.weight > 0
        self.geography = geography if grounded else None
        self.grounding: Grounding | None = None
        if self.geography is not None:
            self._learned = np.flatnonzero(self.geography.learned)
            self.grounding = Grounding(self.geography.truths[:, self._learned])
            self._truths = torch.from_numpy(self.geography.truths).to(device)  # (K, M)
        self.heads = Heads(model, self.grounding).to(device)

    def __call__(
        self, rows: NDArray[np.intp], generator: np.random.Generator
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss over the photos of those rows (N,), and its parts as :data:`LOSS_PARTS`, unweighted.

        All coordinates of the step go through the location encoder at once.
        """
        places, noisy = np.empty((0, 2)), np.empty((0, 2))
        if self.data is not None:
            own = self.data.coordinates[rows]  # (N, 2)
            noisy = add_noise(own, self.config.noise_m, generator)  # (N, 2)
            queued = add_noise(self.queue.coordinates, self.config.queue_noise_m, generator)  # (Q, 2)
            self.queue.push(own)
            places = np.concatenate((noisy, queued))  # (N + Q, 2)
        ground = self._draw_ground(generator)  # (G,)
        points = places
        if self.geography is not None:
            points = np.concatenate((places, self.geography.coordinates[ground]))  # (N + Q + G, 2)
        plane = self._send(plane_coordinates(points, self.model.config.location))  # (N + Q + G, 2)
        with self._autocast():
            x_loc = self.model.location_encoder(plane)  # (N + Q + G, d)
        x_loc = x_loc.float()
        zero = x_loc.new_zeros(())
        parts = (zero, zero, zero, zero)
        if self.data is not None:
            views = generator.integers(self.data.features.shape[1], size=len(rows))  # (N,)
            features = self._send(self.data.features[rows, views].astype(np.float32))  # (N, c)
            excluded = self._too_near(noisy, places)  # (N, N + Q) or None
            parts = (*self._alignment(features, x_loc[: len(places)], excluded), zero)
        if self.grounding is not None and self.model.concepts is not None:
            scores = x_loc[len(places) :] @ self.model.concepts.basis.T  # (G, K)
            parts = (*parts[:3], self.grounding(scores, self._truths[:, self._send(ground)]))
        contrast, concept_contrast, divergence, grounding = parts
        loss = contrast + concept_contrast
        loss = loss + self.config.alignment.weight * divergence + self.config.grounding.weight * grounding
        return loss, parts

    def _alignment(
        self, features: Tensor, x_loc: Tensor, excluded: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Contrast in the feature space and in the concept space, and the divergence.

        Args:
            features: raw (N, c).
            x_loc: the photos' own locations and the queue's (N + Q, d).
        """
        with self._autocast():
            x_img = self.model.image_encoder.head(features)  # (N, d)
        x_img = x_img.float()
        concepts, alignment = self.model.concepts, self.config.alignment
        contrast = concept_contrast = divergence = x_img.new_zeros(())
        if concepts is None or alignment.space != "concept":
            contrast = concept_alignment.contrast(x_img, x_loc, self.model.logit_scale, excluded)
        if concepts is not None:
            z_img, z_loc = concepts(x_img), concepts.location_scores(x_loc)  # (N, K), (N + Q, K)
            if alignment.space != "feature":
                concept_contrast = concept_alignment.contrast(z_img, z_loc, concepts.logit_scale, excluded)
            divergence = concept_alignment.divergence(alignment.divergence, z_img, z_loc[: len(z_img)])
        return contrast, concept_contrast, divergence

    def _draw_ground(self, generator: np.random.Generator) -> NDArray[np.intp]:
        """Rows (G,) of the geography that are learned from in this step."""
        if self.geography is None:
            return np.empty(0, np.intp)
        drawn: NDArray[np.intp] = self._learned[
            generator.integers(len(self._learned), size=self.config.grounding.points)
        ]
        return drawn

    def _too_near(self, own: NDArray[np.float64], places: NDArray[np.float64]) -> Tensor | None:
        """Which places (N + Q, 2) are no negatives of a photo at (N, 2): bool (N, N + Q)."""
        if self.config.negatives_beyond_km == 0:
            return None
        photos, others = (self._send(unit_vectors(*points.T)) for points in (own, places))  # (., 3) float64
        radians = min(self.config.negatives_beyond_km / EARTH_RADIUS_KM, math.pi)
        near = photos @ others.T >= math.cos(radians)  # (N, N + Q)
        return near.fill_diagonal_(False)

    def _send(self, array: NDArray[Any]) -> Tensor:
        """To the device, without waiting for it."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.device.type == "cuda" and self.config.mixed_precision:
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return contextlib.nullcontext()
