"""The writer of the map: photos go to a temporary file first, and into the page when the run is over."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

from geolocate.errors import OutputError
from geolocate.records import Prediction
from geolocate.sources.urls import is_url
from geolocate.text_safety import printable, to_unicode
from geolocate.writers.map.page import json_block, library_licence, page_pieces
from geolocate.writers.map.photo_json import photo_json
from geolocate.writers.map.thumbnails import thumbnails
from geolocate.writers.run_facts import RunFacts
from geolocate.writers.target import Target

#: So much of the photos' data is read and written at a time.
_BLOCK_BYTES = 2**20


class MapWriter:
    """Writes the page in one go: what is said of the photos, then their thumbnails as these are made.

    Raises:
        ExtraMissing: the map library is not installed.
    """

    def __init__(self, target: Target, facts: RunFacts) -> None:
        self._pieces = page_pieces()
        self._target = target
        self._facts = facts
        self._count = self._pictured = 0
        self._photos = _temporary_file()
        self._paths = _temporary_file()

    def write(self, prediction: Prediction) -> None:
        """Keeps what the page says of one photo.

        Raises:
            OutputError: the disk of temporary files is full.
        """
        photo = json_block(photo_json(prediction)).encode("ascii")
        try:
            self._photos.write((b",\n" if self._count else b"") + photo)
            # What is at a URL is not fetched twice.
            if self._facts.thumbnails and prediction.error is None and not is_url(prediction.photo):
                # ASCII escapes carry even the undecodable bytes of a path.
                self._paths.write(json.dumps([self._count, prediction.photo]).encode("ascii") + b"\n")
                self._pictured += 1
        except OSError as error:
            raise _no_room(error) from error
        self._count += 1

    def close(self) -> None:
        """Makes the thumbnails, writes the page and commits. Raises as :meth:`write`."""
        for position, piece in enumerate(self._pieces):
            if position % 2 == 0:
                self._target.write(piece.encode())
            elif piece == "photos":
                self._write_photos()
            elif piece == "thumbnails":
                self._write_thumbnails()
            else:
                self._target.write(json_block(self._about()).encode("ascii"))
        self._target.commit()
        self._discard()

    def abort(self) -> Path | None:
        """Gives up; returns the file that keeps the page as far as it was written, if any."""
        self._discard()
        return self._target.abandon()

    def _about(self) -> dict[str, Any]:
        return {
            "what": self._facts.what,
            "model": [printable(to_unicode(line)) for line in self._facts.model],
            "licence": library_licence(),
        }

    def _write_photos(self) -> None:
        self._target.write(b"[")
        try:
            self._photos.seek(0)
        except OSError as error:  # what was not flushed yet does not fit
            raise _no_room(error) from error
        while block := self._photos.read(_BLOCK_BYTES):
            self._target.write(block)
        self._target.write(b"]")

    def _write_thumbnails(self) -> None:
        if self._facts.thumbnails is None or not self._pictured:
            return
        pictures = thumbnails(self._located(), self._facts.thumbnails)
        with self._facts.watch(self._pictured) as advance, closing(pictures):
            for number, picture in pictures:
                data = base64.b64encode(picture)
                self._target.write(
                    b'<script type="text/plain" id="thumbnail-%d">%b</script>\n' % (number, data)
                )
                advance()

    def _located(self) -> Iterator[tuple[int, str]]:
        try:
            self._paths.seek(0)
        except OSError as error:
            raise _no_room(error) from error
        for line in self._paths:
            number, path = json.loads(line)
            yield number, path

    def _discard(self) -> None:
        for file in (self._photos, self._paths):
            with suppress(OSError):  # of a full disk
                file.close()


def _temporary_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="geolocate-map-")
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"the map needs room for temporary files: {reason}")
