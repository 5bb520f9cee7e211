"""From rows to predictions: the inverse of :func:`geolocate.writers.rows.rows_of`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from geolocate.records import COLUMNS, Candidate, Concept, NamedPosition, Place, Position, Prediction
from geolocate.writers.rows import NOTE_OCEAN, Row

RANK = "rank"
#: Columns of numbers but for the rank.
NUMBERS = frozenset(name for name in COLUMNS if name.endswith(("itude", "_km"))) | {"probability"}

#: A row and its number in the file, as messages name it: the line where it begins, from 1.
NumberedRow = tuple[int, Row]

#: Of a candidate; the others are those of its photo, the same at each rank.
_OF_CANDIDATE = frozenset(
    "rank latitude longitude probability radius_km country_code country region place place_km "
    "error_km notes".split()
)
_OF_PHOTO = tuple(name for name in COLUMNS if name not in _OF_CANDIDATE)
#: A concept's name and score, and what parts it from the next; a name may hold either mark.
_CONCEPT = re.compile(r"(.*?):(-?[0-9]{1,400}\.[0-9]{3})(?:; |\Z)", re.DOTALL)


class RowError(ValueError):
    """A row that predict did not write.

    Args:
        number: which, as in NumberedRow.
    """

    def __init__(self, number: int, reason: object) -> None:
        super().__init__(str(reason))
        self.number = number


def predictions_of(rows: Iterator[NumberedRow]) -> Iterator[Prediction]:
    """Yields the predictions of rows in order; consecutive rows of one photo with rising ranks are one.

    Raises:
        RowError: a row holds what no prediction gives, or disagrees with those of the same photo.
    """
    of_one: list[NumberedRow] = []
    for numbered in rows:
        if of_one and not _goes_on(of_one[-1][1], numbered[1]):
            yield _prediction(of_one)
            of_one = []
        of_one.append(numbered)
    if of_one:
        yield _prediction(of_one)


def _goes_on(before: Row, row: Row) -> bool:
    """Whether a row is the next candidate of the same photo."""
    ranks = before[RANK], row[RANK]
    return (
        before["photo"] == row["photo"]
        and isinstance(ranks[0], int)
        and isinstance(ranks[1], int)
        and ranks[0] < ranks[1]
    )


def _prediction(rows: list[NumberedRow]) -> Prediction:
    """The prediction of all rows of one photo."""
    number, first = rows[0]
    try:
        if not (photo := _text(first, "photo")):
            raise ValueError("no photo is named")
        if first["error"] is not None:
            return _failed(photo, first)
        notes = _notes_of_photo([row for _, row in rows])
        candidates = []
        for number, row in rows:  # noqa: B007  # the error names it
            if any(row[name] != first[name] for name in _OF_PHOTO):
                raise ValueError(f"another {_differing(first, row)} than the row before, of the same photo")
            if _notes(row) not in (notes, (*notes, NOTE_OCEAN)):
                raise ValueError("other notes than the row before, of the same photo")
            if row[RANK] is not None:
                candidates.append(_candidate(row, ocean=_notes(row) != notes))
            elif any(row[name] is not None for name in _OF_CANDIDATE - {"notes"}):
                raise ValueError("no rank")
        return Prediction(
            photo,
            tuple(candidates),
            _concepts(_text(first, "concepts")),
            _position(first, "exif_"),
            _text(first, "model"),
            notes,
        )
    except ValueError as error:
        raise RowError(number, error) from None


def _failed(photo: str, row: Row) -> Prediction:
    filled = {name for name in COLUMNS if row[name] is not None} - {"photo", "model", "notes", "error"}
    if filled:
        raise ValueError(f"an error, and yet {min(filled)}")
    return Prediction(photo, model=_text(row, "model"), notes=_notes(row), error=_text(row, "error"))


def _candidate(row: Row, *, ocean: bool) -> Candidate:
    rank, position, probability = row[RANK], _position(row, ""), _number(row, "probability")
    if not isinstance(rank, int) or rank < 1 or position is None or probability is None:
        raise ValueError("a candidate has a rank from 1 on, a position and a probability")
    return Candidate(
        rank,
        position,
        probability,
        _distance(row, "radius_km"),
        _named(row, ocean),
        _distance(row, "error_km"),
    )


def _named(row: Row, ocean: bool) -> NamedPosition | None:
    texts = [_text(row, name) for name in ("place", "region", "country", "country_code")]
    distance = _distance(row, "place_km")
    if not any(texts) and distance is None:
        return NamedPosition(None, math.nan, ocean) if ocean else None
    name, region, country, code = texts
    return NamedPosition(
        Place(name, region, country, code, None), math.nan if distance is None else distance, ocean
    )


def _notes_of_photo(rows: list[Row]) -> tuple[str, ...]:
    """The notes that all rows of a photo share; one more, the last, is of a candidate at sea."""
    least = min(map(_notes, rows), key=len)
    *others, last = least or ("",)
    if last != NOTE_OCEAN or NOTE_OCEAN in others or rows[0][RANK] is None:
        return least
    for row in rows:
        if _notes(row) != least or row["country_code"] or row["country"] or row["region"]:
            return least  # rows at sea name no country
    return tuple(others)


def _position(row: Row, prefix: str) -> Position | None:
    latitude, longitude = _number(row, f"{prefix}latitude"), _number(row, f"{prefix}longitude")
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None:
        raise ValueError(f"one half of {prefix}latitude and {prefix}longitude")
    if abs(latitude) > 90.0 or abs(longitude) > 180.0:
        raise ValueError(f"{prefix}latitude and {prefix}longitude are not on the globe")
    return Position(latitude, longitude)


def _distance(row: Row, name: str) -> float | None:
    number = _number(row, name)
    if number is not None and number < 0:
        raise ValueError(f"{name} is below 0")
    return number


def _number(row: Row, name: str) -> float | None:
    value = row[name]
    if value is None:
        return None
    if not isinstance(value, float) or not math.isfinite(value):
        raise ValueError(f"{name} is no number")
    return value


def _notes(row: Row) -> tuple[str, ...]:
    text = _text(row, "notes")
    return tuple(text.split(";")) if text else ()


def _text(row: Row, name: str) -> str:
    value = row[name]
    return "" if value is None else str(value)


def _concepts(text: str) -> tuple[Concept, ...]:
    concepts, at = [], 0
    while at < len(text):
        if not (found := _CONCEPT.match(text, at)):
            raise ValueError("concepts without scores")
        concepts.append(Concept(found[1], float(found[2])))
        at = found.end()
    return tuple(concepts)


def _differing(first: Row, row: Row) -> str:
    return next(name for name in _OF_PHOTO if row[name] != first[name])
