"""What the literature reports for the same benchmarks, shipped as data/published_accuracy.csv."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from geolocate.evaluation.metrics import ACCURACY_THRESHOLDS_KM

DATA_PATH = Path(__file__).parent.parent / "data" / "published_accuracy.csv"
#: Benchmarks with a table, as in the names of their files.
BENCHMARKS = ("im2gps3k", "yfcc4k", "gws15k")
#: Said wherever the figures of arXiv 2509.01910 stand.
CAVEAT_SOURCE = "arXiv 2509.01910"
CAVEAT = (
    "the rows of arXiv 2509.01910 compare its module with its own run of GeoCLIP (10.8/31.1/48.7/67.6/83.2), "
    "probably trained on less data; GeoCLIP as published is above both"
)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One method's accuracy.

    Attributes:
        within: per cent within each of ACCURACY_THRESHOLDS_KM; None where it was not reported.
        source: where the figures come from.
    """

    method: str
    year: int
    within: tuple[float | None, ...]
    source: str


@cache
def published_rows(benchmark: str) -> tuple[PublishedRow, ...]:
    """The table of a benchmark, oldest first; none where there is no table."""
    with DATA_PATH.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == benchmark]
    keys = [f"km{limit:g}" for limit in ACCURACY_THRESHOLDS_KM]
    return tuple(
        PublishedRow(
            row["method"],
            int(row["year"]),
            tuple(float(row[key]) if row[key] else None for key in keys),
            row["source"],
        )
        for row in rows
    )


def guess_benchmark(name: str) -> str | None:
    """The benchmark that a file's or folder's name speaks of, None where it speaks of none or several."""
    words = re.sub(r"[^a-z0-9]", "", name.lower())
    found = [benchmark for benchmark in BENCHMARKS if benchmark in words]
    return found[0] if len(found) == 1 else None
