"""Checkpoints: a folder with `config.json` and `weights.safetensors`. No pickles: nothing is executed.

A backbone that is an ONNX graph lies beside them as it is, named by the configuration with its SHA-256; the
concepts of a model that has some in `concepts.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from geolocate.errors import BundleDamaged, BundleNotFound, WeightsError
from geolocate_export.model import GeoModel, ModelConfig
from geolocate_export.onnx_backbone import OnnxTower
from geolocate_export.trained_concepts import TrainedConcept, write_concepts

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "weights.safetensors"
#: Key of `config.json` that says where the weights come from.
PROVENANCE_KEY = "provenance"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a checkpoint's weights come from, for the manifest of its bundle.

    Attributes:
        trained: False where they are random.
        source: on what, in words.
        accuracy: measured, as in the manifest.
        temperature: as in the manifest.
    """

    trained: bool = False
    source: str = ""
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0


def save_checkpoint(
    model: GeoModel,
    folder: Path,
    dtype: torch.dtype | None = None,
    *,
    provenance: Provenance | None = None,
    concepts: Sequence[TrainedConcept] = (),
) -> None:
    """Writes a model.

    Args:
        dtype: of its floating-point weights on disk, by default their own.
        provenance: None says that the weights are random.
        concepts: what the outputs of its concept module are, where it has one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: (tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    if isinstance(model.image_encoder.backbone, OnnxTower):
        model.image_encoder.backbone.save(folder)
    described = json.loads(model.config.to_json())
    described[PROVENANCE_KEY] = asdict(provenance or Provenance())
    text = json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
    if concepts:
        write_concepts(folder, concepts)
    save_file(weights, folder / WEIGHTS_NAME)


def load_provenance(folder: Path) -> Provenance:
    """Where the weights of a checkpoint come from; one that does not say is as old as models were untrained.

    Raises:
        BundleDamaged: what it says is of a wrong kind.
    """
    path = folder / CONFIG_NAME
    try:
        said = json.loads(path.read_text(encoding="utf-8")).get(PROVENANCE_KEY, {})
        provenance = Provenance(**said)
        kinds = (("trained", bool), ("source", str), ("accuracy", dict), ("temperature", int | float))
        for name, kind in kinds:
            if not isinstance(getattr(provenance, name), kind):
                raise TypeError(f"{name} is of a wrong kind")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BundleDamaged(f"{path} does not say where its weights come from: {error}") from error
    return provenance


def load_checkpoint(folder: Path) -> GeoModel:
    """Reads a model, float32 and in evaluation mode.

    Raises:
        BundleNotFound: there is no checkpoint in that folder.
        BundleDamaged: its configuration or weights cannot be read, or do not fit each other; a pickle is no
            weights file and is never opened as one.
    """
    config_path, weights_path = folder / CONFIG_NAME, folder / WEIGHTS_NAME
    for path in (config_path, weights_path):
        if not path.is_file():
            raise BundleNotFound(
                f"{folder} is not a checkpoint: it has no {path.name} (a checkpoint holds {CONFIG_NAME} "
                f"and {WEIGHTS_NAME}; pickled weights are not taken)"
            )
    try:
        model = GeoModel(ModelConfig.from_json(config_path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise BundleDamaged(f"{config_path} describes no model: {error}") from error
    try:
        weights = load_file(weights_path)
        # Casts to float32, since the parameters of the fresh model are.
        model.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        problem = str(error).splitlines()[0]
        raise BundleDamaged(f"{weights_path} cannot be loaded: {problem}") from error
    if isinstance(model.image_encoder.backbone, OnnxTower):
        try:
            model.image_encoder.backbone.load(folder / model.image_encoder.backbone.config.file)
        except WeightsError as error:
            raise BundleDamaged(str(error)) from error
    return model.eval()


def round_to_half(model: GeoModel) -> None:
    """Rounds all weights to values that float16 holds, in place: a float16 checkpoint then loses nothing."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())
