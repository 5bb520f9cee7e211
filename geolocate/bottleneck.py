"""A label-free concept bottleneck: a sparse linear layer from concepts to countries.

After Oikarinen et al., Label-Free Concept Bottleneck Models (arXiv 2304.06129), as arXiv 2509.01910 uses it.
Nobody labels a photo for it: it is fitted on what the location encoder says of the gallery's points, whose
countries are known, and read with a photo's scores. Because every weight belongs to a named concept and most
are zero, a country's score is a short sum that a person can read.

The layer is one Lasso a country (one against the rest, each country with the same weight, least squares), so
the points enter through their second moments alone: that takes seconds where a logistic fit takes an hour.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import Bundle
from geolocate.errors import BundlePartMissing, ExtraMissing
from geolocate.gallery import Gallery
from geolocate.gallery_concepts import GalleryConcepts
from geolocate.places import PlaceIndex
from geolocate.private_files import cache_root, make_private_folder

#: L1 strength, as a share of the one that leaves a country no concept; leaves about 25 of 200 concepts.
STRENGTH = 0.25
#: Countries with fewer points are left out: nothing could be held out of them.
LEAST_POINTS = 10
#: Share of the one-degree cells that is held out to measure accuracy, and the seed of the draw.
HELD_OUT, SEED = 0.2, 20250901
#: Added to the second moments, as a share of their mean: concepts that always go together stay solvable.
RIDGE = 1e-6
#: Points that are summed together.
_BLOCK = 8192
#: Changes with the way of fitting, so that no older cache entry is taken.
CACHE_VERSION = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one concept does for a country: its share of all that speaks for or against it, -1 to 1."""

    concept: str
    share: float


@dataclass(frozen=True, slots=True)
class CountryScore:
    """What the layer says of one country for one photo.

    Attributes:
        score: higher is likelier; comparable between countries, no probability.
        contributions: the strongest, in either direction.
    """

    country_code: str
    country: str
    score: float
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True)
class Bottleneck:
    """The sparse layer of one bundle.

    Attributes:
        country_codes: (C,) ISO 3166-1 alpha-2.
        weights: float64 (C, K), most of them 0; scaled so that the scores of all countries spread alike.
        centre, spread: float64 (K,), of the location scores that it was fitted on.
        typical_length: median length of the standardised scores of a gallery point; a photo's are brought
            to it, since photos and places spread differently.
        held_out_accuracy: share of points in one-degree cells that a first fit did not see whose country is
            right.
        held_out_majority: share that always naming the commonest country would get right.
        held_out_points, fitted_points: how many.
    """

    country_codes: NDArray[np.str_]
    weights: Floats
    centre: Floats
    spread: Floats
    typical_length: float
    held_out_accuracy: float
    held_out_majority: float
    held_out_points: int
    fitted_points: int

    @property
    def concepts_per_country(self) -> float:
        """Mean number of concepts with a weight."""
        return float((self.weights != 0).sum(axis=1).mean())

    def explain(
        self, image_scores: NDArray[np.float32], names: tuple[str, ...], *, countries: int, concepts: int
    ) -> tuple[CountryScore, ...]:
        """The best countries for a photo's scores (K,) above the average photo, with what they rest on."""
        activation = image_scores / self.spread  # (K,)
        length = float(np.linalg.norm(activation))
        activation *= self.typical_length / length if length else 0.0
        parts = self.weights * activation  # (C, K)
        scores = parts.sum(axis=1)  # (C,)
        index = PlaceIndex.load()
        country_of = dict(zip(index.country_codes, index.country_names, strict=True))
        found = []
        for row in np.argsort(-scores, kind="stable")[:countries]:
            shares = parts[row] / max(float(np.abs(parts[row]).sum()), np.finfo(np.float64).tiny)
            strongest = [k for k in np.argsort(-np.abs(shares), kind="stable")[:concepts] if shares[k]]
            code = str(self.country_codes[row])
            found.append(
                CountryScore(
                    code,
                    country_of.get(code, ""),
                    float(scores[row]),
                    tuple(Contribution(names[k], float(shares[k])) for k in strongest),
                )
            )
        return tuple(found)


def cache_folder() -> Path:
    """Where fitted layers are kept."""
    return cache_root() / "bottlenecks"


def open_bottleneck(
    bundle: Bundle,
    gallery: Gallery,
    concepts: Callable[[], GalleryConcepts],
    *,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Bottleneck:
    """The layer of a bundle, fitted on the bundle's own gallery where that has not been done before.

    Args:
        concepts: the gallery's concept scores, asked for only where it is fitted.
        cache: a folder; None takes the user's.
        say: told before a fit, and where the fit cannot be kept.

    Raises:
        ExtraMissing: scikit-learn is not installed.
        BundlePartMissing: the gallery reaches into fewer than two countries.
    """
    key = hashlib.sha256(f"{CACHE_VERSION} {bundle.sha256}".encode()).hexdigest()[:32]
    entry = (cache or cache_folder()) / f"{key}.npz"
    kept = _load(entry, bundle.manifest.concept_count)
    if kept is not None:
        return kept
    say("fitting the concept bottleneck of this model, once")
    fitted = fit(concepts(), gallery)
    try:
        _save(entry, fitted)
    except OSError as error:
        say(f"the concept bottleneck cannot be kept in {entry.parent}: {error.strerror or error}")
    return fitted


def fit(concepts: GalleryConcepts, gallery: Gallery) -> Bottleneck:
    """Fits the layer twice: without the held-out cells to measure it, then on everything.

    Raises:
        ExtraMissing, BundlePartMissing: as :func:`open_bottleneck`.
    """
    countries = gallery.countries  # (M,)
    shown = concepts.bank.shown
    held = _held_out(gallery)  # (M,)
    known = np.unique(countries[countries >= 0])
    counts = np.array([((countries == country) & ~held).sum() for country in known])
    known = known[counts >= LEAST_POINTS]
    if len(known) < 2 or not len(shown):
        raise BundlePartMissing(
            f"a concept bottleneck needs {LEAST_POINTS} gallery points in each of two countries or more, and "
            "concepts that are fit to be shown"
        )
    usable = np.isin(countries, known)
    label = np.searchsorted(known, countries)  # (M,), of usable points
    spread = concepts.spread[shown].astype(np.float64)
    scores = concepts.scores[:, shown]  # (M, S)
    weights, centre = _lasso(scores[usable & ~held], spread, label[usable & ~held], len(known))
    tested = np.flatnonzero(usable & held)
    accuracy = majority = float("nan")
    if len(tested):
        answers = ((scores[tested] - centre) / spread @ weights.T).argmax(axis=1)
        accuracy = float((answers == label[tested]).mean())
        majority = float(np.bincount(label[tested]).max() / len(tested))
    weights, centre = _lasso(scores[usable], spread, label[usable], len(known))
    lengths = np.linalg.norm((scores[usable] - centre) / spread, axis=1)
    size = len(concepts.bank.entries)
    return Bottleneck(
        country_codes=np.array(PlaceIndex.load().country_codes)[known],
        weights=_spread_out(weights, shown, size),
        centre=_spread_out(centre, shown, size),
        spread=concepts.spread.astype(np.float64),
        typical_length=float(np.median(lengths)),
        held_out_accuracy=accuracy,
        held_out_majority=majority,
        held_out_points=len(tested),
        fitted_points=int(usable.sum()),
    )


def _held_out(gallery: Gallery) -> NDArray[np.bool_]:
    """(M,): whole one-degree cells, since the next point on the ground gives the answer away."""
    latitude, longitude = np.floor(gallery.coordinates).astype(np.int64).T
    _, cell = np.unique(latitude * 1000 + longitude, return_inverse=True)
    drawn: NDArray[np.bool_] = np.random.default_rng(SEED).random(int(cell.max()) + 1) < HELD_OUT
    return drawn[cell]


def _lasso(
    scores: NDArray[np.float32], spread: Floats, label: NDArray[np.intp], classes: int
) -> tuple[Floats, Floats]:
    """Weights (C, S) of standardised scores (N, S) for one country against the rest, and the centre (S,).

    With second moments G = L L^T and covariances r of concepts and country, the Lasso on all points is the
    Lasso of L^-1 r on L^T, which has S rows instead of N.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import Lasso
    except ImportError:
        raise ExtraMissing("a concept bottleneck needs", "explain") from None
    each = 1.0 / (np.bincount(label, minlength=classes) * classes)  # (C,): countries weigh the same
    centre = _sum_blocks(len(label), lambda part: each[label[part]] @ scores[part].astype(np.float64))

    def standardised(part: slice) -> Floats:
        return np.asarray((scores[part] - centre) / spread)

    moments = _sum_blocks(
        len(label), lambda part: (standardised(part) * each[label[part], None]).T @ standardised(part)
    )  # (S, S)
    sums = np.zeros((classes, len(spread)))
    for start in range(0, len(label), _BLOCK):
        part = slice(start, start + _BLOCK)
        np.add.at(sums, label[part], standardised(part) * each[label[part], None])
    moments += np.eye(len(spread)) * (RIDGE * np.trace(moments) / len(spread))
    lower = np.linalg.cholesky(moments)
    targets = np.linalg.solve(lower, sums.T)  # (S, C)
    weights = np.zeros_like(sums)
    with warnings.catch_warnings():
        # Near the optimum is good enough: accuracy is measured, not assumed.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for row in range(classes):
            strength = STRENGTH * float(np.abs(sums[row]).max()) / len(spread)
            if strength > 0:
                lasso = Lasso(alpha=strength, fit_intercept=False, max_iter=2000)
                weights[row] = lasso.fit(lower.T, targets[:, row]).coef_
    variances = np.einsum("ck,kl,cl->c", weights, moments, weights, optimize=True)
    weights /= np.sqrt(np.where(variances > 0, variances, 1.0))[:, None]
    return weights, centre


def _sum_blocks(count: int, of: Callable[[slice], Floats]) -> Floats:
    blocks: Iterable[Floats] = (of(slice(start, start + _BLOCK)) for start in range(0, count, _BLOCK))
    total: Floats = np.sum(list(blocks), axis=0)
    return total


def _spread_out(values: Floats, columns: NDArray[np.intp], size: int) -> Floats:
    """Values (..., S) of some columns to all (..., K), 0 elsewhere."""
    wide = np.zeros((*values.shape[:-1], size))
    wide[..., columns] = values
    return wide


def _save(entry: Path, layer: Bottleneck) -> None:
    make_private_folder(entry.parent)
    descriptor, scratch = tempfile.mkstemp(prefix=".fitting-", suffix=".npz", dir=entry.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **asdict(layer))
        os.replace(scratch, entry)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


def _load(entry: Path, concepts: int) -> Bottleneck | None:
    """What is kept, or None where nothing is or it is damaged."""
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            values: dict[str, Any] = {field.name: stored[field.name] for field in fields(Bottleneck)}
        layer = Bottleneck(**{name: v if v.ndim else v.item() for name, v in values.items()})
    except Exception:  # numpy and zipfile have no common base; whatever it is, it can be fitted again
        return None
    return layer if layer.weights.shape == (len(layer.country_codes), concepts) else None
