"""``geolocate evaluate``: accuracy on photos whose position is known, and whether the radii hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any, Literal

import click
from click.core import ParameterSource

from geolocate.cli.options import candidate_options, message_options, model_options, photo_options
from geolocate.cli.parameters import FilePath, FiniteRange
from geolocate.cli.photo_paths import refuse_options_about_photos
from geolocate.cli.reference import ReferenceOptions, reference_options
from geolocate.errors import UsageError


class ColumnPair(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """Two names of columns, latitude first, with a comma between them."""

    name = "LATITUDE,LONGITUDE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises BadParameter where it is not two names."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        if len(names) != 2 or not all(names):
            self.fail("two names of columns are wanted, latitude first: LAT,LON", param, ctx)
        return names


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """The values of the command's options, by their names."""

    data: str | None
    images: str | None
    features: str | None
    predictions: str | None
    predicted_columns: tuple[str, str] | None
    true_columns: tuple[str, str] | None
    image_column: str | None
    distance: Literal["great-circle", "geodesic"]
    crops: Literal["1", "10"]
    benchmark: str | None
    leak_distance: float
    drop_leaked: bool
    fit_temperature: str | None
    json: str | None
    markdown: str | None
    pictures: str | None
    ranking: Literal["merged", "points", "published"]
    gallery: str | None
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
    references: ReferenceOptions


@click.command(name="evaluate", short_help="Measure accuracy and calibration on photos of known position.")
@click.argument("data", required=False, metavar="[TABLE.csv|FOLDER]", type=FilePath())
@click.option(
    "--images",
    type=FilePath(),
    metavar="DIR",
    help="The photos that TABLE names.  [default: the folder of TABLE]",
)
@click.option(
    "--features",
    type=FilePath(),
    metavar="FILE.npy",
    help="The backbone's features in place of photos; TABLE has their row, latitude, longitude.",
)
@click.option(
    "--predictions",
    type=FilePath(),
    metavar="FILE.csv",
    help="Score an earlier run, of any program: no photo and no model is needed. The true positions are in "
    "it, or in TABLE, joined by the photo's name.",
)
@click.option(
    "--predicted-columns", type=ColumnPair(), help="Predicted positions.  [default: by their names]"
)
@click.option("--true-columns", type=ColumnPair(), help="True positions.  [default: by their names]")
@click.option("--image-column", metavar="NAME", help="Photos.  [default: by its name]")
@click.option(
    "--distance",
    type=click.Choice(["great-circle", "geodesic"]),
    default="great-circle",
    show_default=True,
    help="great-circle: on a sphere of 6371 km, as the literature does; geodesic: on WGS-84.",
)
@click.option(
    "--crops",
    type=click.Choice(["1", "10"]),
    default="1",
    show_default=True,
    help="10: corners, centre and their mirror images; the mean of their logits decides.",
)
@click.option(
    "--benchmark",
    type=click.Choice(["im2gps3k", "yfcc4k", "gws15k", "none"]),
    help="Whose published results stand beside.  [default: by the file's name]",
)
@click.option(
    "--leak-distance",
    type=FiniteRange(min=0),
    default=10.0,
    show_default=True,
    metavar="METRES",
    help="Photos so near to a gallery point count as leaked: their place may come from them.",
)
@click.option("--drop-leaked", is_flag=True, help="Leave such photos out.")
@click.option(
    "--fit-temperature",
    type=FilePath(),
    metavar="OUT",
    help="Write a copy of the bundle whose radii hold what they state on these photos; use others to check.",
)
@click.option(
    "--json", type=FilePath(), metavar="FILE", help="Write all numbers as JSON; - is standard output."
)
@click.option("--markdown", type=FilePath(), metavar="FILE", help="Write the report as Markdown; - as above.")
@click.option(
    "--pictures",
    type=FilePath(),
    metavar="DIR",
    help="Draw accuracy by distance, reliability and a map of the errors (needs the extra 'plots').",
)
@candidate_options
@reference_options
@model_options
@photo_options
@message_options
def command(**values: Any) -> int:
    """Measure accuracy and calibration on photos whose position is known.

    TABLE.csv names photos with latitude and longitude (the headers of MP-16, Im2GPS3k, GeoCLIP and OSV-5M are
    known); of a FOLDER, the photos with a position in their EXIF count. The report shows the per cent of
    photos within 1, 25, 200, 750 and 2500 km, errors, GeoScore, and whether the stated radii hold, beside a
    constant and a random guess.
    """
    names = [field.name for field in fields(ReferenceOptions)]
    references = ReferenceOptions(**{name: values.pop(name) for name in names})
    options = EvaluateOptions(**values, references=references)
    _check(options)
    from geolocate.cli.evaluation_run import run

    return run(options)


def _check(options: EvaluateOptions) -> None:
    """Raises UsageError where options do not go together."""
    sources = [name for name in ("features", "predictions") if getattr(options, name) is not None]
    if len(sources) > 1:
        raise UsageError("--features and --predictions: give one or the other")
    for name, path in (("TABLE.csv or FOLDER", options.data), ("--images", options.images)):
        if path is not None and not os.path.exists(path):
            raise UsageError(f"{name}: {path} does not exist")
    if options.images is not None and not os.path.isdir(options.images):
        raise UsageError(f"--images: {options.images} is no folder")
    if options.data is None and options.predictions is None:
        raise click.UsageError(
            "Missing argument 'TABLE.csv' or 'FOLDER'."
            if options.features is None
            else "--features needs TABLE.csv with the true positions.",
            click.get_current_context(),
        )
    folder = options.data is not None and os.path.isdir(options.data)
    if folder and (sources or options.images is not None):
        raise UsageError(f"{options.data} is a folder: here the true positions come from a table")
    if sources and options.images is not None:
        raise UsageError(f"--images has no meaning with --{sources[0]}")
    if sources:
        refuse_options_about_photos(f"--{sources[0]} has")
        if options.crops != "1":
            raise UsageError(f"--crops is about photos, which --{sources[0]} has none of")
    if options.predictions is not None:
        _refuse("--predictions places nothing", "ranking")
        if options.model is None and options.gallery is None:
            _refuse(
                "leaks are looked for in a gallery: add --model or --gallery", "leak_distance", "drop_leaked"
            )
    if options.features is not None:
        _refuse("the table of --features has rows and no photos", "image_column")
    if options.predictions is None and options.predicted_columns is not None:
        raise UsageError("--predicted-columns is about --predictions")
    if options.predictions is not None and options.references.reference is not None:
        raise UsageError("--reference needs photos or features: --predictions has none to compare")
    if options.predictions is not None and options.fit_temperature is not None:
        raise UsageError("--fit-temperature wants the model's posterior, which --predictions has not")
    if folder and (options.true_columns or options.image_column):
        raise UsageError("--true-columns and --image-column are about tables")
    if options.json == options.markdown == "-":
        raise UsageError("--json and --markdown cannot both go to standard output")


def _refuse(reason: str, *names: str) -> None:
    """Raises UsageError for those of the options that were given, where they would do nothing."""
    ctx = click.get_current_context()
    for name in names:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')}: {reason}")
