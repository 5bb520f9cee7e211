"""`geolocate train`: heads and concept module on a frozen backbone's features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geolocate.cli.export import EXTRA_MODULES
from geolocate.cli.options import message_options
from geolocate.cli.parameters import FilePath
from geolocate.cli.progress import Progress
from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.cli.training_options import data_options, module_options, recipe_options, size_options

if TYPE_CHECKING:
    from geolocate_export.train_command import TrainingPlan, TrainingReport

NO_CONCEPTS = "none"


@click.command("train", short_help="Train heads and concept module on your photos.")
@click.argument("data", type=FilePath(exists=True, path_type=Path))
@data_options
@module_options
@recipe_options
@size_options
@message_options
def command(quiet: bool, progress: bool | None, **options: Any) -> int:
    """Train heads and concept module on your photos.

    DATA is a table of photos and positions (the columns of MP-16, Im2GPS3k, OSV-5M and geoclip are known), a
    folder of photos that have a position in EXIF, or a folder with features.npy (N, views, width) and
    coordinates.npy (N, 2). The backbone's features are computed once and kept; then what follows the backbone
    is trained on them. Accuracy on held-out places goes to standard output, the checkpoint to
    OUTPUT/model, which `geolocate export` makes a bundle of (for a folder of features if --backbone says
    whose they are). Photos that cannot be used are left out and told: the exit status is 3 then.
    """
    from geolocate.errors import ExtraMissing

    try:
        from geolocate_export.train_command import train_on_photos
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in EXTRA_MODULES:
            raise ExtraMissing("geolocate train needs", "export") from None
        raise
    plan = _plan(options)
    photos = Progress(shown=progress, quiet=quiet, total=lambda: totals["photo"], unit="photo")
    steps = Progress(shown=progress, quiet=quiet, total=lambda: totals["step"], unit="step")
    totals = {"photo": 0, "step": 0}

    def say(text: str) -> None:
        steps.note(f"geolocate: {text}")

    def on_photo(done: int, total: int) -> None:
        totals["photo"] = total
        photos.advance(done - photos.done)
        if done == total:
            photos.close()

    def on_step(step: int, total: int) -> None:
        if not totals["step"]:  # what was done before a resumed run is no part of the rate
            steps.done = step - 1
            steps.begin()
        totals["step"] = total
        steps.advance()

    with photos, steps:
        report = train_on_photos(plan, say=say, on_photo=on_photo, on_step=on_step)
    _show(report)
    where = report.checkpoint.parent
    what_next = report.no_bundle or f"geolocate export {where} makes a bundle of it"
    steps.note(f"geolocate: wrote {report.checkpoint}; {what_next}")
    return PHOTOS_FAILED if report.problems else DONE


def _plan(options: dict[str, Any]) -> TrainingPlan:
    from datetime import datetime

    from geolocate.errors import UsageError
    from geolocate_export.concept_alignment import AlignmentConfig
    from geolocate_export.model import LocationConfig
    from geolocate_export.train_command import TrainingPlan
    from geolocate_export.training_config import GroundingConfig, TrainingConfig
    from geolocate_export.training_folder import default_folder, newest_begun

    output = options["output"]
    if output is None:
        output = newest_begun() if options["resume"] else default_folder(datetime.now())
    if output is None:
        raise UsageError("there is no training to resume; name it by --output")
    with_module = options["concepts"] != NO_CONCEPTS
    recipe = TrainingConfig(
        epochs=options["epochs"],
        batch_size=options["batch_size"],
        optimiser=options["optimiser"],
        learning_rate=options["learning_rate"],
        weight_decay=options["weight_decay"],
        schedule=options["schedule"],
        decay=options["decay"],
        noise_m=options["noise"],
        queue_length=options["queue"],
        queue_noise_m=options["queue_noise"],
        negatives_beyond_km=options["negatives_beyond"],
        alignment=AlignmentConfig(options["space"], options["divergence"], options["divergence_weight"]),
        grounding=GroundingConfig(options["grounding"] if with_module else 0.0),
        frozen=options["freeze"],
        data_share=options["data_share"],
        stop_metric=options["stop_metric"],
        patience=options["patience"],
        seed=options["seed"],
    )
    location = LocationConfig(
        options["sigma"], options["frequencies"], options["hidden"], options["projection"]
    )
    return TrainingPlan(
        data=options["data"],
        output=output,
        recipe=recipe,
        images=options["images"],
        backbone=options["backbone"],
        weights=options["backbone_weights"],
        views=options["views"],
        cache=options["cache"],
        held_out=options["held_out"],
        apart_km=options["apart"],
        gallery=options["gallery"],
        concepts=options["concepts"] if with_module else None,
        location=location,
        embedding_dim=options["embedding_dim"],
        device=options["device"],
        resume=options["resume"],
    )


def _show(report: TrainingReport) -> None:
    """Held-out accuracy on standard output: the model beside what needs no photo."""
    if not report.accuracy:
        return
    from geolocate.evaluation.metrics import ACCURACY_THRESHOLDS_KM

    heads = [f"{km:,.0f} km" for km in ACCURACY_THRESHOLDS_KM]
    count = next(iter(report.accuracy.values())).n
    click.echo(
        f"{count:,} held-out photos, % within".ljust(34)
        + "".join(f"{head:>10}" for head in heads)
        + f"{'median km':>12}"
    )
    for name, value in report.accuracy.items():
        shares = "".join(f"{share:>10.1f}" for share in value.within)
        click.echo(name.ljust(34) + shares + f"{value.median_km:>12,.0f}")
