"""All outputs of one run: opened before any work, written together, committed together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from geolocate.errors import UsageError
from geolocate.records import Prediction
from geolocate.text_safety import printable
from geolocate.writers.csv import CsvWriter
from geolocate.writers.jsonl import JsonlWriter
from geolocate.writers.target import (
    STANDARD_OUTPUT,
    Target,
    is_direct,
    manifest_path,
    open_target,
    partial_path,
    write_manifest,
)

OutputPath = str | os.PathLike[str]


class Writer(Protocol):
    """One output."""

    def write(self, prediction: Prediction) -> None:
        """Writes one photo; it is out of this process when the call returns.

        Raises:
            OutputError: the disk is full or gone.
            BrokenPipeError: the reader of a pipe has gone.
        """

    def close(self) -> None:
        """The run is complete: makes the output visible. Raises as `write`."""

    def abort(self) -> Path | None:
        """The run is not complete: returns the file that keeps what was written, if any. Never raises."""


#: What takes a target and writes a format to it, by the name of the option.
FORMATS: Mapping[str, Callable[[Target], Writer]] = {"csv": CsvWriter, "jsonl": JsonlWriter}


class Writers:
    """Every output of a run.

    As a context manager it aborts on leaving unless `close` was reached.

    Attributes:
        paths: every file that the run writes, absolute: never to be read as a photo.
        kept: after `abort`, the files that keep what was written.
    """

    def __init__(self, aside: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self.paths: list[Path] = []
        self.kept: list[Path] = []
        self._writers: list[Writer] = []
        self._files: list[Path] = []
        self._aside = aside

    def add(self, writer: Writer, path: OutputPath = STANDARD_OUTPUT) -> None:
        """Takes an open writer in; `path` is where it writes."""
        self._writers.append(writer)
        if not is_direct(path):
            file = Path(os.path.realpath(path))
            self._files.append(file)
            self.paths += [file, partial_path(file), manifest_path(file), partial_path(manifest_path(file))]

    def write(self, prediction: Prediction) -> None:
        """Writes one photo to each output. Raises as `Writer.write`."""
        with self._aside():
            for writer in self._writers:
                writer.write(prediction)

    def close(self, manifest: Mapping[str, Any] | None = None) -> None:
        """Commits every output, and beside each file its manifest.

        Args:
            manifest: what the run was: inputs, shard, options, bundle and its hash, version, counts.

        Raises:
            OutputError: an output cannot be committed; those after it are aborted, their old files intact.
        """
        with self._aside():
            while self._writers:
                self._writers[0].close()
                del self._writers[0]
        if manifest is not None:
            for file in self._files:
                write_manifest(file, manifest)

    def abort(self) -> list[Path]:
        """Gives up; returns the files that keep what was written, so that the user can be told."""
        while self._writers:
            kept = self._writers.pop(0).abort()
            if kept is not None:
                self.kept.append(kept)
        return self.kept

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def open_writers(
    *,
    csv: OutputPath | None = None,
    jsonl: OutputPath | None = None,
    table: bool = False,
    overwrite: bool = False,
    aside: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Writers:
    """Opens the outputs of a run, before any work.

    Args:
        csv, jsonl: a file, a pipe or device, or "-" for standard output; None for no such output.
        table: a readable table on standard output.
        overwrite: discard what an unfinished earlier run left.
        aside: a context in which standard output may be written (a progress line steps aside).

    Raises:
        OutputError: the folder is missing or read-only, or the path is a folder.
        UsageError: two outputs go to the same place, or an unfinished earlier output is in the way.
    """
    wanted = {name: path for name, path in (("csv", csv), ("jsonl", jsonl)) if path is not None}
    _refuse_same_place(wanted, table=table)
    writers = Writers(aside)
    try:
        for name, path in wanted.items():
            writers.add(FORMATS[name](open_target(path, overwrite=overwrite)), path)
        if table:
            from geolocate.writers.table import TableWriter  # rich takes longer to import than most answers

            writers.add(TableWriter())
    except BaseException:
        writers.abort()
        raise
    return writers


def _refuse_same_place(wanted: Mapping[str, OutputPath], *, table: bool) -> None:
    taken: dict[object, str] = {STANDARD_OUTPUT: "the table"} if table else {}
    for name, path in wanted.items():
        place = _place(path)
        if place in taken:
            shown = "standard output" if place == STANDARD_OUTPUT else printable(os.fspath(path))
            raise UsageError(f"{taken[place]} and --{name} cannot both be written to {shown}")
        taken[place] = f"--{name}"


def _place(path: OutputPath) -> object:
    """What two paths share when they are one file, also through links."""
    if os.fspath(path) in (STANDARD_OUTPUT, "/dev/stdout"):
        return STANDARD_OUTPUT
    try:
        status = Path(path).stat()
    except OSError:
        return os.path.realpath(path)
    return (status.st_dev, status.st_ino)
