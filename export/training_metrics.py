"""What is measured after each epoch of a training, and the table of it."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, fields
from pathlib import Path

METRICS_NAME = "metrics.csv"


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """One row of metrics.csv; NaN where nothing was measured.

    Attributes:
        epoch: from 1.
        steps: of this epoch.
        learning_rate: in this epoch.
        loss, contrast, concept_contrast, divergence, grounding: means over the steps; the parts without their
            weights.
        held_out_loss, median_km, within_1_km, ..., within_2500_km: on the held-out photos.
        concept_median_km: the same by retrieval in the concept space.
        concept_auc: median over the concepts with facts, in the held-out regions.
        seconds: of the whole epoch; the one value that differs when a run is repeated.
    """

    epoch: int
    steps: int
    learning_rate: float
    loss: float
    contrast: float
    concept_contrast: float
    divergence: float
    grounding: float
    held_out_loss: float = math.nan
    median_km: float = math.nan
    within_1_km: float = math.nan
    within_25_km: float = math.nan
    within_200_km: float = math.nan
    within_750_km: float = math.nan
    within_2500_km: float = math.nan
    concept_median_km: float = math.nan
    concept_auc: float = math.nan
    seconds: float = math.nan


def epoch_line(metrics: EpochMetrics) -> str:
    """One epoch in a line."""
    parts = [f"epoch {metrics.epoch}: loss {metrics.loss:.3f}"]
    if not math.isnan(metrics.median_km):
        parts.append(
            f"held-out median {metrics.median_km:,.0f} km, {metrics.within_750_km:.1%} within 750 km"
        )
    if not math.isnan(metrics.concept_auc):
        parts.append(f"median AUC of concepts {metrics.concept_auc:.3f}")
    return ", ".join([*parts, f"{metrics.seconds:.1f} s"])


def write_metrics(path: Path, history: list[EpochMetrics]) -> None:
    """All rows anew: an epoch that was cut off and done again has one row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(EpochMetrics))
        for metrics in history:
            row = (getattr(metrics, field.name) for field in fields(EpochMetrics))
            writer.writerow("" if value != value else f"{value:.6g}" for value in row)
