"""The training loop: heads, location encoder and concept module, on features that are computed already.

Reference: GeoCLIP (arXiv 2309.16020): each step contrasts a batch of photos with the batch's locations and a
queue of earlier ones. N photos of a batch, Q coordinates in the queue, G points of geography, P photos, V
views, M gallery points, K concepts, c width of the features, d of the shared space.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geolocate.errors import TrainingError
from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors
from geolocate_export import concept_alignment, held_out
from geolocate_export.coordinate_queue import CoordinateQueue, add_noise
from geolocate_export.feature_set import FeatureSet
from geolocate_export.grounding import Geography, Grounding, concept_auc
from geolocate_export.model import GeoModel
from geolocate_export.training_config import TrainingConfig
from geolocate_export.training_state import (
    STATE_NAME,
    TrainingState,
    copy_weights,
    optimiser_tensors,
    restore_optimiser,
)

METRICS_NAME = "metrics.csv"
#: CLIP's bound on the factor of the cosines.
MAX_LOGIT_SCALE = math.log(100.0)
#: Names of what the loss is the sum of, in the order of the metrics.
LOSS_PARTS = ("contrast", "concept_contrast", "divergence", "grounding")
#: Random numbers of different uses come from different streams of one seed.
_DATA_STREAM, _QUEUE_STREAM, _EPOCH_STREAM = range(3)


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One row of metrics.csv; NaN where nothing was measured.

    Attributes:
        epoch: from 1.
        steps: of this epoch.
        learning_rate: in this epoch.
        loss, contrast, concept_contrast, divergence, grounding: means over the steps; the parts without their
            weights.
        held_out_loss, median_km, within_1_km, ..., within_2500_km: on the held-out photos.
        concept_median_km: the same by retrieval in the concept space.
        concept_auc: median over the concepts with facts, in the held-out regions.
        seconds: of the whole epoch; the one value that differs when a run is repeated.
    """

    epoch: int
    steps: int
    learning_rate: float
    loss: float
    contrast: float
    concept_contrast: float
    divergence: float
    grounding: float
    held_out_loss: float = math.nan
    median_km: float = math.nan
    within_1_km: float = math.nan
    within_25_km: float = math.nan
    within_200_km: float = math.nan
    within_750_km: float = math.nan
    within_2500_km: float = math.nan
    concept_median_km: float = math.nan
    concept_auc: float = math.nan
    seconds: float = math.nan


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training came to.

    Attributes:
        model: the one that was given, with the weights of the best epoch, in evaluation mode.
        epochs: metrics of all epochs.
        best_epoch: from 1; the last one where nothing was held out.
        concept_auc: by the best weights in the held-out regions, (K,); None without geography.
    """

    model: GeoModel
    epochs: tuple[EpochMetrics, ...]
    best_epoch: int
    concept_auc: NDArray[np.float64] | None


def train(
    model: GeoModel,
    config: TrainingConfig,
    data: FeatureSet | None,
    held_out_data: FeatureSet | None,
    gallery: NDArray[np.float64],
    folder: Path,
    *,
    geography: Geography | None = None,
    device: str = "cpu",
    resume: bool = False,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
    on_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
) -> TrainingResult:
    """Trains a model's heads; its image tower, where it has one, is not touched.

    Args:
        model: as it starts; changed in place.
        data: photos to learn from; None learns from the geography alone.
        held_out_data: photos of other places, for the metrics and the early stop.
        gallery: degrees (M, 2): where the queue starts and where held-out photos are placed.
        folder: for metrics.csv and state.safetensors, written after each epoch.
        geography: what the location scores of the model's concepts are grounded in, and measured on.
        device: of torch.
        resume: go on with the training in `folder`.
        on_step: is told the step of the whole training, from 1, and how many there are at most.
        on_epoch: is told each epoch's metrics.

    Raises:
        TrainingError: `folder` holds a training and `resume` was not asked; what is resumed is another
            training; there is nothing to learn from; or the loss is no number any more.
    """
    run = _Run(model, config, data, held_out_data, gallery, geography, torch.device(device))
    folder.mkdir(parents=True, exist_ok=True)
    if resume:
        run.restore(TrainingState.load(folder))
    elif (folder / STATE_NAME).exists():
        raise TrainingError(f"{folder} holds a training; resume it or take another folder")
    while run.goes_on():
        metrics = run.epoch(on_step)
        _write_metrics(folder / METRICS_NAME, run.history)
        run.state().save(folder)
        on_epoch(metrics)
    return run.result()


class _Run:
    """A training between two epochs."""

    def __init__(
        self,
        model: GeoModel,
        config: TrainingConfig,
        data: FeatureSet | None,
        held_out_data: FeatureSet | None,
        gallery: NDArray[np.float64],
        geography: Geography | None,
        device: torch.device,
    ) -> None:
        if geography is not None and (
            model.concepts is None or len(geography.truths) != len(model.concepts.anchor)
        ):
            raise TrainingError("geography needs a model with as many concepts as it has facts")
        self.model, self.config, self.device = model, config, device
        self.data = _share(data, config) if data is not None else None
        self.held_out_data, self.gallery, self.geography = held_out_data, gallery, geography
        self.grounding: Grounding | None = None
        if geography is not None and config.grounding.weight > 0:
            self.learned = np.flatnonzero(~geography.held_out)  # rows of the geography that are learned from
            self.grounding = Grounding(geography.truths[:, self.learned])
            self.truths = torch.from_numpy(geography.truths).to(device)  # (K, M)
        if self.data is None and (self.grounding is None or config.steps is None):
            raise TrainingError("without photos there must be geography, a grounding weight and steps")
        photos = 0 if self.data is None else len(self.data)
        self.steps = config.steps or max(1, round(photos / config.batch_size))
        self.heads = _Heads(model, self.grounding).to(device)
        self.trained = self._trained_parameters()
        self.optimiser = _optimiser(config, list(self.trained.values()))
        generator = np.random.default_rng((config.seed, _QUEUE_STREAM))
        length = config.queue_length if self.data is not None else 0
        self.queue = CoordinateQueue.from_gallery(gallery, length, generator)
        self.history: list[EpochMetrics] = []
        self.best = copy_weights(self.heads)
        self.best_epoch = 0
        self.best_value = math.inf

    def _trained_parameters(self) -> dict[str, nn.Parameter]:
        """By name, what the optimiser changes; everything else, the tower included, stands still."""
        prefixes = {
            "image": "image_mlp.",
            "location": "location_encoder.",
            "logit_scale": "logit_scale",
            "concepts": "concepts.",
        }
        frozen = tuple(prefixes[part] for part in self.config.frozen)
        trained = {}
        for name, parameter in self.heads.named_parameters():
            parameter.requires_grad_(not name.startswith(frozen))
            if parameter.requires_grad:
                trained[name] = parameter
        if not trained:
            raise TrainingError("every part is frozen: there is nothing to train")
        return trained

    def goes_on(self) -> bool:
        """Whether another epoch follows."""
        done, patience = len(self.history), self.config.patience
        waits = patience is None or self.held_out_data is None or done - self.best_epoch < patience
        return done < self.config.epochs and waits

    def epoch(self, on_step: Callable[[int, int], None]) -> EpochMetrics:
        """One pass over the photos."""
        started = time.monotonic()
        number = len(self.history)  # from 0
        generator = np.random.default_rng((self.config.seed, _EPOCH_STREAM, number))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate_in(number)
        self.heads.train()
        totals = torch.zeros(1 + len(LOSS_PARTS), device=self.device)  # never read before the epoch ends
        for step, rows in enumerate(self._batches(generator), 1):
            self.optimiser.zero_grad(set_to_none=True)
            loss, parts = self._losses(rows, generator)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.heads.clamp_scales()
            totals += torch.stack((loss.detach(), *(part.detach() for part in parts)))
            on_step(number * self.steps + step, self.config.epochs * self.steps)
        self.heads.eval()
        means = (totals / self.steps).tolist()
        if not math.isfinite(means[0]):
            raise TrainingError(f"the loss is no number in epoch {number + 1}; try a smaller learning rate")
        measured = self._measure()
        measured["seconds"] = time.monotonic() - started
        metrics = EpochMetrics(
            number + 1,
            self.steps,
            self.config.learning_rate_in(number),
            *means,
            **measured,
        )
        self.history.append(metrics)
        value = metrics.median_km if self.config.stop_metric == "median_km" else metrics.held_out_loss
        if self.held_out_data is None or value < self.best_value:
            self.best, self.best_epoch, self.best_value = copy_weights(self.heads), number + 1, value
        return metrics

    def _batches(self, generator: np.random.Generator) -> Iterator[NDArray[np.intp]]:
        """Rows of the photos of each step; no photo comes twice before all have come once."""
        if self.data is None:
            yield from [np.empty(0, np.intp)] * self.steps
            return
        photos = len(self.data)
        needed = photos
        if self.config.steps is not None:
            needed = self.config.steps * min(self.config.batch_size, photos)
        rounds = math.ceil(needed / photos)
        order = np.concatenate([generator.permutation(photos) for _ in range(rounds)])
        yield from np.array_split(order[:needed], self.steps)

    def _losses(
        self, rows: NDArray[np.intp], generator: np.random.Generator
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss of one step and its parts, as :data:`LOSS_PARTS`."""
        config, model = self.config, self.model
        places = np.empty((0, 2))
        if self.data is not None:
            own = self.data.coordinates[rows]
            noisy = add_noise(own, config.noise_m, generator)  # (N, 2)
            queued = add_noise(self.queue.coordinates, config.queue_noise_m, generator)  # (Q, 2)
            self.queue.push(own)
            places = np.concatenate((noisy, queued))  # (N + Q, 2)
        ground = np.empty(0, np.intp)
        if self.geography is not None and self.grounding is not None:
            ground = self.learned[generator.integers(len(self.learned), size=config.grounding.points)]  # (G,)
            all_places = np.concatenate((places, self.geography.coordinates[ground]))
        else:
            all_places = places
        plane = self._send(held_out.plane_coordinates(all_places, model.config.location))  # (N + Q + G, 2)
        with self._autocast():
            x_loc = model.location_encoder(plane)  # (N + Q + G, d)
        x_loc = x_loc.float()
        nothing = x_loc.new_zeros(())
        contrast = concept_contrast = divergence = grounding = nothing
        alignment = config.alignment
        if self.data is not None:
            views = generator.integers(self.data.features.shape[1], size=len(rows))  # (N,)
            features = self._send(self.data.features[rows, views].astype(np.float32))  # (N, c)
            with self._autocast():
                x_img = model.image_encoder.head(features)  # (N, d)
            x_img = x_img.float()
            candidates = x_loc[: len(places)]  # (N + Q, d)
            excluded = self._excluded(noisy, places)  # (N, N + Q) or None
            if model.concepts is None or alignment.space != "concept":
                contrast = concept_alignment.contrast(x_img, candidates, model.logit_scale, excluded)
            if model.concepts is not None:
                z_img = model.concepts(x_img)  # (N, K)
                z_loc = model.concepts.location_scores(candidates)  # (N + Q, K)
                if alignment.space != "feature":
                    concept_contrast = concept_alignment.contrast(
                        z_img, z_loc, model.concepts.logit_scale, excluded
                    )
                divergence = concept_alignment.divergence(alignment.divergence, z_img, z_loc[: len(rows)])
        if self.grounding is not None and model.concepts is not None:
            scores = x_loc[len(places) :] @ model.concepts.basis.T  # (G, K)
            grounding = self.grounding(scores, self.truths[:, self._send(ground)])
        loss = (
            contrast + concept_contrast + alignment.weight * divergence + config.grounding.weight * grounding
        )
        return loss, (contrast, concept_contrast, divergence, grounding)

    def _excluded(self, noisy: NDArray[np.float64], places: NDArray[np.float64]) -> Tensor | None:
        """Which of the places (N + Q) are too near to a photo's own (N) to be its negatives, bool."""
        if self.config.negatives_beyond_km == 0:
            return None
        own, others = (self._send(unit_vectors(*points.T)) for points in (noisy, places))  # (., 3) float64
        radians = min(self.config.negatives_beyond_km / EARTH_RADIUS_KM, math.pi)
        near = own @ others.T >= math.cos(radians)  # (N, N + Q)
        return near.fill_diagonal_(False)

    def _send(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.device.type == "cuda" and self.config.mixed_precision:
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def _measure(self) -> dict[str, float]:
        measured: dict[str, float] = {}
        if self.held_out_data is not None:
            found = held_out.evaluate(self.model, self.held_out_data, self.gallery)
            measured = {"held_out_loss": found.loss, "median_km": float(np.median(found.km))}
            for km, share in held_out.accuracy(found.km).items():
                measured[f"within_{km:g}_km"] = share
            if found.concept_km is not None:
                measured["concept_median_km"] = float(np.median(found.concept_km))
        aucs = self.concept_aucs()
        if aucs is not None and not np.isnan(aucs).all():
            measured["concept_auc"] = float(np.nanmedian(aucs))
        return measured

    @torch.inference_mode()
    def concept_aucs(self) -> NDArray[np.float64] | None:
        """AUC of each concept's location score z_loc in the held-out regions, (K,)."""
        if self.geography is None or self.model.concepts is None or not self.geography.held_out.any():
            return None
        rows = self.geography.held_out
        x_loc = held_out.embed_locations(self.model, self.geography.coordinates[rows])  # (H, d)
        scores = self.model.concepts.location_scores(x_loc).cpu().numpy()  # (H, K)
        return concept_auc(scores, self.geography.truths[:, rows])

    def state(self) -> TrainingState:
        """All that the next epoch depends on."""
        notes = {
            "config": json.loads(self.config.to_json()),
            "model": json.loads(self.model.config.to_json()),
            "data": self._fingerprint(),
            "history": [asdict(metrics) for metrics in self.history],
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
        }
        return TrainingState(
            dict(self.heads.state_dict()),
            self.best,
            optimiser_tensors(self.optimiser, list(self.trained)),
            torch.from_numpy(self.queue.coordinates),
            notes,
        )

    def restore(self, state: TrainingState) -> None:
        """Goes back to where a training of the same recipe and data stood.

        Raises:
            TrainingError: it is another training; says in what.
        """
        notes = state.notes
        try:
            before = TrainingConfig.from_json(json.dumps(notes["config"]))
            changed = set(self.config.differences(before)) - {"epochs", "patience"}
            if self.config.schedule == "cosine" and before.epochs != self.config.epochs:
                changed.add("epochs")
            if notes["model"] != json.loads(self.model.config.to_json()):
                changed.add("model")
            if notes["data"] != self._fingerprint():
                changed.add("data")
            if changed:
                raise TrainingError(f"the training that was begun had another {', '.join(sorted(changed))}")
            self.heads.load_state_dict(state.weights)
            restore_optimiser(self.optimiser, list(self.trained), state.optimiser)
            self.queue = CoordinateQueue(state.queue.numpy())
            self.best = {name: tensor.to(self.device) for name, tensor in state.best.items()}
            self.best_epoch, self.best_value = int(notes["best_epoch"]), float(notes["best_value"])
            self.history = [EpochMetrics(**row) for row in notes["history"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(f"the training that was begun cannot go on: {error}") from error

    def _fingerprint(self) -> str:
        """SHA-256 of everything given but the features themselves, whose shape must do."""
        digest = hashlib.sha256()
        for photos in (self.data, self.held_out_data):
            digest.update(b"none" if photos is None else repr(photos.features.shape).encode())
            digest.update(b"" if photos is None else photos.coordinates.tobytes())
        digest.update(np.ascontiguousarray(self.gallery).tobytes())
        if self.geography is not None:
            for part in (self.geography.coordinates, self.geography.truths, self.geography.held_out):
                digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def result(self) -> TrainingResult:
        """The best epoch's weights in the model."""
        self.heads.load_state_dict(self.best)
        self.model.eval()
        return TrainingResult(self.model, tuple(self.history), self.best_epoch, self.concept_aucs())


class _Heads(nn.Module):
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


def _share(data: FeatureSet, config: TrainingConfig) -> FeatureSet:
    """So much of the photos as the recipe says, in their order."""
    if not len(data):
        raise TrainingError("there are no photos to learn from")
    if config.data_share == 1:
        return data
    generator = np.random.default_rng((config.seed, _DATA_STREAM))
    count = max(1, round(config.data_share * len(data)))
    return data.subset(np.sort(generator.permutation(len(data))[:count]))


def _optimiser(config: TrainingConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    shared: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "fused": True}
    if config.optimiser == "adam":
        return torch.optim.Adam(parameters, **shared)
    if config.optimiser == "adamw":
        return torch.optim.AdamW(parameters, **shared)
    return torch.optim.SGD(parameters, momentum=0.9, **shared)


def _write_metrics(path: Path, history: list[EpochMetrics]) -> None:
    """All rows anew: an epoch that was cut off and done again has one row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(EpochMetrics))
        for metrics in history:
            row = (getattr(metrics, field.name) for field in fields(EpochMetrics))
            writer.writerow("" if value != value else f"{value:.6g}" for value in row)
