"""Options that several commands share, declared once, and their values as one record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import click

from geolocate.cli.parameters import EnvironmentOption, FilePath, FiniteRange, Numbers

Command = TypeVar("Command", bound=Callable[..., Any])


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator, shown in the order given."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


#: How the posterior becomes candidates, and over which coordinates.
candidate_options = together(
    click.option(
        "--ranking",
        type=click.Choice(["merged", "points", "published"]),
        default="merged",
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_RANKING",
        help="merged: points within 25 km are one place; points: each gallery point by itself; "
        "published: as GeoCLIP does it, duplicates kept.",
    ),
    click.option(
        "--gallery",
        type=FilePath(),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_GALLERY",
        metavar="FILE.csv",
        help="Your own coordinates to choose from (columns LAT and LON), in place of the bundle's; embedded "
        "once and kept in your cache folder.",
    ),
)

ranking_options = together(
    click.option(
        "-k",
        "--top-k",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_TOP_K",
        metavar="N",
        help="Candidates, best first.",
    ),
    candidate_options,
)

answer_options = together(
    click.option(
        "--by",
        type=click.Choice(["place", "country"]),
        default="place",
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_BY",
        help="country: candidates are countries, with the probability of all their points and the position "
        "of the strongest.",
    ),
    click.option(
        "--abstain",
        type=FiniteRange(min=0, min_open=True),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_ABSTAIN",
        metavar="KM",
        help="No coordinate where the radius is larger, but the note uncertain.",
    ),
)

prior_options = together(
    click.option(
        "--near",
        type=Numbers("LAT,LON,KM"),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_NEAR",
        metavar="LAT,LON,KM",
        help="You know that it was within KM of there.",
    ),
    click.option(
        "--country",
        cls=EnvironmentOption,
        envvar="GEOLOCATE_COUNTRY",
        metavar="CC,...",
        help="You know that it was in one of these countries (two letters each: IT,CH).",
    ),
    click.option(
        "--bbox",
        type=Numbers("S,W,N,E"),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_BBOX",
        metavar="S,W,N,E",
        help="You know that it was between these latitudes and longitudes; W above E crosses 180 degrees.",
    ),
)


def _gather_output(ctx: click.Context, option: click.Parameter, path: str | None) -> None:
    """Keeps where a format goes under `outputs`, by the option's name."""
    outputs = ctx.params.setdefault("outputs", {})
    if path is not None:
        outputs[option.name] = path


def _output_option(name: str, help: str, metavar: str = "FILE") -> Callable[[Command], Command]:
    return click.option(
        f"--{name}",
        type=FilePath(),
        metavar=metavar,
        expose_value=False,
        callback=_gather_output,
        help=f"{help}; - is standard output.",
    )


#: Which outputs there are to be: the command gets them as `outputs`, paths by the names of formats.
format_options = together(
    _output_option("csv", "Write CSV"),
    _output_option("jsonl", "Write JSON lines"),
    _output_option("geojson", "Write GeoJSON, for QGIS and other GIS programs"),
    _output_option("kml", "Write KML, for Google Earth"),
    _output_option("parquet", "Write GeoParquet, for pandas and databases (needs the extra 'parquet')"),
    _output_option(
        "map",
        "Write a page with a map that a browser opens without network (needs the extra 'map')",
        "FILE.html",
    ),
    click.option(
        "--no-thumbnails",
        "thumbnails",
        is_flag=True,
        flag_value=False,
        default=True,
        help="No small pictures of the photos on the map.",
    ),
)

output_options = together(
    format_options,
    click.option(
        "--resume",
        is_flag=True,
        help="Go on with an interrupted run: the same command again; what was done is not done again.",
    ),
    click.option(
        "--overwrite", is_flag=True, help="Discard what an interrupted run left beside an output file."
    ),
)

#: What a row holds besides its place.
content_options = together(
    click.option(
        "--concepts",
        type=click.IntRange(0, 20),
        default=5,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_CONCEPTS",
        metavar="N",
        help="Concepts that the photo shows, where the model has any, 20 at most; 0 for none.",
    ),
    click.option(
        "--exif/--no-exif",
        default=True,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_EXIF",
        help="Read the true position from EXIF and give the error in km.",
    ),
)

naming_options = together(
    click.option(
        "--geocoder",
        default="offline",
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_GEOCODER",
        metavar="NAME",
        help="What names places: offline, none, or a service that geopy knows (nominatim, photon, ...), "
        "which then learns the guesses, rounded to 0.01 degree.",
    ),
    click.option(
        "--geocoder-key",
        cls=EnvironmentOption,
        envvar="GEOLOCATE_GEOCODER_KEY",
        metavar="KEY",
        help="Your key for that service; the variable keeps it from other users, who can see command lines.",
    ),
    click.option(
        "--geocoder-domain",
        cls=EnvironmentOption,
        envvar="GEOLOCATE_GEOCODER_DOMAIN",
        metavar="HOST",
        help="Your own server of that service.",
    ),
    click.option(
        "--geocoder-ranks",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_GEOCODER_RANKS",
        metavar="N",
        help="Ranks that the service is asked for; the others get offline names.",
    ),
    click.option(
        "--user-agent",
        cls=EnvironmentOption,
        envvar="GEOLOCATE_USER_AGENT",
        metavar="TEXT",
        help="How to introduce yourself to that service.",
    ),
    click.option("-y", "--yes", is_flag=True, help="Ask a service for more than 1,000 places."),
)

model_options = together(
    click.option(
        "--model",
        type=FilePath(),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_MODEL",
        metavar="NAME|DIR",
        help="Bundle, by name or folder.  [default: geoclip-vit-l-14 if installed, else starter]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cuda", "cpu"]),
        default="auto",
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_DEVICE",
        help="auto falls back to the CPU and says so; cuda fails with the reason.",
    ),
)

#: How photos are encoded.
encoder_options = together(
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "int8", "fp16"]),
        default="auto",
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_PRECISION",
        help="auto: on the CPU int8 if the bundle has it, on CUDA fp16, else fp32.",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_BATCH_SIZE",
        metavar="N",
        help="Photos in one call of the model.  [default: by device]",
    ),
)

#: How each photo is decoded.
decoder_options = together(
    click.option(
        "--isolate",
        is_flag=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_ISOLATE",
        help="Decode in processes of their own: for photos of strangers. A decoder that crashes, takes all "
        "memory or more than 30 s costs that photo.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=178_956_970,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_MAX_PIXELS",
        metavar="N",
        help="Larger photos fail.",
    ),
    click.option(
        "--allow-truncated",
        is_flag=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_ALLOW_TRUNCATED",
        help="Use what there is of a truncated photo.",
    ),
    click.option(
        "--exact-decode",
        is_flag=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_EXACT_DECODE",
        help="Decode JPEG at full scale: several times slower, next to no difference.",
    ),
)

#: How photos are decoded and encoded.
photo_options = together(
    encoder_options,
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_WORKERS",
        metavar="N",
        help="Threads that decode photos, with --isolate processes.  [default: one per core]",
    ),
    decoder_options,
)

message_options = together(
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_QUIET",
        help="No messages and no progress on standard error.",
    ),
    click.option(
        "--progress/--no-progress",
        default=None,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_PROGRESS",
        help="Progress on standard error.  [default: on a terminal]",
    ),
)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """The values of the options that say what an answer is, whoever computes it."""

    top_k: int
    ranking: Literal["merged", "points", "published"]
    gallery: str | None
    by: Literal["place", "country"]
    abstain: float | None
    near: tuple[float, float, float] | None
    country: str | None
    bbox: tuple[float, float, float, float] | None

    @property
    def answer(self) -> dict[str, Any]:
        """Those values, for what a run writes down of itself."""
        return {field.name: getattr(self, field.name) for field in fields(AnswerOptions)}


@dataclass(frozen=True, slots=True)
class SharedOptions(AnswerOptions):
    """The values of all options above, by their names."""

    outputs: Mapping[str, str]
    thumbnails: bool
    resume: bool
    overwrite: bool
    geocoder: str
    geocoder_key: str | None
    geocoder_domain: str | None
    geocoder_ranks: int
    user_agent: str | None
    yes: bool
    model: str | None
    device: Literal["auto", "cuda", "cpu"]
    quiet: bool
    progress: bool | None
