"""A distributed job from its options to its manifest: refuse, plan, compute, say how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geolocate.cli.locating import file_states, folder_of
from geolocate.cli.opening import introduction, limits, open_own_gallery, priors_of
from geolocate.cli.options import AnswerOptions
from geolocate.cli.parameters import blaming_environment
from geolocate.cli.photo_paths import local_files, photo_arguments, public_inputs
from geolocate.cli.progress import Progress
from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.errors import UsageError
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from geolocate.cli.source_options import SourceOptions
    from geolocate.distributed.cluster import Pool
    from geolocate.distributed.plan import Plan
    from geolocate.distributed.stages import Decoding, Locating
    from geolocate.distributed.store import Store

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options(AnswerOptions):
    """The values of the command's options, by their names."""

    address: str | None
    actors: int | None
    workers: int | None
    partition_size: int
    overwrite: bool
    concepts: int
    exif: bool
    geocoder: str
    model: str | None
    device: Literal["auto", "cuda", "cpu"]
    precision: str
    batch_size: int | None
    isolate: bool
    max_pixels: int
    allow_truncated: bool
    exact_decode: bool
    quiet: bool
    progress: bool | None


def run(inputs: tuple[str, ...], output: str, null: bool, sources: SourceOptions, options: Options) -> int:
    """Does the job, or what is left of it, and returns the exit status.

    Raises:
        UsageError: OUTPUT holds another job or other files, or something else makes no sense.
        ExtraMissing, ClusterError, BundleError, OutputError: what keeps the job from being done.
    """
    from geolocate.distributed.cluster import joined, own_pool, require_ray, short_of_shared_memory, started

    require_ray()
    from geolocate.distributed.partitions import MANIFEST, finished_partitions, write_manifest
    from geolocate.distributed.pipeline import run_partitions
    from geolocate.distributed.store import open_store

    total: int | None = None
    shown = Progress(shown=options.progress, quiet=options.quiet, total=lambda: total)

    def say(text: str) -> None:
        shown.note(f"geolocate: {text}")

    store = open_store(output)
    with shown, ExitStack() as stack:
        stack.enter_context(store.claimed())
        pool = (
            own_pool(options.device, options.actors, options.workers, say)
            if options.address is None
            else stack.enter_context(joined(options.address, options.device, options.actors, options.workers))
        )
        job, decoding, locating = _prepared(inputs, pool, sources, options, say)
        earlier = _earlier_plan(store, job, options)
        photos = photo_arguments(inputs, null, sources.lists)
        plan = earlier or _listed(store, job, photos, sources, options, say)
        total = plan.photos
        done = finished_partitions(store, plan)
        for partition in done.values():
            _count(shown, partition.photos, partition.failed)
        todo = [index for index in range(plan.partitions) if index not in done]
        if earlier is not None:
            say(
                f"going on with the {plan.photos:,} photos that were listed, not with what came since: "
                f"{len(done):,} of {plan.partitions:,} partitions are finished"
                if todo
                else f"{store} is complete; --overwrite starts anew"
            )
        if todo:
            if MANIFEST in store.sizes():  # it says that all is there
                store.remove([MANIFEST])
            if options.address is None:
                if short_of_shared_memory():
                    say("too little shared memory in /dev/shm: photos at work lie in files, which is slower")
                stack.enter_context(started(pool))
            say(f"{pool.actors} with the model on {pool.device}, {pool.decoders} decoding")
            shown.begin()
            with _saying_how_to_go_on(say):
                for partition in run_partitions(store, plan, todo, pool, decoding, locating):
                    done[partition.partition] = partition
                    _count(shown, partition.photos, partition.failed)
        if todo or MANIFEST not in store.sizes():
            write_manifest(store, plan, done)
        if not plan.photos:
            say("no photos found")
    return PHOTOS_FAILED if shown.failed else DONE


def _prepared(
    inputs: tuple[str, ...], pool: Pool, sources: SourceOptions, options: Options, say: Say
) -> tuple[dict[str, Any], Decoding, Locating]:
    """What the job is, and what machines are told of it; says which model runs, over what.

    Raises:
        UsageError, BundleError, GalleryError: the options cannot be met.
    """
    import importlib.metadata

    from geolocate.bundle import load_bundle
    from geolocate.decoding import DecodeOptions
    from geolocate.device import choose_precision
    from geolocate.distributed.stages import Decoding, Locating
    from geolocate.gallery import Gallery
    from geolocate.priors import restricted

    priors = priors_of(options.near, options.country, options.bbox)
    with blaming_environment("model"):
        bundle = load_bundle(options.model)
    precision = choose_precision(options.precision, bundle.manifest.precisions, pool.device)
    gallery = open_own_gallery(
        options.gallery, bundle, options.device, quiet=options.quiet, progress=options.progress, say=say
    )
    left = restricted(gallery or Gallery.from_bundle(bundle), priors)
    for line in (*introduction(bundle, precision), *limits(left, priors, options.top_k)):
        say(line)
    decode = DecodeOptions(
        None,
        options.max_pixels,
        options.allow_truncated,
        options.exact_decode,
        options.isolate,
        fetch=sources.limits,
    )
    tables = [*sources.lists, *([options.gallery] if options.gallery is not None else [])]
    job = {
        "program": f"geolocate {importlib.metadata.version('geolocate')}",
        "inputs": public_inputs(inputs),
        "folder": folder_of(local_files(inputs, sources.lists), inputs),
        "tables": file_states(tables),
        "options": {
            **sources.settings,
            **options.answer,
            "geocoder": options.geocoder,
            "device": pool.device,
            "precision": precision,
            "concepts": options.concepts,
            "exif": options.exif,
            "album": False,
            "max_pixels": options.max_pixels,
            "allow_truncated": options.allow_truncated,
            "exact_decode": options.exact_decode,
            "partition_size": options.partition_size,
        },
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.sha256},
    }
    by_name = options.model is None or bundle.path != Path(options.model)
    locating = Locating(
        model=bundle.path.name if by_name else os.path.realpath(bundle.path),
        sha256=bundle.sha256,
        device=pool.device,
        precision=precision,
        batch_size=options.batch_size,
        priors=tuple(priors),
        gallery=gallery,
        geocoder=options.geocoder,
        top_k=options.top_k,
        ranking=options.ranking,
        concepts=options.concepts,
        by=options.by,
        abstain_km=options.abstain,
    )
    size = bundle.manifest.image.size
    files = tuple(local_files(inputs))  # lists are read on this machine alone
    return job, Decoding(size, decode, options.exif, os.getcwd(), files), locating


def _earlier_plan(store: Store, job: dict[str, Any], options: Options) -> Plan | None:
    """The plan of the job that is in OUTPUT, if it is this one; None where there is none.

    Raises:
        UsageError: it is another one, says in what; or there are files that are none of ours.
    """
    from geolocate.distributed.partitions import discard_job, is_plan
    from geolocate.distributed.plan import JOB, as_written, read_plan
    from geolocate.writers.journal import differences

    names = store.sizes().keys()
    if JOB not in names:
        other = next((name for name in sorted(names) if not is_plan(name)), None)
        if other is not None:
            raise UsageError(f"{store} is not empty: it holds {printable(other)}, and no job of geolocate")
        return None
    if options.overwrite:
        discard_job(store)
        return None
    plan = read_plan(store)
    wanted = as_written(job)
    if plan.job != wanted:
        raise UsageError(
            f"{store} holds another job: {'; '.join(differences(plan.job, wanted))}. "
            "Give the same arguments and options again, or --overwrite to start anew"
        )
    return plan


def _listed(
    store: Store,
    job: dict[str, Any],
    arguments: Iterator[str],
    sources: SourceOptions,
    options: Options,
    say: Say,
) -> Plan:
    """Lists the photos as predict does, into OUTPUT, with a progress line of its own."""
    from geolocate.distributed.plan import write_plan
    from geolocate.duplicates import told_apart
    from geolocate.photos import find_photos

    found = find_photos(arguments, on_warning=say, limits=sources.limits)
    with Progress(shown=options.progress, quiet=options.quiet, unit="photo") as shown:
        plan = write_plan(
            store,
            job,
            told_apart(map(_without_secrets, found), lambda photo: False),
            options.partition_size,
            shown.advance,
        )
    parts = "1 partition" if plan.partitions == 1 else f"{plan.partitions:,} partitions"
    say(f"{plan.photos:,} photos in {parts}")
    return plan


def _without_secrets(photo: str) -> str:
    """The photo; OUTPUT names all of them, for all machines to read. Raises UsageError for a signed URL."""
    from geolocate.sources.urls import public_name

    if (name := public_name(photo)) != photo:
        raise UsageError(
            f"{printable(name)}: OUTPUT would hold what opens this URL; use credentials of the environment"
        )
    return photo


def _count(shown: Progress, photos: int, failed: int) -> None:
    shown.advance(photos - failed)
    for _ in range(failed):
        shown.advance(failed=True)


@contextmanager
def _saying_how_to_go_on(say: Say) -> Iterator[None]:
    try:
        yield
    except BaseException:
        say("finished partitions are kept; the same command goes on")
        raise
