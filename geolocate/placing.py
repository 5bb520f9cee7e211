"""From the embedding of a photo to its prediction: posterior, what is known besides, candidates, names.

embedding -> posterior over the gallery -> reference photos -> priors and album
          -> candidates, radius, names, EXIF truth
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, TypeAlias, get_args

import numpy as np

from geolocate.album import NOTE_ALBUM
from geolocate.bundle import Bundle
from geolocate.concepts import ZERO_SHOT, ConceptBank
from geolocate.encoding import EncodedImage
from geolocate.errors import UsageError
from geolocate.extra_points import Posterior
from geolocate.gallery import FARTHEST_KM, Gallery
from geolocate.geocoding import Namer, OfflineNames
from geolocate.geodesic import geodesic_km
from geolocate.known import Known
from geolocate.ranking import RANKINGS, FloatArray, Ranked, Ranking
from geolocate.records import Candidate, Concept, NamedPosition, Position, Prediction
from geolocate.reference import NOTE_REFERENCE, Reference
from geolocate.reference_photos import content_of
from geolocate.regions import by_country
from geolocate.session import Retrieval

#: What a candidate is: a place, or a country with the probability of all its points.
By: TypeAlias = Literal["place", "country"]
#: In the notes of photos whose radius is larger than `abstain_km`.
NOTE_UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a prediction shall hold: the arguments of :meth:`geolocate.geolocator.Geolocator.locate`."""

    top_k: int
    ranking: Ranking
    concepts: int
    by: By = "place"
    abstain_km: float | None = None
    reference: Reference | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no sense."""
        if not isinstance(self.top_k, int) or self.top_k < 1:
            raise UsageError(f"top_k is a whole number of at least 1, not {self.top_k!r}")
        if not isinstance(self.concepts, int) or self.concepts < 0:
            raise UsageError(f"concepts is a whole number of at least 0, not {self.concepts!r}")
        if self.ranking not in RANKINGS:
            raise UsageError(f"ranking is one of {', '.join(RANKINGS)}, not {self.ranking!r}")
        if self.by not in get_args(By):
            raise UsageError(f"by is one of {', '.join(get_args(By))}, not {self.by!r}")
        if self.abstain_km is not None and not self.abstain_km > 0:
            raise UsageError(f"abstain_km is a number of kilometres above 0, not {self.abstain_km!r}")


@dataclass(frozen=True, slots=True)
class _Located:
    """One photo's posterior with all that is known, and what follows from it alone.

    Attributes:
        notes: of the sources that had a say.
        ranked: (point, probability), best first; empty where the posterior is no number.
        radius_km: credible radius round the first of them.
    """

    posterior: Posterior
    notes: tuple[str, ...]
    ranked: Ranked
    radius_km: float


class Placer:
    """Places the photos of one run.

    Args:
        namer: gives positions their names.
        named_ranks: how many ranks `namer` is asked for, the others get offline names; None for all.
        threads: photos that are located at the same time: one where the encoder takes all cores.
    """

    def __init__(
        self,
        bundle: Bundle,
        gallery: Gallery,
        retrieval: Retrieval,
        namer: Namer,
        named_ranks: int | None,
        threads: int = 1,
    ) -> None:
        self._bundle = bundle
        self._model = bundle.manifest.name
        self._gallery = gallery
        self._retrieval = retrieval
        self._namer = namer
        self._named_ranks = named_ranks
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="locate") if threads > 1 else None

    @cached_property
    def _concepts(self) -> ConceptBank | None:
        return ConceptBank.from_bundle(self._bundle)

    def place(
        self, batches: Iterator[list[EncodedImage]], wish: Wish, known: Known, *, exif: bool = True
    ) -> Iterator[Prediction]:
        """Yields a prediction for each image of each batch, in order; `exif`: its position is the truth."""
        locate = partial(self._locate, wish=wish, known=known)
        for batch in batches:
            encoded = [image for image in batch if image.embedding is not None]
            located = self._map(locate, encoded, self._posteriors(encoded))
            for image in batch:
                if image.embedding is None:
                    yield Prediction(image.photo, model=self._model, error=image.error)
                    continue
                if not exif:  # it was read for what is known, and is not asked for
                    image = replace(image, facts=None)
                yield self._predict(image, next(located), wish)

    def _posteriors(self, encoded: list[EncodedImage]) -> Iterator[FloatArray]:
        embeddings = [image.embedding for image in encoded if image.embedding is not None]
        return self._retrieval.posteriors(np.stack(embeddings)) if embeddings else iter(())

    def _map(
        self,
        locate: Callable[[EncodedImage, FloatArray], _Located],
        images: Iterable[EncodedImage],
        posteriors: Iterator[FloatArray],
    ) -> Iterator[_Located]:
        if self._pool is None:
            return map(locate, images, posteriors)
        return self._pool.map(locate, images, posteriors)

    def _locate(self, image: EncodedImage, shares: FloatArray, wish: Wish, known: Known) -> _Located:
        """From the model's posterior (M,) to candidates; touches nothing that photos share but to read it."""
        assert image.embedding is not None
        posterior = Posterior(self._gallery, shares)
        if wish.reference is not None:
            own = content_of(image.photo)
            factor = self._retrieval.logit_factor
            posterior = wish.reference.fused(posterior, image.embedding, own, factor)
        neighbours = range(len(self._gallery), len(self._gallery) + len(posterior.extra))
        posterior, notes = known.applied(posterior, image.facts)
        # A vector of zeros is like every place, and would get the commonest with all confidence.
        if not posterior.is_finite() or not image.embedding.any():
            return _Located(posterior, notes, [], FARTHEST_KM)
        if neighbours and posterior.best(wish.ranking) in neighbours:
            notes += (NOTE_REFERENCE,)
        if wish.by == "country":
            ranked = by_country(posterior, wish.top_k)
        else:
            ranked = posterior.rank(wish.top_k, wish.ranking)
        return _Located(posterior, notes, ranked, posterior.credible_radius_km(ranked[0][0]))

    def _predict(self, image: EncodedImage, located: _Located, wish: Wish) -> Prediction:
        """The prediction of one photo."""
        truth = image.facts.position if image.facts else None
        notes = image.notes + (image.facts.notes if image.facts else ()) + located.notes
        ranked, radius_km, posterior = located.ranked, located.radius_km, located.posterior
        if not ranked:
            error = "the model gave no number for this photo"
            return Prediction(image.photo, exif=truth, model=self._model, notes=notes, error=error)
        if wish.abstain_km is not None and radius_km > wish.abstain_km:
            ranked = []
            notes += (NOTE_UNCERTAIN,)
        positions = [posterior.position(index) for index, _ in ranked]
        # Neighbours' positions are no measure of the model: what rests on them stays out of accuracy.
        measured = truth if NOTE_ALBUM not in located.notes else None
        names = OfflineNames().names if wish.by == "country" else self._names
        candidates = tuple(
            Candidate(
                rank=rank,
                position=position,
                probability=probability,
                radius_km=radius_km if rank == 1 else None,
                named=named,
                error_km=geodesic_km(position, measured) if measured else None,
            )
            for rank, ((_, probability), position, named) in enumerate(
                zip(ranked, positions, names(positions), strict=True), start=1
            )
        )
        concepts: tuple[Concept, ...] = ()
        if wish.concepts and self._concepts is not None:
            concepts = self._concepts.strongest(image, wish.concepts)
            notes += (ZERO_SHOT,) if concepts and self._concepts.kind == ZERO_SHOT else ()
        return Prediction(image.photo, candidates, concepts, truth, self._model, notes)

    def _names(self, positions: list[Position]) -> list[NamedPosition | None]:
        first = self._namer.names(positions[: self._named_ranks])
        return first + OfflineNames().names(positions[len(first) :]) if len(first) < len(positions) else first
