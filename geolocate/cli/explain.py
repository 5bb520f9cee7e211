"""``geolocate explain``: why there, where a concept lives, and what tells places apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import click

from geolocate.cli.options import message_options, model_options, photo_options
from geolocate.cli.parameters import EnvironmentOption, FilePath
from geolocate.cli.photo_paths import refuse_options_about_photos
from geolocate.errors import UsageError


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """The values of the command's options, by their names."""

    paths: tuple[str, ...]
    null: bool
    features: str | None
    concepts: int
    interventions: int
    boost: bool
    bottleneck: bool
    contrast: tuple[str, str] | None
    concept: str | None
    json: bool
    output: str | None
    geojson: str | None
    model: str | None
    device: Literal["auto", "cuda", "cpu"]
    precision: str
    batch_size: int | None
    workers: int | None
    isolate: bool
    max_pixels: int
    allow_truncated: bool
    exact_decode: bool
    quiet: bool
    progress: bool | None


@click.command(name="explain", short_help="Tell why a photo is placed where it is, by concepts.")
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=FilePath())
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end in NUL instead of a newline.")
@click.option(
    "--features",
    type=FilePath(),
    metavar="FILE.npy",
    help="The backbone's features of photos, one a row, in place of PATHs: raw, not normalised.",
)
@click.option(
    "--concepts",
    type=click.IntRange(1, 20),
    default=8,
    show_default=True,
    cls=EnvironmentOption,
    envvar="GEOLOCATE_EXPLAIN_CONCEPTS",
    metavar="N",
    help="Concepts of the photo and of the place that are listed.",
)
@click.option(
    "--interventions",
    type=click.IntRange(0, 20),
    default=5,
    show_default=True,
    cls=EnvironmentOption,
    envvar="GEOLOCATE_INTERVENTIONS",
    metavar="N",
    help="Of these, so many are removed from the photo one by one, to see how far the guess moves.",
)
@click.option("--boost", is_flag=True, help="Make the concepts stronger instead of removing them.")
@click.option(
    "--bottleneck",
    is_flag=True,
    help="Also say which countries the concepts speak for, and with which weights; the first time, a sparse "
    "layer is fitted for that (needs the extra 'explain').",
)
@click.option(
    "--contrast",
    nargs=2,
    metavar="A B",
    help="Which concepts tell two folders of photos apart, or two countries (two letters each: IT JP; a "
    "folder of such a name is ./IT).",
)
@click.option(
    "--concept",
    metavar="TEXT",
    help="Where on Earth a concept lives; with a model that reads text, any words.",
)
@click.option("--json", is_flag=True, help="JSON in place of the table; of photos, one object a line.")
@click.option(
    "--output",
    type=FilePath(),
    metavar="FILE.png",
    help="Draw the map of --concept or the bars of --contrast (needs the extra 'plots').",
)
@click.option(
    "--geojson", type=FilePath(), metavar="FILE", help="Write the points of --concept with their scores."
)
@model_options
@photo_options
@message_options
def command(**values: Any) -> int:
    """Tell why a photo is placed where it is, by concepts.

    Of each PATH: what the photo shows, what the place of the first guess stands for, how well the two agree,
    and how far the guess moves when a concept is taken out of the photo. With --contrast: what tells two
    groups apart. With --concept: where it lives.
    """
    options = ExplainOptions(**values)
    _check(options)
    from geolocate.cli import explanation_run

    if options.contrast is not None:
        return explanation_run.contrast(options, *options.contrast)
    if options.concept is not None:
        return explanation_run.map_concept(options, options.concept)
    return explanation_run.photos(options)


def _check(options: ExplainOptions) -> None:
    """Raises UsageError where options do not belong together; nothing is opened before."""
    asked = [
        name
        for name, given in (
            ("PATH", options.paths),
            ("--features", options.features),
            ("--contrast", options.contrast),
            ("--concept", options.concept is not None),
        )
        if given
    ]
    if not asked:
        raise UsageError("nothing to explain: give PATHs, --features, --contrast or --concept")
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)}: one at a time")
    if options.concept is not None and not options.concept.strip():
        raise UsageError("the concept to look for is empty")
    if options.geojson is not None and options.concept is None:
        raise UsageError("--geojson writes the points of a map: it belongs to --concept")
    if options.output is not None:
        if options.paths or options.features:
            raise UsageError(
                "--output draws the map of --concept or the bars of --contrast; of photos, --json"
            )
        from geolocate.writers.stream import is_direct

        if not options.output.lower().endswith(".png") and not is_direct(options.output):
            raise UsageError("--output is a PNG picture: FILE.png")
    if options.concept is not None:
        refuse_options_about_photos("a concept map has")
    elif options.features is not None:
        refuse_options_about_photos("--features has")
    if not (options.paths or options.features):
        _refuse_options_of_photos()


def _refuse_options_of_photos() -> None:
    """Raises UsageError for options that only say something of single photos."""
    ctx = click.get_current_context()
    for option in ("concepts", "interventions", "boost", "bottleneck"):
        if ctx.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--{option} is about single photos: give PATHs")
