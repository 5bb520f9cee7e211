"""Grounding: location scores of concepts tied to where the concepts are known to live (beyond the paper).

A weak loss, since a fact says where a thing is typical and not what stands at a point; and its measure, the
AUC of each concept's location score against its fact, over regions that the loss never saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from geolocate.sphere import EARTH_RADIUS_KM, unit_vectors

#: First factor on the location scores x_loc . B; it is learned, with an offset for each concept.
INITIAL_FACTOR = 10.0
#: A class rarer than this among the points weighs no more than one of this share.
MIN_CLASS_SHARE = 0.005
#: Side of the regions that are held out together.
BLOCK_DEGREES = 10.0
#: Least distance between a point that is learned from and one that is measured on.
MARGIN_KM = 100.0
#: Points against held-out points, at once.
CHUNK = 512


@dataclass(frozen=True)
class Geography:
    """Points of the Earth and what is true there.

    Attributes:
        coordinates: float64 (M, 2), degrees.
        truths: float32 (K, M): 1 where a concept is at home, 0 where it is not, NaN where nobody knows.
        held_out: bool (M,): points of the regions that the concepts are measured in.
        margin_km: points that are nearer than that to a held-out one are not learned from either: truth is
            smooth, and a neighbour across a region's edge would give it away.
    """

    coordinates: NDArray[np.float64]
    truths: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    margin_km: float = MARGIN_KM

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not belong together or no point is left to learn from."""
        count = len(self.coordinates)
        if self.truths.shape[1:] != (count,) or self.held_out.shape != (count,):
            raise ValueError(f"truths {self.truths.shape} do not belong to {count} points")
        if not self.learned.any():
            raise ValueError("every region is held out or beside one: there is nothing to learn from")

    @cached_property
    def learned(self) -> NDArray[np.bool_]:
        """The points (M,) that are learned from; what is neither learned nor held out is the margin."""
        learned = ~self.held_out
        learned[learned] = ~_near(self.coordinates[learned], self.coordinates[self.held_out], self.margin_km)
        return learned


def held_out_blocks(
    coordinates: NDArray[np.float64], share: float, seed: int, degrees: float = BLOCK_DEGREES
) -> NDArray[np.bool_]:
    """Marks the points (M, 2) of randomly drawn blocks of so many degrees, about `share` of the blocks.

    Returns:
        bool (M,). Points of one block are always on one side.
    """
    block_of = _blocks(coordinates, degrees)  # (M,)
    count = block_of.max() + 1
    drawn = np.random.default_rng(seed).permutation(count) < round(share * count)  # (B,)
    held_out: NDArray[np.bool_] = drawn[block_of]
    return held_out


def block_folds(
    coordinates: NDArray[np.float64], folds: int, seed: int, degrees: float = BLOCK_DEGREES
) -> NDArray[np.intp]:
    """The fold (M,) of each point (M, 2), for cross-validation: whole blocks, drawn at random."""
    block_of = _blocks(coordinates, degrees)  # (M,)
    fold_of: NDArray[np.intp] = np.random.default_rng(seed).permutation(block_of.max() + 1) % folds  # (B,)
    return fold_of[block_of]


def _near(points: NDArray[np.float64], others: NDArray[np.float64], distance_km: float) -> NDArray[np.bool_]:
    """Which points (P, 2) lie within a distance of one of the others (Q, 2), both in degrees: bool (P,)."""
    near = np.zeros(len(points), np.bool_)
    others = others[np.argsort(others[:, 0])]
    vectors, other_vectors = unit_vectors(*points.T), unit_vectors(*others.T)  # (P, 3), (Q, 3)
    radians = min(distance_km / EARTH_RADIUS_KM, math.pi)
    reach = math.degrees(radians) + 1e-9  # of latitude: farther north or south nothing is near
    order = np.argsort(points[:, 0])
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]  # (C,)
        south, north = points[rows[[0, -1]], 0]
        first, last = np.searchsorted(others[:, 0], (south - reach, north + reach))
        cosines = vectors[rows] @ other_vectors[first:last].T  # (C, B)
        near[rows] = (cosines >= math.cos(radians)).any(axis=1)
    return near


def _blocks(coordinates: NDArray[np.float64], degrees: float) -> NDArray[np.intp]:
    """The block (M,) that each point lies in, numbered from 0."""
    north, east = coordinates[:, 0] + 90.0, (coordinates[:, 1] + 180.0) % 360.0  # (M,), (M,)
    cells = np.floor(np.stack((north, east), axis=1) / degrees).astype(np.int64)  # (M, 2)
    block_of: NDArray[np.intp] = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    return block_of


class Grounding(nn.Module):
    """Logistic regressions from location scores to facts that share one factor; not part of the model.

    Each concept's two classes weigh the same, however rare one is, and each concept with a fact weighs the
    same as any other.
    """

    positive: Tensor
    negative: Tensor

    def __init__(self, truths: NDArray[np.float32]) -> None:
        """Takes the truths (K, M) of the points that are learned from."""
        super().__init__()
        known = np.maximum(np.isfinite(truths).sum(axis=1), 1)  # (K,)
        ones = np.nansum(truths, axis=1) / known  # (K,)
        usable = (ones > 0) & (ones < 1)
        positive = np.where(usable, 0.5 / np.maximum(ones, MIN_CLASS_SHARE), 0.0)  # (K,)
        negative = np.where(usable, 0.5 / np.maximum(1 - ones, MIN_CLASS_SHARE), 0.0)  # (K,)
        self.register_buffer("positive", torch.from_numpy(positive.astype(np.float32))[:, None])  # (K, 1)
        self.register_buffer("negative", torch.from_numpy(negative.astype(np.float32))[:, None])  # (K, 1)
        self.factor = nn.Parameter(torch.tensor(INITIAL_FACTOR))  # ()
        self.offset = nn.Parameter(torch.zeros(len(truths), 1))  # (K, 1)

    def forward(self, scores: Tensor, truths: Tensor) -> Tensor:
        """The mean weighted cross-entropy of scores x_loc . B (G, K) and truths (K, G), NaN left out."""
        logits = self.factor * scores.T - self.offset  # (K, G)
        known = torch.isfinite(truths)  # (K, G)
        target = torch.where(known, truths, torch.zeros_like(truths))  # (K, G)
        weight = torch.where(known, torch.where(target > 0.5, self.positive, self.negative), 0.0)  # (K, G)
        losses = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")  # (K, G)
        return (weight * losses).sum() / weight.sum().clamp_min(1.0)


def concept_auc(scores: NDArray[np.floating], truths: NDArray[np.float32]) -> NDArray[np.float64]:
    """Area under the ROC curve of each concept's scores (M, K) against its truths (K, M), by ranks.

    Ties count half (Mann-Whitney).

    Returns:
        (K,), NaN where a concept's known truths are all alike.
    """
    result = np.full(len(truths), np.nan)
    for row, truth in enumerate(truths):
        known = np.isfinite(truth)
        positive = truth[known] > 0.5
        ones = int(positive.sum())
        zeros = len(positive) - ones
        if ones and zeros:
            _, tie_of, sizes = np.unique(scores[known, row], return_inverse=True, return_counts=True)
            rank = np.cumsum(sizes) - (sizes - 1) / 2  # mean rank of each tie, from 1
            result[row] = (rank[tie_of][positive].sum() - ones * (ones + 1) / 2) / (ones * zeros)
    return result
