"""What every command does that locates something: open outputs, model and names, write rows, end well."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from geolocate.cli.opening import introduction, limits, open_own_gallery, priors_of
from geolocate.cli.options import SharedOptions
from geolocate.cli.parameters import blaming_environment
from geolocate.cli.photo_paths import STANDARD_INPUT
from geolocate.cli.progress import Progress, duration
from geolocate.cli.status import DONE, PHOTOS_FAILED, is_terminal
from geolocate.errors import UsageError

if TYPE_CHECKING:
    from geolocate.decoded_item import DecodeOptions
    from geolocate.geolocator import Geolocator
    from geolocate.records import Prediction
    from geolocate.sharding.listing import ShardListing
    from geolocate.writers.finished import FinishedPhotos
    from geolocate.writers.outputs import Writers


def locate_and_write(
    options: SharedOptions,
    predictions: Callable[[Geolocator, list[str], FinishedPhotos], Iterator[Prediction]],
    *,
    what: str,
    inputs: list[str],
    files: Iterable[str] = (),
    tables: Iterable[str] = (),
    settings: Mapping[str, Any],
    count: Callable[[], int | None],
    total: Callable[[], int | None] = lambda: None,
    geolocator_options: Mapping[str, Any] | None = None,
    thumbnails: DecodeOptions | None = None,
    remarks: Iterable[str] = (),
    listing: ShardListing | None = None,
) -> int:
    """Runs the command and returns the exit status; what can be refused is refused before any work.

    Args:
        predictions: the work, given the geolocator, the run's own output files and what is finished already.
        what: the plural of what is located ("photos").
        inputs, settings: for the manifests beside output files.
        files: the inputs that may be files, which no output may replace.
        tables: those of them that decide over every row.
        count: how many there are, counted now; None if nobody can know.
        total: the same for the progress line, without waiting.
        geolocator_options: more arguments of :class:`geolocate.geolocator.Geolocator`.
        thumbnails: how the inputs are decoded for small pictures of them; None where they are no photos.
        remarks: what else there is to tell the user before the work begins.
        listing: of the shard that the work is cut down to, if it is; it is told what is done already.
    """
    from geolocate.bundle import load_bundle
    from geolocate.geocoding import open_namer
    from geolocate.writers import STANDARD_OUTPUT, RunFacts, open_writers

    _refuse_geocoder_of_countries(options)
    priors = priors_of(options.near, options.country, options.bbox)
    table = not options.outputs and is_terminal(sys.stdout)
    wanted = options.outputs if options.outputs or table else {"csv": STANDARD_OUTPUT}
    watch = partial(_thumbnail_progress, options)
    facts = RunFacts(what, thumbnails if options.thumbnails else None, watch=watch)
    shown = Progress(shown=options.progress, quiet=options.quiet, total=total)

    def say(text: str) -> None:
        shown.note(f"geolocate: {text}")

    outputs = open_writers(
        wanted,
        facts=facts,
        table=table,
        overwrite=options.overwrite,
        resume=options.resume,
        inputs=[*files, *([options.gallery] if options.gallery is not None else [])],
        aside=shown.aside,
        say=say,
    )
    with shown, outputs, _saying_how_to_go_on(outputs, what, say):
        with blaming_environment("model"):
            bundle = load_bundle(options.model)
        with blaming_environment("geocoder"):
            namer = open_namer(
                options.geocoder,
                key=options.geocoder_key,
                domain=options.geocoder_domain,
                user_agent=options.user_agent,
                warn=say,
            )
        with closing(namer):
            if namer.interval_s and not options.yes:
                _refuse_many_places(count(), options.geocoder_ranks, namer.interval_s)

            from geolocate.geolocator import Geolocator

            geolocator = Geolocator(
                bundle,
                device=options.device,
                priors=priors,
                gallery=open_own_gallery(
                    options.gallery,
                    bundle,
                    options.device,
                    quiet=options.quiet,
                    progress=options.progress,
                    say=say,
                ),
                namer=namer,
                named_ranks=options.geocoder_ranks if namer.interval_s else None,
                say=say,
                **(geolocator_options or {}),
            )
            facts.model = tuple(introduction(bundle, geolocator.precision))
            for line in facts.model:
                say(line)
            for line in remarks:
                say(line)
            for line in limits(geolocator.gallery, priors, options.top_k):
                say(line)
            import importlib.metadata  # 16 ms, which help and completion would pay as well

            run = {
                "program": f"geolocate {importlib.metadata.version('geolocate')}",
                "inputs": inputs,
                "options": {
                    **options.answer,
                    "geocoder": options.geocoder,
                    "geocoder_ranks": options.geocoder_ranks,
                    "geocoder_domain": _without_credentials(options.geocoder_domain),
                    "device": geolocator.device,
                    "precision": geolocator.precision,
                    **settings,
                },
                "bundle": {"name": bundle.manifest.name, "sha256": bundle.sha256},
            }
            if options.gallery is not None:
                run["gallery_sha256"] = geolocator.gallery.sha256
            if listing is not None:
                run["shard"] = str(listing.shard)
            tables = [*tables, *([options.gallery] if options.gallery is not None else [])]
            outputs.begin({**run, "folder": folder_of(files, inputs), "tables": file_states(tables)})
            if options.resume:
                done = outputs.resumable()
                say(f"going on after {_counted(done, what)}" if done else f"no {what} are done yet: starting")
            located = predictions(geolocator, [str(path) for path in outputs.paths], outputs.finished)
            for prediction in outputs.earlier():
                shown.found_done(failed=prediction.error is not None)
                if listing is not None:
                    listing.earlier(prediction.photo)
            shown.begin()
            for prediction in located:
                outputs.write(prediction)
                shown.advance(failed=prediction.error is not None)
        if listing is not None:
            run["shard"] = listing.facts()
        outputs.close({**run, what: shown.done, "failed": shown.failed, "model": list(facts.model)})
        if namer.attribution and shown.done:
            say(namer.attribution)
        if not shown.done:
            say(f"no {what} found" if listing is None else f"no {what} in shard {listing.shard}")
    return PHOTOS_FAILED if shown.failed else DONE


@contextmanager
def _thumbnail_progress(options: SharedOptions, total: int) -> Iterator[Callable[[], None]]:
    with Progress(
        shown=options.progress, quiet=options.quiet, total=lambda: total, unit="thumbnail"
    ) as shown:
        yield shown.advance


@contextmanager
def _saying_how_to_go_on(outputs: Writers, what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Whatever ends the run early: what is done is kept, and the user is told how to get the rest."""
    try:
        yield
    except BaseException:
        kept = outputs.abort()
        if done := outputs.resumable():
            where = f", in {kept[0]}" if kept else ""
            say(f"done so far: {_counted(done, what)}{where}; the same command with --resume goes on")
        raise


def _counted(count: int, what: str) -> str:
    return f"1 {what.removesuffix('s')}" if count == 1 else f"{count:,} {what}"


def folder_of(files: Iterable[str], inputs: Iterable[str]) -> str | None:
    """Where relative inputs, or a list of such, are looked for; None where there are none."""
    if all(map(os.path.isabs, files)) and STANDARD_INPUT not in inputs:
        return None
    return os.path.realpath(os.curdir)


def file_states(files: Iterable[str]) -> dict[str, list[int]]:
    """Size and time of the last change (ns) of files, which tell that their content is another."""
    states = {}
    for file in files:
        with suppress(OSError, ValueError):  # opening it says what is wrong
            status = os.stat(file)
            states[file] = [status.st_size, status.st_mtime_ns]
    return states


def _refuse_geocoder_of_countries(options: SharedOptions) -> None:
    """Raises UsageError where a geocoder is asked for that would have nothing to do.

    One of the environment is meant for all runs, and passes.
    """
    source = click.get_current_context().get_parameter_source("geocoder")
    if options.by == "country" and options.geocoder != "offline" and source is ParameterSource.COMMANDLINE:
        raise UsageError("--by country names countries offline: leave out --geocoder")


def _without_credentials(host: str | None) -> str | None:
    """A host as it may be written down: without the name and password that a URL can begin with."""
    return None if host is None else host.rpartition("@")[2]


def _refuse_many_places(count: int | None, ranks: int, interval_s: float) -> None:
    """Raises UsageError where a service would be asked for very many places."""
    if count is None:
        raise UsageError(
            "nobody knows yet how many places lists, URLs and archives make: a geocoding service needs --yes"
        )
    from geolocate.geocoding import LARGE_RUN_PLACES

    places = count * ranks
    if places > LARGE_RUN_PLACES:
        raise UsageError(
            f"up to {places:,} places to ask for take {duration(places * interval_s)} at the pace that "
            "the service allows: add --yes if that is meant"
        )
