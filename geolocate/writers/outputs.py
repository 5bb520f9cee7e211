"""All outputs of one run: opened before any work, written together, committed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from geolocate.records import Prediction
from geolocate.writers.csv import CsvWriter
from geolocate.writers.jsonl import JsonlWriter
from geolocate.writers.refusals import refuse_conflicts
from geolocate.writers.stream import STANDARD_OUTPUT, OutputPath, is_direct
from geolocate.writers.target import Target, open_target, own_files, real_path, write_manifest


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
            file = real_path(path)
            self._files.append(file)
            self.paths += own_files(file)

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
    inputs: Iterable[OutputPath] = (),
    aside: Callable[[], AbstractContextManager[object]] = nullcontext,
    say: Callable[[str], None] = lambda text: None,
) -> Writers:
    """Opens the outputs of a run, before any work.

    Args:
        csv, jsonl: a file, a pipe or device, or "-" for standard output; None for no such output.
        table: a readable table on standard output.
        overwrite: discard what an unfinished earlier run left.
        inputs: what the run reads, which no output may replace.
        aside: a context in which standard output may be written (a progress line steps aside).
        say: told that a named pipe has no reader yet; opening it waits for one.

    Raises:
        OutputError: the folder is missing or read-only, or the path is a folder.
        UsageError: two outputs go to the same place, one would replace an input or a picture, or an
            unfinished earlier output is in the way.
    """
    wanted = {name: path for name, path in (("csv", csv), ("jsonl", jsonl)) if path is not None}
    refuse_conflicts(wanted, inputs=inputs, table=table)
    writers = Writers(aside)
    try:
        for name, path in wanted.items():
            writers.add(FORMATS[name](open_target(path, overwrite=overwrite, say=say)), path)
        if table:
            from geolocate.writers.table import TableWriter  # rich takes longer to import than most answers

            writers.add(TableWriter())
    except BaseException:
        writers.abort()
        raise
    return writers
