"""What the page is told of one photo: the columns of the tables, as far as they hold anything."""

from __future__ import annotations

from itertools import islice
from typing import Any

from geolocate.records import COLUMNS, Prediction
from geolocate.text_safety import printable, to_unicode
from geolocate.writers.rows import SCORE_DECIMALS, rounded, rows_of

#: So many candidates and concepts of a photo are shown at most: more are no page that a browser can draw.
MAX_SHOWN = 100
#: What the rows of one photo share.
_SHARED = ("exif_latitude", "exif_longitude", "notes", "error")
#: What each candidate has of its own: all but that, the photo's name and concepts, and what is one in a run.
_OF_CANDIDATE = tuple(
    name for name in COLUMNS if name not in (*_SHARED, "photo", "rank", "concepts", "model")
)


def photo_json(prediction: Prediction) -> dict[str, Any]:
    """A photo with its candidates by rank and its concepts ``[name, score]``; what is blank is left out.

    Of more than MAX_SHOWN candidates the first are there, and ``left_out`` says how many are not.

    Texts hold no control characters and no marks that reorder what a reader sees.
    """
    rows = list(islice(rows_of(prediction), MAX_SHOWN))
    photo = _held(dict(rows[0]), _SHARED)
    photo["photo"] = _shown(prediction.photo)
    photo["candidates"] = [_held(dict(row), _OF_CANDIDATE) for row in rows if row["rank"] is not None]
    if prediction.error is None and len(prediction.candidates) > MAX_SHOWN:
        photo["left_out"] = len(prediction.candidates) - MAX_SHOWN
    photo["concepts"] = [
        [_shown(concept.name), rounded(concept.score, SCORE_DECIMALS)]
        for concept in prediction.concepts[:MAX_SHOWN]
        if rounded(concept.score, SCORE_DECIMALS) is not None
    ]
    return photo


def _held(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: _shown(row[name]) if isinstance(row[name], str) else row[name]
        for name in names
        if row[name] is not None
    }


def _shown(text: str) -> str:
    return printable(to_unicode(text))
