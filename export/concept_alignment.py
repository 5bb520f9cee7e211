"""The Concept-Aware Alignment Module: concepts between images and locations, and the losses that align them.

Reference: arXiv 2509.01910 ("the paper" below; cited as hou2025towards). Where it is silent, ambiguous or
wrong, this module says what it does instead:
- Its equation 6 has the logarithm inside the double sum and so matches two means and nothing else; it is
  `mean` here. `cs` is the Cauchy-Schwarz divergence of the work that it builds on (CS-Aligner, arXiv
  2502.17028).
- Whether the contrast lives in the feature space or in the concept space has two readings: `space` chooses.
- Scores are L2-normalised on both sides: else the loss can grow their norms instead of aligning them.

N photos or locations, M locations that a photo is contrasted with, K concepts, d width of the shared space,
H hidden width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

Space = Literal["feature", "concept", "both"]
Divergence = Literal["cs", "mean", "none"]

#: First temperature of the contrast in the concept space, CLIP's; it is learned.
INITIAL_TEMPERATURE = 0.07
#: Kernel widths stay above this, so that equal samples divide nothing by zero.
MIN_KERNEL_WIDTH = 1e-4


@dataclass(frozen=True, slots=True)
class ConceptConfig:
    """Sizes of the module.

    Attributes:
        count: K.
        hidden: H of the image side's MLP.
    """

    count: int
    hidden: int = 256

    def __post_init__(self) -> None:
        """Raises ValueError where a size is below 1."""
        if self.count < 1 or self.hidden < 1:
            raise ValueError(
                f"{self.count} concepts and a hidden width of {self.hidden}: both are at least 1"
            )


@dataclass(frozen=True, slots=True)
class AlignmentConfig:
    """What the module is trained with.

    Attributes:
        space: where photos are contrasted with locations; retrieval is in the feature space whatever it is.
        divergence: between the concept scores of photos and of their locations.
        weight: w, of the divergence; the paper does not print its own.
    """

    space: Space = "both"
    divergence: Divergence = "cs"
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError where a switch has no such position or the weight is below 0."""
        for name, value, known in (
            ("space", self.space, get_args(Space)),
            ("divergence", self.divergence, get_args(Divergence)),
        ):
            if value not in known:
                raise ValueError(f"no {name} '{value}'; there are {', '.join(known)}")
        if not self.weight >= 0:
            raise ValueError(f"the divergence's weight is {self.weight}, at least 0 is expected")


class ConceptAlignment(nn.Module):
    """Image and location embeddings to scores of K concepts.

    The basis B = E_concept + Delta (K, d) is frozen but for Delta, which starts at 0. Locations:
    unit(B x_loc), a plain product. Images: unit(f_img(x_img)), f_img a linear map with an MLP beside it; the
    first starts as E_concept and the second at zero, so that both sides begin alike.
    """

    anchor: Tensor

    def __init__(self, config: ConceptConfig, embedding_dim: int) -> None:
        super().__init__()
        self.register_buffer("anchor", torch.zeros(config.count, embedding_dim))  # (K, d) E_concept
        self.delta = nn.Parameter(torch.zeros(config.count, embedding_dim))  # (K, d)
        self.image_linear = nn.Linear(embedding_dim, config.count, bias=False)  # (N, d) -> (N, K)
        self.image_hidden = nn.Linear(embedding_dim, config.hidden)  # (N, d) -> (N, H)
        self.image_output = nn.Linear(config.hidden, config.count)  # (N, H) -> (N, K)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / INITIAL_TEMPERATURE)))  # ()
        self.start_from(seeded_basis(config.count, embedding_dim))

    @torch.no_grad()
    def start_from(self, basis: Tensor) -> None:
        """Takes (K, d) as E_concept and puts both sides at their start.

        Raises:
            ValueError: another shape, or a direction of no length.
        """
        if basis.shape != self.anchor.shape:
            raise ValueError(f"a basis {tuple(basis.shape)}, expected {tuple(self.anchor.shape)}")
        if not (torch.isfinite(basis).all() and (basis.norm(dim=1) > 0).all()):
            raise ValueError("a concept has no direction")
        self.anchor.copy_(functional.normalize(basis, dim=1))
        self.delta.zero_()
        self.image_linear.weight.copy_(self.anchor)
        self.image_output.weight.zero_()
        self.image_output.bias.zero_()

    @property
    def basis(self) -> Tensor:
        """B (K, d), not normalised."""
        return self.anchor + self.delta

    def location_scores(self, x_loc: Tensor) -> Tensor:
        """z_loc: location embeddings (N, d) to L2-normalised concept scores (N, K)."""
        return functional.normalize(x_loc @ self.basis.T, dim=-1)

    def forward(self, x_img: Tensor) -> Tensor:
        """z_img: image embeddings (N, d) to L2-normalised concept scores (N, K)."""
        beside = self.image_output(functional.relu(self.image_hidden(x_img)))  # (N, K)
        return functional.normalize(self.image_linear(x_img) + beside, dim=-1)


def seeded_basis(count: int, embedding_dim: int, seed: int = 2509_01910) -> Tensor:
    """E_concept where there is no text tower: unit rows (K, d), always the same.

    Orthonormal as far as K <= d; beyond, blocks of d rows that are orthonormal among themselves.
    """
    generator = torch.Generator().manual_seed(seed)
    blocks = []
    for start in range(0, count, embedding_dim):
        gaussian = torch.randn(embedding_dim, embedding_dim, generator=generator, dtype=torch.float64)
        rows = torch.linalg.qr(gaussian).Q.T  # (d, d)
        blocks.append(rows[: min(embedding_dim, count - start)])
    return torch.cat(blocks).float()  # (K, d)


def contrast(
    images: Tensor, locations: Tensor, logit_scale: Tensor, excluded: Tensor | None = None
) -> Tensor:
    """The mean cross-entropy of each photo against all locations, image to location only (equation 4).

    Args:
        images: L2-normalised (N, d) or (N, K).
        locations: as wide (M, .), M >= N: row i belongs to photo i, the others are negatives.
        logit_scale: logarithm of the factor on the cosines, ().
        excluded: bool (N, M), pairs that are no negatives; never those of one index.
    """
    logits = logit_scale.exp() * images @ locations.T  # (N, M)
    if excluded is not None:
        logits = logits.masked_fill(excluded, -torch.inf)
    return functional.cross_entropy(logits, torch.arange(len(images), device=images.device))


def kernel_width(a: Tensor, b: Tensor) -> Tensor:
    """s of the Gaussian kernel by the median heuristic over both samples (N, K), (M, K); () and detached."""
    with torch.no_grad():
        both = torch.cat((a, b)).detach()  # (N + M, K)
        distances = _squared_distances(both, both)  # (N + M, N + M)
        row, column = torch.triu_indices(len(both), len(both), offset=1, device=both.device)
        # Two samples have no off-diagonal pair less than one, so the median is over something.
        return distances[row, column].median().sqrt().clamp_min(MIN_KERNEL_WIDTH)


def cauchy_schwarz_divergence(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    """D_CS of two samples (N, K), (M, K): at least 0, and 0 for equal samples.

    log mean k(a, a') + log mean k(b, b') - 2 log mean k(a, b) with the Gaussian kernel
    k(u, v) = exp(-|u - v|^2 / (2 s^2)), s = `width`.
    """
    return (
        _log_mean_kernel(a, a, width)
        + _log_mean_kernel(b, b, width)
        - 2 * _log_mean_kernel(a, b, width)
    )  # fmt: skip


def mean_divergence(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    """Equation 6 of the paper as printed, in closed form: |mean(a) - mean(b)|^2 / s^2."""
    difference = a.mean(dim=0) - b.mean(dim=0)  # (K,)
    return (difference @ difference) / width.square()


def divergence(kind: Divergence, z_img: Tensor, z_loc: Tensor) -> Tensor:
    """The divergence of two sets of scores (N, K), its kernel as wide as the scores are apart."""
    if kind == "none":
        return z_img.new_zeros(())
    width = kernel_width(z_img, z_loc)  # ()
    measure = cauchy_schwarz_divergence if kind == "cs" else mean_divergence
    return measure(z_img, z_loc, width)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 (N, M) by one matrix product."""
    return (a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T).clamp_min(0.0)


def _log_mean_kernel(a: Tensor, b: Tensor, width: Tensor) -> Tensor:
    exponents = -_squared_distances(a, b) / (2 * width.square())  # (N, M)
    return exponents.flatten().logsumexp(0) - math.log(exponents.numel())
