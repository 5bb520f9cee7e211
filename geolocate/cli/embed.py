"""``geolocate embed``: photos or points to embeddings, for other programs."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from geolocate.cli.opening import introduction
from geolocate.cli.options import message_options, model_options, photo_options
from geolocate.cli.parameters import FilePath, blaming_environment
from geolocate.cli.photo_paths import (
    PhotoTotal,
    check_paths,
    local_files,
    photo_arguments,
    public_inputs,
    refuse_options_about_photos,
)
from geolocate.cli.progress import Progress
from geolocate.cli.source_options import SourceOptions, source_options
from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geolocate.geolocator import Geolocator
    from geolocate.manifest import Manifest
    from geolocate.writers.embeddings import EmbeddingWriter, Label

    Rows = Iterator[tuple[Label, NDArray[Any] | None]]

#: A single argument with this ending is a table of points.
POINTS_SUFFIX = ".csv"
FORMATS = (".npy", ".parquet")
#: Points that go through the location encoder between two lines of progress.
BLOCK = 4096


@click.command(name="embed", short_help="Embeddings of photos or of points, for other programs.")
@click.argument("paths", nargs=-1, metavar="PATH...|POINTS.csv", type=FilePath())
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end in NUL instead of a newline.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=FilePath(),
    metavar="FILE",
    help="FILE.npy: float32 (N, d), and FILE.npy.rows.csv says which row is which photo; FILE.parquet: both "
    "in one table (needs the extra 'parquet').",
)
@click.option("--overwrite", is_flag=True, help="Discard what a killed run left beside the output file.")
@source_options
@model_options
@photo_options
@message_options
def command(
    paths: tuple[str, ...],
    null: bool,
    output: str,
    overwrite: bool,
    lists: tuple[str, ...],
    max_bytes: int,
    fetch_timeout: float,
    allow_host: tuple[str, ...],
    model: str | None,
    device: Literal["auto", "cuda", "cpu"],
    precision: str,
    batch_size: int | None,
    workers: int | None,
    isolate: bool,
    max_pixels: int,
    allow_truncated: bool,
    exact_decode: bool,
    quiet: bool,
    progress: bool | None,
) -> int:
    """Embeddings of photos or of points, for other programs.

    PATH is a photo, a folder (searched recursively), a zip or tar archive, a URL or - (paths on standard
    input). A photo that fails has no row in FILE.npy; the list of rows names it with its error. POINTS.csv is
    a table with the columns LAT and LON (degrees); each of its rows gets the location embedding of that
    point, in its order.

    All embeddings have length 1 and live in one space: the product of a photo's and a point's is their
    similarity. They are not the backbone's features, which `predict --features` takes.
    """
    points = _points(paths)
    sources = SourceOptions(lists, max_bytes, fetch_timeout, allow_host)
    if points is None:
        check_paths(paths, null, lists, sources.limits)
    else:
        refuse_options_about_photos("a table of points has")
    kind = Path(output).suffix.lower()
    if kind not in FORMATS:
        raise UsageError(f"--output ends in {' or '.join(FORMATS)}, which decides the format")

    from geolocate.bundle import load_bundle
    from geolocate.decoding import DecodeOptions
    from geolocate.writers.target import write_manifest

    with blaming_environment("model"):
        bundle = load_bundle(model)
    total = PhotoTotal(paths, lists) if points is None else lambda: None
    unit = "photo" if points is None else "point"
    with Progress(shown=progress, quiet=quiet, total=total, unit=unit) as shown:

        def say(text: str) -> None:
            shown.note(f"geolocate: {text}")

        writer, files = _open_writer(
            output, local_files(paths, lists), bundle.manifest, overwrite=overwrite, photos=points is None
        )
        try:
            from geolocate.geolocator import Geolocator

            geolocator = Geolocator(
                bundle,
                device=device,
                precision=precision,
                batch_size=batch_size,
                decode=DecodeOptions(
                    workers, max_pixels, allow_truncated, exact_decode, isolate, fetch=sources.limits
                ),
                say=say,
            )
            for line in introduction(bundle, geolocator.precision):
                say(line)
            shown.begin()
            rows = (
                _photos(geolocator, photo_arguments(paths, null, lists), [str(f) for f in files])
                if points is None
                else _located(geolocator, points)
            )
            for label, embedding in rows:
                writer.write(label, embedding)
                shown.advance(failed=embedding is None)
            writer.close()
        except BaseException:
            writer.abort()
            raise
        write_manifest(
            files[0],
            {
                "program": f"geolocate {importlib.metadata.version('geolocate')}",
                "inputs": public_inputs(paths),
                "options": {
                    **sources.settings,
                    "device": geolocator.device,
                    "precision": geolocator.precision,
                    "max_pixels": max_pixels,
                    "allow_truncated": allow_truncated,
                    "exact_decode": exact_decode,
                },
                "bundle": {"name": bundle.manifest.name, "sha256": bundle.sha256},
                f"{unit}s": shown.done,
                "failed": shown.failed,
            },
        )
        if not shown.done:
            say(f"no {unit}s found")
    return PHOTOS_FAILED if shown.failed else DONE


def _points(paths: tuple[str, ...]) -> Path | None:
    """The table of points, if that is what is given.

    Raises:
        UsageError: a table among other paths, or none of that name.
    """
    tables = [path for path in paths if path.lower().endswith(POINTS_SUFFIX) and not Path(path).is_dir()]
    if not tables:
        return None
    if len(paths) > 1:
        raise UsageError("a table of points is embedded by itself: give no other PATH beside it")
    if not Path(tables[0]).exists():
        check_paths(paths, null=False)
    return Path(tables[0])


def _open_writer(
    output: str, read: list[str], manifest: Manifest, *, overwrite: bool, photos: bool
) -> tuple[EmbeddingWriter, list[Path]]:
    """The output, and every file that the run writes, itself first."""
    from geolocate.writers.embeddings import ROWS_SUFFIX, NpyWriter, ParquetWriter
    from geolocate.writers.refusals import refuse_conflicts
    from geolocate.writers.stream import is_direct
    from geolocate.writers.target import FileTarget, own_files, real_path

    if is_direct(output):
        raise UsageError("--output is a file: how many rows there are is written into its head at the end")
    wanted = {"output": output}
    npy = Path(output).suffix.lower() == ".npy"
    if npy and photos:
        wanted["output's list of rows"] = output + ROWS_SUFFIX
    refuse_conflicts(wanted, inputs=read)
    targets: list[FileTarget] = []
    try:
        for path in wanted.values():
            targets.append(FileTarget(path, overwrite=overwrite))
        width = manifest.embedding_dim
        writer: EmbeddingWriter
        if npy:
            writer = NpyWriter(targets[0], width, *targets[1:])
        else:
            columns = (
                {"photo": "string", "error": "string"}
                if photos
                else {"latitude": "float64", "longitude": "float64"}
            )
            writer = ParquetWriter(targets[0], width, columns, {"model": manifest.name})
    except BaseException:
        for target in targets:
            target.abandon()
        raise
    return writer, [file for path in wanted.values() for file in own_files(real_path(path))]


def _photos(geolocator: Geolocator, paths: Iterable[str], exclude: list[str]) -> Rows:
    import numpy as np

    for image in geolocator.encode_images(paths, exclude=exclude):
        embedding, error = image.embedding, image.error
        if embedding is not None and not np.isfinite(embedding).all():
            embedding, error = None, "the model gave no number for this photo"
        yield {"photo": image.photo, "error": error}, embedding


def _located(geolocator: Geolocator, table: Path) -> Rows:
    import numpy as np

    from geolocate.gallery_csv import read_points, refuse_off_globe

    rows = read_points(table)
    while block := list(islice(rows, BLOCK)):
        coordinates = np.array(block, dtype=np.float64)
        refuse_off_globe(coordinates, str(table))
        for (latitude, longitude), embedding in zip(
            block, geolocator.encode_locations(coordinates), strict=True
        ):
            yield {"latitude": latitude, "longitude": longitude}, embedding
