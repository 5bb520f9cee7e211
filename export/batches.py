"""The order in which an epoch meets the photos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def epoch_batches(
    photos: int, batch_size: int, steps: int | None, generator: np.random.Generator
) -> list[NDArray[np.intp]]:
    """The rows of each step's photos.

    Args:
        photos: how many there are.
        batch_size: of a step, at most.
        steps: None meets every photo once, in batches of nearly one size. Else so many batches, all full;
            no photo comes again before all have come, and none twice in one batch.
    """
    if steps is None:
        return np.array_split(generator.permutation(photos), max(1, -(-photos // batch_size)))
    size = min(batch_size, photos)
    order = np.empty(0, np.intp)
    while len(order) < steps * size:
        # Rounds through the photos meet within a batch: what it has of the last round comes late in this one.
        begun = order[len(order) - len(order) % size :]
        round_of_all = generator.permutation(photos)
        again = np.isin(round_of_all, begun)
        order = np.concatenate((order, round_of_all[~again], round_of_all[again]))
    return np.split(order[: steps * size], steps)
