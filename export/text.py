"""The text side of CLIP (Radford et al. 2021, https://arxiv.org/abs/2103.00020) in torch.

N texts, T tokens of the context, c width of the features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import open_clip
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from torch import nn

#: Entries of an open_clip text configuration that name another tokeniser or another library's tower.
FOREIGN_TEXT_KEYS = frozenset({"hf_model_name", "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs"})


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of a text tower.

    Attributes:
        text: open_clip's description (the fields of its `CLIPTextCfg`).
        feature_dim: c, the same as the vision tower's.
        quick_gelu: the activation of OpenAI's own CLIP weights.
    """

    text: Mapping[str, Any]
    feature_dim: int
    quick_gelu: bool = False

    @property
    def context_length(self) -> int:
        """T, how many tokens a text has, padding included."""
        return int(self.text.get("context_length", 77))

    @classmethod
    def of_open_clip(cls, config: Mapping[str, Any]) -> TextConfig | None:
        """From an open_clip model configuration; None where tower or tokeniser are not CLIP's own."""
        text = dict(config["text_cfg"])
        if FOREIGN_TEXT_KEYS & text.keys():
            return None
        return cls(text, int(config["embed_dim"]), bool(config.get("quick_gelu", False)))


def text_tower(config: TextConfig) -> nn.Module:
    """An open_clip text tower with fresh weights: token ids int64 (N, T) to raw features (N, c)."""
    # open_clip builds whole models only: the smallest vision tower goes along and is dropped.
    vision = CLIPVisionCfg(layers=1, width=8, head_width=8, patch_size=8, image_size=8)
    model = open_clip.CustomTextCLIP(
        config.feature_dim, vision, CLIPTextCfg(**config.text), quick_gelu=config.quick_gelu
    )
    tower: nn.Module = model.text
    return tower
