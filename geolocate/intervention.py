"""Concept intervention: an image embedding with a concept taken out or made stronger.

What a prediction rests on shows in what moves it. An intervention asks the model, not the world: a photo
without its palms is another photo, and concepts that go together (palm, beach) stand in for each other.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Action = Literal["remove", "boost"]


def intervene(
    embedding: NDArray[np.float32], directions: NDArray[np.float32], action: Action
) -> NDArray[np.float32]:
    """One embedding with each of several concepts removed or boosted by itself, (n, d), L2-normalised.

    remove: unit(x - (x.c) c), nothing of the concept is left. boost: unit(x + |x.c| c), where the photo shows
    the concept there is twice as much of it, and as much for it as there was against it where it does not.

    Args:
        embedding: (d,), of length 1.
        directions: (n, d), unit vectors; see :attr:`geolocate.concepts.ConceptBank.distinct_directions`.
    """
    along = directions @ embedding  # (n,)
    change = -along if action == "remove" else np.abs(along)  # (n,)
    moved = embedding + change[:, None] * directions  # (n, d)
    unit: NDArray[np.float32] = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit
