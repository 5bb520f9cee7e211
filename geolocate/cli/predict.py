"""``geolocate predict``, the default command: photos in, places out."""

from __future__ import annotations

import importlib.metadata
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import click

from geolocate.cli.progress import Progress, duration
from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.errors import UsageError

STANDARD_INPUT = "-"


@click.command(name="predict", short_help="Tell where photos were taken (the default command).")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end in NUL instead of a newline.")
@click.option(
    "-k",
    "--top-k",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    envvar="GEOLOCATE_TOP_K",
    metavar="N",
    help="Candidates per photo.",
)
@click.option(
    "--ranking",
    type=click.Choice(["merged", "points", "published"]),
    default="merged",
    show_default=True,
    envvar="GEOLOCATE_RANKING",
    help="merged: points within 25 km are one place; points: each gallery point by itself; "
    "published: as GeoCLIP does it, duplicates kept.",
)
@click.option("--csv", type=click.Path(), metavar="FILE", help="Write CSV; - is standard output.")
@click.option("--jsonl", type=click.Path(), metavar="FILE", help="Write JSON lines; - is standard output.")
@click.option("--overwrite", is_flag=True, help="Discard what an interrupted run left beside an output file.")
@click.option(
    "--exif/--no-exif",
    default=True,
    show_default=True,
    envvar="GEOLOCATE_EXIF",
    help="Read the true position from EXIF and give the error in km.",
)
@click.option(
    "--geocoder",
    default="offline",
    show_default=True,
    envvar="GEOLOCATE_GEOCODER",
    metavar="NAME",
    help="What names places: offline, none, or a service that geopy knows (nominatim, photon, ...), which "
    "then learns the guesses, rounded to 0.01 degree.",
)
@click.option(
    "--geocoder-key", envvar="GEOLOCATE_GEOCODER_KEY", metavar="KEY", help="Your key for that service."
)
@click.option(
    "--geocoder-domain",
    envvar="GEOLOCATE_GEOCODER_DOMAIN",
    metavar="HOST",
    help="Your own server of that service.",
)
@click.option(
    "--geocoder-ranks",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    envvar="GEOLOCATE_GEOCODER_RANKS",
    metavar="N",
    help="Ranks that the service is asked for; the others get offline names.",
)
@click.option(
    "--user-agent",
    envvar="GEOLOCATE_USER_AGENT",
    metavar="TEXT",
    help="How to introduce yourself to that service.",
)
@click.option("-y", "--yes", is_flag=True, help="Ask a service for more than 1,000 places.")
@click.option(
    "--model",
    type=click.Path(),
    envvar="GEOLOCATE_MODEL",
    metavar="NAME|DIR",
    help="Bundle, by name or folder.  [default: geoclip-vit-l-14 if installed, else starter]",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=178_956_970,
    show_default=True,
    envvar="GEOLOCATE_MAX_PIXELS",
    metavar="N",
    help="Larger photos fail.",
)
@click.option(
    "--allow-truncated",
    is_flag=True,
    envvar="GEOLOCATE_ALLOW_TRUNCATED",
    help="Use what there is of a truncated photo.",
)
@click.option(
    "--exact-decode",
    is_flag=True,
    envvar="GEOLOCATE_EXACT_DECODE",
    help="Decode JPEG at full scale: several times slower, next to no difference.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    default="auto",
    show_default=True,
    envvar="GEOLOCATE_DEVICE",
    help="auto falls back to the CPU and says so; cuda fails with the reason.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    envvar="GEOLOCATE_BATCH_SIZE",
    metavar="N",
    help="Photos in one call of the model.  [default: by device]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    envvar="GEOLOCATE_WORKERS",
    metavar="N",
    help="Threads that decode photos.  [default: one per core]",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    envvar="GEOLOCATE_QUIET",
    help="No messages and no progress on standard error.",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    envvar="GEOLOCATE_PROGRESS",
    help="Progress on standard error.  [default: on a terminal]",
)
def command(paths: tuple[str, ...], **options: Any) -> int:
    """Tell where photos were taken.

    PATH is a photo, a folder (searched recursively) or - (paths on standard input, one a line).
    Without an output option: a table on a terminal, CSV into a pipe.
    """
    return predict(paths, **options)


def predict(
    paths: tuple[str, ...],
    *,
    null: bool,
    top_k: int,
    ranking: Any,
    csv: str | None,
    jsonl: str | None,
    overwrite: bool,
    exif: bool,
    geocoder: str,
    geocoder_key: str | None,
    geocoder_domain: str | None,
    geocoder_ranks: int,
    user_agent: str | None,
    yes: bool,
    model: str | None,
    max_pixels: int,
    allow_truncated: bool,
    exact_decode: bool,
    device: Any,
    batch_size: int | None,
    workers: int | None,
    quiet: bool,
    progress: bool | None,
) -> int:
    """Runs the command and returns the exit status; what can be refused is refused before any work."""
    from geolocate.photos import check_arguments

    if null and STANDARD_INPUT not in paths:
        raise UsageError("-0 is about paths on standard input: name - as one of the paths")
    check_arguments(path for path in paths if path != STANDARD_INPUT)
    table = csv is None and jsonl is None and sys.stdout.isatty()
    if csv is None and jsonl is None and not table:
        csv = "-"

    from geolocate.bundle import load_bundle
    from geolocate.geocoding import open_namer
    from geolocate.writers.outputs import open_writers

    shown = Progress(shown=progress, quiet=quiet, total=_Total(paths))

    def say(text: str) -> None:
        shown.note(f"geolocate: {text}")

    outputs = open_writers(csv=csv, jsonl=jsonl, table=table, overwrite=overwrite, aside=shown.aside)
    with shown, outputs:
        bundle = load_bundle(model)
        namer = open_namer(
            geocoder, key=geocoder_key, domain=geocoder_domain, user_agent=user_agent, warn=say
        )
        with closing(namer):
            if namer.interval_s and not yes:
                _refuse_many_places(paths, geocoder_ranks, namer.interval_s)

            from geolocate.geolocator import Geolocator

            geolocator = Geolocator(
                bundle,
                device=device,
                batch_size=batch_size,
                workers=workers,
                max_pixels=max_pixels,
                allow_truncated=allow_truncated,
                exact_decode=exact_decode,
                namer=namer,
                named_ranks=geocoder_ranks if namer.interval_s else None,
                say=say,
            )
            say(_introduction(bundle.manifest.name, bundle.manifest.trained))
            if top_k > geolocator.gallery_size:
                say(f"the gallery has {geolocator.gallery_size:,} points: --top-k {top_k} gives no more")
            exclude = [str(path) for path in outputs.paths]
            predictions = geolocator.locate(
                _arguments(paths, null), top_k=top_k, ranking=ranking, exif=exif, exclude=exclude
            )
            shown.begin()
            try:
                for prediction in predictions:
                    outputs.write(prediction)
                    shown.advance(failed=prediction.error is not None)
            except BaseException:
                for kept in outputs.abort():
                    say(f"what was done so far is in {kept}")
                raise
            if namer.attribution and shown.done:
                say(namer.attribution)
        outputs.close(
            {
                "program": f"geolocate {importlib.metadata.version('geolocate')}",
                "inputs": list(paths),
                "options": {"top_k": top_k, "ranking": ranking, "exif": exif, "geocoder": geocoder},
                "bundle": {"name": bundle.manifest.name, "sha256": bundle.sha256},
                "photos": shown.done,
                "failed": shown.failed,
            }
        )
        if not shown.done:
            say("no photos found")
    return PHOTOS_FAILED if shown.failed else DONE


def _arguments(paths: tuple[str, ...], null: bool) -> Iterator[str]:
    """The paths of the command line, with - replaced by those on standard input as they arrive."""
    from geolocate.photos import read_path_list

    for path in paths:
        if path == STANDARD_INPUT:
            yield from read_path_list(sys.stdin.buffer, null)
        else:
            yield path


def _introduction(name: str, trained: bool) -> str:
    if trained:
        return f"model {name}"
    return f"model {name}: untrained, so its places are chance; it shows how the program works and no more"


def _refuse_many_places(paths: tuple[str, ...], ranks: int, interval_s: float) -> None:
    """Raises UsageError where a service would be asked for very many places."""
    from geolocate.geocoding import LARGE_RUN_PLACES
    from geolocate.photos import count_photos

    if STANDARD_INPUT in paths:
        raise UsageError(
            "nobody knows yet how many places a list on standard input makes: a geocoding service needs --yes"
        )
    places = count_photos(paths) * ranks
    if places > LARGE_RUN_PLACES:
        raise UsageError(
            f"up to {places:,} places to ask for take {duration(places * interval_s)} at the pace that "
            "the service allows: add --yes if that is meant"
        )


class _Total:
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
