"""``geolocate merge``: the outputs of several runs as one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from geolocate.cli.options import format_options, message_options
from geolocate.cli.parameters import FilePath
from geolocate.cli.progress import Progress
from geolocate.cli.status import DONE, is_terminal

if TYPE_CHECKING:
    from geolocate.writers import Writers


@click.command(name="merge", short_help="Put the outputs of shards, or of distributed, into one.")
@click.argument("parts", nargs=-1, required=True, metavar="PART...", type=FilePath())
@format_options
@click.option(
    "--by-path",
    is_flag=True,
    help="Take parts of which nothing is known, or of different runs: no manifest is looked at, photos are "
    "sorted by path, and each is taken once.",
)
@click.option(
    "--any-mount",
    is_flag=True,
    help="Take shards of one folder that was reached by different paths; what is in it must be the same.",
)
@click.option("--overwrite", is_flag=True, help="Discard what an interrupted run left beside an output file.")
@message_options
def command(
    parts: tuple[str, ...],
    outputs: dict[str, str],
    thumbnails: bool,
    by_path: bool,
    any_mount: bool,
    overwrite: bool,
    quiet: bool,
    progress: bool | None,
) -> int:
    """Put the outputs of several runs into one, in any format.

    PART is an output file of each shard (CSV, JSON lines or Parquet, with its manifest beside it), or the
    OUTPUT of geolocate distributed. The rows are those of one uninterrupted run, in its order; a shard that
    is missing, there twice, changed or of another run is refused. One output of a whole run becomes another
    format. Without an output option: a table on a terminal, CSV into a pipe.
    """
    from geolocate.merging.merge import merge_by_path, merge_runs
    from geolocate.writers import STANDARD_OUTPUT, RunFacts, open_writers

    merge = merge_by_path(parts) if by_path else merge_runs(parts, any_mount=any_mount)
    table = not outputs and is_terminal(sys.stdout)
    shown = Progress(shown=progress, quiet=quiet, total=lambda: merge.photos)

    def say(text: str) -> None:
        shown.note(f"geolocate: {text}")

    with (
        shown,
        open_writers(
            outputs if outputs or table else {"csv": STANDARD_OUTPUT},
            facts=RunFacts(merge.what, merge.decode_options() if thumbnails else None, merge.model),
            table=table,
            overwrite=overwrite,
            inputs=merge.files,
            aside=shown.aside,
            say=say,
        ) as writers,
        _whole_or_nothing(writers),
    ):
        for remark in merge.remarks:
            say(remark)
        shown.begin()
        for prediction in merge.predictions:
            writers.write(prediction)
            shown.advance(failed=prediction.error is not None)
        writers.close(
            {**merge.run, merge.what: shown.done, "failed": shown.failed, "model": list(merge.model)}
        )
        for remark in merge.afterwards():
            say(remark)
    return DONE


@contextmanager
def _whole_or_nothing(writers: Writers) -> Iterator[None]:
    """Whatever ends the merge early: what it wrote is of no use, and would be in the way of the next one."""
    try:
        yield
    except BaseException:
        for kept in writers.abort():
            with suppress(OSError):
                kept.unlink()
        raise
