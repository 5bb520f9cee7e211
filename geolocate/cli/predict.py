"""``geolocate predict``, the default command: photos in, places out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from geolocate.cli.locating import locate_and_write
from geolocate.cli.options import (
    SharedOptions,
    answer_options,
    content_options,
    message_options,
    model_options,
    naming_options,
    output_options,
    photo_options,
    prior_options,
    ranking_options,
)
from geolocate.cli.parameters import EnvironmentOption, FilePath
from geolocate.cli.photo_paths import (
    PhotoTotal,
    can_count,
    check_paths,
    local_files,
    photo_arguments,
    public_inputs,
    refuse_options_about_photos,
)
from geolocate.cli.reference import ReferenceOptions, reference_options
from geolocate.cli.source_options import SourceOptions, source_options
from geolocate.errors import UsageError

if TYPE_CHECKING:
    from geolocate.geolocator import Geolocator
    from geolocate.records import Prediction
    from geolocate.writers.finished import FinishedPhotos


@click.command(name="predict", short_help="Tell where photos were taken (the default command).")
@click.argument("paths", nargs=-1, metavar="PATH...", type=FilePath())
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end in NUL instead of a newline.")
@click.option(
    "--features",
    type=FilePath(),
    metavar="FILE.npy",
    help="The backbone's features of photos, one a row, in place of PATHs: raw, not normalised, and not the "
    "embeddings that embed writes.",
)
@source_options
@ranking_options
@answer_options
@prior_options
@click.option(
    "--album/--no-album",
    default=False,
    show_default=True,
    cls=EnvironmentOption,
    envvar="GEOLOCATE_ALBUM",
    help="Use the positions of photos taken near in time, and time zones; EXIF of all photos is read first.",
)
@reference_options
@click.option(
    "--shard",
    metavar="I/N",
    help="Only the I-th of N parts of the photos, the same on every machine; geolocate merge puts the "
    "outputs together.",
)
@output_options
@content_options
@naming_options
@model_options
@photo_options
@message_options
def command(
    paths: tuple[str, ...],
    null: bool,
    features: str | None,
    lists: tuple[str, ...],
    max_bytes: int,
    fetch_timeout: float,
    allow_host: tuple[str, ...],
    concepts: int,
    exif: bool,
    album: bool,
    shard: str | None,
    precision: str,
    batch_size: int | None,
    workers: int | None,
    isolate: bool,
    max_pixels: int,
    allow_truncated: bool,
    exact_decode: bool,
    reference: str | None,
    reference_k: int,
    reference_sigma: float,
    reference_weight: float | None,
    **shared: Any,
) -> int:
    """Tell where photos were taken.

    PATH is a photo, a folder (searched recursively), a zip or tar archive, a URL (https://, s3://, gs://) or
    - (paths on standard input, one a line).
    Without an output option: a table on a terminal, CSV into a pipe.
    """
    options = SharedOptions(**shared)
    references = ReferenceOptions(reference, reference_k, reference_sigma, reference_weight)
    sources = SourceOptions(lists, max_bytes, fetch_timeout, allow_host)
    if features is not None:
        if paths:
            raise UsageError("--features takes the place of PATHs: give one or the other")
        refuse_options_about_photos("--features has")
        return _locate_features(features, concepts, options, references, shard)
    check_paths(paths, null, lists, sources.limits)

    from geolocate.decoding import DecodeOptions
    from geolocate.photos import count_photos
    from geolocate.sharding.listing import ShardListing
    from geolocate.sharding.shard import WHOLE, Shard

    part = WHOLE if shard is None else Shard.parse(shard)
    listing = None if shard is None else ShardListing(part)

    def predictions(
        geolocator: Geolocator, own_files: list[str], finished: FinishedPhotos
    ) -> Iterator[Prediction]:
        return geolocator.locate(
            photo_arguments(paths, null, lists),
            top_k=options.top_k,
            ranking=options.ranking,
            concepts=concepts,
            exif=exif,
            exclude=own_files,
            by=options.by,
            abstain_km=options.abstain,
            album=album,
            reference=references.open(geolocator, quiet=options.quiet, progress=options.progress),
            skip=finished.take if listing is None else listing.skip,
            on_found=found,
        )

    def found(argument: str, photo: str) -> None:
        if listing is not None:
            listing.found(argument, photo)

    def count() -> int | None:
        arguments = photo_arguments(paths, null)
        return count_photos(arguments, counts=part.holds_photo) if can_count(paths, lists) else None

    decode = DecodeOptions(workers, max_pixels, allow_truncated, exact_decode, isolate, fetch=sources.limits)
    return locate_and_write(
        options,
        predictions,
        what="photos",
        inputs=public_inputs(paths),
        files=[*local_files(paths, lists), *references.files],
        tables=[*lists, *references.files],
        settings={
            **references.settings,
            **sources.settings,
            "concepts": concepts,
            "exif": exif,
            "album": album,
            "max_pixels": max_pixels,
            "allow_truncated": allow_truncated,
            "exact_decode": exact_decode,
        },
        count=count,
        total=PhotoTotal(paths, lists, part),
        geolocator_options={
            "precision": precision,
            "batch_size": batch_size,
            "decode": decode,
        },
        thumbnails=decode,
        listing=listing,
    )


def _locate_features(
    path: str, concepts: int, options: SharedOptions, references: ReferenceOptions, shard: str | None
) -> int:
    """Places the rows of an NPY file of features (N, c)."""
    from geolocate.cli.features import open_features, remark_on_norms
    from geolocate.sharding.listing import ShardListing
    from geolocate.sharding.shard import WHOLE, Shard

    part = WHOLE if shard is None else Shard.parse(shard)
    features = open_features(path)
    listing = None if shard is None else ShardListing(part, rows=len(features))
    remark = remark_on_norms(features)
    return locate_and_write(
        options,
        lambda geolocator, _, finished: geolocator.locate_features(
            features,
            name=path,
            top_k=options.top_k,
            ranking=options.ranking,
            concepts=concepts,
            by=options.by,
            abstain_km=options.abstain,
            reference=references.open(geolocator, quiet=options.quiet, progress=options.progress),
            skip=finished.take if listing is None else listing.skip,
        ),
        what="photos",
        inputs=[path],
        files=[path, *references.files],
        tables=[path, *references.files],
        settings={**references.settings, "concepts": concepts},
        count=lambda: len(part.rows(len(features))),
        total=lambda: len(part.rows(len(features))),
        remarks=[remark] if remark else [],
        listing=listing,
    )
