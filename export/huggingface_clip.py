"""CLIP in Hugging Face's layout (`openai/clip-vit-large-patch14`) to open_clip's: configuration and state.

The two name the same numbers differently; queries, keys and values, apart there, are one matrix here. Every
key is accounted for: one that is unknown or missing is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from geolocate.errors import WeightsError
from geolocate_export.model import ImageConfig
from geolocate_export.text import TextConfig

State = dict[str, Tensor]

#: Counters that older files keep among the weights, and the scale of CLIP's own contrast: of no use here.
PASSED_OVER = frozenset(
    {"logit_scale", "text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"}
)
#: Their activation, and whether it is QuickGELU.
ACTIVATIONS: Mapping[str, bool] = {"quick_gelu": True, "gelu": False}
#: The only epsilon of the normalisation layers that open_clip's towers have.
LAYER_NORM_EPS = 1e-5

#: Whole names, theirs to ours.
VISION_NAMES: Mapping[str, str] = {
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm.weight": "ln_pre.weight",  # sic
    "vision_model.pre_layrnorm.bias": "ln_pre.bias",
    "vision_model.post_layernorm.weight": "ln_post.weight",
    "vision_model.post_layernorm.bias": "ln_post.bias",
    "visual_projection.weight": "proj",
}
TEXT_NAMES: Mapping[str, str] = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}
#: These multiply from the other side here.
TRANSPOSED = frozenset({"visual_projection.weight", "text_projection.weight"})
#: Names inside a layer.
LAYER_NAMES: Mapping[str, str] = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
#: Rows of the one matrix, in this order.
ATTENTION_PARTS = ("q", "k", "v")
LAYER = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
ATTENTION_PART = re.compile(r"self_attn\.([qkv])_proj")


def read_config(config: Mapping[str, Any]) -> tuple[ImageConfig, TextConfig]:
    """Sizes of both towers from a `config.json`.

    Raises:
        WeightsError: it is no CLIP model, lacks a size, or asks for what open_clip's towers cannot do.
    """
    if config.get("model_type") != "clip":
        raise WeightsError(f"config.json is of the kind {config.get('model_type')!r}, expected 'clip'")
    try:
        vision, text = dict(config["vision_config"]), dict(config["text_config"])
        width = int(config.get("projection_dim") or vision["projection_dim"])
        for tower in (vision, text):
            if float(tower.get("layer_norm_eps", LAYER_NORM_EPS)) != LAYER_NORM_EPS:
                raise WeightsError(
                    f"config.json: layer_norm_eps is {tower['layer_norm_eps']}, not {LAYER_NORM_EPS}"
                )
        quick_vision, quick_text = (
            ACTIVATIONS[tower.get("hidden_act", "quick_gelu")] for tower in (vision, text)
        )
        image = {
            "layers": int(vision["num_hidden_layers"]),
            "width": int(vision["hidden_size"]),
            "head_width": int(vision["hidden_size"]) // int(vision["num_attention_heads"]),
            "mlp_ratio": int(vision["intermediate_size"]) / int(vision["hidden_size"]),
            "patch_size": int(vision["patch_size"]),
            "image_size": int(vision.get("image_size", 224)),
        }
        words = {
            "context_length": int(text.get("max_position_embeddings", 77)),
            "vocab_size": int(text.get("vocab_size", 49408)),
            "width": int(text["hidden_size"]),
            "heads": int(text["num_attention_heads"]),
            "layers": int(text["num_hidden_layers"]),
            "mlp_ratio": int(text["intermediate_size"]) / int(text["hidden_size"]),
        }
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise WeightsError(f"config.json: missing, unknown or of a wrong kind: {error}") from error
    return ImageConfig(image, width, quick_vision), TextConfig(words, width, quick_text)


def convert_state(state: Mapping[str, Tensor]) -> tuple[State, State]:
    """The whole model's state to those of open_clip's vision and text tower, float32.

    Raises:
        WeightsError: a key is unknown, or a part of an attention matrix is missing.
    """
    towers: dict[str, State] = {"vision": {}, "text": {}}
    attention: dict[tuple[str, str], State] = {}
    for name, stored in state.items():
        tensor = stored.float()
        layer = LAYER.fullmatch(name)
        if name in PASSED_OVER:
            continue
        if name in VISION_NAMES or name in TEXT_NAMES:
            tower = "vision" if name in VISION_NAMES else "text"
            ours = VISION_NAMES.get(name) or TEXT_NAMES[name]
            towers[tower][ours] = tensor.T.contiguous() if name in TRANSPOSED else tensor
        elif layer and layer[3] in LAYER_NAMES:
            ours = f"transformer.resblocks.{layer[2]}.{LAYER_NAMES[layer[3]]}.{layer[4]}"
            towers[layer[1]][ours] = tensor
        elif layer and (part := ATTENTION_PART.fullmatch(layer[3])):
            ours = f"transformer.resblocks.{layer[2]}.attn.in_proj_{layer[4]}"
            attention.setdefault((layer[1], ours), {})[part[1]] = tensor
        else:
            raise WeightsError(f"the weights have the unknown key {name!r}")
    for (tower, ours), parts in attention.items():
        if set(parts) != set(ATTENTION_PARTS):
            missing = ", ".join(sorted(set(ATTENTION_PARTS) - set(parts)))
            raise WeightsError(f"the {tower} tower lacks the part {missing} of {ours}")
        towers[tower][ours] = torch.cat([parts[part] for part in ATTENTION_PARTS])
    return towers["vision"], towers["text"]
