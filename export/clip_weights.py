"""CLIP weights from the hub, an open_clip or OpenAI file, an open_clip or Hugging Face folder.

All become the state of open_clip's towers, key by key: a key that is unknown, missing or of another size is
an error, never passed over. No file is unpickled beyond plain tensors. OpenAI's own files are TorchScript
archives, whose code runs when torch reads them: only those are read whose SHA-256 OpenAI gave.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from geolocate.bundle import sha256_of
from geolocate.errors import WeightsError
from geolocate.untrusted_json import parse_json
from geolocate_export.huggingface_clip import convert_state, read_config
from geolocate_export.model import ImageConfig, vision_tower
from geolocate_export.text import TextConfig, text_tower

#: open_clip's name of the model that GeoCLIP stands on, and of OpenAI's weights for it.
GEOCLIP_BACKBONE, OPENAI = "ViT-L-14-quickgelu", "openai"
#: Settings that OpenAI's archives keep among the weights.
OPENAI_SETTINGS = frozenset({"input_resolution", "context_length", "vocab_size"})
_DIGEST = re.compile(r"/clip/models/([0-9a-f]{64})/")
#: What a whole CLIP model has beside its towers: the scale of its own contrast, which nothing here uses.
CONTRAST_KEYS = frozenset({"logit_scale", "logit_bias"})
#: What is read of a configuration; the largest have a few kilobytes.
MAX_JSON_BYTES = 2**20
VISION_PREFIX, TEXT_PREFIX = "visual.", "text."

OPEN_CLIP_FOLDER = ("open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))
HUGGING_FACE_FOLDER = ("config.json", ("model.safetensors", "pytorch_model.bin"))

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class ClipWeights:
    """Both towers of a CLIP model, float32.

    Attributes:
        image, vision: sizes and state of the vision tower.
        text, text_state: sizes and state of the text tower; None and empty where it is not CLIP's own.
        source: where they come from, for the manifest; no path of this machine.
    """

    image: ImageConfig
    vision: Mapping[str, Tensor]
    text: TextConfig | None
    text_state: Mapping[str, Tensor]
    source: str

    def vision_tower(self) -> nn.Module:
        """open_clip's vision tower with these weights, in evaluation mode."""
        return _filled(vision_tower(self.image), self.vision, "vision")

    def text_tower(self) -> nn.Module:
        """open_clip's text tower with these weights, in evaluation mode.

        Raises:
            WeightsError: the model has no text tower of CLIP's own kind.
        """
        if self.text is None:
            raise WeightsError(f"{self.source} has no text tower of CLIP's own kind")
        return _filled(text_tower(self.text), self.text_state, "text")


def load_clip(
    source: Path | None = None,
    model: str = GEOCLIP_BACKBONE,
    pretrained: str = OPENAI,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> ClipWeights:
    """Loads CLIP weights.

    Args:
        source: a file (safetensors, a plain state, OpenAI's archive) or a folder (open_clip's, Hugging
            Face's); None downloads through open_clip, or takes what it downloaded before.
        model: open_clip's name of the model; a folder describes itself.
        pretrained: open_clip's name of the weights to download.
        say: is told what is fetched.

    Raises:
        WeightsError: the weights cannot be had or read, or a key is unknown, missing or of another size.
    """
    if source is None:
        return _download(model, pretrained, say)
    if not source.exists():
        raise WeightsError(f"no CLIP weights at {source}")
    if not source.is_dir():
        return _from_open_clip(known_config(model), read_state(source), f"{model}, {source.name}")
    if (source / OPEN_CLIP_FOLDER[0]).is_file():
        described = _read_json(source / OPEN_CLIP_FOLDER[0])
        state = read_state(_weights_file(source, OPEN_CLIP_FOLDER[1]))
        weights = _from_open_clip(described.get("model_cfg", {}), state, f"open_clip folder {source.name}")
        return _with_normalisation(weights, described.get("preprocess_cfg", {}))
    if (source / HUGGING_FACE_FOLDER[0]).is_file():
        return _from_hugging_face(source)
    raise WeightsError(f"{source} has neither {OPEN_CLIP_FOLDER[0]} nor {HUGGING_FACE_FOLDER[0]}")


def known_config(model: str) -> dict[str, Any]:
    """open_clip's configuration of a model.

    Raises:
        WeightsError: it knows no model of that name.
    """
    config = open_clip.get_model_config(model)
    if config is None:
        raise WeightsError(f"open_clip knows no model '{model}'; open_clip.list_models() names them")
    return dict(config)


def read_state(path: Path) -> State:
    """The tensors of a file, as stored.

    Raises:
        WeightsError: it cannot be read, or holds anything but tensors; then nothing in it was run.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if _is_torchscript(path):
            if sha256_of(path) not in openai_archives():
                raise WeightsError(
                    f"{path.name} is a TorchScript archive, and none of OpenAI's: its code would run when it "
                    "is read; save its state_dict() as safetensors where you trust it"
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch.jit is on its way out, OpenAI's files stay
                archive: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location="cpu"
                )
                return dict(archive.state_dict())
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} holds more than tensors and was not loaded: a pickle can run code"
        ) from error
    except (OSError, RuntimeError, SafetensorError, EOFError, ValueError, KeyError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path.name} cannot be read: {problem}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # a training checkpoint of open_clip
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"{path.name} is no table of tensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def openai_archives() -> frozenset[str]:
    """SHA-256 of the archives that OpenAI published: they stand in their addresses, which open_clip has."""
    addresses = (
        open_clip.get_pretrained_url(model, tag)
        for model, tag in open_clip.list_pretrained()
        if tag == OPENAI
    )
    return frozenset(digest for url in addresses for digest in _DIGEST.findall(url))


def _is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive; looks at its list of parts alone."""
    try:
        return "constants.pkl" in torch._C.PyTorchFileReader(str(path)).get_all_records()
    except RuntimeError:
        return False


def _download(model: str, pretrained: str, say: Callable[[str], None]) -> ClipWeights:
    config = known_config(model)
    entry = open_clip.get_pretrained_cfg(model, pretrained)
    if not entry:
        raise WeightsError(f"open_clip has no weights '{pretrained}' for {model}")
    say(f"fetching {model} ({pretrained}) from {entry.get('hf_hub') or entry.get('url')}")
    try:
        path = Path(open_clip.download_pretrained(entry))
    except Exception as error:  # the hub client, urllib and the disk each have their own
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{model} ({pretrained}) cannot be downloaded: {problem}; "
            "give a local file or folder with its weights"
        ) from error
    weights = _from_open_clip(config, read_state(path), f"{model} ({pretrained}) through open_clip")
    return _with_normalisation(weights, entry)


def _from_open_clip(config: Mapping[str, Any], state: State, source: str) -> ClipWeights:
    """Splits the state of an open_clip (or OpenAI) model into its towers, accounting for every key."""
    try:
        vision_config = {"image_size": 224, **config["vision_cfg"]}
        image = ImageConfig(vision_config, int(config["embed_dim"]), bool(config.get("quick_gelu", False)))
        text = TextConfig.of_open_clip(config)
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{source}: the configuration describes no CLIP model: {error}") from error
    vision: State = {}
    texts: State = {}
    for name, tensor in state.items():
        if name.startswith(VISION_PREFIX):
            vision[name.removeprefix(VISION_PREFIX)] = tensor.float()
        elif name not in OPENAI_SETTINGS | CONTRAST_KEYS:
            texts[name.removeprefix(TEXT_PREFIX)] = tensor.float()
    return _checked(ClipWeights(image, vision, text, texts if text else {}, source))


def _from_hugging_face(folder: Path) -> ClipWeights:
    image, text = read_config(_read_json(folder / HUGGING_FACE_FOLDER[0]))
    vision, texts = convert_state(read_state(_weights_file(folder, HUGGING_FACE_FOLDER[1])))
    weights = ClipWeights(image, vision, text, texts, f"Hugging Face folder {folder.name}")
    preprocessing = folder / "preprocessor_config.json"
    if preprocessing.is_file():
        described = _read_json(preprocessing)
        weights = _with_normalisation(
            weights, {"mean": described.get("image_mean"), "std": described.get("image_std")}
        )
    return _checked(weights)


def _with_normalisation(weights: ClipWeights, described: Mapping[str, Any]) -> ClipWeights:
    mean, std = described.get("mean"), described.get("std")
    if mean is None or std is None:
        return weights
    (r, g, b), (r_std, g_std, b_std) = (map(float, values) for values in (mean, std))
    return replace(weights, image=replace(weights.image, mean=(r, g, b), std=(r_std, g_std, b_std)))


def _weights_file(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(f"{folder} has no {' or '.join(names)}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:  # may be a link: the hub client's folders consist of them
            described = parse_json(file.read(MAX_JSON_BYTES))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(described, dict):
        raise WeightsError(f"{path.name} is no JSON object")
    return described


def _checked(weights: ClipWeights) -> ClipWeights:
    """Raises WeightsError unless every key has its place and size; nothing is allocated for it."""
    with torch.device("meta"):
        towers = {"vision": (vision_tower(weights.image), weights.vision)}
        if weights.text is not None:
            towers["text"] = (text_tower(weights.text), weights.text_state)
    for tower, (module, state) in towers.items():
        wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
        wrong = sorted(
            name for name in wanted.keys() & state.keys() if tuple(state[name].shape) != wanted[name]
        )
        for what, names in (
            ("lacks", missing),
            ("has the unknown", unknown),
            ("has another size for", wrong),
        ):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                raise WeightsError(f"{weights.source}: the {tower} tower {what} {', '.join(names[:3])}{more}")
    return weights


def _filled(module: nn.Module, state: Mapping[str, Tensor], tower: str) -> nn.Module:
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise WeightsError(
            f"the {tower} tower takes no such weights: {' '.join(str(error).split())}"
        ) from error
    return module.eval()
