"""Tables of photos and where they were taken: MP-16, Im2GPS3k, OSV-5M, GeoCLIP's, and one's own.

Rows are read one at a time. A bad row is counted and named, and the others go on; only a table without the
columns is an error.
"""

from __future__ import annotations

import csv
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from geolocate.errors import TableError
from geolocate.gallery_csv import LATITUDE_NAMES, LONGITUDE_NAMES
from geolocate.records import Position
from geolocate.text_safety import printable

#: Columns that name the photo, the first that is there: MP-16 and Im2GPS3k, GeoCLIP, then others'.
IMAGE_NAMES = (
    "img_id img_file img_path image photo file path filename file_name image_path image_id photo_id id"
).split()
#: What may stand between two cells; the first under which the header has the columns.
DELIMITERS = ",;\t|"
#: Ids without an extension (OSV-5M) are looked for under these.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
#: Subfolders of the images, one level down, in which an id is looked for; OSV-5M has 98 of them.
MAX_SUBFOLDERS = 128
#: Problems of one kind that are named; the others are only counted.
NAMED_PROBLEMS = 3

#: Characters of a line that are read; what follows is skipped, so that memory is bounded.
MAX_LINE = 2**20
#: Characters of a name that messages show.
MAX_SHOWN = 100

NO_NAME = "no photo named"
NO_NUMBER = "no number of degrees"
OFF_GLOBE = "off the globe"
SWAPPED = "latitude and longitude swapped"
OUTSIDE = "path outside the images folder"
MISSING = "file missing"
UNCLOSED = "cell too long, or a quote that is never closed"


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo and where it was taken.

    Attributes:
        name: as the table has it.
        path: of its file; equal to `name` where no images folder was given.
        line: of the table, where its row ends.
    """

    name: str
    path: str
    position: Position
    line: int


@dataclass(slots=True)
class Problems:
    """What was left out: how often by kind, and the first few of each kind by name."""

    counts: Counter[str] = field(default_factory=Counter)
    first: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, which: str) -> None:
        """Counts one; `which` names it."""
        self.counts[kind] += 1
        if len(self.first[kind]) < NAMED_PROBLEMS:
            self.first[kind].append(printable(which))

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    def lines(self) -> list[str]:
        """A line for each kind, the most frequent first: "3 x file missing: a.jpg (line 2), ..."."""
        return [
            f"{count:,} x {kind}: {', '.join(self.first[kind])}"
            + (", ..." if count > len(self.first[kind]) else "")
            for kind, count in self.counts.most_common()
        ]


def read_positions(
    table: Path,
    images: Path | None = None,
    image_column: str | None = None,
    latitude_column: str | None = None,
    longitude_column: str | None = None,
    *,
    problems: Problems | None = None,
) -> Iterator[LabelledPhoto]:
    """Yields the good rows of a table with a header, in order; memory does not grow with it.

    The columns are found by name in any case; cells may be separated by commas, semicolons, tabs or bars, and
    where it is not by commas, numbers may have a decimal comma. Of names without an extension the file is
    looked for under the usual ones, also in the subfolders of `images` (as OSV-5M is laid out).

    Args:
        images: folder of the photos; rows whose file is not in it are problems. None looks at no file.
        image_column, latitude_column, longitude_column: names of the columns, where they cannot be guessed.
        problems: is told of the rows that are left out.

    Raises:
        TableError: the table cannot be read, or lacks a column or has it twice.
    """
    problems = Problems() if problems is None else problems
    wanted = (
        _Column("photos", image_column, "image", IMAGE_NAMES, all_different=False),
        _Column("latitudes", latitude_column, "latitude", LATITUDE_NAMES),
        _Column("longitudes", longitude_column, "longitude", LONGITUDE_NAMES),
    )
    find = _Finder(images) if images is not None else None
    try:
        # Names may be bytes of no encoding: they come back as they were.
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = _lines(file)
            delimiter, (name_at, latitude_at, longitude_at) = _layout(next(lines, ""), wanted, table)
            rows = csv.reader(lines, delimiter=delimiter)
            last = max(name_at, latitude_at, longitude_at)
            while True:
                before = rows.line_num
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except csv.Error:
                    problems.add(UNCLOSED, _where(before, rows.line_num))
                    continue
                row += [""] * (last + 1 - len(row))
                name = row[name_at].strip()
                position, problem = _position(row[latitude_at], row[longitude_at], delimiter != ",")
                path: str | None = name
                if not name:
                    problem = NO_NAME
                elif position is not None and find is not None:
                    path, problem = find(name)
                if position is not None and path and not problem:
                    yield LabelledPhoto(name, path, position, rows.line_num + 1)  # the header was read before
                elif any(cell.strip() for cell in row):
                    problems.add(problem, f"{_shown(name) or 'a row'} ({_where(before, rows.line_num)})")
    except (OSError, UnicodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TableError(f"{printable(str(table))} cannot be read as a table: {reason}") from error


@dataclass(frozen=True, slots=True)
class _Column:
    """A column that the table must have.

    Attributes:
        given: its name as the user gave it; None guesses.
        names: what it may be called, in lower case, the likeliest first.
        all_different: two columns of these names are one too many, else the likelier one is taken.
    """

    what: str
    given: str | None
    option: str
    names: Sequence[str]
    all_different: bool = True

    def find(self, header: list[str]) -> int:
        """Its place in the header; raises LookupError with the reason."""
        names = [self.given.strip().lower()] if self.given is not None else self.names
        found = [at for name in names for at, cell in enumerate(header) if cell == name]
        if not found:
            shown = f"called '{self.given}'" if self.given is not None else f"of {self.what}"
            raise LookupError(f"has no column {shown}")
        twice = len(found) > 1 and (self.all_different or header[found[0]] == header[found[1]])
        if twice:
            raise LookupError(f"has more than one column of {self.what}")
        return found[0]


def _layout(header: str, wanted: Sequence[_Column], table: Path) -> tuple[str, list[int]]:
    """The delimiter, and the places of the columns under it."""
    first_reason = ""
    for delimiter in DELIMITERS:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        names = [cell.strip().lower() for cell in cells]
        try:
            return delimiter, [column.find(names) for column in wanted]
        except LookupError as error:
            # What is wrong with the header is best said where it fell into cells.
            if not first_reason or (delimiter in header and len(names) > 1):
                first_reason = str(error)
    if "\0" in header:
        first_reason = f"is not in UTF-8, and {first_reason}"
    shown = _shown(printable(header.strip()))
    raise TableError(
        f"{printable(str(table))} {first_reason}; its header is '{shown}'. A table has a column of photos "
        f"({', '.join(IMAGE_NAMES[:6])}, ...), one of latitudes ({', '.join(LATITUDE_NAMES)}) and one of "
        f"longitudes ({', '.join(LONGITUDE_NAMES)}), in any case"
    )


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a file, cut off after MAX_LINE characters."""
    while line := file.readline(MAX_LINE):
        rest = line
        while len(rest) == MAX_LINE and not rest.endswith(("\n", "\r")):
            rest = file.readline(MAX_LINE)
        yield line


def _where(before: int, last: int) -> str:
    """Lines after the `before`th and up to the `last`th below the header, as a text editor numbers them."""
    return f"line {last + 1}" if last - before <= 1 else f"lines {before + 2} to {last + 1}"


def _shown(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _position(latitude: str, longitude: str, decimal_comma: bool) -> tuple[Position | None, str]:
    """The position, or None and what is wrong with it."""
    try:
        if decimal_comma:
            latitude, longitude = latitude.replace(",", "."), longitude.replace(",", ".")
        if "_" in latitude or "_" in longitude:  # which Python reads as if it were not there
            return None, NO_NUMBER
        north, east = float(latitude), float(longitude)
    except ValueError:
        return None, NO_NUMBER
    if abs(north) <= 90.0 and abs(east) <= 180.0:
        return Position(north, east), ""
    if not (math.isfinite(north) and math.isfinite(east)):
        return None, NO_NUMBER
    return None, SWAPPED if abs(north) <= 180.0 and abs(east) <= 90.0 else OFF_GLOBE


class _Finder:
    """From a photo's name in the table to its file in a folder."""

    def __init__(self, images: Path) -> None:
        self._folder = os.path.normpath(images)
        self._inside = os.path.join(os.path.abspath(images), "")
        self._subfolders: list[str] | None = None

    def __call__(self, name: str) -> tuple[str | None, str]:
        """The path, or None and what is wrong with it."""
        path = os.path.normpath(os.path.join(self._folder, name))
        # Both made absolute: "../../x" begins with "../" too.
        if "\0" in name or not os.path.abspath(path).startswith(self._inside):
            return None, OUTSIDE
        if os.path.isfile(path):
            return path, ""
        if not os.path.splitext(name)[1]:
            for folder in (self._folder, *self._below()):
                for extension in EXTENSIONS:
                    candidate = os.path.join(folder, name + extension)
                    if os.path.isfile(candidate):
                        return candidate, ""
        return None, MISSING

    def _below(self) -> list[str]:
        """The subfolders, by name; of more than MAX_SUBFOLDERS none."""
        if self._subfolders is None:
            try:
                with os.scandir(self._folder) as entries:
                    found = sorted(entry.path for entry in entries if entry.is_dir())
            except OSError:
                found = []
            self._subfolders = found if len(found) <= MAX_SUBFOLDERS else []
        return self._subfolders
