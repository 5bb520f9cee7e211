"""``geolocate distributed``: the same rows as ``predict`` gives, computed by a Ray cluster."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from geolocate.cli.options import (
    answer_options,
    content_options,
    decoder_options,
    encoder_options,
    message_options,
    model_options,
    prior_options,
    ranking_options,
    together,
)
from geolocate.cli.parameters import FilePath
from geolocate.cli.photo_paths import check_paths
from geolocate.cli.source_options import SourceOptions, source_options
from geolocate.errors import UsageError

#: Options of predict that cannot be had here, and what to do in their place.
_MERGE = "OUTPUT holds Parquet: geolocate merge OUTPUT turns it into any format"
_REFUSED = {
    **dict.fromkeys(("--csv", "--jsonl", "--geojson", "--kml", "--parquet", "--map"), _MERGE),
    "--album": "the photos near in time to one may be on another machine; predict --album has them all",
    "--reference": "predict --reference compares photos with those of one machine",
    "--features": "features need no cluster: predict --features places thousands a second",
    "--shard": "the cluster shares the photos out; --shard is for runs without one",
    "--resume": "no need: the same command again goes on where the job was cut off",
}


def _refuse(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    if value:
        option = parameter.opts[0]
        raise UsageError(f"{option} is none of geolocate distributed: {_REFUSED[option]}")


def _refused(option: str) -> Any:
    flag = option in ("--album", "--resume")
    kind: dict[str, Any] = {"is_flag": True} if flag else {"type": str}
    help = f"None of this command: {_REFUSED[option]}."
    return click.option(option, hidden=True, expose_value=False, callback=_refuse, help=help, **kind)


@click.command(name="distributed", short_help="Tell where photos were taken, over a Ray cluster.")
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=FilePath())
@click.argument("output", required=False, metavar="OUTPUT", type=FilePath())
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end in NUL instead of a newline.")
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="A Ray cluster that is there; auto: the one that this machine belongs to.  [default: one of this "
    "machine's cores, for this run]",
)
@click.option(
    "--actors",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that hold a model.  [default: one per GPU, without GPUs one per core of this machine or "
    "per two CPUs of the cluster]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that decode photos, over all machines.  [default: one per CPU that is left]",
)
@click.option(
    "--partition-size",
    type=click.IntRange(min=1, max=1_000_000),
    default=1000,
    show_default=True,
    metavar="N",
    help="Photos in each file of OUTPUT, and what is done again at most for each that was at work when the "
    "job was cut off.",
)
@click.option("--overwrite", is_flag=True, help="Discard the job that is in OUTPUT, finished or not.")
@source_options
@ranking_options
@answer_options
@prior_options
@content_options
@click.option(
    "--geocoder",
    default="offline",
    show_default=True,
    type=click.Choice(["offline", "none"]),
    help="What names places; services are asked by one machine: predict --geocoder.",
)
@model_options
@encoder_options
@decoder_options
@message_options
@together(*map(_refused, _REFUSED))
def command(
    inputs: tuple[str, ...],
    output: str | None,
    null: bool,
    lists: tuple[str, ...],
    max_bytes: int,
    fetch_timeout: float,
    allow_host: tuple[str, ...],
    **options: Any,
) -> int:
    """Tell where photos were taken, over a Ray cluster: the same rows as predict gives.

    INPUT is what predict takes as PATH. OUTPUT is a folder that all machines see, or a URL of an object
    store; it becomes Parquet files, a partition of the photos in each, and a manifest. The same command again
    goes on with a job that was cut off, and does no finished partition twice.
    """
    if output is None or not (inputs or lists):
        _missing("OUTPUT" if inputs or output or lists else "INPUT...")
    sources = SourceOptions(lists, max_bytes, fetch_timeout, allow_host)
    check_paths(inputs, null, lists, sources.limits)
    from geolocate.cli.distributed_run import Options, run

    return run(inputs, output, null, sources, Options(**options))


def _missing(argument: str) -> NoReturn:
    raise click.UsageError(f"Missing argument '{argument}'.", click.get_current_context())
