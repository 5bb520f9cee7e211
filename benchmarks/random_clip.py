"""A CLIP ViT-L/14 with seeded random weights, in the layout of openai/clip-vit-large-patch14.

    python benchmarks/random_clip.py DIR
    geolocate models pull geoclip-vit-l-14 --clip-weights DIR --yes

Time depends on the sizes of a network, not on its weights: so the published GeoCLIP can be timed where its
backbone cannot be fetched. Where photos were taken such a model cannot tell.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import transformers

SEED = 14
#: Spreads the features of random towers as far as trained ones: with 1 they hardly depend on the photo.
INITIALIZER_FACTOR = 3.0


def random_clip() -> transformers.CLIPModel:
    """ViT-L/14 as OpenAI published it, but for its numbers."""
    torch.manual_seed(SEED)
    config = transformers.CLIPConfig(
        projection_dim=768,
        initializer_factor=INITIALIZER_FACTOR,
        vision_config={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "patch_size": 14,
            "projection_dim": 768,
            "initializer_factor": INITIALIZER_FACTOR,
        },
        text_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "projection_dim": 768,
            "bos_token_id": 0,
            "eos_token_id": 2,  # as published: pools at the highest id
            "initializer_factor": INITIALIZER_FACTOR,
        },
    )
    return transformers.CLIPModel(config)


def main() -> None:
    """Writes 1.7 GB to the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    random_clip().save_pretrained(folder)
    print(folder)


if __name__ == "__main__":
    main()
