"""The model card of an exported bundle, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geolocate.bundle import Manifest

MISUSE = """\
Where a photo was taken can harm the people in it. Results are hypotheses, not findings. Do not use them to
find, follow, identify or expose a person, nor to decide about one."""


def card(manifest: Manifest, gallery_size: int, gallery_method: str) -> str:
    """The text of CARD.md; its first line says whether the weights mean anything."""
    title = f"{manifest.name} {manifest.version}"
    first = (
        f"**{title}: trained.**"
        if manifest.trained
        else f"**{title} is UNTRAINED: its weights are random numbers, and so are its guesses.**"
    )
    accuracy = (
        "\n".join(f"- {name}: {value}" for name, value in manifest.accuracy.items())
        or "Nothing was measured: no accuracy is claimed."
    )
    return f"""\
{first}

# {manifest.name}

Image and location encoders in the manner of GeoCLIP (Vivanco Cepeda, Nayak, Shah; NeurIPS 2023, arXiv
2309.16020), exported to ONNX. Input: {manifest.image.size} x {manifest.image.size} pixels; features of \
width {manifest.feature_dim}; embeddings of width {manifest.embedding_dim}.

## Data
{manifest.source}

## Gallery
{gallery_size:,} points. {gallery_method}

## Licence
{manifest.licence}

## Accuracy
{accuracy}

## Parity
Torch against ONNX Runtime on the CPU; the numbers of every graph are in `bundle.json`.
{_parity_lines(manifest.parity)}

## What it must not be used for
{MISUSE}
"""


def _parity_lines(parity: Mapping[str, Any]) -> str:
    lines = [
        f"- {name}: max abs difference {agreement['max_abs_difference']:.2g}, worst cosine "
        f"{agreement['min_cosine']:.8f}, n = {agreement['n']}"
        for name, agreement in parity.items()
        if isinstance(agreement, Mapping)
    ]
    lines.append(f"- drift of the best gallery point: {parity['top1_drift_km']:g} km at most")
    return "\n".join(lines)
