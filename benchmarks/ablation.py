"""What each part of the training is worth: one part changed at a time, everything else as it is.

    python benchmarks/ablation.py [--photos LABELS.csv --backbone FILE.onnx] [--output docs/ablation.md]

The synthetic world has a hidden truth and as many samples as are wanted; the photos are few and real. Every
row of one table sees the same held-out samples, so rows are compared sample by sample: the interval is of the
difference to the first row, by bootstrap over the held-out samples.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from geolocate.bundle import GALLERY_COORDINATES, load_bundle
from geolocate_export.backbone import load_backbone
from geolocate_export.concept_alignment import AlignmentConfig, ConceptConfig
from geolocate_export.concept_facts import truths
from geolocate_export.concept_set import load_concept_set
from geolocate_export.feature_set import FeatureSet
from geolocate_export.features import cached_features
from geolocate_export.grounding import Geography, held_out_blocks
from geolocate_export.held_out import evaluate
from geolocate_export.model import GeoModel, ImageConfig, LocationConfig, ModelConfig
from geolocate_export.splits import folds_by_place
from geolocate_export.synthetic_world import make_world
from geolocate_export.train import train
from geolocate_export.training_config import GroundingConfig, TrainingConfig
from geolocate_export.training_data import read_training_table

RESAMPLES = 2000
#: Folds of the photos, whole places at a time, so far apart.
FOLDS, APART_KM = 3, 25.0
#: Share of the blocks of latitude and longitude in which concepts are measured.
HELD_OUT_REGIONS = 0.25
CONCEPT_SETS = ("geographic", "general")


@dataclass(frozen=True)
class Setting:
    """One row: what is trained, and how.

    Attributes:
        name: what differs from the first row.
        location, recipe: as trained.
        concepts: the concept set of the module; None where there is no module.
    """

    name: str
    location: LocationConfig
    recipe: TrainingConfig
    concepts: str | None = "geographic"


@dataclass(frozen=True)
class Trial:
    """One split that every setting is trained on; `facts` (K, M) of each concept set at the gallery."""

    train: FeatureSet
    held_out: FeatureSet
    gallery: NDArray[np.float64]
    facts: Mapping[str, NDArray[np.float32]]
    seed: int


@dataclass(frozen=True)
class Outcome:
    """A setting on all trials.

    Attributes:
        km: errors of all held-out samples, by retrieval in the feature space.
        concept_km: by retrieval in the concept space; None without a module.
        auc: median over concepts and trials, of location scores in held-out regions; None without a module.
        seconds: of all trials.
    """

    km: NDArray[np.float64]
    concept_km: NDArray[np.float64] | None
    auc: float | None
    seconds: float


def settings(base: Setting) -> Iterator[Setting]:
    """The base and what is changed of it, one at a time."""
    recipe, location = base.recipe, base.location

    def aligned(**changes: object) -> TrainingConfig:
        return replace(recipe, alignment=replace(recipe.alignment, **changes))  # type: ignore[arg-type]

    one_scale = (location.sigmas[1],)
    yield base
    yield replace(base, name="module off", concepts=None)
    yield replace(base, name="divergence `mean` (equation 6 as printed)", recipe=aligned(divergence="mean"))
    yield replace(base, name="divergence `none`", recipe=aligned(divergence="none"))
    yield replace(base, name="contrast in the feature space alone", recipe=aligned(space="feature"))
    yield replace(base, name="contrast in the concept space alone", recipe=aligned(space="concept"))
    yield replace(base, name="grounding off", recipe=replace(recipe, grounding=GroundingConfig()))
    yield replace(base, name="general concept set", concepts="general")
    yield replace(base, name="plain degrees", location=replace(location, projection="degrees"))
    yield replace(
        base, name=f"one RFF scale ({one_scale[0]:g})", location=replace(location, sigmas=one_scale)
    )
    yield replace(base, name="queue off", recipe=replace(recipe, queue_length=0))
    yield replace(base, name="GPS noise off", recipe=replace(recipe, noise_m=0.0, queue_noise_m=0.0))
    yield replace(base, name="20 % of the data", recipe=replace(recipe, data_share=0.2))


def run(setting: Setting, trials: Sequence[Trial], width: int, say: Callable[[str], None]) -> Outcome:
    """Trains and measures one setting on all trials."""
    started = time.monotonic()
    km, concept_km, aucs = [], [], []
    for trial in trials:
        torch.manual_seed(trial.seed)
        facts = None if setting.concepts is None else trial.facts[setting.concepts]  # (K, M)
        sizes = None if facts is None else ConceptConfig(len(facts), hidden=64)
        image = ImageConfig({}, trial.train.features.shape[2])
        model = GeoModel(ModelConfig(image, setting.location, width, sizes))
        geography = None
        if facts is not None and np.isfinite(facts).any():
            regions = held_out_blocks(trial.gallery, HELD_OUT_REGIONS, trial.seed)
            geography = Geography(trial.gallery, facts, regions)
        recipe = replace(setting.recipe, seed=trial.seed)
        if geography is None:
            recipe = replace(recipe, grounding=GroundingConfig())
        with tempfile.TemporaryDirectory() as folder:
            # Nothing is held out from the loop: no epoch may be chosen by what is measured here.
            result = train(model, recipe, trial.train, None, trial.gallery, Path(folder), geography=geography)
        found = evaluate(model, trial.held_out, trial.gallery)
        km.append(found.km)
        if found.concept_km is not None:
            concept_km.append(found.concept_km)
        if result.concept_auc is not None:
            aucs.append(float(np.nanmedian(result.concept_auc)))
        say(f"{setting.name}, seed {trial.seed}: median {np.median(found.km):,.0f} km")
    return Outcome(
        np.concatenate(km),
        np.concatenate(concept_km) if concept_km else None,
        float(np.mean(aucs)) if aucs else None,
        time.monotonic() - started,
    )


def bootstrap(
    values: NDArray[np.float64], statistic: Callable[..., NDArray[np.float64]]
) -> tuple[float, float]:
    """The 95 % interval of a statistic over rows of `values`, resampled by row."""
    generator = np.random.default_rng(7)
    drawn = generator.integers(len(values), size=(RESAMPLES, len(values)))  # (R, n)
    low, high = np.percentile(statistic(values[drawn], axis=1), [2.5, 97.5], axis=0)
    return float(low), float(high)


def table(outcomes: dict[str, Outcome], near_km: float, far_km: float) -> Iterator[str]:
    """Markdown: each setting, and its difference to the first one on the same samples."""
    yield (
        f"| setting | within {near_km:g} km, % | difference to the first row, points | verdict "
        f"| within {far_km:g} km, % | median km | concept space: within {near_km:g} km, % "
        "| median AUC of concepts | s |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    base = next(iter(outcomes.values()))
    for name, outcome in outcomes.items():
        hits = (outcome.km <= near_km).astype(np.float64) * 100
        low, high = bootstrap(hits, np.mean)
        difference, verdict = "", ""
        if outcome is not base:
            gaps = hits - (base.km <= near_km) * 100.0
            least, most = bootstrap(gaps, np.mean)
            difference = f"{gaps.mean():+.1f} ({least:+.1f} to {most:+.1f})"
            verdict = "worse" if most < 0 else "better" if least > 0 else "no difference seen"
        median_low, median_high = bootstrap(outcome.km, np.median)
        concept = "" if outcome.concept_km is None else f"{(outcome.concept_km <= near_km).mean():.1%}"
        auc = "" if outcome.auc is None else f"{outcome.auc:.3f}"
        yield (
            f"| {name} | {hits.mean():.1f} ({low:.1f} to {high:.1f}) | {difference} | {verdict} "
            f"| {(outcome.km <= far_km).mean() * 100:.1f} "
            f"| {np.median(outcome.km):,.0f} ({median_low:,.0f} to {median_high:,.0f}) "
            f"| {concept.removesuffix('%')} | {auc} | {outcome.seconds:.0f} |"
        )


def known(gallery: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Facts (K, M) of each concept set at gallery points (M, 2)."""
    return {name: truths(load_concept_set(name), gallery) for name in CONCEPT_SETS}


def synthetic_trials(seeds: int) -> list[Trial]:
    """Worlds, one for each seed."""
    worlds = [(seed, make_world(seed=seed)) for seed in range(1, seeds + 1)]
    return [
        Trial(world.train, world.held_out, world.gallery, known(world.gallery), seed)
        for seed, world in worlds
    ]


SYNTHETIC = Setting(
    "all on",
    LocationConfig(sigmas=(1.0, 4.0, 16.0), frequencies=64, hidden=128),
    TrainingConfig(
        epochs=6,
        batch_size=128,
        learning_rate=1e-3,
        schedule="cosine",
        queue_length=512,
        alignment=AlignmentConfig(),
        grounding=GroundingConfig(weight=1.0, points=128),
    ),
)


def photo_trials(table_path: Path, backbone: Path, cache: Path, views: int) -> list[Trial]:
    """Folds of photos by place, each held out once; they are placed on the starter's gallery."""
    photos = read_training_table(table_path)
    config, tower = load_backbone(str(backbone))
    model = GeoModel(ModelConfig(config, LocationConfig(frequencies=1, hidden=1), 1))
    model.image_encoder.backbone = tower
    data = cached_features(photos, model.image_encoder, views, cache)
    fold_of = folds_by_place(data.coordinates, FOLDS, APART_KM, seed=1)
    gallery = np.array(load_bundle("starter").array(GALLERY_COORDINATES, ndim=2), np.float64)
    facts = known(gallery)
    trials = []
    for fold in range(FOLDS):
        learned, held_out = (data.subset(np.flatnonzero(part)) for part in (fold_of != fold, fold_of == fold))
        trials.append(Trial(learned, held_out, gallery, facts, fold))
    return trials


PHOTOS = Setting(
    "all on",
    LocationConfig(frequencies=64, hidden=128),
    TrainingConfig(
        epochs=20,
        batch_size=128,
        learning_rate=1e-3,
        schedule="cosine",
        queue_length=1024,
        grounding=GroundingConfig(weight=1.0, points=256),
    ),
)

HEAD = """# Ablation

Written by `benchmarks/ablation.py`, seeds included. In each row one thing is changed of the first row, "all
on": concept module with the geographic set, Cauchy-Schwarz divergence, contrast in both spaces, grounding,
Equal Earth, three scales of random Fourier features, queue, GPS noise, all of the data. Retrieval is in the
feature space, but for the column of the concept space. All rows of a table see the same held-out samples;
intervals are 95 %, by bootstrap over these. The verdict is about the difference in the second column: an
interval that holds zero is no difference that was seen. Of twelve such intervals, one or more miss zero by
chance alone in two tables of five.

Geographic against general concept set: without a text tower the concepts of both sets begin at the same fixed
directions, and the general set has no facts, so its row is that of "grounding off" by another way. A
comparison that means something needs CLIP's text tower and was not run.
"""


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description="What each part of the training is worth.")
    parser.add_argument("--seeds", type=int, default=3, help="synthetic worlds")
    parser.add_argument("--photos", type=Path, help="table of photos and positions")
    parser.add_argument("--backbone", type=Path, help="ONNX image encoder with its JSON")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--cache", type=Path, default=Path("training/features"))
    parser.add_argument("--only", default="", help="settings whose name contains this, besides the first")
    parser.add_argument("--output", type=Path, help="Markdown file; standard output without it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the products are small
    page = [HEAD]

    def add(
        title: str, base: Setting, trials: Sequence[Trial], width: int, limits: tuple[float, float]
    ) -> None:
        chosen = [s for s in settings(base) if s is base or arguments.only in s.name]
        outcomes = {s.name: run(s, trials, width, lambda text: print(text, file=sys.stderr)) for s in chosen}
        page.append("\n".join([title, "", *table(outcomes, *limits), ""]))

    if arguments.seeds:
        trials = synthetic_trials(arguments.seeds)
        count = sum(len(trial.held_out) for trial in trials)
        title = f"## Synthetic world\n\n{arguments.seeds} worlds, {count:,} held-out samples."
        add(title, SYNTHETIC, trials, 64, (200.0, 750.0))
    if arguments.photos is not None and arguments.backbone is not None:
        trials = photo_trials(arguments.photos, arguments.backbone, arguments.cache, arguments.views)
        count = sum(len(trial.held_out) for trial in trials)
        title = (
            f"## Photos\n\n{count:,} photos, features of {arguments.backbone.stem}, {arguments.views} views; "
            f"each photo is held out once, in {FOLDS} folds of whole places {APART_KM:g} km apart."
        )
        add(title, PHOTOS, trials, 64, (750.0, 2500.0))
    text = "\n".join(page)
    if arguments.output is None:
        print(text)
    else:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
