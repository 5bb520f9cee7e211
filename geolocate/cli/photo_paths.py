"""Paths of photos as commands take them: on the command line, in lists, and on standard input for ``-``."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from geolocate.errors import UsageError

if TYPE_CHECKING:
    from geolocate.sharding.shard import Shard
    from geolocate.sources.limits import FetchLimits

STANDARD_INPUT = "-"
#: Options that mean something only where photos are decoded and encoded.
ABOUT_PHOTOS = frozenset(
    (
        "null",
        "exif",
        "precision",
        "batch_size",
        "workers",
        "isolate",
        "max_pixels",
        "allow_truncated",
        "exact_decode",
        "album",
        "lists",
        "max_bytes",
        "fetch_timeout",
        "allow_host",
    )
)


def check_paths(
    paths: tuple[str, ...], null: bool, lists: tuple[str, ...] = (), limits: FetchLimits | None = None
) -> None:
    """Refuses before any work what cannot be read.

    Args:
        lists: files that name more paths.
        limits: for what is asked of servers.

    Raises:
        UsageError: nothing is given, a path does not exist, or -0 without a list on standard input.
        TableError, ExtraMissing: a list or a URL cannot be read.
    """
    from geolocate.photos import check_arguments

    if not paths and not lists:
        raise click.UsageError("Missing argument 'PATH...'.", click.get_current_context())
    if STANDARD_INPUT in paths and sys.stdin is None:
        raise UsageError("standard input is closed: there are no paths to read from it")
    if null and STANDARD_INPUT not in paths:
        raise UsageError("-0 is about paths on standard input: name - as one of the paths")
    check_arguments(_expanded(path for path in paths if path != STANDARD_INPUT), limits)
    for path in lists:
        from geolocate.sources.lists import check_list

        check_list(path)


def refuse_options_about_photos(instead: str) -> None:
    """Refuses options on the command line that mean nothing where no photo is decoded.

    Those of the environment are meant for all runs, and pass.

    Args:
        instead: what the run takes, with its verb ("--features has").

    Raises:
        UsageError: names the options.
    """
    ctx = click.get_current_context()
    given = [
        parameter.opts[-1]
        for parameter in ctx.command.get_params(ctx)
        if parameter.name in ABOUT_PHOTOS
        and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(f"{', '.join(given)}: about photos, which {instead} none of")


def photo_arguments(paths: tuple[str, ...], null: bool, lists: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of the command line, those on standard input for - as they arrive, then those of lists."""
    from geolocate.photos import read_path_list

    for path in _expanded(paths):
        if path == STANDARD_INPUT:
            # Raw: a thread may still wait in this read when the program ends, and would hold a buffer's lock.
            stream = sys.stdin.buffer
            yield from read_path_list(getattr(stream, "raw", stream), null)
        else:
            yield path
    for path in lists:
        from geolocate.sources.lists import read_list

        yield from read_list(path)


def _expanded(paths: Iterable[str]) -> Iterator[str]:
    """Paths with braces as all that they stand for, but not the name of a file that is called so."""
    from geolocate.sources.braces import expand_braces

    for path in paths:
        if "{" in path and not os.path.lexists(path):
            yield from expand_braces(path)
        else:
            yield path


def public_inputs(paths: tuple[str, ...]) -> list[str]:
    """The paths as manifests may name them: URLs without signatures."""
    from geolocate.sources.urls import public_name

    return [public_name(path) for path in paths]


def local_files(paths: tuple[str, ...], lists: tuple[str, ...] = ()) -> list[str]:
    """What of the paths may be files of this machine: archives of chained URLs and lists too."""
    from geolocate.sources.urls import ARCHIVE_SCHEMES, file_path, is_url, scheme_of, split_member

    files = [*(path for path in _expanded(paths) if path != STANDARD_INPUT), *lists]
    files = [split_member(file).archive if scheme_of(file) in ARCHIVE_SCHEMES else file for file in files]
    files = [file_path(file) if scheme_of(file) == "file" else file for file in files]
    return [file for file in files if not is_url(file)]


def can_count(paths: tuple[str, ...], lists: tuple[str, ...] = ()) -> bool:
    """Whether photos can be counted beforehand: those of folders, and no others without reading twice."""
    from geolocate.sources.listing import is_source

    return not lists and STANDARD_INPUT not in paths and not any(map(is_source, _expanded(paths)))


class PhotoTotal:
    """How many photos there are, counted aside while the first of them are already at work.

    None until it is known; always None for lists, URLs and archives.

    Args:
        part: of the photos; None for all.
    """

    def __init__(
        self, paths: tuple[str, ...], lists: tuple[str, ...] = (), part: Shard | None = None
    ) -> None:
        self._paths, self._lists, self._part = paths, lists, part
        self._count: int | None = None
        self._thread: threading.Thread | None = None

    def __call__(self) -> int | None:
        if self._thread is None and can_count(self._paths, self._lists):
            self._thread = threading.Thread(target=self._run, name="count", daemon=True)
            self._thread.start()
        return self._count

    def _run(self) -> None:
        from geolocate.photos import count_photos
        from geolocate.sharding.shard import WHOLE

        self._count = count_photos(_expanded(self._paths), counts=(self._part or WHOLE).holds_photo)
