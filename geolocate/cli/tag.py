"""``geolocate tag``: estimates written back, on request, and taken back again."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geolocate.cli.parameters import EnvironmentOption, FilePath, FiniteRange
from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.errors import UsageError
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from geolocate.tagging.change_log import ChangeLog
    from geolocate.tagging.tagger import Ending, Outcome, Tagger, Way

#: Above, an estimate says little: the summary of a dry run tells how many are.
UNSURE_KM = 750.0


@click.command(name="tag", short_help="Write estimates into XMP sidecars, or photos; take them back.")
@click.argument("results", metavar="RESULTS", type=FilePath())
@click.option("--write", is_flag=True, help="Do it; without this, only say what would be written.")
@click.option(
    "--in-place",
    is_flag=True,
    help="Into the photos themselves, by exiftool; what each was stays beside it as NAME.untagged.",
)
@click.option("--overwrite", is_flag=True, help="Also where there is a position already.")
@click.option(
    "--min-probability",
    type=FiniteRange(min=0, max=1),
    metavar="P",
    help="Only estimates of at least this probability.",
)
@click.option(
    "--max-radius",
    type=FiniteRange(min=0, min_open=True),
    metavar="KM",
    help="Only estimates of at most this radius.",
)
@click.option(
    "--photos",
    type=FilePath(file_okay=False),
    default=".",
    metavar="DIR",
    help="Where the relative paths in RESULTS begin. Photos elsewhere are never touched.  "
    "[default: the working folder]",
)
@click.option("--undo", is_flag=True, help="Take back everything that was written from RESULTS.")
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    cls=EnvironmentOption,
    envvar="GEOLOCATE_QUIET",
    help="No messages on standard error.",
)
def command(
    results: str,
    write: bool,
    in_place: bool,
    overwrite: bool,
    min_probability: float | None,
    max_radius: float | None,
    photos: str,
    undo: bool,
    quiet: bool,
) -> int:
    """Write the estimate of each photo in RESULTS into its XMP sidecar (a.jpg.xmp), marked as an estimate.

    RESULTS is CSV, JSON lines or Parquet that predict wrote. Without --write it is a dry run. Photos that
    have a position, in their EXIF or a sidecar, are left alone. A sidecar that is there keeps everything else
    that it says. RESULTS.tagged remembers what each file was: --undo gives it back.
    """
    root = Path(photos)
    if not root.is_dir():
        raise UsageError(f"no such folder: {printable(photos)}")
    if undo:
        if write or in_place or overwrite or min_probability is not None or max_radius is not None:
            raise UsageError("--undo takes back what is written, and no option besides --photos")
        return _undo(results, root, quiet)

    from geolocate.tagging.estimate import Limits
    from geolocate.tagging.tagger import Tagger

    newest = _last_change(results)
    limits, way = Limits(min_probability, max_radius), _way(in_place, overwrite)
    if not write:
        return _tag(results, Tagger(root, way, limits, overwrite, newest), quiet)
    with _open_log(results, root) as log:
        return _tag(results, Tagger(root, way, limits, overwrite, newest, log), quiet)


def _last_change(results: str) -> int:
    """When the results were written, in ns. Raises UsageError where they are no file."""
    try:
        status = os.stat(results)
    except OSError as error:
        raise UsageError(f"{printable(results)} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"{printable(results)} is no file, but RESULTS is read twice: to its end, then to write"
        )
    return status.st_mtime_ns


def _way(in_place: bool, overwrite: bool) -> Way:
    if in_place:
        if os.name == "nt":  # where no open file can be replaced, nor its times set
            raise UsageError("--in-place is for Linux and macOS: without it, estimates go into sidecars")

        from geolocate.tagging.exiftool import find_exiftool
        from geolocate.tagging.in_place import InPlace

        return InPlace(find_exiftool(), overwrite=overwrite)
    from geolocate.tagging.sidecar import Sidecars

    return Sidecars()


@contextmanager
def _open_log(results: str, root: Path) -> Iterator[ChangeLog]:
    """The log of changes beside the results, and what a killed run left cleared away."""
    from geolocate.tagging.change_log import ChangeLog
    from geolocate.tagging.undo import remove_leftovers

    with closing(ChangeLog(results)) as log:
        remove_leftovers(log, root)
        yield log


def _tag(results: str, tagger: Tagger, quiet: bool) -> int:
    from geolocate.results import read_results
    from geolocate.tagging.tagger import Ending

    # To its end, before anything is written: a table that breaks off must not be half done.
    for _ in read_results(results):
        pass
    counts: Counter[Ending] = Counter()
    unsure = 0
    try:
        for prediction in read_results(results):
            outcome = tagger.tag(prediction)
            counts[outcome.ending] += 1
            unsure += outcome.ending is Ending.POSSIBLE and _is_unsure(outcome)
            click.echo(_line(outcome))
    except KeyboardInterrupt:
        _say(f"{_summary(counts)}; the same command goes on from here", quiet)
        raise
    _say(_summary(counts), quiet)
    if unsure:
        _say(
            f"{unsure:,} of them may be off by more than {UNSURE_KM:g} km: --max-radius leaves those out",
            quiet,
        )
    if counts[Ending.POSSIBLE]:
        _say("nothing is written yet: --write does it", quiet)
    if counts[Ending.WRITTEN]:
        _say("geolocate tag --undo, with RESULTS and --photos as here, takes it back", quiet)
    return PHOTOS_FAILED if counts[Ending.FAILED] else DONE


def _undo(results: str, root: Path, quiet: bool) -> int:
    from geolocate.tagging.change_log import LOG_SUFFIX
    from geolocate.tagging.undo import undo

    if not os.path.lexists(os.path.realpath(results) + LOG_SUFFIX):
        _say(f"nothing is written from {results}, so there is nothing to take back", quiet)
        return DONE
    undone = failed = 0
    with _open_log(results, root) as log:
        for file in undo(log, root):
            undone, failed = undone + (file.error is None), failed + (file.error is not None)
            click.echo(
                printable(
                    f"restored  {file.path}" if file.error is None else f"failed    {file.path}: {file.error}"
                )
            )
        if not failed:
            log.discard()
    _say(f"{undone:,} restored" + (f", {failed:,} left: the log stays" if failed else ""), quiet)
    return PHOTOS_FAILED if failed else DONE


def _line(outcome: Outcome) -> str:
    """One line for a photo, fit for a terminal whatever its name."""
    from geolocate.tagging.tagger import Ending

    words = {
        Ending.WRITTEN: "wrote",
        Ending.POSSIBLE: "would write",
        Ending.SKIPPED: "skipped",
        Ending.FAILED: "failed",
    }
    start = f"{words[outcome.ending]:<11}  {outcome.target}"
    estimate = outcome.estimate
    if outcome.reason or estimate is None:
        return printable(f"{start}: {outcome.reason}")
    position = f"{estimate.position.latitude:.5f}, {estimate.position.longitude:.5f}"
    radius = "" if estimate.radius_km is None else f"  radius {estimate.radius_km:,.1f} km"
    names = ", ".join(filter(None, (estimate.city, estimate.region, estimate.country)))
    return printable(f"{start}  {position}{radius}  {names}".rstrip())


def _is_unsure(outcome: Outcome) -> bool:
    radius = outcome.estimate.radius_km if outcome.estimate else None
    return radius is None or radius > UNSURE_KM


def _summary(counts: Counter[Ending]) -> str:
    words = {"written": "written", "possible": "to be written", "skipped": "skipped", "failed": "failed"}
    parts = [f"{count:,} {words[ending.value]}" for ending, count in counts.items()]
    return ", ".join(parts) or "no photos"


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        click.echo(printable(f"geolocate: {text}"), err=True)
