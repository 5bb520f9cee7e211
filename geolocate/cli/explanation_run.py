"""The three works of ``geolocate explain``: photos, a contrast of two groups, a concept's map."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from geolocate.bundle import TEXT_ENCODER, Bundle, load_bundle
from geolocate.cli.contrast_groups import cells, country, country_name, photo_scores, points_of
from geolocate.cli.explain import ExplainOptions
from geolocate.cli.features import open_features, remark_on_norms
from geolocate.cli.opening import introduction
from geolocate.cli.parameters import blaming_environment
from geolocate.cli.photo_paths import PhotoTotal, check_paths, photo_arguments
from geolocate.cli.progress import Progress
from geolocate.cli.status import DONE, PHOTOS_FAILED
from geolocate.concept_map import ConceptMap, map_direction, map_known_concept
from geolocate.concepts import TRAINED, ZERO_SHOT, ConceptBank
from geolocate.contrast import contrast as differences_of
from geolocate.decoding import DecodeOptions
from geolocate.device import choose_device
from geolocate.drawing import draw_contrast, draw_map, is_own_picture
from geolocate.errors import UsageError
from geolocate.explanation import Explainer, concepts_of
from geolocate.gallery import Gallery
from geolocate.geolocator import Geolocator
from geolocate.photos import check_arguments
from geolocate.text import TextEncoder
from geolocate.text_safety import printable
from geolocate.writers.explanations import (
    TextPage,
    contrast_json,
    explanation_json,
    map_json,
)
from geolocate.writers.refusals import refuse_conflicts
from geolocate.writers.stream import is_standard_output
from geolocate.writers.target import Target, open_target

if TYPE_CHECKING:
    from geolocate.encoding import EncodedImage

#: Concepts of like names that are offered where one is not known.
OFFERED = 5


def photos(options: ExplainOptions) -> int:
    """Explains each photo; returns the exit status."""
    if options.features is None:
        check_paths(options.paths, options.null)
        features = None
        total: Callable[[], int | None] = PhotoTotal(options.paths)
    else:
        features = open_features(options.features)
        total = _fixed(len(features))
    with Progress(shown=options.progress, quiet=options.quiet, total=total) as shown:
        geolocator = _open(options, shown)
        explainer = Explainer(
            geolocator,
            concepts=options.concepts,
            interventions=options.interventions,
            action="boost" if options.boost else "remove",
            bottleneck=options.bottleneck,
            say=_to(shown),
        )
        images: Iterable[EncodedImage]
        if features is None:
            images = geolocator.encode_images(photo_arguments(options.paths, options.null))
        else:
            remark = remark_on_norms(features)
            if remark is not None:
                _to(shown)(remark)
            images = geolocator.encode_features(features, name=str(options.features))
        page = TextPage()
        shown.begin()
        for explanation in explainer.explain(images):
            model = geolocator.bundle.manifest.name
            if options.json:
                text = _json(explanation_json(explanation, model, explainer.bottleneck))
            else:
                page.explanation(explanation, explainer.bottleneck)
                text = page.take()
            with shown.aside():
                click.echo(text, nl=False)
            shown.advance(failed=explanation.error is not None)
        if not shown.done:
            _to(shown)("no photos found")
    return PHOTOS_FAILED if shown.failed else DONE


def contrast(options: ExplainOptions, first: str, second: str) -> int:
    """Tells two folders or two countries apart; returns the exit status."""
    codes = country(first), country(second)
    if (codes[0] is None) != (codes[1] is None):
        raise UsageError(
            f"{printable(first)} and {printable(second)}: a country and photos are not compared; name two "
            "countries or two folders"
        )
    if codes[0] is None:
        check_arguments([first, second])
    with (
        Progress(shown=options.progress, quiet=options.quiet) as shown,
        _outputs(options, [first, second]) as outputs,
    ):
        if codes[0] is not None and codes[1] is not None:
            bundle = _load(options)
            bank = concepts_of(bundle)
            gallery = Gallery.from_bundle(bundle)
            rows = [points_of(code, gallery) for code in (codes[0], codes[1])]
            scores = [bank.location_scores(gallery.embeddings[each]) for each in rows]
            # Points that stand together are no independent members: whole one-degree cells are drawn.
            of_cells = [cells(gallery.coordinates[each]) for each in rows]
            clusters = of_cells[0], of_cells[1]
            subtitle, names = "gallery points", [country_name(code) for code in (codes[0], codes[1])]
        else:
            geolocator = _open(options, shown)
            bundle, bank = geolocator.bundle, concepts_of(geolocator.bundle)
            shown.begin()
            scores = [photo_scores(geolocator, bank, path, shown) for path in (first, second)]
            clusters, subtitle, names = None, "photos", [printable(first), printable(second)]
        found = differences_of(
            scores[0][:, bank.shown],
            scores[1][:, bank.shown],
            [bank.names[row] for row in bank.shown],
            clusters=clusters,
        )
        counts = len(scores[0]), len(scores[1])
        model = bundle.manifest.name
        if "output" in outputs:
            described = f"{counts[0]:,} and {counts[1]:,} {subtitle} · {_source(bundle, bank)}"
            outputs["output"].write(
                draw_contrast(found, *names, subtitle=described + " · pale: may be chance")
            )
        if options.json:
            _print(shown, options, _json(contrast_json(found, first, second, counts, model)))
        else:
            page = TextPage()
            page.contrast(found, *names)
            _print(shown, options, page.take())
    return PHOTOS_FAILED if shown.failed else DONE


def map_concept(options: ExplainOptions, text: str) -> int:
    """Tells where a concept lives; returns the exit status."""
    with (
        Progress(shown=options.progress, quiet=options.quiet) as shown,
        _outputs(options, []) as outputs,
    ):
        bundle = _load(options)
        found, subtitle = _map(bundle, text, options, _to(shown))
        if "output" in outputs:
            outputs["output"].write(draw_map(found, subtitle=subtitle))
        if "geojson" in outputs:
            for part in found.geojson():
                outputs["geojson"].write(part.encode("utf-8", "replace"))
        if options.json:
            _print(shown, options, _json(map_json(found, bundle.manifest.name)))
        else:
            page = TextPage()
            page.map(found)
            _print(shown, options, page.take())
    return DONE


def _map(
    bundle: Bundle, text: str, options: ExplainOptions, say: Callable[[str], None]
) -> tuple[ConceptMap, str]:
    """The map of a concept of the bundle, or of any text where the bundle reads text; and its source."""
    bank = ConceptBank.from_bundle(bundle)
    row = bank.row_of(text) if bank is not None else None
    if bank is not None and row is not None:
        entry = bank.entries[row]
        if not entry.shown:
            measured = "not known" if entry.auc is None else f"{entry.auc:.2f}"
            say(
                f"'{entry.name}' is not shown with photos: its score does not tell well enough where it is "
                f"known to be (AUC on held-out regions: {measured})"
            )
        return map_known_concept(bank, row, Gallery.from_bundle(bundle)), _source(bundle, bank, row)
    if bundle.has(TEXT_ENCODER):
        encoder = TextEncoder(bundle, choose_device(options.device, say))
        (direction,) = encoder(encoder.tokenizer([text]))
        if bank is not None and bank.kind == ZERO_SHOT:
            direction = direction - bank.common  # as the bank's own concepts are seen
        subtitle = f"model {bundle.manifest.name} · cosine of locations with the text, trained by nobody"
        return map_direction(text, direction, Gallery.from_bundle(bundle)), subtitle
    known = concepts_of(bundle).names
    like = difflib.get_close_matches(text.lower(), known, OFFERED, 0.5)
    offer = f"like it: {', '.join(like)}" if like else f"it has, for example, {', '.join(known[:OFFERED])}"
    raise UsageError(
        f"model {bundle.manifest.name} reads no text and has no concept '{printable(text)}'; {offer}"
    )


def _source(bundle: Bundle, bank: ConceptBank, row: int | None = None) -> str:
    """Which scores these are, in a line."""
    auc = None if row is None else bank.entries[row].auc
    kind = "trained concept scores" if bank.kind == TRAINED else "cosines with prompts, trained by nobody"
    measured = "" if auc is None else f" · AUC {auc:.2f} on held-out regions"
    return f"model {bundle.manifest.name} · {kind}{measured}"


def _open(options: ExplainOptions, shown: Progress) -> Geolocator:
    bundle = _load(options)
    concepts_of(bundle)  # a bundle without any is refused before it is opened
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
        say=_to(shown),
    )
    for line in introduction(bundle, geolocator.precision):
        _to(shown)(line)
    return geolocator


def _load(options: ExplainOptions) -> Bundle:
    with blaming_environment("model"):
        return load_bundle(options.model)


@contextmanager
def _outputs(options: ExplainOptions, inputs: list[str]) -> Iterator[dict[str, Target]]:
    """The output files by the names of their options: complete at the end, or not there."""
    wanted = {
        name: path
        for name, path in (("output", options.output), ("geojson", options.geojson))
        if path is not None
    }
    if options.json and any(map(is_standard_output, wanted.values())):
        raise UsageError("--json is written to standard output: give the other output a file")
    own = [name for name, path in wanted.items() if name == "output" and is_own_picture(path)]
    refuse_conflicts(wanted, inputs=inputs, own_pictures=own)
    targets: dict[str, Target] = {}
    try:
        for name, path in wanted.items():
            targets[name] = open_target(path, overwrite=True)
        yield targets
        for target in targets.values():
            target.commit()
    except BaseException:
        for target in targets.values():
            target.abandon()
        raise


def _print(shown: Progress, options: ExplainOptions, text: str) -> None:
    """On standard output, unless a picture or points go there."""
    if not any(is_standard_output(path) for path in (options.output, options.geojson) if path is not None):
        with shown.aside():
            click.echo(text, nl=False)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _to(shown: Progress) -> Callable[[str], None]:
    """Messages go to standard error, past the line of progress."""
    return lambda text: shown.note(f"geolocate: {text}")


def _fixed(count: int) -> Callable[[], int | None]:
    return lambda: count
