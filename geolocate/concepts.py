"""Concepts: what a photo shows and a location stands for.

Two kinds of bank. "zero-shot": directions made from prompts by the text tower; a photo's score is the cosine
of its embedding with them. "trained": a concept-aware alignment module; the photo's scores z_img come out of
the image graph, a location's are z_loc = unit(x_loc B) (arXiv 2509.01910, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import CONCEPT_BASIS, CONCEPTS, Bundle
from geolocate.encoding import EncodedImage
from geolocate.errors import BundleDamaged
from geolocate.records import Concept
from geolocate.untrusted_json import (
    as_list,
    as_number,
    as_object,
    as_text,
    as_truth,
    parse_json,
    take,
    wrong,
)

#: Made from prompts by the text tower, trained by nobody: said in the notes of each row.
ZERO_SHOT = "zero-shot"
#: By a concept-aware alignment module.
TRAINED = "trained"
#: So many of a photo's concepts are kept at most, as in the paper: what is weaker is noise.
KEPT_CONCEPTS = 20
#: Larger than any list of concepts.
MAX_BYTES = 4 * 2**20
#: Letters of a concept's name or category, and of a prompt: above any of the concept sets.
MAX_NAME, MAX_PROMPT = 200, 1000


@dataclass(frozen=True, slots=True)
class ConceptEntry:
    """One concept of a bank.

    Attributes:
        name, category, prompts: as in the concept set; category and prompts may be empty.
        baseline: the score of the average photo: only what is above it is worth telling.
        auc: how well the score of a location tells where the concept is known to be, on regions held out from
            training; None where nothing is known.
        shown: whether the score of a location means enough to be shown to the user.
        shown_in_photos: whether that of a photo does.
    """

    name: str
    category: str
    prompts: tuple[str, ...]
    baseline: float
    auc: float | None
    shown: bool
    shown_in_photos: bool


@dataclass(frozen=True)
class ConceptBank:
    """Concepts with their directions in the space of embeddings.

    Attributes:
        entries: K of them.
        basis: float32 (K, d); L2-normalised where the kind is zero-shot.
        kind: ZERO_SHOT or TRAINED.
    """

    entries: tuple[ConceptEntry, ...]
    basis: NDArray[np.float32]
    kind: str

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> ConceptBank | None:
        """The bundle's concepts, or None where it has none.

        Raises:
            BundleDamaged: they do not fit each other or the embeddings.
        """
        if not bundle.has(CONCEPTS):
            return None
        basis = bundle.array(CONCEPT_BASIS, ndim=2)
        listed = _read(bundle)
        try:
            entries = tuple(_entry(as_object(concept)) for concept in take(listed, "concepts", as_list))
            kind = take(listed, "kind", _kind)
        except ValueError as error:
            raise BundleDamaged(f"bundle '{bundle.manifest.name}': {CONCEPTS}: {error}") from error
        directions = np.asarray(basis, dtype=np.float32)
        if basis.shape != (bundle.manifest.concept_count, bundle.manifest.embedding_dim) or len(
            entries
        ) != len(basis):
            raise BundleDamaged(
                f"bundle '{bundle.manifest.name}': {CONCEPT_BASIS} has the shape {basis.shape}, "
                f"expected {(bundle.manifest.concept_count, bundle.manifest.embedding_dim)} and as many names"
            )
        if not np.isfinite(directions).all():
            raise BundleDamaged(f"bundle '{bundle.manifest.name}': a concept has numbers that are not finite")
        return cls(entries, directions, kind)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """K of them."""
        return tuple(entry.name for entry in self.entries)

    @cached_property
    def _baseline(self) -> NDArray[np.float32]:
        """(K,): the scores of the average photo."""
        return np.array([entry.baseline for entry in self.entries], np.float32)

    @cached_property
    def shown(self) -> NDArray[np.intp]:
        """Rows of the concepts that are fit to be shown of a location."""
        return np.flatnonzero([entry.shown for entry in self.entries])

    @cached_property
    def shown_in_photos(self) -> NDArray[np.intp]:
        """Rows of the concepts that are fit to be shown of a photo."""
        return np.flatnonzero([entry.shown_in_photos for entry in self.entries])

    @cached_property
    def common(self) -> NDArray[np.float32]:
        """(d,): what all concepts have in common, the mean of their directions."""
        mean: NDArray[np.float32] = self.basis.mean(axis=0)
        return mean

    @cached_property
    def distinct_directions(self) -> NDArray[np.float32]:
        """(K, d) unit vectors: what sets each concept apart from what all have in common.

        Directions of concepts are much the same (of 200 zero-shot ones, half of the pairs have a cosine above
        0.7): to move an embedding along one of them as it is moves it along all, and where one scores high,
        all do.
        """
        apart = self.basis - self.common  # (K, d)
        lengths = np.linalg.norm(apart, axis=1, keepdims=True)  # (K, 1)
        alike = lengths < 1e-6 * np.linalg.norm(self.basis, axis=1, keepdims=True)  # a bank of one concept
        apart = np.where(alike, self.basis, apart)
        unit: NDArray[np.float32] = apart / np.linalg.norm(apart, axis=1, keepdims=True)
        return unit

    def row_of(self, name: str) -> int | None:
        """The row of a concept by its name, in any case; None where there is none."""
        wanted = " ".join(name.split()).casefold()
        return next((row for row, known in enumerate(self.names) if known.casefold() == wanted), None)

    def image_scores(self, image: EncodedImage) -> NDArray[np.float32]:
        """(K,): how far each concept stands out in a photo, above the average photo.

        Raises:
            BundleDamaged: the concepts are trained, and the image graph gives no scores.
        """
        if self.kind == TRAINED:
            if image.concept_scores is None:
                raise BundleDamaged("the concepts are trained, but the image graph gives no concept_scores")
            scores: NDArray[np.float32] = image.concept_scores - self._baseline
            return scores
        assert image.embedding is not None, f"{image.photo} failed: {image.error}"
        # No BLAS: for so small a product its threads would only take the cores from those that decode.
        zero_shot: NDArray[np.float32] = np.einsum("kd,d->k", self.basis, image.embedding) - self._baseline
        return zero_shot

    def location_scores(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K): z_loc of location embeddings (N, d); zero-shot: cosines with the distinct directions."""
        if self.kind == ZERO_SHOT:
            cosines: NDArray[np.float32] = embeddings @ self.distinct_directions.T  # (N, K)
            return cosines
        scores: NDArray[np.float32] = embeddings @ self.basis.T  # (N, K)
        scores /= np.linalg.norm(scores, axis=1, keepdims=True)
        return scores

    def strongest(self, image: EncodedImage, count: int) -> tuple[Concept, ...]:
        """The `count` concepts that stand out most in a photo, strongest first, KEPT_CONCEPTS at most.

        Those below the average photo, or not fit to be shown, are left out.
        """
        return self._strongest(self.image_scores(image), self.shown_in_photos, count)

    def strongest_of_location(self, scores: NDArray[np.float32], count: int) -> tuple[Concept, ...]:
        """The same of a location's scores (K,) above the average location."""
        return self._strongest(scores, self.shown, count)

    def _strongest(
        self, scores: NDArray[np.float32], rows: NDArray[np.intp], count: int
    ) -> tuple[Concept, ...]:
        order = rows[np.argsort(-scores[rows], kind="stable")][: min(count, KEPT_CONCEPTS)]
        above = (row for row in order if 0 < scores[row] < np.inf)
        return tuple(Concept(self.names[row], float(scores[row])) for row in above)


def _entry(concept: dict[str, Any]) -> ConceptEntry:
    shown = take(concept, "shown", as_truth, True)
    return ConceptEntry(
        name=take(concept, "name", _name),
        category=take(concept, "category", lambda value: _text(value, MAX_NAME), ""),
        prompts=take(concept, "prompts", _prompts, []),
        baseline=take(concept, "baseline", as_number),
        auc=None if concept.get("auc") is None else take(concept, "auc", _share),
        shown=shown,
        shown_in_photos=take(concept, "shown_in_photos", as_truth, shown),
    )


def _kind(value: object) -> str:
    if value not in (ZERO_SHOT, TRAINED):
        raise wrong(value, f"{ZERO_SHOT} or {TRAINED}")
    return as_text(value)


def _prompts(value: object) -> tuple[str, ...]:
    return tuple(_text(prompt, MAX_PROMPT) for prompt in as_list(value))


def _share(value: object) -> float:
    share = as_number(value)
    if not 0 <= share <= 1:
        raise wrong(value, "between 0 and 1")
    return share


def _name(value: object) -> str:
    name = _text(value, MAX_NAME)
    if not name.strip():
        raise wrong(value, "a name of printable letters")
    return name


def _text(value: object, most: int) -> str:
    """A text that stands in rows and on terminals. Raises ValueError where it could do harm there."""
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise wrong(value, f"a text of at most {most} printable letters")
    return value


def _read(bundle: Bundle) -> dict[str, Any]:
    try:
        listed = parse_json(bundle.read(CONCEPTS, MAX_BYTES))
    except ValueError as error:
        raise BundleDamaged(f"bundle '{bundle.manifest.name}': {CONCEPTS} cannot be read: {error}") from error
    if not isinstance(listed, dict):
        raise BundleDamaged(f"bundle '{bundle.manifest.name}': {CONCEPTS} is not a JSON object")
    return listed
