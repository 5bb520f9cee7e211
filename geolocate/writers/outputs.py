"""All outputs of one run: opened before any work, written together, committed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

from geolocate.errors import UsageError
from geolocate.records import Prediction
from geolocate.writers.finished import FinishedPhotos
from geolocate.writers.formats import BINARY, FORMATS, Writer, load_format
from geolocate.writers.journal import Journal
from geolocate.writers.refusals import refuse_conflicts
from geolocate.writers.run_facts import RunFacts
from geolocate.writers.stream import STANDARD_OUTPUT, OutputPath, is_direct, is_terminal, shown
from geolocate.writers.target import (
    content_of,
    journal_path,
    open_target,
    own_files,
    real_path,
    write_manifest,
)


class Writers:
    """Every output of a run.

    As a context manager it aborts on leaving unless `close` was reached.

    Args:
        journal: what finished photos are written to before anything else; from :meth:`begin` on.
        aside: a context in which standard output may be written.

    Attributes:
        paths: every file that the run writes, absolute: never to be read as a photo.
        kept: after `abort`, the files that keep what was written.
        finished: the photos of the run that goes on here.
    """

    def __init__(
        self,
        aside: Callable[[], AbstractContextManager[object]] = nullcontext,
        journal: Journal | None = None,
    ) -> None:
        self.paths: list[Path] = []
        self.kept: list[Path] = []
        self.finished = FinishedPhotos()
        self._journal = journal
        self._begun = False
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

    def begin(self, run: Mapping[str, Any]) -> None:
        """Keeps a journal from here on, where there is a file to keep it beside.

        Args:
            run: what decides over the rows; see :meth:`geolocate.writers.journal.Journal.begin`.

        Raises:
            UsageError: the run that is to go on is another one; says in what.
            OutputError: the disk is full or gone.
        """
        if self._journal is not None:
            self._journal.begin(run)
            self._begun = True

    def earlier(self) -> Iterator[Prediction]:
        """Writes to each output, and yields, the photos of the run that goes on here, in their order."""
        if self._journal is not None:
            for prediction in self._journal.earlier():
                self.finished.add(prediction.photo)
                self._render(prediction)
                yield prediction

    def resumable(self) -> int:
        """How many photos a run would find finished if it went on with this one now."""
        return self._journal.photos if self._journal is not None and self._begun else 0

    def write(self, prediction: Prediction) -> None:
        """Writes one photo to the journal and to each output. Raises as `Writer.write`."""
        if self._journal is not None and self._begun:
            self._journal.write(prediction)
        self._render(prediction)

    def _render(self, prediction: Prediction) -> None:
        with self._aside():
            for writer in self._writers:
                writer.write(prediction)

    def close(self, manifest: Mapping[str, Any] | None = None) -> None:
        """Commits every output, and beside each file its manifest, which knows the file by its hash.

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
                write_manifest(file, {**manifest, "file": content_of(file)})
        if self._journal is not None:
            self._journal.discard()  # last of all: what fails before this can be tried again
            self._journal = None

    def abort(self) -> list[Path]:
        """Gives up; returns the files that keep what was written, so that the user can be told."""
        while self._writers:
            kept = self._writers.pop(0).abort()
            if kept is not None:
                self.kept.append(kept)
        if self._journal is not None:
            self._journal.close()
        return self.kept

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def open_writers(
    wanted: Mapping[str, OutputPath],
    *,
    facts: RunFacts | None = None,
    table: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    inputs: Iterable[OutputPath] = (),
    aside: Callable[[], AbstractContextManager[object]] = nullcontext,
    say: Callable[[str], None] = lambda text: None,
) -> Writers:
    """Opens the outputs of a run, before any work.

    Args:
        wanted: where each format goes, by its name in FORMATS: a file, a pipe or device, or "-" for standard
            output.
        facts: what outputs may say of the run besides its predictions.
        table: a readable table on standard output.
        overwrite: discard what an unfinished earlier run left.
        resume: go on with it.
        inputs: what the run reads, which no output may replace.
        aside: a context in which standard output may be written (a progress line steps aside).
        say: told that a named pipe has no reader yet; opening it waits for one.

    Raises:
        ExtraMissing: a format needs an optional dependency that is not installed.
        OutputError: the folder is missing or read-only, or the path is a folder.
        UsageError: two outputs go to the same place, one would replace an input or a picture, or an
            unfinished earlier output is in the way; to resume, there is no file to go on with; a terminal
            would get what is no text.
    """
    if resume and overwrite:
        raise UsageError("--resume goes on with an unfinished run, --overwrite discards it: give one of them")
    wanted = dict(sorted(wanted.items(), key=lambda item: FORMATS.index(item[0])))
    refuse_conflicts(wanted, inputs=inputs, table=table)
    for name in BINARY & {name for name, path in wanted.items() if is_terminal(path)}:
        raise UsageError(f"--{name} is binary, which no terminal can show: give a file, or a pipe")
    loaded = {name: load_format(name) for name in wanted}
    facts = facts or RunFacts()
    writers = Writers(aside, journal := _open_journal(wanted.values(), overwrite))
    try:
        going_on = _goes_on(journal, resume)
        for name, path in wanted.items():
            target = open_target(path, overwrite=overwrite, resume=going_on, say=say)
            try:
                writer = loaded[name](target, facts)
            except BaseException:
                target.abandon()
                raise
            writers.add(writer, path)
        if table:
            from geolocate.writers.table import TableWriter  # rich takes longer to import than most answers

            writers.add(TableWriter())
    except BaseException:
        writers.abort()
        raise
    return writers


def _open_journal(paths: Iterable[OutputPath], overwrite: bool) -> Journal | None:
    """The journal beside the first file, or beside the one that has one; None without files."""
    files = [real_path(path) for path in paths if not is_direct(path)]
    begun = [file for file in files if journal_path(file).exists()]
    return Journal((begun or files)[0], overwrite=overwrite) if files else None


def _goes_on(journal: Journal | None, resume: bool) -> bool:
    """Whether the run goes on with an earlier one. Raises UsageError where that was not asked for."""
    if journal is None:
        if resume:
            raise UsageError("--resume goes on with an output file: there is none among the outputs")
        return False
    if journal.photos and not resume:
        count = "1 photo" if journal.photos == 1 else f"{journal.photos:,} photos"
        raise UsageError(
            f"an unfinished run left {shown(journal.path)} ({count}): --resume goes on with it, "
            "--overwrite discards it and starts again"
        )
    return resume and journal.run is not None
