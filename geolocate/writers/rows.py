"""A prediction as rows: the columns of every tabular output, rounded the same way in each.

One row per photo and rank; a photo that failed has one row.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator

from geolocate.records import COLUMNS, PHOTO_BYTES, Candidate, NamedPosition, Position, Prediction
from geolocate.text_safety import to_bytes, to_unicode

#: One row, keys in the order of COLUMNS; None is a blank cell.
Row = dict[str, str | int | float | None]

DEGREE_DECIMALS = 6  # about 0.1 m
KM_DECIMALS = 3
PROBABILITY_DIGITS = 6  # significant
SCORE_DECIMALS = 3

#: With one of these first, a spreadsheet takes a text for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

NOTE_OCEAN = "ocean"


def rows_of(prediction: Prediction) -> Iterator[Row]:
    """Yields the rows of one photo, by rank; values rounded as they are written."""
    row: Row = dict.fromkeys(COLUMNS)
    row["photo"] = safe_path(prediction.photo)
    row["model"] = prediction.model or None
    row["notes"] = ";".join(prediction.notes) or None
    if prediction.error is not None:
        row["error"] = prediction.error or "failed"
        yield row
        return
    row["concepts"] = "; ".join(
        f"{concept.name}:{concept.score:.{SCORE_DECIMALS}f}" for concept in prediction.concepts
    )
    row["concepts"] = row["concepts"] or None
    row |= _position("exif_", prediction.exif)
    if not prediction.candidates:
        yield row
    for candidate in prediction.candidates:
        yield row | _candidate(candidate, prediction.notes)


def _candidate(candidate: Candidate, notes: tuple[str, ...]) -> Row:
    ocean = candidate.named is not None and candidate.named.ocean
    if ocean and NOTE_OCEAN not in notes:
        notes = (*notes, NOTE_OCEAN)
    return {
        "rank": candidate.rank,
        **_position("", candidate.position),
        "probability": significant(candidate.probability),
        "radius_km": rounded(candidate.radius_km, KM_DECIMALS),
        **_place(candidate.named),
        "error_km": rounded(candidate.error_km, KM_DECIMALS),
        "notes": ";".join(notes) or None,
    }


def _position(prefix: str, position: Position | None) -> Row:
    return {
        f"{prefix}latitude": rounded(position.latitude if position else None, DEGREE_DECIMALS),
        f"{prefix}longitude": rounded(position.longitude if position else None, DEGREE_DECIMALS),
    }


def _place(named: NamedPosition | None) -> Row:
    if named is None or named.place is None:
        return {}
    place: Row = {"place": named.place.name or None, "place_km": rounded(named.distance_km, KM_DECIMALS)}
    if not named.ocean:  # at sea the nearest place says nothing of whose water it is
        place |= {
            "country_code": named.place.country_code or None,
            "country": named.place.country or None,
            "region": named.place.region or None,
        }
    return place


def in_unicode(row: Row) -> tuple[Row, bytes | None]:
    """A row whose texts are valid Unicode, and the raw name of the photo where that is not UTF-8."""
    valid = {key: to_unicode(value) if isinstance(value, str) else value for key, value in row.items()}
    photo = str(row["photo"])
    if valid["photo"] == photo:
        return valid, None
    raw = to_bytes(photo)
    try:
        # Under an ASCII locale even valid UTF-8 arrives as escapes.
        valid["photo"] = raw.decode("utf-8")
    except UnicodeDecodeError:
        return valid, raw
    return valid, None


def in_json(row: Row) -> Row:
    """The same as values of JSON: the raw name, where there is one, base64 under PHOTO_BYTES."""
    valid, raw = in_unicode(row)
    if raw is not None:
        valid[PHOTO_BYTES] = base64.b64encode(raw).decode("ascii")
    return valid


def rounded(value: float | None, decimals: int) -> float | None:
    """Rounded, never -0.0; None for a number that is none."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), decimals) + 0.0


def significant(value: float) -> float | None:
    """Rounded to PROBABILITY_DIGITS significant digits; None for a number that is none."""
    return float(f"{value:.{PROBABILITY_DIGITS}g}") if math.isfinite(value) else None


def safe_path(path: str) -> str:
    """The same file under a name that neither a spreadsheet nor another program's options misread."""
    return f"./{path}" if path.startswith(FORMULA_STARTS) else path
