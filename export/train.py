"""The training loop: heads, location encoder and concept module, on features that are computed already.

Reference: GeoCLIP (arXiv 2309.16020): each step contrasts a batch of photos with the batch's locations and a
queue of earlier ones. N photos of a batch, Q coordinates in the queue, G points of geography, P photos, V
views, M gallery points, K concepts, c width of the features, d of the shared space.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geolocate.errors import TrainingError
from geolocate_export import held_out
from geolocate_export.batches import epoch_batches
from geolocate_export.coordinate_queue import CoordinateQueue
from geolocate_export.feature_set import FeatureSet
from geolocate_export.grounding import Geography, concept_auc
from geolocate_export.model import GeoModel
from geolocate_export.objective import LOSS_PARTS, Objective
from geolocate_export.training_config import TrainingConfig
from geolocate_export.training_identity import data_fingerprint, same_weights, sketch
from geolocate_export.training_metrics import METRICS_NAME, EpochMetrics, write_metrics
from geolocate_export.training_state import (
    STATE_NAME,
    TrainingState,
    copy_weights,
    optimiser_tensors,
    restore_optimiser,
)

#: Random numbers of different uses come from different streams of one seed.
_DATA_STREAM, _QUEUE_STREAM, _EPOCH_STREAM = range(3)


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
        write_metrics(folder / METRICS_NAME, run.history)
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
        photos = 0 if self.data is None else len(self.data)
        length = config.queue_length if photos else 0
        generator = np.random.default_rng((config.seed, _QUEUE_STREAM))
        queue = CoordinateQueue.from_gallery(gallery, length, generator)
        self.objective = Objective(model, config, self.data, geography, queue, device)
        self.heads = self.objective.heads
        if not photos and (self.objective.grounding is None or config.steps is None):
            raise TrainingError("without photos there must be geography, a grounding weight and steps")
        self.steps = config.steps or max(1, math.ceil(photos / config.batch_size))
        self.start = sketch(self.heads)
        self.trained = self._trained_parameters()
        self.optimiser = _optimiser(config, list(self.trained.values()))
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
            loss, parts = self.objective(rows, generator)
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

    def _batches(self, generator: np.random.Generator) -> list[NDArray[np.intp]]:
        """Rows of the photos of each step."""
        if self.data is None:
            return [np.empty(0, np.intp)] * self.steps
        return epoch_batches(len(self.data), self.config.batch_size, self.config.steps, generator)

    def _measure(self) -> dict[str, float]:
        measured: dict[str, float] = {}
        if self.held_out_data is not None:
            found = held_out.evaluate(self.model, self.held_out_data, self.gallery)
            measured = {"held_out_loss": found.loss, "median_km": float(np.median(found.km))}
            for km, share in held_out.shares_within(found.km).items():
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
            "start": self.start,
            "history": [asdict(metrics) for metrics in self.history],
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
        }
        return TrainingState(
            dict(self.heads.state_dict()),
            self.best,
            optimiser_tensors(self.optimiser, list(self.trained)),
            torch.from_numpy(self.objective.queue.coordinates),
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
            if not changed and not same_weights(notes["start"], self.start):
                changed.add("start: its weights began elsewhere")
            if changed:
                raise TrainingError(f"the training that was begun had another {', '.join(sorted(changed))}")
            self.heads.load_state_dict(state.weights)
            restore_optimiser(self.optimiser, list(self.trained), state.optimiser)
            self.objective.queue = CoordinateQueue(state.queue.numpy())
            self.best = {name: tensor.to(self.device) for name, tensor in state.best.items()}
            self.best_epoch, self.best_value = int(notes["best_epoch"]), float(notes["best_value"])
            self.history = [EpochMetrics(**row) for row in notes["history"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(f"the training that was begun cannot go on: {error}") from error

    def _fingerprint(self) -> str:
        return data_fingerprint((self.data, self.held_out_data), self.gallery, self.geography)

    def result(self) -> TrainingResult:
        """The best epoch's weights in the model."""
        self.heads.load_state_dict(self.best)
        self.model.eval()
        return TrainingResult(self.model, tuple(self.history), self.best_epoch, self.concept_aucs())


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
