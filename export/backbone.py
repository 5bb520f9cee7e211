"""The frozen backbone that the user names: an ONNX file of any kind, or a model of open_clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import open_clip
from torch import nn

from geolocate.errors import WeightsError
from geolocate_export.clip_weights import OPENAI, load_clip
from geolocate_export.model import ImageConfig
from geolocate_export.onnx_backbone import OnnxImageConfig, read_onnx_backbone

ONNX_SUFFIX = ".onnx"


def load_backbone(
    backbone: str, weights: Path | None = None, *, say: Callable[[str], None] = lambda message: None
) -> tuple[ImageConfig | OnnxImageConfig, nn.Module]:
    """The configuration of an image encoder, and the tower to put into `ImageEncoder.backbone`.

    Args:
        backbone: `FILE.onnx` with its JSON beside it, or open_clip's name of a model.
        weights: of an open_clip model, as :func:`load_clip` takes them; None downloads them, or takes what
            was downloaded before: OpenAI's where there are any, else the first that open_clip lists.
        say: is told what is fetched.

    Raises:
        WeightsError: there is no such model or file, its weights cannot be had, or it is not what it says.
    """
    if backbone.lower().endswith(ONNX_SUFFIX):
        if weights is not None:
            raise WeightsError(f"{backbone} holds its weights itself: none can be given besides")
        tower = read_onnx_backbone(Path(backbone))
        return tower.config, tower
    tags = open_clip.list_pretrained_tags_by_model(backbone)
    if weights is None and not tags:
        raise WeightsError(
            f"'{backbone}' is neither an {ONNX_SUFFIX} file nor a model that open_clip has weights for; "
            "open_clip.list_models() names them"
        )
    clip = load_clip(weights, backbone, pretrained_tag(backbone), say=say)
    return clip.image, clip.vision_tower()


def pretrained_tag(model: str) -> str:
    """open_clip's name of the weights that are taken: OpenAI's where there are any, else the first listed."""
    tags = open_clip.list_pretrained_tags_by_model(model)
    return OPENAI if OPENAI in tags or not tags else str(tags[0])
