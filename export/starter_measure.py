"""What the starter is worth on photos of places that no part of it was trained on.

N held-out photos, K concepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import load_bundle
from geolocate.encoding import EncodedImage
from geolocate.evaluation.baselines import constant_errors_km, geometric_median, random_errors_km
from geolocate.evaluation.calibrated_bundle import write_calibrated
from geolocate.evaluation.calibration import fit_temperature
from geolocate.evaluation.distances import pair_distances_km
from geolocate.evaluation.measuring import measure
from geolocate.evaluation.metrics import Accuracy
from geolocate.geolocator import Geolocator
from geolocate_export.concept_facts import truths
from geolocate_export.grounding import concept_auc
from geolocate_export.splits import places
from geolocate_export.starter_photos import SAME_PLACE_KM
from geolocate_export.trained_concepts import SHOWN_AUC, TrainedConcept

SEED = 20231210
#: Resamples of a paired bootstrap, and its interval in per cent.
RESAMPLES, INTERVAL = 5000, (2.5, 97.5)
#: A concept is measured on photos where its fact holds for so many of them, and fails for as many.
FEWEST_PHOTOS = 10
#: Standard deviations above chance that the AUC on photos has where the concept is shown of photos.
ABOVE_CHANCE = 1.96
#: The differences that decide whether the model beats a guess.
MEDIAN, WITHIN_750 = "median_km", "within_750_km"
MODEL, CONSTANT = "model", "constant guess"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measurement:
    """What the manifest says of the measured bundle.

    Attributes:
        temperature: fitted; the bundle that was measured has the temperature 1.
        accuracy, calibration: as in the manifest.
        concepts: with what photos say of each.
    """

    temperature: float
    accuracy: Mapping[str, Any]
    calibration: Mapping[str, Any]
    concepts: tuple[TrainedConcept, ...]


def measure_starter(
    bundle: Path,
    paths: list[Path],
    truth: Floats,
    concepts: tuple[TrainedConcept, ...],
    learned: Floats,
    *,
    data: str,
    date: str,
    scratch: Path,
    say: Callable[[str], None] = lambda line: None,
) -> Measurement:
    """Calibrates the bundle in a folder, which has the temperature 1, and measures it so.

    Args:
        paths: photos that nothing was trained on.
        truth: their positions (N, 2), degrees.
        concepts: K of the bundle.
        learned: positions (P, 2) of the photos that were learned from: what they say without any photo is a
            constant guess too.
        data: what the photos are, in words.
        date: of the calibration.
        scratch: folder for a calibrated copy.
    """
    geolocator = Geolocator(load_bundle(bundle), device="cpu", say=say)
    images = list(geolocator.encode_images([str(path) for path in paths]))
    positions = [(float(latitude), float(longitude)) for latitude, longitude in truth]
    measured = measure(geolocator, zip(images, positions, strict=True), ranking="merged", temperatures=True)
    assert measured.levels_by_temperature is not None, "temperatures were asked for"
    fit = fit_temperature(measured.levels_by_temperature)
    calibrated = scratch / "calibrated"
    manifest = write_calibrated(load_bundle(bundle), calibrated, fit, data=data, date=date)
    say(f"temperature {manifest.temperature:.3g}")
    geolocator = Geolocator(load_bundle(calibrated), device="cpu", say=say)
    measured = measure(geolocator, zip(images, positions, strict=True), ranking="merged")
    gallery = geolocator.gallery
    ours = pair_distances_km(truth, measured.predicted)  # (N,)
    place = places(learned, SAME_PLACE_KM)  # (P,)
    guesses = {
        CONSTANT: geometric_median(gallery.coordinates, gallery.weights),
        f"{CONSTANT}, of the photos learned from": geometric_median(learned, 1.0 / np.bincount(place)[place]),
        f"{CONSTANT}, the gallery's heaviest point": tuple(gallery.coordinates[gallery.weights.argmax()]),
    }
    constants = {name: constant_errors_km(truth, guess, "great-circle") for name, guess in guesses.items()}
    by_chance = random_errors_km(truth, gallery.coordinates, np.ones(len(gallery)), "great-circle")
    rows = {name: Accuracy.of(errors) for name, errors in {MODEL: ours, **constants}.items()}
    differences = {
        f"{MODEL} minus {name}": paired_differences(ours, errors) for name, errors in constants.items()
    }
    concepts = measured_on_photos(images, truth, concepts)
    accuracy = {
        "summary": summary(rows, differences),
        "measured_on": data,
        "photos": len(truth),
        **{name: _row(row) for name, row in rows.items()},
        "random gallery point": _row(Accuracy.of(by_chance, intervals=False)),
        **differences,
        "concepts": concept_figures(concepts),
    }
    return Measurement(manifest.temperature, accuracy, manifest.calibration, concepts)


def summary(rows: Mapping[str, Accuracy], differences: Mapping[str, Mapping[str, list[float]]]) -> str:
    """One line for each run and the card: the median error, and whether it is better than a constant guess.

    Better means: against every constant guess, in the median or within 750 km, the interval of the paired
    difference excludes zero.
    """
    nearer = all(row[MEDIAN][2] < 0 for row in differences.values())
    oftener = all(row[WITHIN_750][1] > 0 for row in differences.values())
    ours, constants = rows[MODEL], [row for name, row in rows.items() if name != MODEL]
    verdict = "better" if nearer or oftener else "no better"
    return (
        f"{verdict} than one constant guess on {ours.n} photos of places that it never saw: median "
        f"error {ours.median_km:,.0f} km, {_within(ours)} % within 750 km; "
        f"constant guesses reach {min(row.median_km for row in constants):,.0f} km or "
        f"{max(_within(row) for row in constants)} %"
    )


def _within(row: Accuracy) -> float:
    return round(row.values()[WITHIN_750], 1)


def paired_differences(ours: Floats, others: Floats) -> dict[str, list[float]]:
    """Ours minus another's, errors (N,) of the same photos in km: value and 95 % interval by bootstrap.

    Photos are drawn with replacement, both errors of a photo together.
    """
    drawn = np.random.default_rng(SEED).integers(len(ours), size=(RESAMPLES, len(ours)))  # (B, N)
    found = {}
    for name, statistic in ((WITHIN_750, _within_750), (MEDIAN, _median)):
        low, high = np.percentile(statistic(ours[drawn]) - statistic(others[drawn]), INTERVAL)
        value = float(statistic(ours) - statistic(others))
        found[name] = _rounded(name, value, float(low), float(high))
    return found


def _within_750(errors: Floats) -> Floats:
    """Per cent of errors (..., N) within 750 km, (...)."""
    shares: Floats = 100.0 * (errors <= 750.0).mean(axis=-1)
    return shares


def _median(errors: Floats) -> Floats:
    medians: Floats = np.median(errors, axis=-1)
    return medians


def measured_on_photos(
    images: list[EncodedImage], truth: Floats, concepts: tuple[TrainedConcept, ...]
) -> tuple[TrainedConcept, ...]:
    """The concepts with the AUC of the photo's own score against the fact at the place where it was taken.

    Measured are those whose fact holds, and fails, for at least FEWEST_PHOTOS photos. Shown of photos are
    those shown of locations whose AUC is SHOWN_AUC at least and ABOVE_CHANCE (Mann-Whitney).
    """
    scores = np.stack(
        [image.concept_scores for image in images if image.concept_scores is not None]
    )  # (N, K)
    facts = truths(concepts, truth)  # (K, N)
    found = concept_auc(scores, facts)  # (K,)
    described = []
    for concept, auc, fact in zip(concepts, found, facts, strict=True):
        ones, zeros = int((fact == 1).sum()), int((fact == 0).sum())
        if min(ones, zeros) < FEWEST_PHOTOS:
            described.append(replace(concept, photo_auc=None, shown_in_photos=False))
            continue
        by_chance = np.sqrt((ones + zeros + 1) / (12 * ones * zeros))  # standard deviation
        good = auc >= SHOWN_AUC and auc - 0.5 >= ABOVE_CHANCE * by_chance
        described.append(
            replace(concept, photo_auc=round(float(auc), 4), shown_in_photos=bool(concept.shown and good))
        )
    return tuple(described)


def concept_figures(concepts: tuple[TrainedConcept, ...]) -> dict[str, float | int | list[float] | str]:
    """How well concepts know the map (cross-validated by regions), and how well photos show them."""
    of_map = np.array([concept.auc for concept in concepts if concept.auc is not None])
    of_photos = np.array([concept.photo_auc for concept in concepts if concept.photo_auc is not None])
    low, high = np.percentile(of_photos, (25, 75)) if len(of_photos) else (np.nan, np.nan)
    in_photos = [concept.name for concept in concepts if concept.shown_in_photos]
    return {
        "all": len(concepts),
        "with a fact, measured on regions held out": len(of_map),
        "location AUC, median": round(float(np.median(of_map)), 3),
        "location AUC at least 0.8": int((of_map >= 0.8).sum()),
        "shown of places, location AUC at least 0.7": sum(concept.shown for concept in concepts),
        "measured on held-out photos": len(of_photos),
        "photo AUC, median": round(float(np.median(of_photos)), 3) if len(of_photos) else 0.0,
        "photo AUC, quartiles": [round(float(low), 3), round(float(high), 3)],
        "shown of photos, photo AUC at least 0.7 and above chance": ", ".join(in_photos) or "none",
    }


def _row(accuracy: Accuracy) -> dict[str, list[float]]:
    """A row of the card: each number with its interval, where there is one."""
    kept = {key: value for key, value in accuracy.values().items() if key.startswith(("within", MEDIAN))}
    return {key: _rounded(key, value, *accuracy.intervals.get(key, ())) for key, value in kept.items()}


def _rounded(key: str, *values: float) -> list[float]:
    """Kilometres are whole, per cents have one decimal."""
    return [round(value, 0 if key == MEDIAN else 1) for value in values]
