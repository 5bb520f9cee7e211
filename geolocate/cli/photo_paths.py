"""Paths of photos as commands take them: from the command line, and from standard input for ``-``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import click
from click.core import ParameterSource

from geolocate.errors import UsageError

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
    )
)


def check_paths(paths: tuple[str, ...], null: bool) -> None:
    """Refuses before any work what cannot be read.

    Raises:
        UsageError: nothing is given, a path does not exist, or -0 without a list on standard input.
    """
    from geolocate.photos import check_arguments

    if not paths:
        raise click.UsageError("Missing argument 'PATH...'.", click.get_current_context())
    if STANDARD_INPUT in paths and sys.stdin is None:
        raise UsageError("standard input is closed: there are no paths to read from it")
    if null and STANDARD_INPUT not in paths:
        raise UsageError("-0 is about paths on standard input: name - as one of the paths")
    check_arguments(path for path in paths if path != STANDARD_INPUT)


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


def photo_arguments(paths: tuple[str, ...], null: bool) -> Iterator[str]:
    """The paths of the command line, with - replaced by those on standard input as they arrive."""
    from geolocate.photos import read_path_list

    for path in paths:
        if path == STANDARD_INPUT:
            # Raw: a thread may still wait in this read when the program ends, and would hold a buffer's lock.
            stream = sys.stdin.buffer
            yield from read_path_list(getattr(stream, "raw", stream), null)
        else:
            yield path


class PhotoTotal:
    """How many photos there are, counted aside while the first of them are already at work.

    None until it is known; always None for a list on standard input.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._count: int | None = None
        self._thread: threading.Thread | None = None

    def __call__(self) -> int | None:
        if self._thread is None and STANDARD_INPUT not in self._paths:
            self._thread = threading.Thread(target=self._run, name="count", daemon=True)
            self._thread.start()
        return self._count

    def _run(self) -> None:
        from geolocate.photos import count_photos

        self._count = count_photos(self._paths)
