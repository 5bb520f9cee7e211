"""CSV (RFC 4180): UTF-8, a header always, one line end "\\n", safe to open in a spreadsheet."""

from __future__ import annotations

import re
from pathlib import Path

from geolocate.records import COLUMNS, Prediction
from geolocate.text_safety import to_bytes
from geolocate.writers.rows import DEGREE_DECIMALS, FORMULA_STARTS, KM_DECIMALS, PROBABILITY_DIGITS, rows_of
from geolocate.writers.target import Target

_HEADER = (",".join(COLUMNS) + "\n").encode("ascii")
_NUMBER_FORMATS = {
    "probability": f".{PROBABILITY_DIGITS}g",
    **{column: f".{DEGREE_DECIMALS}f" for column in COLUMNS if column.endswith("itude")},
    **{column: f".{KM_DECIMALS}f" for column in COLUMNS if column.endswith("_km")},
}
#: RFC 4180 asks for quotes round the first three; readers differ on other controls and on outer spaces.
_NEEDS_QUOTES = re.compile(r'[",\x00-\x1f\x7f]|^ | $')


class CsvWriter:
    """Writes rows as they come; undecodable bytes of file names survive as they were."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._header = _HEADER

    def write(self, prediction: Prediction) -> None:
        """Writes the rows of one photo at once.

        Raises:
            OutputError: the disk is full or gone.
        """
        lines = [
            ",".join([cell(column, value) for column, value in row.items()]) for row in rows_of(prediction)
        ]
        self._target.write(self._header + to_bytes("\n".join(lines) + "\n"))
        self._header = b""

    def close(self) -> None:
        """Commits; without any row there is still the header."""
        if self._header:
            self._target.write(self._header)
        self._target.commit()

    def abort(self) -> Path | None:
        """Gives up; returns the file that keeps what was written, if any."""
        return self._target.abandon()


def cell(column: str, value: str | int | float | None) -> str:
    """One cell: numbers plain, texts neutralised for spreadsheets and quoted where they must be."""
    if value is None:
        return ""
    if isinstance(value, float):
        return format(value, _NUMBER_FORMATS.get(column, ""))
    if isinstance(value, int):
        return str(value)
    text = value.replace("\0", "\ufffd")
    if text.startswith(FORMULA_STARTS):
        text = "'" + text
    if _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text
