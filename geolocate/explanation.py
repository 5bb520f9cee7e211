"""Why a photo is placed where it is: its concepts, those of the place, and what each of them moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geolocate.bottleneck import Bottleneck, CountryScore, open_bottleneck
from geolocate.bundle import CONCEPTS, Bundle
from geolocate.concepts import ConceptBank
from geolocate.encoding import EncodedImage
from geolocate.errors import BundlePartMissing
from geolocate.extra_points import Posterior
from geolocate.gallery_concepts import Agreement, GalleryConcepts
from geolocate.geocoding import OfflineNames
from geolocate.geodesic import geodesic_km
from geolocate.geolocator import Geolocator
from geolocate.intervention import Action, intervene
from geolocate.ranking import MERGE_RADIUS_KM
from geolocate.records import Candidate, Concept
from geolocate.sphere import great_circle_km

#: Countries of the bottleneck that a photo is shown, and concepts of each.
BOTTLENECK_COUNTRIES, BOTTLENECK_CONCEPTS = 3, 6


@dataclass(frozen=True, slots=True)
class Intervention:
    """What becomes of a prediction when one concept of the photo is removed or boosted.

    Attributes:
        concept: with the score that the photo has for it.
        moved_km: WGS-84 geodesic from rank 1 as it was to rank 1 as it is then.
        candidate: rank 1 as it is then.
        probability_before, probability_after: of the place that was rank 1 (everything within the merge
            radius of it).
    """

    concept: Concept
    action: Action
    moved_km: float
    candidate: Candidate
    probability_before: float
    probability_after: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """One photo.

    Attributes:
        candidate: rank 1; None where the photo failed.
        concepts: what the photo shows, strongest first, each above the average photo.
        place_concepts: what the place of rank 1 stands for, each above the average gallery point.
        shared: names that are in both lists.
        agreement: how alike the two are over all concepts.
        interventions: of the strongest concepts of the photo, one by one.
        countries: of the concept bottleneck, where one was asked for.
        error: why the photo failed, or None.
    """

    photo: str
    candidate: Candidate | None = None
    concepts: tuple[Concept, ...] = ()
    place_concepts: tuple[Concept, ...] = ()
    shared: tuple[str, ...] = ()
    agreement: Agreement | None = None
    interventions: tuple[Intervention, ...] = ()
    countries: tuple[CountryScore, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None


def concepts_of(bundle: Bundle) -> ConceptBank:
    """The bundle's concepts.

    Raises:
        BundlePartMissing: it has none; says what to do.
        BundleDamaged: they cannot be used.
    """
    bank = ConceptBank.from_bundle(bundle)
    if bank is None:
        raise BundlePartMissing(
            f"bundle '{bundle.manifest.name}' has no {CONCEPTS}, so there is nothing to explain with: take "
            "a bundle that has concepts (geolocate models list), or train one with the concept module "
            "(geolocate train) and export it"
        )
    return bank


class Explainer:
    """Explains the predictions of a geolocator.

    Args:
        concepts: so many of a photo and of a place are listed.
        interventions: so many of the photo's strongest concepts are removed or boosted.
        bottleneck: also says what the bottleneck's countries rest on.
        say: told while the bottleneck is fitted, which is done once for a bundle.

    Raises:
        BundlePartMissing, BundleDamaged: see :func:`concepts_of`.
        ExtraMissing: the bottleneck has to be fitted and scikit-learn is not installed.
    """

    def __init__(
        self,
        geolocator: Geolocator,
        *,
        concepts: int = 10,
        interventions: int = 5,
        action: Action = "remove",
        bottleneck: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._geolocator = geolocator
        self.bank = concepts_of(geolocator.bundle)
        self._concepts = concepts
        self._interventions = interventions
        self._action = action
        self.bottleneck: Bottleneck | None = None
        if bottleneck:
            self.bottleneck = open_bottleneck(
                geolocator.bundle, geolocator.gallery, lambda: self.gallery_concepts, say=say
            )

    @cached_property
    def gallery_concepts(self) -> GalleryConcepts:
        """Of the geolocator's gallery, computed once."""
        return GalleryConcepts.of(self.bank, self._geolocator.gallery)

    def explain(self, images: Iterable[EncodedImage]) -> Iterator[Explanation]:
        """Yields an explanation for each photo, in order; one that failed has an `error`."""
        for image in images:
            if image.embedding is None or not np.isfinite(image.embedding).all():
                error = image.error or "the model gave no number for this photo"
                yield Explanation(image.photo, notes=image.notes, error=error)
            else:
                yield self._explain(image, image.embedding)

    def _explain(self, image: EncodedImage, embedding: NDArray[np.float32]) -> Explanation:
        scores = self.bank.image_scores(image)  # (K,)
        concepts = self.bank.strongest(image, self._concepts)
        moving = concepts[: self._interventions]
        rows = [row for row in map(self.bank.row_of, (c.name for c in moving)) if row is not None]
        changed = intervene(embedding, self.bank.distinct_directions[rows], self._action)  # (n, d)
        posteriors = self._geolocator.posteriors(np.concatenate((embedding[None], changed)))
        before = Posterior(self._geolocator.gallery, next(posteriors))
        index, candidate = self._best(before)
        near = self._round(index)
        interventions = []
        for concept, posterior in zip(moving, posteriors, strict=True):
            after = Posterior(self._geolocator.gallery, posterior)
            _, then = self._best(after)
            interventions.append(
                Intervention(
                    concept,
                    self._action,
                    geodesic_km(candidate.position, then.position),
                    then,
                    float(before.shares[near].sum()),
                    float(after.shares[near].sum()),
                )
            )
        known = self.gallery_concepts
        place_concepts = self.bank.strongest_of_location(known.standing_out(index), self._concepts)
        of_place = {concept.name for concept in place_concepts}
        countries: tuple[CountryScore, ...] = ()
        if self.bottleneck is not None:
            countries = self.bottleneck.explain(
                scores, self.bank.names, countries=BOTTLENECK_COUNTRIES, concepts=BOTTLENECK_CONCEPTS
            )
        return Explanation(
            image.photo,
            replace(candidate, radius_km=before.credible_radius_km(index)),
            concepts,
            place_concepts,
            tuple(concept.name for concept in concepts if concept.name in of_place),
            known.agreement(scores, index),
            tuple(interventions),
            countries,
            (*image.notes, self.bank.kind),
        )

    def _best(self, posterior: Posterior) -> tuple[int, Candidate]:
        """Rank 1 and the gallery point that it stands on."""
        ((index, probability),) = posterior.rank(1, "merged")
        position = posterior.position(index)
        (named,) = OfflineNames().names([position])
        return index, Candidate(1, position, probability, named=named)

    def _round(self, index: int) -> NDArray[np.intp]:
        """The gallery points within the merge radius of one."""
        vectors = self._geolocator.gallery.vectors
        return np.flatnonzero(great_circle_km(vectors, vectors[index]) <= MERGE_RADIUS_KM)
