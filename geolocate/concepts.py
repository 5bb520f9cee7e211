"""Concepts: what a photo shows, as the bundle's concept basis sees its embedding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import CONCEPT_BASIS, CONCEPTS, Bundle
from geolocate.errors import BundleDamaged
from geolocate.records import Concept

#: Made from prompts by the text tower, trained by nobody: said in the notes of each row.
ZERO_SHOT = "zero-shot"
#: Larger than any list of concepts.
MAX_BYTES = 4 * 2**20


@dataclass(frozen=True)
class ConceptBank:
    """Concepts with their directions in the space of image embeddings.

    Attributes:
        names: K of them.
        basis: float32 (K, d), L2-normalised.
        baseline: float32 (K,), the score of the average photo: only what is above it is worth telling.
        kind: "zero-shot", or how the basis was trained.
    """

    names: tuple[str, ...]
    basis: NDArray[np.float32]
    baseline: NDArray[np.float32]
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
        listed = _read(bundle.file(CONCEPTS))
        try:
            names = tuple(str(concept["name"]) for concept in listed["concepts"])
            baseline = np.array([float(concept["baseline"]) for concept in listed["concepts"]], np.float32)
            kind = str(listed["kind"])
            directions = np.asarray(basis, dtype=np.float32)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleDamaged(f"bundle '{bundle.manifest.name}': {CONCEPTS} lacks {error}") from error
        if basis.shape != (bundle.manifest.concept_count, bundle.manifest.embedding_dim) or len(names) != len(
            basis
        ):
            raise BundleDamaged(
                f"bundle '{bundle.manifest.name}': {CONCEPT_BASIS} has the shape {basis.shape}, "
                f"expected {(bundle.manifest.concept_count, bundle.manifest.embedding_dim)} and as many names"
            )
        if not (np.isfinite(directions).all() and np.isfinite(baseline).all()):
            raise BundleDamaged(f"bundle '{bundle.manifest.name}': a concept has numbers that are not finite")
        return cls(names, directions, baseline, kind)

    def strongest(self, embedding: NDArray[np.float32], count: int) -> tuple[Concept, ...]:
        """The `count` concepts that stand out most in an image embedding (d,), strongest first.

        The score is the cosine above that of the average photo; concepts below it are left out.
        """
        # No BLAS: for so small a product its threads would only take the cores from those that decode.
        scores = np.einsum("kd,d->k", self.basis, embedding) - self.baseline  # (K,)
        order = np.argsort(-scores, kind="stable")[:count]
        return tuple(Concept(self.names[row], float(scores[row])) for row in order if scores[row] > 0)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleDamaged(f"{path.name} cannot be read: {error}") from error
    if not isinstance(listed, dict):
        raise BundleDamaged(f"{path.name} is not a JSON object")
    return listed
