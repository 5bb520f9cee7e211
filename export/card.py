"""The model card of an exported bundle, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geolocate.bundle import Manifest
from geolocate.evaluation.calibration import binomial_interval

MISUSE = """\
Where a photo was taken can harm the people in it. Results are hypotheses, not findings. Do not use them to
find, follow, identify or expose a person, nor to decide about one."""


def card(manifest: Manifest, gallery_size: int, gallery_method: str) -> str:
    """The text of CARD.md; its first line says whether the weights mean anything."""
    title = f"{manifest.name} {manifest.version}"
    first = (
        f"**{title}: {manifest.accuracy.get('summary', 'trained')}.**"
        if manifest.trained
        else f"**{title} is UNTRAINED: its weights are random numbers, and so are its guesses.**"
    )
    accuracy = _accuracy(manifest.accuracy) or "Nothing was measured: no accuracy is claimed."
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

{_calibration(manifest.calibration)}## Parity
Torch against ONNX Runtime on the CPU; the numbers of every graph are in `bundle.json`.
{_parity_lines(manifest.parity)}

## What it must not be used for
{MISUSE}
"""


def _accuracy(accuracy: Mapping[str, Any]) -> str:
    """Single values as a list, then a table of what has the same columns, then the other groups of values."""
    tables = {name: value for name, value in accuracy.items() if isinstance(value, Mapping)}
    rows = {name: row for name, row in tables.items() if all(_is_measured(value) for value in row.values())}
    lines = [f"- {name}: {value}" for name, value in accuracy.items() if name not in tables]
    if rows:
        columns = list(next(iter(rows.values())))
        lines += ["", "| | " + " | ".join(column.replace("_", " ") for column in columns) + " |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        lines += [
            f"| {name} | " + " | ".join(_cell(row.get(column)) for column in columns) + " |"
            for name, row in rows.items()
        ]
        lines += ["", "Shares are per cent; in brackets, 95 % bootstrap intervals.", ""]
    for name, group in tables.items():
        if name not in rows:
            lines += [f"- {name}, {key}: {_cell(value)}" for key, value in group.items()]
    return "\n".join(lines)


def _is_measured(value: object) -> bool:
    """Whether it is a number with its interval, or without one, as a table has it."""
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) in (1, 3)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        number, *interval = (f"{part:g}" for part in value)
        return (
            f"{number} ({' to '.join(interval)})" if len(interval) == 2 else " to ".join([number, *interval])
        )
    return str(value)


def _calibration(calibration: Mapping[str, Any]) -> str:
    """What the temperature was fitted on, and how circles did on photos that it was not fitted on."""
    if not calibration:
        return ""
    count = int(calibration["photos"])
    lines = [
        f"## Calibration\nThe temperature was fitted on {count} photos: {calibration['data']}. On the photos "
        f"of each of {calibration['folds']} folds, with the temperature of the others:",
    ]
    for stated, share in calibration["held_out_coverage"].items():
        low, high = binomial_interval(round(share * count), count)
        lines.append(
            f"- the circle that states {float(stated):.0%} held {share:.1%} (95 % interval {low:.1%} to "
            f"{high:.1%})"
        )
    return "\n".join(lines) + "\n\n"


def _parity_lines(parity: Mapping[str, Any]) -> str:
    lines = [
        f"- {name}: max abs difference {agreement['max_abs_difference']:.2g}, worst cosine "
        f"{agreement['min_cosine']:.8f}, n = {agreement['n']}"
        for name, agreement in parity.items()
        if isinstance(agreement, Mapping)
    ]
    lines.append(f"- drift of the best gallery point: {parity['top1_drift_km']:g} km at most")
    return "\n".join(lines)
