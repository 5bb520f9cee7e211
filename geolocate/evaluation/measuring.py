"""From encoded photos with known positions to guesses, radii and levels: one pass of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.concepts import ConceptBank
from geolocate.encoding import EncodedImage
from geolocate.evaluation.calibration import (
    STATED_MASSES,
    TEMPERATURES,
    level_of,
    levels_at_temperatures,
)
from geolocate.evaluation.concept_scores import photo_score
from geolocate.evaluation.scored_table import Scored
from geolocate.extra_points import Posterior
from geolocate.geolocator import Geolocator
from geolocate.ranking import FloatArray, Ranking
from geolocate.reference import Reference, knn_positions
from geolocate.reference_photos import content_of
from geolocate.sphere import great_circle_km, unit_vectors

#: Photos whose posteriors are asked for together.
_AT_ONCE = 64

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Photos with a true position, and what was said of them; NaN where nothing was.

    Attributes:
        truth, predicted: (N, 2), degrees.
        radii_km: (N, len(STATED_MASSES)) of the circles that are said to hold those shares.
        levels: (N,), see :mod:`geolocate.evaluation.calibration`.
        levels_by_temperature: (N, len(TEMPERATURES)), or None where nobody asked.
        concept_scores: (N,), see :func:`geolocate.evaluation.concept_scores.photo_score`.
        failures: why photos have no prediction, the first few.
        neighbours: (N, 2), where the nearest references alone place the photos; None without references.
        fused: (N, 2), where model and references together do.
        reference_km: (N,), from the truth to the nearest reference that is not the photo itself.
    """

    truth: Floats
    predicted: Floats
    radii_km: Floats
    levels: Floats
    levels_by_temperature: Floats | None
    concept_scores: Floats
    failures: tuple[str, ...] = ()
    neighbours: Floats | None = None
    fused: Floats | None = None
    reference_km: Floats | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @classmethod
    def of_table(cls, scored: Scored) -> Measured:
        """What a table of predictions says: positions, and the circles that hold half."""
        count = len(scored.truth)
        radii = np.full((count, len(STATED_MASSES)), np.nan)
        radii[:, STATED_MASSES.index(0.5)] = scored.radii_km
        nothing = np.full(count, np.nan)
        return cls(scored.truth, scored.predicted, radii, nothing, None, nothing)

    def where(self, kept: NDArray[np.bool_]) -> Measured:
        """Only the photos that are `kept` (N,)."""
        arrays: dict[str, Any] = {
            field.name: value[kept]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **arrays)


#: Failures that are named.
_NAMED = 3


def measure(
    geolocator: Geolocator,
    images: Iterable[tuple[EncodedImage, tuple[float, float]]],
    *,
    ranking: Ranking,
    temperatures: bool = False,
    reference: Reference | None = None,
    advance: Callable[[bool], object] = lambda failed: None,
) -> Measured:
    """Places photos and holds the posterior against the truth.

    Args:
        images: each with its true latitude and longitude.
        temperatures: compute the levels at other temperatures too.
        reference: photos to find neighbours among, beside the model and together with it.
        advance: is told of each photo whether it failed.
    """
    truth: list[tuple[float, float]] = []
    rows: list[_Row] = []
    failures: list[str] = []
    judge = _Judge(geolocator, ranking, temperatures, reference)
    for batch in _batches(iter(images)):
        embeddings = [image.embedding for image, _ in batch if image.embedding is not None]
        posteriors = geolocator.posteriors(np.stack(embeddings)) if embeddings else iter(())
        for image, position in batch:
            row = _NOTHING if image.embedding is None else judge(image, next(posteriors), position)
            if row is _NOTHING and len(failures) < _NAMED:
                failures.append(f"{image.photo}: {image.error or 'the model gave no number'}")
            truth.append(position)
            rows.append(row)
            advance(row is _NOTHING)
    count = len(rows)
    grid = len(TEMPERATURES)
    return Measured(
        truth=np.array(truth, np.float64).reshape(count, 2),
        predicted=np.array([row.predicted for row in rows]).reshape(count, 2),
        radii_km=np.array([row.radii_km for row in rows]).reshape(count, len(STATED_MASSES)),
        levels=np.array([row.level for row in rows]),
        levels_by_temperature=np.array(
            [np.full(grid, np.nan) if row.levels is None else row.levels for row in rows]
        ).reshape(count, grid)
        if temperatures
        else None,
        concept_scores=np.array([row.concept_score for row in rows]),
        failures=tuple(failures),
        neighbours=np.array([row.neighbours for row in rows]).reshape(count, 2) if reference else None,
        fused=np.array([row.fused for row in rows]).reshape(count, 2) if reference else None,
        reference_km=np.array([row.reference_km for row in rows]) if reference else None,
    )


@dataclass(frozen=True)
class _Row:
    """What is said of one photo."""

    predicted: tuple[float, float] = (np.nan, np.nan)
    radii_km: tuple[float, ...] = (np.nan,) * len(STATED_MASSES)
    level: float = np.nan
    levels: Floats | None = None
    concept_score: float = np.nan
    neighbours: tuple[float, float] = (np.nan, np.nan)
    fused: tuple[float, float] = (np.nan, np.nan)
    reference_km: float = np.nan


_NOTHING = _Row()


class _Judge:
    """One photo's posterior against its true position."""

    def __init__(
        self, geolocator: Geolocator, ranking: Ranking, temperatures: bool, reference: Reference | None
    ) -> None:
        self._geolocator = geolocator
        self._gallery = geolocator.gallery
        self._ranking = ranking
        self._temperatures = temperatures
        self._reference = reference
        self._concepts = ConceptBank.from_bundle(geolocator.bundle)

    def __call__(self, image: EncodedImage, posterior: FloatArray, truth: tuple[float, float]) -> _Row:
        if not np.isfinite(posterior).all():
            return _NOTHING
        assert image.embedding is not None
        gallery = self._gallery
        ((index, _),) = gallery.rank(posterior, 1, self._ranking)
        true = unit_vectors(truth[0], truth[1])  # (1, 3)
        row = _Row(
            predicted=(float(gallery.coordinates[index, 0]), float(gallery.coordinates[index, 1])),
            radii_km=tuple(gallery.credible_radius_km(index, posterior, mass) for mass in STATED_MASSES),
            level=self._level(posterior, true, index),
            levels=self._levels(image.embedding, true) if self._temperatures else None,
            concept_score=photo_score(self._concepts.image_scores(image)) if self._concepts else np.nan,
        )
        if self._reference is None:
            return row
        return self._with_references(row, self._reference, image, posterior, true)

    def _with_references(
        self, row: _Row, reference: Reference, image: EncodedImage, posterior: FloatArray, true: Floats
    ) -> _Row:
        """The row with where the neighbours place the photo, alone and together with the model."""
        assert image.embedding is not None
        own = content_of(image.photo)
        (alone,) = knn_positions(reference, image.embedding[None], [own])
        factor = self._geolocator.bundle.manifest.logit_factor
        fused = reference.fused(Posterior(self._gallery, posterior), image.embedding, own, factor)
        together = fused.position(fused.best(self._ranking))
        return replace(
            row,
            neighbours=(float(alone[0]), float(alone[1])),
            fused=(together.latitude, together.longitude),
            reference_km=reference.nearest_km(true[0], own),
        )

    def _level(self, posterior: FloatArray, true: Floats, index: int) -> float:
        gallery = self._gallery
        distances = great_circle_km(gallery.vectors, gallery.vectors[index])  # (M,)
        error = float(great_circle_km(true, gallery.vectors[index])[0])
        if error <= gallery.resolution_km(index, distances):
            return 0.0  # every circle is at least as large
        return level_of(posterior, distances, error)

    def _levels(self, embedding: NDArray[np.float32], true: Floats) -> Floats:
        gallery = self._gallery
        cosines = gallery.embeddings @ embedding  # (M,)

        def level(posterior: FloatArray) -> float:
            ((index, _),) = gallery.rank(posterior, 1, self._ranking)
            return self._level(posterior, true, index)

        factor = self._geolocator.bundle.manifest.logit_factor
        return levels_at_temperatures(cosines, gallery.log_weights, factor, level)


def _batches(images: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(images, _AT_ONCE)):
        yield batch
