"""Distils a small image tower: `python -m geolocate_export.distil PHOTOS TEACHER.onnx OUT`.

The student starts from random weights and learns to say what a frozen teacher says of the same pixels
(Hinton, Vinyals, Dean 2015, arXiv 1503.02531): of the whole view, and of every cell of its grid, on fixed
views and for long (Beyer et al. 2022, arXiv 2106.05237). It learns the teacher's principal components, not
its raw features: most of the teacher's variance lies in few of them. Photos of held-out places measure how
much of it the student explains where it was never trained. Single-threaded on the CPU, the same versions of
the libraries give the same weights.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from geolocate_export.distil_targets import Components, Pixels, Targets, Teacher, make_targets
from geolocate_export.model import PIXEL_MAX, ImageConfig, vision_tower
from geolocate_export.starter_photos import read_starter_photos

Floats = NDArray[np.float32]

#: What a distillation leaves behind.
TOWER_NAME, REPORT_NAME, METRICS_NAME = "tower.safetensors", "distil.json", "metrics.csv"
#: Side of a timm tower's grid of features relative to its input.
STRIDE = 32
#: Share of the grid's loss beside the whole view's.
GRID_WEIGHT = 0.5
#: Of the average of weights over steps that is evaluated and kept.
AVERAGE_DECAY = 0.998


@dataclass(frozen=True, slots=True)
class DistilConfig:
    """How the student is trained.

    Attributes:
        views: V, fixed views of each photo.
        steps, batch: of the optimiser, AdamW with a warm-up and a cosine to zero.
        whitening: the teacher's components are divided by the power `whitening` of their variance:
            0 keeps their size, 0.5 makes them all equal.
        evaluate_every: steps between two looks at the held-out photos.
    """

    views: int = 24
    steps: int = 1200
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up_steps: int = 100
    whitening: float = 0.25
    evaluate_every: int = 100
    seed: int = 20231210


class Student(nn.Module):
    """A tower, and a linear layer that reads the same from each cell of its grid; only the tower is kept."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        tower: Any = vision_tower(config)
        self.tower = tower
        self.of_cell = nn.Conv2d(tower.trunk.num_features, config.feature_dim, 1)
        for last in (self.of_cell, tower.head.proj):  # says the mean at first
            nn.init.zeros_(last.weight)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1) * PIXEL_MAX, persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1) * PIXEL_MAX, persistent=False)

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 (N, S, S, 3) to the tower's input (N, 3, S, S)."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return x.contiguous(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, S, S, 3) to features of the view (N, k) and of its cells (N, G, G, k)."""
        grid = self.tower.trunk.forward_features(self.normalised(pixels))  # (N, C, G, G)
        whole: Tensor = self.tower.head(self.tower.trunk.forward_head(grid))  # (N, k)
        cells: Tensor = self.of_cell(grid).permute(0, 2, 3, 1)  # (N, G, G, k)
        return whole, cells

    @torch.inference_mode()
    def features(self, pixels: Pixels, batch: int = 64) -> Floats:
        """uint8 (N, S, S, 3) to the tower's features (N, k), in evaluation mode."""
        self.eval()
        parts = [
            self.tower(self.normalised(torch.from_numpy(np.array(pixels[at : at + batch]))))
            for at in range(0, len(pixels), batch)
        ]
        result: Floats = torch.cat(parts).numpy()
        return result


def explained_variance(features: Floats, said: Floats) -> float:
    """Share of the variance of features (N, c) that what was said of them (N, c) explains; at most 1."""
    left = float(((features - said) ** 2).sum())
    whole = float(((features - features.mean(0)) ** 2).sum())
    return 1.0 - left / whole


def distil(
    image: ImageConfig,
    trained: Targets,
    held_out: Targets,
    config: DistilConfig,
    folder: Path,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, float]:
    """Trains a tower and leaves its best weights, the metrics and a report in `folder`.

    Ctrl-C ends the training early: what was best so far is kept, and the report says at which step.

    Args:
        image: the student's sizes; `feature_dim` is k.
        trained: V views of each training photo.
        held_out: one view each of photos from other places; they choose the stopping point.

    Returns:
        Of the tower that is kept: its `step`, and the explained variance of the teacher's features on the
        `trained` and the `held_out` photos, beside what the k `components` themselves explain of the latter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Distillation(image, trained, held_out, config)
    best: dict[str, float] = {}
    started = time.monotonic()
    with (folder / METRICS_NAME).open("w", newline="", encoding="utf-8") as file:
        metrics = csv.writer(file)
        metrics.writerow(["step", "loss", "trained", "held_out"])
        try:
            while run.step < config.steps:
                loss = run.advance(min(config.evaluate_every, config.steps - run.step))
                now = run.measured()
                metrics.writerow([run.step, *(f"{x:.5f}" for x in (loss, now["trained"], now["held_out"]))])
                file.flush()
                say(
                    f"step {run.step} of {config.steps}, {time.monotonic() - started:.0f} s: "
                    f"loss {loss:.3f}; "
                    f"explained {now['trained']:.3f}, of other places {now['held_out']:.3f} "
                    f"(the components {now['components']:.3f})"
                )
                if now["held_out"] > best.get("held_out", -math.inf):
                    best = now
                    save_file(run.tower_weights(), folder / TOWER_NAME)
        except KeyboardInterrupt:
            if not best:
                raise
            say(f"ended early, at step {run.step}")
    report = {"measured": best, "config": asdict(config), "image": asdict(image)}
    (folder / REPORT_NAME).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return best


class _Distillation:
    """A student between two steps, and the average of its weights, which is what is measured and kept."""

    def __init__(self, image: ImageConfig, trained: Targets, held_out: Targets, config: DistilConfig) -> None:
        torch.manual_seed(config.seed)
        self.step, self.config, self.trained, self.held_out = 0, config, trained, held_out
        self._generator = np.random.default_rng(config.seed)
        self._components = Components.of(
            np.asarray(trained.features, np.float32), image.feature_dim, config.whitening
        )
        self._wholes = torch.from_numpy(self._components.of_features(trained.features))  # (R, k)
        cells = np.stack([self._components.of_features(grid) for grid in trained.grids])  # (R, G G, k)
        side = math.isqrt(cells.shape[1])
        self._cells = torch.from_numpy(cells.reshape(len(cells), side, side, -1))  # (R, G, G, k)
        self._cell_variance = float(self._cells.flatten(0, 2).var(0).sum())
        self._student = Student(image).to(memory_format=torch.channels_last)
        self._averaged = copy.deepcopy(self._student)
        matrices = [weight for weight in self._student.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self._student.parameters() if weight.ndim <= 1]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: _pace(step, config))

    def advance(self, steps: int) -> float:
        """Takes so many steps; returns their mean loss."""
        total = 0.0
        for _ in range(steps):
            rows = np.sort(self._generator.choice(len(self._wholes), self.config.batch, replace=False))
            pixels = torch.from_numpy(self.trained.pixels[rows])  # (N, S, S, 3)
            wholes, cells = self._wholes[rows], self._cells[rows]  # (N, k), (N, G, G, k)
            if self._generator.random() < 0.5:
                pixels, cells = pixels.flip(2), cells.flip(2)
            self._student.train()
            with torch.autocast("cpu", torch.bfloat16):
                said, said_of_cells = self._student(pixels)
            loss = (said.float() - wholes).square().sum(-1).mean()
            of_cells = (said_of_cells.float() - cells).square().sum(-1).mean()
            loss = loss + GRID_WEIGHT / self._cell_variance * of_cells
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            total += float(loss.detach())
            self.step += 1
            self._average()
        return total / steps

    @torch.no_grad()
    def _average(self) -> None:
        """Takes the student's weights into the average; the first ones are soon forgotten."""
        share = 1.0 - min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        now = self._student.state_dict()
        for name, tensor in self._averaged.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(now[name], share)

    def measured(self) -> dict[str, float]:
        """What :func:`distil` returns, now."""
        first_views = slice(None, None, self.config.views)
        return {
            "step": float(self.step),
            "trained": self._explained(self.trained.pixels[first_views], self.trained.features[first_views]),
            "held_out": self._explained(self.held_out.pixels, self.held_out.features),
            "components": self._explained(None, self.held_out.features),
        }

    def tower_weights(self) -> dict[str, Tensor]:
        """The averaged tower's, by name."""
        weights = self._averaged.tower.state_dict()
        return {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}

    def _explained(self, pixels: Pixels | None, features: NDArray[np.float16]) -> float:
        """Explained variance of the teacher's features (N, c) by the student; None: by the components."""
        truth = np.asarray(features, np.float32)
        said = self._components.of_features(truth) if pixels is None else self._averaged.features(pixels)
        return explained_variance(truth, self._components.to_features(said))


def _pace(step: int, config: DistilConfig) -> float:
    """The learning rate's share of its height: up in a line, down in a cosine."""
    if step < config.warm_up_steps:
        return (step + 1) / config.warm_up_steps
    done = (step - config.warm_up_steps) / max(1, config.steps - config.warm_up_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def main() -> None:
    """Distils the starter's tower from the command line."""
    from geolocate_export.starter import IMAGE

    parser = argparse.ArgumentParser(description="Distils the starter's image tower.")
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("teacher", type=Path, help="ONNX image encoder with its JSON beside it")
    parser.add_argument("output", type=Path, help="folder for the tower; views are cached in it")
    parser.add_argument("--steps", type=int, default=DistilConfig().steps)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = DistilConfig(steps=arguments.steps)
    photos, teacher = read_starter_photos(arguments.photos), Teacher(arguments.teacher)
    side = IMAGE.image_size
    paths = np.array(photos.paths, dtype=object)
    targets = {}
    for name, rows, views in (("trained", ~photos.held_out, config.views), ("held_out", photos.held_out, 1)):
        print(f"{rows.sum()} {name} photos in {views} views", file=sys.stderr)
        targets[name] = make_targets(
            list(paths[rows]),
            teacher,
            arguments.output / name,
            views=views,
            side=side,
            grid=math.ceil(side / STRIDE),
            seed=config.seed,
        )
    distil(
        IMAGE,
        targets["trained"],
        targets["held_out"],
        config,
        arguments.output,
        lambda text: print(text, file=sys.stderr, flush=True),
    )


if __name__ == "__main__":
    main()
