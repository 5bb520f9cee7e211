"""Nearest neighbours among the user's own photos: where those photos stand that look most alike.

The [L]kNN of Vo, Jacobs and Hays (Revisiting IM2GPS, ICCV 2017, arXiv 1705.04838): the k neighbours by image
embedding vote for their own positions, each vote spread by a Gaussian of bandwidth sigma, weighted by
similarity. How much such a vote is worth is measured on the references themselves: how often are the
neighbours of one of them where it stands, at such a similarity? So an album of one village counts for much
and a thousand photos of a thousand places for what they can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geolocate.errors import UsageError
from geolocate.extra_points import ExtraPoints, Posterior
from geolocate.sphere import chord_to_km, great_circle_km, unit_vectors

#: On rows whose place is that of a reference.
NOTE_REFERENCE = "reference"

DEFAULT_NEIGHBOURS = 10
DEFAULT_SIGMA_KM = 1.0
#: A neighbour within so many bandwidths of the truth has told it: 99 % of a Gaussian on the ground.
HIT_SIGMAS = 3.0
#: Weights fall by 1/e over so many standard deviations of the similarities between references. Of 1, 1/2, 1/3
#: and less, 1/2 gave the truth the largest share where it was among the neighbours, on 961 photos of 180
#: countries with two encoders.
SIMILARITY_SCALE = 0.5
#: References that are asked where they stand, spread evenly over all of them.
MAX_ASKED = 2000
#: Of those asked, the ones most alike in similarity decide.
ASKED_NEARBY = 50
#: Before anything is measured: this share of hits, worth so many observations.
PRIOR_SHARE = 0.25
PRIOR_OBSERVATIONS = 2.0
#: A photo whose best similarity is lower than that of all but this share of the references is no photo of
#: theirs: its odds fall with how rare it is.
ALIKE_SHARE = 0.05
#: How often even a good model is wrong about the continent: it may doubt a reference no further than this.
MODEL_ERROR = 0.1
#: Rows of similarities that are computed at once.
_BLOCK = 256

Floats = NDArray[np.float64]
Embeddings = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Vote:
    """What the neighbours of one photo say.

    Attributes:
        similarity: cosine of the most similar reference.
        indices: of the neighbours (k,), most similar first.
        shares: float64 (k,), of the density at each of their positions, sum 1.
        itself: index of the photo, where it is one of the references.
    """

    similarity: float
    indices: NDArray[np.intp]
    shares: Floats
    itself: int | None = None


@dataclass(frozen=True)
class Reference:
    """Photos whose places are known, as an image encoder sees them; 2 KB of memory for each at d = 512.

    Attributes:
        embeddings: float32 (N, d), L2-normalised.
        coordinates: float64 (N, 2), degrees, latitude first.
        contents: N keys of the photos' contents, all different: a photo is never its own neighbour.
        k: neighbours that vote.
        sigma_km: bandwidth of the kernel.
        weight: share of every posterior that the neighbours get, 0 to 1; 1 leaves the model no say. None
            takes what they are worth by the references themselves.
        location_embeddings: float32 (N, d) of the coordinates by the same model, with which it may doubt the
            neighbours; None where it may not.

    Raises:
        UsageError: there are none, or k, sigma or weight make no sense.
    """

    embeddings: Embeddings
    coordinates: Floats
    contents: Sequence[str]
    k: int = DEFAULT_NEIGHBOURS
    sigma_km: float = DEFAULT_SIGMA_KM
    weight: float | None = None
    location_embeddings: Embeddings | None = None
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """See the class."""
        if not len(self.embeddings):
            raise UsageError("a reference needs at least one photo with a position")
        if self.k < 1:
            raise UsageError(f"the neighbours of a reference are at least 1, not {self.k}")
        if not 0.0 < self.sigma_km < np.inf:
            raise UsageError(f"the bandwidth of a reference is a number of km above 0, not {self.sigma_km}")
        if self.weight is not None and not 0.0 < self.weight <= 1.0:
            raise UsageError(f"the weight of a reference is above 0 and at most 1, not {self.weight}")
        object.__setattr__(self, "_index", {content: row for row, content in enumerate(self.contents)})

    def __len__(self) -> int:
        return len(self.embeddings)

    def only(self, kept: NDArray[np.bool_]) -> Reference:
        """The references that are `kept` (N,). Raises UsageError where none is."""
        locations = self.location_embeddings
        return replace(
            self,
            embeddings=self.embeddings[kept],
            coordinates=self.coordinates[kept],
            contents=[content for content, there in zip(self.contents, kept, strict=True) if there],
            location_embeddings=None if locations is None else locations[kept],
        )

    def vote(self, embedding: Embeddings, content: str | None = None) -> Vote | None:
        """The neighbours of a photo's embedding (d,); None where the only reference is the photo itself.

        Args:
            content: key of the photo's own content, which does not count.
        """
        similarities = self.embeddings @ embedding  # (N,)
        return self._vote(similarities, self._index.get(content) if content is not None else None)

    def _vote(self, similarities: Embeddings, itself: int | None) -> Vote | None:
        if itself is not None:
            similarities[itself] = -np.inf
        k = min(self.k, len(self) - (itself is not None))
        if not k:
            return None
        some = np.argpartition(-similarities, k - 1)[:k]
        nearest = some[np.lexsort((some, -similarities[some]))]  # ties by index
        best = similarities[nearest].astype(np.float64)
        weights = np.exp((best - best[0]) / self._scale)  # (k,)
        here = self._vectors[nearest]
        apart = chord_to_km(np.linalg.norm(here[:, None] - here, axis=2))  # (k, k)
        density = np.exp(-0.5 * (apart / self.sigma_km) ** 2) @ weights  # (k,)
        return Vote(float(best[0]), nearest, density / density.sum(), itself)

    def position(self, vote: Vote) -> Floats:
        """Where the density of a vote is highest, (2,)."""
        best: Floats = self.coordinates[vote.indices[vote.shares.argmax()]]
        return best

    def nearest_km(self, vector: Floats, content: str | None = None) -> float:
        """Great-circle distance in km from a unit vector (3,) to the nearest reference but the photo itself.

        Infinite where there is no other.
        """
        distances = great_circle_km(self._vectors, vector)  # (N,)
        if content in self._index:
            distances[self._index[content]] = np.inf
        return float(distances.min())

    def odds(self, vote: Vote) -> float:
        """Odds that one of the neighbours stands where the photo was taken, by its best similarity.

        Assumes that the photo is of the kind of the references: as alike to them as they are to each other.
        """
        best, hits = self._asked
        if vote.itself is not None:  # where it stands is what nobody may know
            others = self._rows_asked[: len(best)] != vote.itself
            best, hits = best[others], hits[others]
        nearby = np.argsort(np.abs(best - vote.similarity), kind="stable")[:ASKED_NEARBY]
        share = (PRIOR_SHARE * PRIOR_OBSERVATIONS + hits[nearby].sum()) / (PRIOR_OBSERVATIONS + len(nearby))
        as_low = (np.count_nonzero(best <= vote.similarity) + 1) / (len(best) + 1)
        return float(share / (1.0 - share) * min(1.0, as_low / ALIKE_SHARE))

    def fused(
        self, posterior: Posterior, embedding: Embeddings, content: str | None, logit_factor: float
    ) -> Posterior:
        """The mixture of a model's posterior with the vote of a photo's neighbours.

        Args:
            posterior: of the photo, by its gallery's weights and the model alone.
            embedding: of the photo, (d,).
            content: key of its content, which does not count.
            logit_factor: what the model multiplies a cosine with.
        """
        if not posterior.is_finite():
            return posterior
        vote = self.vote(embedding, content)
        if vote is None:
            return posterior
        likely = None
        if self.location_embeddings is not None:
            neighbours = self.location_embeddings[vote.indices]
            likely = _likelihoods(posterior, embedding, neighbours, logit_factor)
        points, weight = self.evidence(vote, likely)
        return posterior.mixed(points, weight)

    def evidence(self, vote: Vote, likelihoods: Floats | None = None) -> tuple[ExtraPoints, float]:
        """A vote as extra points, and their weight in the mixture with the model's posterior.

        Args:
            likelihoods: of the neighbours' positions (k,) by the model, against the average of its gallery.
                Where they are below 1 they take odds away; above they add none, since what the model likes is
                in its own posterior already.
        """
        shares, weight = vote.shares, self.weight
        if weight is None:
            odds = self.odds(vote)
            if likelihoods is not None:
                doubted = MODEL_ERROR + (1.0 - MODEL_ERROR) * np.minimum(likelihoods, 1.0)
                shares = shares * doubted
                odds *= float(shares.sum())
                shares = shares / shares.sum()
            weight = odds / (1.0 + odds)
        spreads = np.full(len(shares), self.sigma_km)
        return ExtraPoints(self.coordinates[vote.indices], shares, spreads), weight

    @cached_property
    def _vectors(self) -> Floats:
        """Unit vectors (N, 3)."""
        return unit_vectors(*self.coordinates.T)

    @cached_property
    def _rows_asked(self) -> NDArray[np.intp]:
        """References (n,) that are asked where they stand."""
        return np.unique(np.linspace(0, len(self) - 1, min(len(self), MAX_ASKED)).astype(np.intp))

    @cached_property
    def _scale(self) -> float:
        """By how much a similarity must be lower to count for 1/e of another."""
        rows = self._rows_asked
        similarities = self.embeddings[rows] @ self.embeddings[rows].T
        others = similarities[~np.eye(len(rows), dtype=bool)]
        return max(SIMILARITY_SCALE * float(others.std(dtype=np.float64)), 1e-6) if len(others) else 1.0

    @cached_property
    def _asked(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Of each reference asked (n,): its best similarity, and whether a neighbour stands where it does."""
        best: list[float] = []
        hits: list[bool] = []
        rows = self._rows_asked if len(self) > 1 else self._rows_asked[:0]
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            for row, similarities in zip(block, self.embeddings[block] @ self.embeddings.T, strict=True):
                vote = self._vote(similarities, int(row))
                assert vote is not None
                chords = np.linalg.norm(self._vectors[vote.indices] - self._vectors[row], axis=1)
                best.append(vote.similarity)
                hits.append(bool((chord_to_km(chords) <= HIT_SIGMAS * self.sigma_km).any()))
        return np.array(best, dtype=np.float64), np.array(hits, dtype=bool)


def _likelihoods(
    posterior: Posterior, embedding: Embeddings, locations: Embeddings, logit_factor: float
) -> Floats:
    """How likely the model holds a photo (d,) at locations (k, d) against the average of its gallery, (k,).

    All of them follow from the gallery's strongest point, whose share is its weight times its likelihood over
    the sum of these products.
    """
    gallery = posterior.gallery
    best = int(posterior.shares.argmax())
    products = np.concatenate((gallery.embeddings[best][None], locations)) @ embedding
    logits = logit_factor * products.astype(np.float64)  # (1 + k,)
    weight = float(gallery.weights[best]) / float(gallery.weights.sum(dtype=np.float64))
    average = logits[0] + np.log(weight) - np.log(float(posterior.shares[best]))
    likelihoods: Floats = np.exp(np.minimum(logits[1:] - average, 700.0))  # what float64 can hold
    return likelihoods


def knn_positions(
    reference: Reference, embeddings: Embeddings, contents: Sequence[str | None] | None = None
) -> Floats:
    """Where the nearest neighbours alone place photos, (Q, 2) in degrees; NaN where there is no neighbour.

    Args:
        embeddings: (Q, d), of the encoder that made the reference's.
        contents: keys of the photos' contents (Q,), which do not count in the reference.
    """
    placed = np.full((len(embeddings), 2), np.nan)
    for row, embedding in enumerate(embeddings):
        vote = reference.vote(embedding, contents[row] if contents is not None else None)
        if vote is not None:
            placed[row] = reference.position(vote)
    return placed
