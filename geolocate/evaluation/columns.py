"""Which columns of a table are the predicted and which the true positions, guessed from their names.

A name is an axis (`lat`, `Latitude`, `lng` ...) and what is left of it: a role (`pred_lat`, `lat_gt`,
`trueLon`, `predlat`), nothing at all, or something unknown. What cannot be told is refused, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from geolocate.evaluation.number_table import NumberTable

LATITUDE, LONGITUDE = "latitude", "longitude"
_AXES = {
    "latitude": LATITUDE,
    "lat": LATITUDE,
    "longitude": LONGITUDE,
    "long": LONGITUDE,
    "lon": LONGITUDE,
    "lng": LONGITUDE,
}
PREDICTED, TRUE = "predicted", "true"
_ROLES = dict.fromkeys(
    "p pred preds predict predicted prediction predictions estimate estimated estimation est guess guessed "
    "output out model hat inferred inference result retrieved".split(),
    PREDICTED,
) | dict.fromkeys(
    "t gt true truth gold actual target tgt label labels labeled labelled real ref reference exif gps ground "
    "groundtruth orig original observed obs correct expected gtruth query".split(),
    TRUE,
)
#: Words that a role is made of together with another, and that say nothing by themselves.
_EMPTY_WORDS = frozenset(
    "deg degrees degree coord coords coordinate position pos location loc top rank".split()
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z]+|\d+")
_ROLE_WORDS = "|".join(sorted(_ROLES, key=len, reverse=True))
_GLUED = re.compile(rf"(?!longest)({_ROLE_WORDS})?({'|'.join(_AXES)})({_ROLE_WORDS})?")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a column's name says.

    Attributes:
        role: PREDICTED, TRUE, or empty.
        rest: other words of it; `model2` of `model2_pred_lat`.
        number: of a list of candidates (`pred_lat_3`); -1 where there is none.
    """

    axis: str
    role: str
    rest: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Where latitude and longitude stand in the table."""

    latitude: int
    longitude: int


@dataclass(frozen=True, slots=True)
class PredictionColumns:
    """The columns of a table of predictions.

    Attributes:
        true: None where the truth comes from elsewhere.
    """

    predicted: Pair
    true: Pair | None

    def describe(self, table: NumberTable) -> str:
        """Which columns were taken, for the user."""

        def named(pair: Pair) -> str:
            return f"{table.columns[pair.latitude]}, {table.columns[pair.longitude]}"

        told = f"predicted: {named(self.predicted)}"
        return told if self.true is None else f"{told}; true: {named(self.true)}"


def find_prediction_columns(
    table: NumberTable,
    *,
    predicted: tuple[str, str] | None = None,
    true: tuple[str, str] | None = None,
    with_truth: bool = True,
) -> PredictionColumns:
    """Finds the columns, by the names given (latitude, longitude) or by what they are called.

    A pair that has no role in its name is the truth beside a predicted pair, and the prediction beside a true
    one or where the truth comes from elsewhere. So is the only pair with unknown words.

    Raises:
        TableError: a column is missing, or several would do; lists the columns.
    """
    pairs = _pairs(table.columns)
    given_predicted = Pair(*map(table.place, predicted)) if predicted else None
    given_true = Pair(*map(table.place, true)) if true else None
    taken = {given_predicted, given_true}
    pairs = {meaning: pair for meaning, pair in pairs.items() if pair not in taken}
    guess = given_predicted or _of_role(table, pairs, PREDICTED)
    truth = given_true or (_of_role(table, pairs, TRUE) if with_truth or guess is None else None)
    if guess is None and (truth is not None or not with_truth):
        guess = _without_role(table, pairs, PREDICTED)
    elif truth is None and guess is not None and with_truth:
        truth = _without_role(table, pairs, TRUE)
    elif truth is None and guess is None:
        truth, guess = _plain_and_named(pairs)
    if guess is None or (truth is None and with_truth):
        missing = "predicted" if guess is None else "true"
        raise table.refusal(
            f"does not tell which columns are the {missing} latitude and longitude: "
            f"name them with --{missing}-columns LATITUDE,LONGITUDE"
        )
    return PredictionColumns(guess, truth if with_truth else None)


def _pairs(columns: Iterable[str]) -> dict[tuple[str, tuple[str, ...], int], Pair]:
    """Pairs of latitude and longitude by role, other words and number; of columns of one name the first."""
    found: dict[tuple[str, tuple[str, ...], int], dict[str, int]] = {}
    for at, name in enumerate(columns):
        meaning = _meaning(name)
        if meaning is not None:
            of_pair = found.setdefault((meaning.role, meaning.rest, meaning.number), {})
            of_pair.setdefault(meaning.axis, at)
    return {key: Pair(pair[LATITUDE], pair[LONGITUDE]) for key, pair in found.items() if len(pair) == 2}


def _meaning(name: str) -> _Meaning | None:
    words: list[str] = _WORD.findall(_CAMEL.sub(" ", name).lower())
    axis = ""
    left: list[str] = []
    for word in words:
        glued = _GLUED.fullmatch(word)
        if glued and not axis:
            axis = _AXES[glued[2]]
            left += [part for part in (glued[1], glued[3]) if part]
        else:
            left.append(word)
    if not axis:
        return None
    numbers = [int(word) for word in left if word.isdigit()]
    roles = {_ROLES[word] for word in left if word in _ROLES}
    rest = tuple(sorted(w for w in left if w not in _ROLES and w not in _EMPTY_WORDS and not w.isdigit()))
    role = roles.pop() if len(roles) == 1 else ""
    if roles:  # both roles at once: nobody knows
        rest = (*rest, "?")
    return _Meaning(axis, role, rest, numbers[0] if len(numbers) == 1 else -1)


def _of_role(
    table: NumberTable, pairs: dict[tuple[str, tuple[str, ...], int], Pair], role: str
) -> Pair | None:
    """The pair of a role: without other words if there is one, of a numbered list the first."""
    found = {(rest, number): pair for (its, rest, number), pair in pairs.items() if its == role}
    if not found:
        return None
    words = {rest for rest, _ in found}
    if () in words:
        words = {()}
    if len(words) > 1:
        raise _ambiguous(table, found.values(), role)
    (rest,) = words
    return found[min(key for key in found if key[0] == rest)]


def _without_role(
    table: NumberTable, pairs: dict[tuple[str, tuple[str, ...], int], Pair], role: str
) -> Pair | None:
    """The pair whose name is nothing but axes; else the only one whose words are unknown."""
    unknown = {(rest, number): pair for (its, rest, number), pair in pairs.items() if not its}
    if ((), -1) in unknown:
        return unknown[(), -1]
    if len({rest for rest, _ in unknown}) > 1:
        raise _ambiguous(table, unknown.values(), role)
    return unknown[min(unknown)] if unknown else None


def _plain_and_named(
    pairs: dict[tuple[str, tuple[str, ...], int], Pair],
) -> tuple[Pair | None, Pair | None]:
    """A pair that is nothing but axes as the truth, the only other one (`geoclip_lat`) as the prediction."""
    plain = pairs.get(("", (), -1))
    named = [pair for pair in pairs.values() if pair != plain]
    return (plain, named[0]) if plain is not None and len(named) == 1 else (None, None)


def _ambiguous(table: NumberTable, pairs: Iterable[Pair], role: str) -> Exception:
    shown = " or ".join(f"{table.columns[pair.latitude]},{table.columns[pair.longitude]}" for pair in pairs)
    return table.refusal(
        f"has more than one pair of columns that may be the {role} position ({shown}): "
        f"name them with --{role}-columns LATITUDE,LONGITUDE"
    )
