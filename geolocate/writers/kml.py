"""KML 2.2, for Google Earth: a folder for each country, written when the run is complete.

Folders need grouping, and photos come in the order of their paths: placemarks wait in a temporary file.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from geolocate.records import Prediction
from geolocate.writers.placemarks import (
    error_placemark,
    other_placemark,
    photo_placemark,
    styles,
    xml_text,
)
from geolocate.writers.rows import NOTE_OCEAN, Row, in_json, rows_of
from geolocate.writers.spool import Spool
from geolocate.writers.target import Target, discard

#: Placemarks are handed on in blocks of so many bytes.
BLOCK_BYTES = 2**20
_BEGINNING = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2">
<Document><name>geolocate</name><open>1</open>
<description>Estimates of where photos were taken: hypotheses, not facts.</description>
"""
_END = "</Document>\n</kml>\n"


class _Kind(IntEnum):
    """What a folder of a country holds, in this order."""

    PHOTOS = 0
    ERRORS = 1
    OTHERS = 2


class _Group(NamedTuple):
    """Where a placemark goes. Countries come by name, what has none after them."""

    unnamed: int
    folder: str
    kind: _Kind


class KmlWriter:
    """Folders by the country of the best guess: in each the photos, lines of errors, and other guesses."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._spool: Spool[_Group] = Spool()

    def write(self, prediction: Prediction) -> None:
        """Keeps the placemarks of one photo.

        Raises:
            OutputError: the disk of temporary files is full or gone.
        """
        best, *others = map(in_json, rows_of(prediction))
        unnamed, folder = _folder(best)
        self._spool.add(_Group(unnamed, folder, _Kind.PHOTOS), photo_placemark(best).encode())
        if line := error_placemark(best):
            self._spool.add(_Group(unnamed, folder, _Kind.ERRORS), line.encode())
        for row in others:
            self._spool.add(_Group(unnamed, folder, _Kind.OTHERS), other_placemark(row).encode())

    def close(self) -> None:
        """Writes everything and commits. Raises OutputError."""
        block = bytearray()
        for piece in self._document():
            block += piece
            if len(block) >= BLOCK_BYTES:
                self._target.write(bytes(block))
                block.clear()
        self._target.write(bytes(block))
        self._target.commit()
        self._spool.close()

    def _document(self) -> Iterator[bytes]:
        yield (_BEGINNING + styles()).encode()
        groups = self._spool.groups
        for unnamed, folder in sorted({group[:2] for group in groups}):
            name = xml_text(folder)
            yield f"<Folder><name>{name}</name>\n".encode()
            yield from self._spool.pieces(_Group(unnamed, folder, _Kind.PHOTOS))
            for kind, title in ((_Kind.ERRORS, "errors"), (_Kind.OTHERS, "other candidates")):
                if (group := _Group(unnamed, folder, kind)) in groups:
                    hidden = "<visibility>0</visibility>" if kind is _Kind.OTHERS else ""
                    yield f"<Folder><name>{name}: {title}</name>{hidden}\n".encode()
                    yield from self._spool.pieces(group)
                    yield b"</Folder>\n"
            yield b"</Folder>\n"
        yield _END.encode()

    def abort(self) -> Path | None:
        """Gives up; nothing stays."""
        discard(self._target)
        self._spool.close()
        return None


def _folder(row: Row) -> tuple[int, str]:
    """The name of a photo's folder, behind its place in the order."""
    if row["latitude"] is None or row["longitude"] is None:
        return 3, "no position"
    if row["country"]:
        return 0, str(row["country"])
    if NOTE_OCEAN in str(row["notes"] or "").split(";"):
        return 1, "at sea"
    return 2, "no country"
