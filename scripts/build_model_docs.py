"""Writes docs/models.md from the bundles' manifests and what is published; run it after either changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geolocate.bundle import Bundle, load_bundle
from geolocate.cli.byte_bar import size_text
from geolocate.evaluation.literature import BENCHMARKS, CAVEAT, PublishedRow, published_rows
from geolocate.evaluation.metrics import ACCURACY_THRESHOLDS_KM
from geolocate.published import CLIP_FILES, CLIP_REPOSITORY, CLIP_REVISION, GEOCLIP, PublishedBundle

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "docs" / "models.md"
#: Rows of the published tables that speak of GeoCLIP, its heads or what was built on them.
NAMES = ("GeoCLIP", "Concept-aware")
#: Rows of the starter's accuracy.
MEASURED = (
    "model",
    "constant guess",
    "constant guess, of the photos learned from",
    "constant guess, the gallery's heaviest point",
)

HEAD = """\
# Models

Written by `python scripts/build_model_docs.py` from the manifests of the bundles, the pins of
`geolocate models pull` and `geolocate/data/published_accuracy.csv`.

A model is a bundle: a folder of ONNX graphs and arrays that prediction runs on, without torch and without
network. `geolocate models list` shows what is installed, `geolocate models info NAME` its facts and card.
`--model NAME` takes one; without it, `geoclip-vit-l-14` is taken if it is installed, else `starter`.
"""


def document() -> str:
    """The whole page."""
    starter = load_bundle("starter")
    return "\n".join([HEAD, *_overview(starter), *_starter(starter), *_geoclip(GEOCLIP)]).rstrip() + "\n"


def _overview(starter: Bundle) -> Iterator[str]:
    manifest = starter.manifest
    pulled = f"[{GEOCLIP.name}](#{GEOCLIP.name})", f"by `geolocate models pull {GEOCLIP.name}`"
    yield _table(
        ("model", "comes", "on disk", "licence", "how good"),
        [
            (
                "[starter](#starter)",
                "with geolocate",
                _size(starter),
                manifest.licence,
                "no better than a constant",
            ),
            (*pulled, f"about {size_text(GEOCLIP.bundle_bytes)}", GEOCLIP.licence, "as published, see below"),
        ],
    )


def _starter(bundle: Bundle) -> Iterator[str]:
    manifest = bundle.manifest
    yield f"## {manifest.name}\n"
    yield f"Version {manifest.version}: {manifest.accuracy['summary']}.\n"
    yield (
        "It is there so that everything runs from the first minute, and must not be used for anything that\n"
        "matters. [Its card](../models/starter/CARD.md) says how it was made and measured,\n"
        "[this report](starter_report.md) how it does by continent, [concepts](concepts.md) what it knows.\n"
    )
    points = np.load(bundle.path / "gallery_coordinates.npy", mmap_mode="r").shape[0]
    concepts = json.loads((bundle.path / "concepts.json").read_text(encoding="utf-8"))
    assert len(concepts["concepts"] if isinstance(concepts, dict) else concepts) == manifest.concept_count
    yield _table(
        ("", ""),
        [
            ("input", f"{manifest.image.size} x {manifest.image.size} pixels, {manifest.image.resize}"),
            ("features, embedding", f"{manifest.feature_dim}, {manifest.embedding_dim} numbers"),
            ("gallery", f"{points:,} points"),
            ("concepts", f"{manifest.concept_count}, of which it names only those it can tell in photos"),
            ("precisions", ", ".join(manifest.precisions)),
            ("temperature", f"{manifest.temperature:.3g}"),
            ("licence", manifest.licence),
        ],
    )
    photos = manifest.accuracy["photos"]
    yield f"Per cent of {photos} held-out photos within, with 95 % bootstrap intervals:\n"
    yield _table(
        ("", *_limits(), "median"),
        [_measured(name, manifest.accuracy[name]) for name in MEASURED],
    )
    yield "Its files, each held by SHA-256 at installation and by `geolocate models verify`:\n"
    files = sorted(manifest.files.items())
    rows = [(f"`{name}`", size_text(entry.size), f"`{entry.sha256[:12]}`") for name, entry in files]
    yield _table(("file", "size", "SHA-256"), rows)


def _geoclip(published: PublishedBundle) -> Iterator[str]:
    from geolocate_export.geoclip import PINNED_SHA256, PINNED_VERSION

    yield f"## {published.name}\n"
    yield f"{published.summary[0].upper()}{published.summary[1:]}.\n"
    yield f"```sh\npip install '.[export]'\ngeolocate models pull {published.name} --photos DIR\n```\n"
    yield (
        "`pull` builds it on your machine, says first what it fetches and asks. Running it needs no\n"
        "torch; `geolocate models add` takes it to other machines.\n"
    )
    yield _table(
        ("", ""),
        [
            ("fetched", f"{size_text(published.download_bytes)}: {published.weights}"),
            ("taken from the extra", f"geoclip {PINNED_VERSION}: heads and gallery"),
            ("the finished bundle", f"about {size_text(published.bundle_bytes)}"),
            ("free disk wanted meanwhile", size_text(published.build_bytes)),
            ("licence", published.licence),
        ],
    )
    yield (
        "What it is built from. A fetched file that is another is refused; heads that are not these\n"
        "are marked in the bundle's manifest as not pinned.\n"
    )
    hub = f"https://huggingface.co/{CLIP_REPOSITORY}/tree/{CLIP_REVISION}"
    rows = [
        (f"`{name}`", f"[{CLIP_REPOSITORY}]({hub})", f"`{digest[:12]}`") for name, _, digest in CLIP_FILES
    ]
    rows += [
        (f"`{name}`", f"geoclip {PINNED_VERSION}", f"`{sha[:12]}`") for name, sha in PINNED_SHA256.items()
    ]
    yield _table(("file", "from", "SHA-256"), rows)
    yield (
        "### Accuracy, as published\n\n"
        "Per cent of photos within, by those who published it. They are not measurements of this program:\n"
        "[one command](guides/evaluate_on_a_benchmark.md) measures a bundle on the same photos.\n"
    )
    for benchmark in BENCHMARKS:
        rows = [_published(row) for row in published_rows(benchmark) if row.method.startswith(NAMES)]
        yield f"{benchmark}:\n"
        yield _table(("method", "year", *_limits(), "source"), rows)
    yield f"{CAVEAT[0].upper()}{CAVEAT[1:]}.\n"
    yield (
        "### What it must not be used for\n\n"
        "Where a photo was taken can harm the people in it. Do not use it to find, follow, identify or\n"
        "expose a person, nor to decide about one.\n"
    )


def _size(bundle: Bundle) -> str:
    return size_text(sum(entry.size for entry in bundle.manifest.files.values()))


def _limits() -> list[str]:
    return [f"{limit:g} km" for limit in ACCURACY_THRESHOLDS_KM]


def _measured(name: str, accuracy: Mapping[str, Any]) -> list[str]:
    keys = [f"within_{limit:g}_km" for limit in ACCURACY_THRESHOLDS_KM]
    shares = [f"{share:g} ({low:g} to {high:g})" for share, low, high in (accuracy[key] for key in keys)]
    median, low, high = accuracy["median_km"]
    return [name, *shares, f"{median:,.0f} km ({low:,.0f} to {high:,.0f})"]


def _published(row: PublishedRow) -> list[str]:
    return [
        row.method,
        str(row.year),
        *("" if share is None else f"{share:g}" for share in row.within),
        row.source,
    ]


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def main() -> None:
    """Replaces the page."""
    PATH.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
