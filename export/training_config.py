"""Every switch of the training, as one frozen description that JSON holds.

The defaults are GeoCLIP's recipe (arXiv 2309.16020 and its authors' notes); what its own training loop lacks
or gets wrong (GPS noise, where the queue starts) is as the paper has it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from geolocate_export.concept_alignment import AlignmentConfig

Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["step", "cosine", "constant"]
StopMetric = Literal["median_km", "loss"]
#: What is trained, and can be frozen instead.
Part = Literal["image", "location", "logit_scale", "concepts"]


#: A queue that is longer than this share of the photos often holds a photo's own place.
LONG_QUEUE_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class GroundingConfig:
    """How strongly location scores of concepts are tied to known geography (beyond the paper).

    Attributes:
        weight: of the loss; 0 is off, and the paper's recipe. `geolocate train` takes 1 where it is not told
            otherwise: without, nothing ties a concept to its name.
        points: of the geography, drawn for each step.
    """

    weight: float = 0.0
    points: int = 512

    def __post_init__(self) -> None:
        """Raises ValueError where a value is out of range."""
        if not 0 <= self.weight < math.inf or self.points < 1:
            raise ValueError(f"grounding with the weight {self.weight} over {self.points} points a step")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """The recipe.

    Attributes:
        epochs: at most.
        batch_size: photos of a step, at most: an epoch is cut into steps of nearly one size.
        steps: of an epoch; None takes as many as the photos fill. Without photos it must be given.
        optimiser: "adam" is GeoCLIP's, not AdamW.
        schedule: of the learning rate, by epoch: "step" multiplies with `decay`, "cosine" ends at 0.
        noise_m, queue_noise_m: standard deviation of the GPS noise to the north and to the east, in metres.
        queue_length: coordinates of earlier batches that are negatives too; 0 is off. The recipe's is 4096.
        negatives_beyond_km: nearer locations are no negatives of a photo; 0 is the recipe, which has photos
            enough that few are neighbours.
        alignment: what the concept module is trained with, where the model has one.
        grounding: where the geography of concepts is given.
        frozen: parts that stay as they are.
        data_share: of the photos that are used, drawn by the seed.
        stop_metric, patience: training ends after so many epochs without a better held-out value; None never.
        mixed_precision: bfloat16 products on a GPU; the CPU always computes in float32.
        seed: of everything that is drawn during the training.
    """

    epochs: int = 10
    batch_size: int = 512
    steps: int | None = None
    optimiser: Optimiser = "adam"
    learning_rate: float = 3e-5
    weight_decay: float = 1e-6
    schedule: Schedule = "step"
    decay: float = 0.87
    noise_m: float = 150.0
    queue_length: int = 4096
    queue_noise_m: float = 1000.0
    negatives_beyond_km: float = 0.0
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    grounding: GroundingConfig = field(default_factory=GroundingConfig)
    frozen: tuple[Part, ...] = ()
    data_share: float = 1.0
    stop_metric: StopMetric = "median_km"
    patience: int | None = None
    mixed_precision: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError where a switch has no such position or a number is out of range."""
        for name, value, known in (
            ("optimiser", self.optimiser, get_args(Optimiser)),
            ("schedule", self.schedule, get_args(Schedule)),
            ("stop metric", self.stop_metric, get_args(StopMetric)),
            *(("part", part, get_args(Part)) for part in self.frozen),
        ):
            if value not in known:
                raise ValueError(f"no {name} '{value}'; there are {', '.join(known)}")
        for name, least in (("epochs", 1), ("batch_size", 2), ("queue_length", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, at least {least} is expected")
        for name in ("weight_decay", "noise_m", "queue_noise_m", "negatives_beyond_km"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, a number from 0 on is expected")
        if not (0 < self.learning_rate < math.inf and 0 < self.decay <= 1 and 0 < self.data_share <= 1):
            raise ValueError("learning_rate is above 0, decay and data_share are above 0 and at most 1")
        if (self.steps is not None and self.steps < 1) or (self.patience is not None and self.patience < 1):
            raise ValueError("steps and patience are at least 1 where they are given")

    def learning_rate_in(self, epoch: int) -> float:
        """Of an epoch, counted from 0; it depends on nothing else, so nothing of it needs to be kept."""
        if self.schedule == "step":
            return self.learning_rate * self.decay**epoch
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.learning_rate

    def meets_itself(self, photos: int) -> bool:
        """Whether, with so many photos to learn from, a photo's own place is often among its negatives.

        It has been put into the queue by the epoch before, or by a neighbour.
        """
        long = self.queue_length > LONG_QUEUE_SHARE * photos
        return long and self.negatives_beyond_km == 0

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainingConfig:
        """Reads :meth:`to_json`.

        Raises:
            ValueError: not JSON, or a key is unknown or its value of a wrong kind or out of range.
        """
        raw = json.loads(text)
        try:
            raw["alignment"] = AlignmentConfig(**raw.get("alignment", {}))
            raw["grounding"] = GroundingConfig(**raw.get("grounding", {}))
            raw["frozen"] = tuple(raw.get("frozen", ()))
            return cls(**raw)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"key unknown or of a wrong kind: {error}") from error

    def differences(self, other: TrainingConfig) -> dict[str, tuple[Any, Any]]:
        """What two descriptions disagree on, by name."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
