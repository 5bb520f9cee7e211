"""The encoders in torch: pixels and coordinates to embeddings in one space.

References:
- GeoCLIP (Vivanco Cepeda, Nayak, Shah; NeurIPS 2023): https://arxiv.org/abs/2309.16020
- CLIP (Radford et al. 2021): https://arxiv.org/abs/2103.00020; towers from https://github.com/mlfoundations/open_clip
- Random Fourier features (Tancik et al. 2020): https://arxiv.org/abs/2006.10739
- Equal Earth (Šavrič, Patterson, Jenny 2018): https://doi.org/10.1080/13658816.2018.1504949

N photos or coordinates, S side of the input in pixels, c width of the backbone's features, d width of the
shared space, F frequencies, H hidden width.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from torch import Tensor, nn

from geolocate.equal_earth import A1, A2, A3, A4, SCALE
from geolocate_export.concept_alignment import ConceptAlignment, ConceptConfig
from geolocate_export.onnx_backbone import OnnxImageConfig, OnnxTower

#: CLIP's and GeoCLIP's first logit_scale: a temperature of 0.07.
INITIAL_LOGIT_SCALE = math.log(1 / 0.07)
#: Largest value of a pixel.
PIXEL_MAX = 255.0


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Sizes of the image encoder.

    Attributes:
        vision: open_clip's description of a vision tower (its `CLIPVisionCfg`); `image_size` is S. Empty
            where the model has no tower: heads that are trained on features made before.
        feature_dim: c, width of the tower's projected features.
        quick_gelu: the activation of OpenAI's own CLIP weights.
        mean, std: by channel on the scale 0 to 1; those of CLIP unless told otherwise.
    """

    vision: Mapping[str, Any]
    feature_dim: int
    quick_gelu: bool = False
    mean: tuple[float, float, float] = open_clip.OPENAI_DATASET_MEAN
    std: tuple[float, float, float] = open_clip.OPENAI_DATASET_STD

    @property
    def image_size(self) -> int:
        """S, side of the square input in pixels."""
        return int(self.vision["image_size"])

    @classmethod
    def of_open_clip(cls, name: str) -> ImageConfig:
        """The vision tower of a model that open_clip knows by name, such as "ViT-L-14-quickgelu".

        Raises:
            ValueError: open_clip knows no model of that name.
        """
        known = open_clip.get_model_config(name)
        if known is None:
            raise ValueError(f"open_clip knows no model '{name}'")
        vision = {"image_size": 224, **known["vision_cfg"]}
        return cls(vision, int(known["embed_dim"]), bool(known.get("quick_gelu", False)))


@dataclass(frozen=True, slots=True)
class LocationConfig:
    """Sizes of the location encoder; the defaults are GeoCLIP's.

    Attributes:
        sigmas: standard deviation of the frequencies, one capsule each.
        frequencies: F of each capsule.
        hidden: H of each capsule.
        projection: what coordinates become before them. Only "equal_earth" can be exported: the runtime
            projects so; "degrees" (longitude and latitude over 180) is GeoCLIP's own ablation.
    """

    sigmas: tuple[float, ...] = (2.0**0, 2.0**4, 2.0**8)
    frequencies: int = 256
    hidden: int = 1024
    projection: Literal["equal_earth", "degrees"] = "equal_earth"

    def __post_init__(self) -> None:
        """Raises ValueError where there is no such projection."""
        if self.projection not in ("equal_earth", "degrees"):
            raise ValueError(f"no projection '{self.projection}'; there are equal_earth, degrees")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Both encoders, the width d of the space that they share, and the concepts where there are any."""

    image: ImageConfig | OnnxImageConfig
    location: LocationConfig = field(default_factory=LocationConfig)
    embedding_dim: int = 512
    concepts: ConceptConfig | None = None

    def to_json(self) -> str:
        """The text of a checkpoint's `config.json`."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Reads the text of `config.json`.

        Raises:
            ValueError: not JSON, or a key is missing, unknown or of a wrong kind.
        """
        raw = json.loads(text)
        try:
            image, location = dict(raw["image"]), dict(raw["location"])
            image["mean"], image["std"] = tuple(image["mean"]), tuple(image["std"])
            location["sigmas"] = tuple(location["sigmas"])
            concepts = ConceptConfig(**raw["concepts"]) if raw.get("concepts") else None
            width = int(raw["embedding_dim"])
            kind = OnnxImageConfig if "file" in image else ImageConfig
            return cls(kind(**image), LocationConfig(**location), width, concepts)
        except (KeyError, TypeError) as error:
            raise ValueError(f"key missing, unknown or of a wrong kind: {error}") from error


def unit(x: Tensor) -> Tensor:
    """L2-normalises the rows of (N, d)."""
    length: Tensor = x.norm(dim=-1, keepdim=True)  # (N, 1)
    return x / length  # (N, d)


class ImageEncoder(nn.Module):
    """Pixels to image embeddings: a frozen backbone (CLIP's, any ONNX one), then Linear, ReLU, Linear."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ImageConfig | OnnxImageConfig, embedding_dim: int) -> None:
        super().__init__()
        self.config = config
        width = config.feature_dim
        self.backbone = image_tower(config)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embedding_dim))
        mean, std = torch.tensor(config.mean) * PIXEL_MAX, torch.tensor(config.std) * PIXEL_MAX  # (3,), (3,)
        self.register_buffer("pixel_mean", mean.view(1, 3, 1, 1), persistent=False)  # (1, 3, 1, 1)
        self.register_buffer("pixel_std", std.view(1, 3, 1, 1), persistent=False)  # (1, 3, 1, 1)

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 (N, S, S, 3) to the backbone's projected features (N, c): raw, GeoCLIP needs their norm.

        Raises:
            ValueError: the model has no tower.
        """
        if self.backbone is None:
            raise ValueError("this model has no image tower, only heads")
        x = pixels.permute(0, 3, 1, 2).float()  # (N, 3, S, S)
        x = (x - self.pixel_mean) / self.pixel_std  # (N, 3, S, S)
        features: Tensor = self.backbone(x)  # (N, c)
        return features

    def head(self, features: Tensor) -> Tensor:
        """Raw features (N, c) to L2-normalised embeddings (N, d)."""
        x = self.mlp(features)  # (N, d)
        return unit(x)  # (N, d)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (N, S, S, 3) to L2-normalised embeddings (N, d)."""
        return self.head(self.features(pixels))  # (N, d)


def image_tower(config: ImageConfig | OnnxImageConfig) -> nn.Module | None:
    """The backbone: open_clip's with fresh weights, an ONNX graph still to be loaded, or none."""
    if isinstance(config, OnnxImageConfig):
        return OnnxTower(config)
    return vision_tower(config) if config.vision else None


def vision_tower(config: ImageConfig) -> nn.Module:
    """An open_clip vision tower with fresh weights: normalised pixels (N, 3, S, S) to features (N, c)."""
    # open_clip builds whole models only: the smallest text tower goes along and is dropped.
    text = CLIPTextCfg(context_length=1, vocab_size=1, width=8, heads=1, layers=1)
    vision = CLIPVisionCfg(**config.vision)
    model = open_clip.CLIP(config.feature_dim, vision, text, quick_gelu=config.quick_gelu)
    tower: nn.Module = model.visual
    return tower


def equal_earth(coordinates: Tensor) -> Tensor:
    """Latitude and longitude in degrees (N, 2) to Equal Earth (N, 2), in the dtype given.

    For training, where coordinates carry noise; inference uses :func:`geolocate.equal_earth.project`, which
    is always float64.
    """
    latitude, longitude = torch.deg2rad(coordinates).unbind(dim=1)  # (N,), (N,)
    theta = torch.asin(math.sqrt(3.0) / 2.0 * torch.sin(latitude))  # (N,)
    slope = 9 * A4 * theta**8 + 7 * A3 * theta**6 + 3 * A2 * theta**2 + A1  # (N,)
    x = 2.0 * math.sqrt(3.0) * longitude * torch.cos(theta) / (3.0 * slope)  # (N,)
    y = A4 * theta**9 + A3 * theta**7 + A2 * theta**3 + A1 * theta  # (N,)
    return torch.stack((x, y), dim=1) * SCALE  # (N, 2)


class FourierFeatures(nn.Module):
    """Random Fourier features with frozen frequencies B ~ N(0, sigma^2), part of the weights."""

    b: Tensor

    def __init__(self, sigma: float, frequencies: int) -> None:
        super().__init__()
        self.register_buffer("b", torch.randn(frequencies, 2) * sigma)  # (F, 2)

    def forward(self, v: Tensor) -> Tensor:
        """(N, 2) to (N, 2 F)."""
        # Hundreds of turns: in float32 the rounding of their product alone would move the embedding by 1e-4.
        turns = v.double() @ self.b.double().T  # (N, F) float64
        angle = (2 * math.pi * (turns - turns.round())).float()  # (N, F)
        return torch.cat((torch.cos(angle), torch.sin(angle)), dim=-1)  # (N, 2 F)


class LocationCapsule(nn.Module):
    """One scale of the location encoder; module names are those of GeoCLIP's capsules."""

    def __init__(self, sigma: float, config: LocationConfig, embedding_dim: int) -> None:
        super().__init__()
        width = config.hidden
        self.capsule = nn.Sequential(
            FourierFeatures(sigma, config.frequencies),  # (N, 2) -> (N, 2 F)
            nn.Linear(2 * config.frequencies, width),  # (N, H)
            nn.ReLU(),
            nn.Linear(width, width),  # (N, H)
            nn.ReLU(),
            nn.Linear(width, width),  # (N, H)
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Linear(width, embedding_dim))  # (N, d)

    def forward(self, projected: Tensor) -> Tensor:
        """Equal Earth coordinates (N, 2) to one summand of the embedding (N, d)."""
        summand: Tensor = self.head(self.capsule(projected))  # (N, d)
        return summand


class LocationEncoder(nn.Module):
    """Equal Earth coordinates to location embeddings: the capsules' sum, L2-normalised."""

    def __init__(self, config: LocationConfig, embedding_dim: int) -> None:
        super().__init__()
        self.capsules = nn.ModuleList(
            LocationCapsule(sigma, config, embedding_dim) for sigma in config.sigmas
        )

    def forward(self, projected: Tensor) -> Tensor:
        """Equal Earth coordinates (N, 2) to L2-normalised embeddings (N, d)."""
        total = self.capsules[0](projected)  # (N, d)
        for capsule in self.capsules[1:]:
            total = total + capsule(projected)  # (N, d)
        return unit(total)  # (N, d)


class GeoModel(nn.Module):
    """Both encoders, the scale of their cosines, and the concept module where there is one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config.image, config.embedding_dim)
        self.location_encoder = LocationEncoder(config.location, config.embedding_dim)
        self.logit_scale = nn.Parameter(torch.tensor(INITIAL_LOGIT_SCALE))  # ()
        # Last: the weights before it are those of the same seed without concepts.
        self.concepts = ConceptAlignment(config.concepts, config.embedding_dim) if config.concepts else None

    def forward(self, pixels: Tensor, coordinates: Tensor) -> Tensor:
        """Pixels (N, S, S, 3) and degrees (M, 2) to logits (N, M)."""
        images = self.image_encoder(pixels)  # (N, d)
        locations = self.location_encoder(equal_earth(coordinates))  # (M, d)
        logits: Tensor = self.logit_scale.exp() * images @ locations.T  # (N, M)
        return logits
