"""What each point of a gallery stands for: its concept scores, and how well a photo agrees with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geolocate.concepts import ConceptBank
from geolocate.gallery import Gallery

#: Fewer concepts correlate by chance alone.
LEAST_CONCEPTS = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the concepts of a photo and of a place are.

    Attributes:
        correlation: of the two scores over all concepts, each above its average; -1 to 1.
        above: the share of the gallery's points that agree with the photo less than this place does, 0 to 1.
    """

    correlation: float
    above: float


@dataclass(frozen=True)
class GalleryConcepts:
    """Concept scores of M gallery points.

    Attributes:
        bank: K concepts.
        scores: float32 (M, K), z_loc; see :meth:`ConceptBank.location_scores`.
    """

    bank: ConceptBank
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, bank: ConceptBank, gallery: Gallery) -> GalleryConcepts:
        """Of each point of a gallery."""
        return cls(bank, bank.location_scores(gallery.embeddings))

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """(K,): the average point, which every point is somewhat like."""
        return np.asarray(self.scores.mean(axis=0, dtype=np.float64), np.float32)

    @cached_property
    def spread(self) -> NDArray[np.float32]:
        """(K,): standard deviation over the points; 1 where all points are the same."""
        deviation = np.asarray(self.scores.std(axis=0, dtype=np.float64), np.float32)
        return np.where(deviation > 0, deviation, np.float32(1.0))

    def standing_out(self, row: int) -> NDArray[np.float32]:
        """(K,): scores of a point above those of the average point."""
        above: NDArray[np.float32] = self.scores[row] - self.mean
        return above

    def agreement(self, image_scores: NDArray[np.float32], row: int) -> Agreement | None:
        """Between a photo's scores (K,) above the average photo and the point `row`.

        None where there are too few concepts, or one of the two scores does not tell concepts apart.
        """
        of_photo = image_scores[self.bank.shown]
        of_photo = of_photo - of_photo.mean()
        length = float(np.linalg.norm(of_photo))
        if len(of_photo) < LEAST_CONCEPTS or not length or not self._profiles[row].any():
            return None
        correlations = self._profiles @ (of_photo / length)  # (M,)
        return Agreement(float(correlations[row]), float((correlations < correlations[row]).mean()))

    @cached_property
    def _profiles(self) -> NDArray[np.float32]:
        """(M, S): scores of the shown concepts above the average point, as unit vectors of mean 0."""
        profiles = self.scores[:, self.bank.shown] - self.mean[self.bank.shown]
        profiles -= profiles.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(profiles, axis=1, keepdims=True)
        profiles /= np.where(lengths > 0, lengths, 1.0)
        return profiles
