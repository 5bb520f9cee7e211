"""Predictions of an earlier run, of this program or any other, beside the true positions."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import TableError
from geolocate.evaluation.columns import Pair, PredictionColumns, find_prediction_columns
from geolocate.evaluation.number_table import NumberTable
from geolocate.position_table import (
    IMAGE_NAMES,
    NAMED_PROBLEMS,
    NO_NUMBER,
    OFF_GLOBE,
    SWAPPED,
    Problems,
    read_positions,
)
from geolocate.text_safety import printable

#: Columns of this program's own predictions.
RANK, RADIUS, ROW = "rank", "radius_km", "row"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Photos with a true position, and where they were placed.

    Attributes:
        truth: (N, 2), degrees.
        predicted: (N, 2); NaN where there is no prediction.
        radii_km: (N,) of the circles that are said to hold half; NaN where the table has none.
        remarks: what the user should know of the reading.
    """

    truth: Floats
    predicted: Floats
    radii_km: Floats
    remarks: tuple[str, ...]


def read_predictions(
    path: Path,
    truth: Path | None = None,
    *,
    predicted_columns: tuple[str, str] | None = None,
    true_columns: tuple[str, str] | None = None,
    image_column: str | None = None,
) -> Scored:
    """Reads predictions; of tables with a column `rank` the best rows only.

    Args:
        truth: a table of photos and true positions, which the predictions are joined to by the photo's name:
            as it is, else without folders, else without its extension. Photos without a prediction count.
        predicted_columns, true_columns: names of latitude and longitude, where they cannot be guessed.
        image_column: name of the column of photos in both tables.

    Raises:
        TableError: a file cannot be read, columns are missing or cannot be told apart, or nothing is left.
    """
    table = NumberTable.open(path)
    columns = find_prediction_columns(
        table, predicted=predicted_columns, true=None if truth else true_columns, with_truth=truth is None
    )
    problems = Problems()
    remarks = [f"columns of {printable(path.name)}: {columns.describe(table)}"]
    if truth is None:
        scored = _read_both(table, columns, problems)
    else:
        scored = _join(table, columns, truth, true_columns, image_column, problems)
    if not len(scored.truth):
        raise TableError(f"{printable(str(path))} has no row with a true position" + _listed(problems))
    return Scored(
        scored.truth,
        scored.predicted,
        scored.radii_km,
        (*remarks, *scored.remarks, *(f"left out: {line}" for line in problems.lines())),
    )


def read_feature_places(
    path: Path, rows: int, *, true_columns: tuple[str, str] | None = None
) -> tuple[NDArray[np.int64], Floats, list[str]]:
    """Rows of features (P,) with their true positions (P, 2), and what the user should know.

    The table has a column `row` that counts from 0, or one line for each row of the features.

    Raises:
        TableError: it cannot be read, or does not fit the features.
    """
    table = NumberTable.open(path)
    names = [column.casefold() for column in table.columns]
    true = true_columns or _plain_names(table)
    at = [table.place(name) for name in true]
    if ROW in names:
        at.append(names.index(ROW))
    values = _all(table, at)  # (R, 2 or 3)
    row = values[:, 2] if ROW in names else np.arange(len(values), dtype=np.float64)
    if ROW not in names and len(values) != rows:
        raise table.refusal(
            f"has {len(values):,} lines for {rows:,} rows of features, and no column 'row' that says which"
        )
    problems = Problems()
    kept = _on_globe(values[:, :2], problems)
    whole = np.isfinite(row) & (row >= 0) & (row < rows)
    whole[whole] &= row[whole] == np.floor(row[whole])
    _tell(problems, "no such row of features", ~whole)
    kept &= whole
    if not kept.any():
        raise TableError(f"{printable(str(path))} has no row with a true position" + _listed(problems))
    remarks = [f"left out: {line}" for line in problems.lines()]
    return row[kept].astype(np.int64), _wrapped(values[kept, :2]), remarks


def _plain_names(table: NumberTable) -> tuple[str, str]:
    """Names of the true columns of a table that has no others."""
    columns = find_prediction_columns(table, with_truth=False)
    return table.columns[columns.predicted.latitude], table.columns[columns.predicted.longitude]


def _all(table: NumberTable, columns: list[int]) -> Floats:
    blocks = [values for values, _ in table.blocks(columns)]
    return np.concatenate(blocks) if blocks else np.empty((0, len(columns)))


def _read_both(table: NumberTable, columns: PredictionColumns, problems: Problems) -> Scored:
    assert columns.true is not None
    numbers, optional = _numbers(table, columns.predicted, columns.true)
    values = _all(table, numbers)  # (R, 4 + optional)
    values, remarks = _best_ranks(values, optional)
    kept = _on_globe(values[:, 2:4], problems)
    values = values[kept]
    return Scored(
        _wrapped(values[:, 2:4]),
        _usable(values[:, :2]),
        values[:, optional[RADIUS]] if RADIUS in optional else np.full(len(values), np.nan),
        tuple(remarks),
    )


def _numbers(table: NumberTable, *pairs: Pair) -> tuple[list[int], dict[str, int]]:
    """Columns to read, and where among them the optional ones stand."""
    at = [place for pair in pairs for place in (pair.latitude, pair.longitude)]
    names = [column.casefold() for column in table.columns]
    optional = {}
    for name in (RANK, RADIUS):
        if name in names:
            optional[name] = len(at)
            at.append(names.index(name))
    return at, optional


def _best_ranks(values: Floats, optional: dict[str, int]) -> tuple[Floats, list[str]]:
    """Only the best-ranked rows, and those without a rank: photos that failed."""
    if RANK not in optional or not len(values):
        return values, []
    ranks = values[:, optional[RANK]]
    best = np.nanmin(ranks) if np.isfinite(ranks).any() else np.nan
    kept = np.isnan(ranks) | (ranks == best)
    return values[kept], [] if kept.all() else [f"rank {best:g} of each photo counts, the others do not"]


def _join(
    table: NumberTable,
    columns: PredictionColumns,
    truth: Path,
    true_columns: tuple[str, str] | None,
    image_column: str | None,
    problems: Problems,
) -> Scored:
    """Predictions looked up for each row of a table of true positions."""
    latitude, longitude = true_columns or (None, None)
    photos = list(read_positions(truth, None, image_column, latitude, longitude, problems=problems))
    names = [photo.name for photo in photos]
    found, values, optional = _by_name(table, columns.predicted, image_column, names)
    true = np.array([(p.position.latitude, p.position.longitude) for p in photos]).reshape(-1, 2)
    predicted, radii = np.full((len(photos), 2), np.nan), np.full(len(photos), np.nan)
    known = found >= 0
    predicted[known] = _usable(values[found[known], :2])
    if RADIUS in optional:
        radii[known] = values[found[known], optional[RADIUS]]
    remarks = []
    if not known.any() and len(photos):
        raise table.refusal(f"names none of the {len(photos):,} photos of {printable(str(truth))}")
    if not known.all():
        remarks.append(
            f"{int((~known).sum()):,} photos of {printable(truth.name)} are not in the predictions"
        )
    return Scored(true, predicted, radii, tuple(remarks))


def _by_name(
    table: NumberTable, predicted: Pair, image_column: str | None, wanted: list[str]
) -> tuple[NDArray[np.int64], Floats, dict[str, int]]:
    """For each wanted photo the row of its best prediction or -1, and all rows."""
    names = [column.casefold() for column in table.columns]
    at = (
        table.place(image_column)
        if image_column is not None
        else next((names.index(name) for name in IMAGE_NAMES if name in names), None)
    )
    if at is None:
        raise table.refusal("has no column of photos: name it with --image-column")
    numbers, optional = _numbers(table, predicted)
    rows: list[str] = []
    blocks = []
    for values, block_names in table.blocks(numbers, at):
        blocks.append(values)
        rows += block_names
    values = np.concatenate(blocks) if blocks else np.empty((0, len(numbers)))
    order = range(len(rows))
    if RANK in optional:
        ranks = np.nan_to_num(values[:, optional[RANK]], nan=np.inf)
        order = np.argsort(ranks, kind="stable")  # type: ignore[assignment]
    found = np.full(len(wanted), -1)
    for form in _FORMS:
        row_of: dict[str, int] = {}
        for row in order:
            row_of.setdefault(form(rows[row]), int(row))
        for index in np.flatnonzero(found < 0):
            found[index] = row_of.get(form(wanted[index]), -1)
    return found, values, optional


def _without_folders(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


#: How names of photos are compared, the strictest first.
_FORMS: tuple[Callable[[str], str], ...] = (
    os.path.normpath,
    _without_folders,
    lambda name: os.path.splitext(_without_folders(name))[0],
)


def _on_globe(truth: Floats, problems: Problems) -> NDArray[np.bool_]:
    """Which true positions (R, 2) can be ones; tells `problems` of the others."""
    latitude, longitude = np.abs(truth).T
    finite: NDArray[np.bool_] = np.isfinite(latitude + longitude)
    inside: NDArray[np.bool_] = finite & (latitude <= 90) & (longitude <= 360)
    swapped: NDArray[np.bool_] = finite & ~inside & (latitude <= 180) & (longitude <= 90)
    _tell(problems, f"{NO_NUMBER} as truth", ~finite)
    _tell(problems, f"{SWAPPED} in the truth", swapped)
    _tell(problems, f"truth {OFF_GLOBE}", finite & ~inside & ~swapped)
    return inside


def _tell(problems: Problems, kind: str, rows: NDArray[np.bool_]) -> None:
    """Counts all of the rows (R,), names the first."""
    found = np.flatnonzero(rows)
    for row in found[:NAMED_PROBLEMS]:
        problems.add(kind, f"row {row + 1}")
    if len(found) > NAMED_PROBLEMS:
        problems.counts[kind] += len(found) - NAMED_PROBLEMS


def _usable(predicted: Floats) -> Floats:
    """Predictions (R, 2), NaN where they are no position."""
    latitude, longitude = np.abs(predicted).T
    bad = ~((latitude <= 90) & (longitude <= 360))  # True for NaN
    return _wrapped(np.where(bad[:, None], np.nan, predicted))


def _wrapped(positions: Floats) -> Floats:
    """Longitudes of 0 to 360 as -180 to 180; those within stay as they are, to the last digit."""
    longitude = positions[:, 1]
    beyond = np.abs(longitude) > 180
    return np.stack((positions[:, 0], np.where(beyond, (longitude + 180) % 360 - 180, longitude)), axis=1)


def _listed(problems: Problems) -> str:
    return "".join(f"; left out: {line}" for line in problems.lines())
