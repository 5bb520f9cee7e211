"""Predictions of an earlier run, of this program or any other, beside the true positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geolocate.album import NOTE_ALBUM
from geolocate.errors import TableError
from geolocate.evaluation.columns import Pair, PredictionColumns, find_prediction_columns
from geolocate.evaluation.number_table import NumberTable
from geolocate.evaluation.photo_names import NOT_FOUND, SEVERAL, rows_by_name
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
RANK, RADIUS, ROW, NOTES = "rank", "radius_km", "row", "notes"
#: Of rows that rest on the positions of other photos, which are no measure of a model.
BY_NEIGHBOURS = f"placed by photos near in time (note {NOTE_ALBUM})"
#: Of photos whose name fits several predictions.
AMBIGUOUS = "name that several predictions have"

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
    """Reads predictions; of tables with a column `rank` the best rows only, and none with the note `album`.

    Args:
        truth: a table of photos and true positions, which the predictions are joined to by the photo's name:
            as it is, else without folders, else without its extension; of several the one whose folders are
            the most alike. Photos without a prediction count.
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
    number = np.arange(1, len(values) + 1)
    kept = _on_globe(values[:, :2], problems, number)
    whole = np.isfinite(row) & (row >= 0) & (row < rows)
    whole[whole] &= row[whole] == np.floor(row[whole])
    _tell(problems, "no such row of features", number[~whole])
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
    values, by_neighbours, _ = _rows(table, numbers, None)  # (R, 4 + optional), (R,)
    best, remarks = _best_ranks(values, optional)
    number = np.flatnonzero(best) + 1  # of each row that is left, as messages count them
    measured = ~by_neighbours[best]
    _tell(problems, BY_NEIGHBOURS, number[~measured])
    values, number = values[best][measured], number[measured]
    values = values[_on_globe(values[:, 2:4], problems, number)]
    predicted = _usable(values[:, :2], remarks)
    radii = values[:, optional[RADIUS]] if RADIUS in optional else np.full(len(values), np.nan)
    return Scored(_wrapped(values[:, 2:4]), predicted, radii, tuple(remarks))


def _rows(
    table: NumberTable, numbers: list[int], text: int | None
) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """Columns of numbers (R, K); which rows rest on other photos (R,); a column of texts if one is asked."""
    names = [column.casefold() for column in table.columns]
    notes = [names.index(NOTES)] if NOTES in names else []
    blocks, marks, texts = [np.empty((0, len(numbers)))], [np.empty(0, bool)], list[str]()
    for values, words in table.blocks(numbers, [*notes, *([] if text is None else [text])]):
        blocks.append(values)
        told = words[0] if notes else [""] * len(values)
        marks.append(np.fromiter((bool(note) and NOTE_ALBUM in note.split(";") for note in told), bool))
        texts += words[-1] if text is not None else []
    return np.concatenate(blocks), np.concatenate(marks), texts


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


def _best_ranks(values: Floats, optional: dict[str, int]) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows (R,) count: the best-ranked, and those without a rank, photos that failed."""
    if RANK not in optional or not len(values):
        return np.ones(len(values), bool), []
    ranks = values[:, optional[RANK]]
    best = np.nanmin(ranks) if np.isfinite(ranks).any() else np.nan
    kept: NDArray[np.bool_] = np.isnan(ranks) | (ranks == best)
    return kept, [] if kept.all() else [f"rank {best:g} of each photo counts, the others do not"]


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
    numbers, optional = _numbers(table, columns.predicted)
    values, by_neighbours, names = _rows(table, numbers, _image_column(table, image_column))
    ranks = values[:, optional[RANK]] if RANK in optional else None
    found = rows_by_name(names, ranks, [photo.name for photo in photos])
    if photos and (found == NOT_FOUND).all():
        raise table.refusal(f"names none of the {len(photos):,} photos of {printable(str(truth))}")
    for index in np.flatnonzero(found == SEVERAL):
        problems.add(AMBIGUOUS, photos[index].name)
    known = found >= 0
    resting = np.zeros(len(photos), bool)
    resting[known] = by_neighbours[found[known]]
    for index in np.flatnonzero(resting):
        problems.add(BY_NEIGHBOURS, photos[index].name)
    true = np.array([(p.position.latitude, p.position.longitude) for p in photos]).reshape(-1, 2)
    predicted, radii = np.full((len(photos), 2), np.nan), np.full(len(photos), np.nan)
    missing = int((found == NOT_FOUND).sum())
    remarks = [f"{missing:,} photos of {printable(truth.name)} are not in the predictions"] if missing else []
    predicted[known] = _usable(values[found[known], :2], remarks)
    if RADIUS in optional:
        radii[known] = values[found[known], optional[RADIUS]]
    kept = (found != SEVERAL) & ~resting
    return Scored(true[kept], predicted[kept], radii[kept], tuple(remarks))


def _image_column(table: NumberTable, name: str | None) -> int:
    if name is not None:
        return table.place(name)
    names = [column.casefold() for column in table.columns]
    for known in IMAGE_NAMES:
        if known in names:
            return names.index(known)
    raise table.refusal("has no column of photos: name it with --image-column")


def _on_globe(truth: Floats, problems: Problems, number: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which true positions (R, 2) can be ones; tells `problems` of the others, by their number (R,)."""
    latitude, longitude = np.abs(truth).T
    finite: NDArray[np.bool_] = np.isfinite(latitude + longitude)
    inside: NDArray[np.bool_] = finite & (latitude <= 90) & (longitude <= 360)
    swapped: NDArray[np.bool_] = finite & ~inside & (latitude <= 180) & (longitude <= 90)
    _tell(problems, f"{NO_NUMBER} as truth", number[~finite])
    _tell(problems, f"{SWAPPED} in the truth", number[swapped])
    _tell(problems, f"truth {OFF_GLOBE}", number[finite & ~inside & ~swapped])
    return inside


def _tell(problems: Problems, kind: str, numbers: NDArray[np.intp]) -> None:
    """Counts all of the rows with these numbers (R,), names the first."""
    for number in numbers[:NAMED_PROBLEMS]:
        problems.add(kind, f"row {number}")
    if len(numbers) > NAMED_PROBLEMS:
        problems.counts[kind] += len(numbers) - NAMED_PROBLEMS


def _usable(predicted: Floats, remarks: list[str]) -> Floats:
    """Predictions (R, 2), NaN where they are no position; remarks on those that only look like one."""
    latitude, longitude = np.abs(predicted).T
    bad = ~((latitude <= 90) & (longitude <= 360))  # True for NaN
    off = int((bad & np.isfinite(latitude + longitude)).sum())
    if off:
        remarks.append(f"predictions off the globe, which count as none (latitude comes first): {off:,}")
    return _wrapped(np.where(bad[:, None], np.nan, predicted))


def _wrapped(positions: Floats) -> Floats:
    """Longitudes of 0 to 360 as -180 to 180; those within stay as they are, to the last digit."""
    longitude = positions[:, 1]
    beyond = np.abs(longitude) > 180
    return np.stack((positions[:, 0], np.where(beyond, (longitude + 180) % 360 - 180, longitude)), axis=1)


def _listed(problems: Problems) -> str:
    return "".join(f"; left out: {line}" for line in problems.lines())
