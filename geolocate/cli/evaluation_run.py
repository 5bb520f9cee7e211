"""What ``geolocate evaluate`` does once its options make sense: measure, compare, report."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from geolocate.cli.evaluate import EvaluateOptions
from geolocate.cli.features import open_features, remark_on_norms
from geolocate.cli.opening import introduction, open_own_gallery
from geolocate.cli.parameters import blaming_environment
from geolocate.cli.progress import Progress
from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.errors import TableError
from geolocate.evaluation.calibrated_bundle import check_vacant, write_calibrated
from geolocate.evaluation.calibration import TemperatureFit, fit_temperature
from geolocate.evaluation.known_photos import KnownPhotos, of_exif, of_features, of_table
from geolocate.evaluation.leaks import leaked
from geolocate.evaluation.literature import guess_benchmark
from geolocate.evaluation.measuring import Measured, measure
from geolocate.evaluation.rendering import to_json, to_markdown, to_text
from geolocate.evaluation.report import NamedErrors, Report, baselines, build_report, by_references, errors_of
from geolocate.evaluation.scored_table import read_predictions
from geolocate.geolocator import Geolocator
from geolocate.position_table import Problems, read_positions
from geolocate.text_safety import printable
from geolocate.writers.refusals import refuse_conflicts
from geolocate.writers.target import open_target

if TYPE_CHECKING:
    from geolocate.bundle import Bundle
    from geolocate.gallery import Gallery

STANDARD_OUTPUT = "-"
#: A photo so near to a reference can be placed by it.
NEAR_REFERENCE_KM = 1.0


@dataclass
class _Found:
    """What a run has come by, for the report.

    Attributes:
        data: what was evaluated, for the user.
        gallery: None where no model is known.
    """

    measured: Measured
    data: str
    settings: dict[str, str | int | float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    gallery: Gallery | None = None
    bundle: Bundle | None = None


def run(options: EvaluateOptions) -> int:
    """Evaluates and writes the report; returns the exit status."""
    wanted = {name: path for name in ("json", "markdown") if (path := getattr(options, name)) is not None}
    inputs = [p for p in (options.data, options.features, options.predictions, options.gallery) if p]
    inputs += options.references.files
    refuse_conflicts(wanted, inputs=[path for path in inputs if os.path.isfile(path)])
    if options.fit_temperature is not None:
        check_vacant(Path(options.fit_temperature))
    if options.pictures is not None:
        from geolocate.evaluation.pictures import check_can_draw

        check_can_draw()
    found = _score(options) if options.predictions is not None else _run_model(options)
    _look_for_leaks(found, options)
    if not len(found.measured):
        raise TableError(f"{found.data}: no photo is left to evaluate")
    fit = _fit(found, options) if options.fit_temperature is not None else None
    report, methods = _report(found, options, fit)
    _write(report, options)
    if options.pictures is not None:
        from geolocate.evaluation.pictures import draw

        for path in draw(Path(options.pictures), found.measured, methods):
            _say(options, f"picture {path}")
    return PHOTOS_FAILED if found.measured.failures else DONE


def _say(options: EvaluateOptions, text: str) -> None:
    if not options.quiet:
        click.echo(f"geolocate: {printable(text)}", err=True)


def _score(options: EvaluateOptions) -> _Found:
    """Reads predictions; the model is opened only where one is named, for what a gallery can tell."""
    assert options.predictions is not None
    scored = read_predictions(
        Path(options.predictions),
        Path(options.data) if options.data else None,
        predicted_columns=options.predicted_columns,
        true_columns=options.true_columns,
        image_column=options.image_column,
    )
    _say(options, scored.remarks[0])
    found = _Found(Measured.of_table(scored), _shown(options.predictions), remarks=list(scored.remarks))
    if options.model is not None or options.gallery is not None:
        from geolocate.bundle import load_bundle
        from geolocate.gallery import Gallery
        from geolocate.gallery_csv import read_gallery

        if options.gallery is not None:
            points = read_gallery(Path(options.gallery))
            found.gallery = Gallery(points.coordinates, points.weights, points.coordinates.astype("float32"))
        else:
            with blaming_environment("model"):
                found.gallery = Gallery.from_bundle(load_bundle(options.model))
    return found


def _run_model(options: EvaluateOptions) -> _Found:
    """Encodes photos or features and holds the posteriors against the truth."""
    from geolocate.bundle import load_bundle
    from geolocate.decoding import DecodeOptions

    problems, remarks = Problems(), list[str]()
    with Progress(shown=options.progress, quiet=options.quiet) as shown:

        def say(text: str) -> None:
            shown.note(f"geolocate: {text}")

        with blaming_environment("model"):
            bundle = load_bundle(options.model)
        geolocator = Geolocator(
            bundle,
            device=options.device,
            precision=options.precision,
            batch_size=options.batch_size,
            decode=DecodeOptions(
                options.workers,
                options.max_pixels,
                options.allow_truncated,
                options.exact_decode,
                options.isolate,
            ),
            gallery=open_own_gallery(
                options.gallery,
                bundle,
                options.device,
                quiet=options.quiet,
                progress=options.progress,
                say=say,
            ),
            say=say,
        )
        for line in introduction(bundle, geolocator.precision):
            say(line)
        reference = options.references.open(geolocator, quiet=options.quiet, progress=options.progress)
        images = _known_photos(geolocator, options, problems, remarks)
        shown.begin()
        measured = measure(
            geolocator,
            images,
            ranking=options.ranking,
            temperatures=options.fit_temperature is not None,
            reference=reference,
            advance=lambda failed: shown.advance(failed=failed),
        )
        remarks += [f"left out: {line}" for line in problems.lines()]
    data = options.data or ""
    if not len(measured):
        raise TableError(
            f"{_shown(data)}: no photo with a position" + "".join(f"; {line}" for line in problems.lines())
        )
    settings: dict[str, str | int | float] = {
        "model": f"{bundle.manifest.name} {bundle.manifest.version} ({bundle.sha256[:12]})",
        "ranking": options.ranking,
        "gallery": f"{len(geolocator.gallery):,} points",
    }
    fitted = bundle.manifest.calibration
    if fitted:
        settings["temperature"] = (
            f"{bundle.manifest.temperature:.3g}, fitted on {fitted.get('photos', '?')} photos of "
            f"{printable(str(fitted.get('data', '?')))}"
        )
    settings |= {"precision": geolocator.precision} if options.features is None else {}
    if options.references.reference is not None:
        chosen = options.references.settings | {"reference": _shown(options.references.reference)}
        settings |= {key.replace("_", " "): value for key, value in chosen.items() if value is not None}
    settings |= {"crops": int(options.crops)} if options.crops != "1" else {}
    if reference is not None:
        remarks.append(_near_references(measured, len(reference)))
    if not bundle.manifest.trained:
        remarks.append("the model is untrained: its places are chance")
    name = f"{_shown(options.features)}, {_shown(data)}" if options.features else _shown(data)
    return _Found(measured, name, settings, remarks, geolocator.gallery, bundle)


def _near_references(found: Measured, references: int) -> str:
    """How many photos a reference can place at all: nearly all of them where the split was by photo."""
    assert found.reference_km is not None
    near = int((found.reference_km <= NEAR_REFERENCE_KM).sum())
    return (
        f"{near:,} of {len(found):,} photos were taken within {NEAR_REFERENCE_KM:g} km of one of the "
        f"{references:,} references (a photo itself does not count)"
    )


def _known_photos(
    geolocator: Geolocator, options: EvaluateOptions, problems: Problems, remarks: list[str]
) -> KnownPhotos:
    """Encoded photos with their true positions, from wherever they come."""
    assert options.data is not None
    data = Path(options.data)
    if options.features is not None:
        features = open_features(options.features)
        if remark := remark_on_norms(features):
            remarks.append(remark)
        return of_features(
            geolocator, features, data, remarks, name=options.features, true_columns=options.true_columns
        )
    ten_crops = options.crops == "10"
    if data.is_dir():
        return of_exif(geolocator, [options.data], problems, ten_crops=ten_crops)
    latitude, longitude = options.true_columns or (None, None)
    folder = Path(options.images) if options.images is not None else data.parent
    rows = read_positions(data, folder, options.image_column, latitude, longitude, problems=problems)
    return of_table(geolocator, rows, ten_crops=ten_crops)


def _look_for_leaks(found: _Found, options: EvaluateOptions) -> None:
    """Tells of, or leaves out, photos whose own position stands in the gallery."""
    if found.gallery is None:
        return
    inside = leaked(found.measured.truth, found.gallery.coordinates, options.leak_distance)
    if not inside.any():
        return
    told = (
        f"{int(inside.sum()):,} of {len(inside):,} photos lie within {options.leak_distance:g} m of a "
        "gallery point: their place may be in the gallery because of them"
    )
    if options.drop_leaked:
        found.measured = found.measured.where(~inside)
        found.remarks.append(f"{told}; left out")
    else:
        found.remarks.append(f"{told}; --drop-leaked leaves them out")
        _say(options, f"warning: {told}")


def _fit(found: _Found, options: EvaluateOptions) -> TemperatureFit:
    """Fits the temperature and writes the copy of the bundle."""
    assert found.measured.levels_by_temperature is not None
    assert options.fit_temperature is not None
    assert found.bundle is not None
    levels = found.measured.levels_by_temperature
    fit = fit_temperature(levels[np.isfinite(found.measured.levels)])
    today = datetime.now(UTC).date().isoformat()
    folder = Path(options.fit_temperature)
    manifest = write_calibrated(found.bundle, folder, fit, data=found.data, date=today)
    _say(options, f"temperature {manifest.temperature:.4g}, fitted on {fit.n:,} photos, is in {folder}")
    return fit


def _report(
    found: _Found, options: EvaluateOptions, fit: TemperatureFit | None
) -> tuple[Report, list[NamedErrors]]:
    errors = errors_of(found.measured, options.distance)
    name = found.bundle.manifest.name if found.bundle is not None else "predictions"
    methods = [NamedErrors(name, errors), *by_references(found.measured, options.distance)]
    if found.gallery is not None:
        methods += baselines(found.measured.truth, found.gallery, options.distance)
    else:
        found.remarks.append("no baselines: they need a gallery, that of --model or --gallery")
    benchmark = options.benchmark or next(
        (b for path in (options.data, options.predictions) if path and (b := guess_benchmark(path))), None
    )
    report = build_report(
        found.measured,
        methods,
        data=found.data,
        settings=found.settings | {"distance": options.distance},
        benchmark=None if benchmark == "none" else benchmark,
        fit=fit,
        remarks=found.remarks,
    )
    return report, methods


def _write(report: Report, options: EvaluateOptions) -> None:
    """The report to where it is wanted; as text to standard output, unless another goes there."""
    wanted = [(options.json, to_json), (options.markdown, to_markdown)]
    for path, render in wanted:
        if path is None:
            continue
        target = open_target(path, overwrite=True)
        try:
            target.write(render(report).encode("utf-8", "backslashreplace"))
            target.commit()
        except BaseException:
            target.abandon()
            raise
    if STANDARD_OUTPUT not in (options.json, options.markdown):
        click.echo(printable(to_text(report), newlines=True), nl=False)


def _shown(path: str) -> str:
    """The last part of a path: reports are given to others, whom the folders do not concern."""
    return printable(Path(path).name or path)
