"""Where a training stands after an epoch, in one safetensors file: what resuming needs, bit for bit.

Random numbers are drawn by generators of (seed, epoch), and the learning rate depends on the epoch alone: of
both nothing needs to be kept but the epoch's number. No pickles.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from geolocate.errors import TrainingError

STATE_NAME = "state.safetensors"
#: Key of the safetensors metadata that holds everything that is no tensor.
METADATA_KEY = "training"


@dataclass
class TrainingState:
    """What a training is after an epoch.

    Attributes:
        weights: of all that is trained or takes part, by name.
        best: the weights of the best epoch.
        optimiser: its state, by parameter name and key.
        queue: float64 (Q, 2), degrees, the oldest first.
        notes: JSON: the recipe, what the data are, the epoch, the best value and since when.
    """

    weights: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    queue: Tensor
    notes: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Writes `folder`/state.safetensors, whole or not at all."""
        groups = {"weights": self.weights, "best": self.best, "optimiser": self.optimiser}
        tensors = {f"{group}/{name}": t for group, held in groups.items() for name, t in held.items()}
        tensors["queue"] = self.queue
        partial = folder / f"{STATE_NAME}.partial"
        # Clones: tensors that share memory are refused.
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
            partial,
            metadata={METADATA_KEY: json.dumps(self.notes, sort_keys=True)},
        )
        os.replace(partial, folder / STATE_NAME)

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Reads `folder`/state.safetensors.

        Raises:
            TrainingError: there is none, or it cannot be read.
        """
        path = folder / STATE_NAME
        if not path.is_file():
            raise TrainingError(f"{folder} holds no training that could go on: it has no {STATE_NAME}")
        groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimiser": {}}
        try:
            with safe_open(path, framework="pt") as file:
                notes = json.loads((file.metadata() or {})[METADATA_KEY])
                queue = file.get_tensor("queue")
                for key in file.keys():  # noqa: SIM118 (it is no mapping)
                    group, _, name = key.partition("/")
                    if group in groups:
                        groups[group][name] = file.get_tensor(key)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise TrainingError(f"{path} cannot be read: {error}") from error
        return cls(groups["weights"], groups["best"], groups["optimiser"], queue, notes)


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """An optimiser's state as tensors, "PARAMETER/KEY"; `names` in the order of its parameters."""
    return {
        f"{names[index]}/{key}": value
        for index, held in optimiser.state_dict()["state"].items()
        for key, value in held.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, names: list[str], tensors: dict[str, Tensor]) -> None:
    """Puts :func:`optimiser_tensors` back."""
    described = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        parameter, _, key = name.rpartition("/")
        state.setdefault(names.index(parameter), {})[key] = tensor
    optimiser.load_state_dict({**described, "state": state})


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's state, by name, on its device."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
