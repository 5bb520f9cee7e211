"""The concept module's mathematics: each loss against its formula written out, and its gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from geolocate_export.concept_alignment import (
    AlignmentConfig,
    ConceptAlignment,
    ConceptConfig,
    cauchy_schwarz_divergence,
    contrast,
    divergence,
    kernel_width,
    mean_divergence,
    seeded_basis,
)


def samples(count: int, width: int, seed: int) -> Tensor:
    """L2-normalised float64 rows, as concept scores are."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, width, generator=generator, dtype=torch.float64)
    return functional.normalize(rows, dim=1)


def kernel(a: Tensor, b: Tensor, s: float) -> float:
    return math.exp(-float(((a - b) ** 2).sum()) / (2 * s * s))


@pytest.mark.parametrize("s", [0.3, 1.0, 4.0])
def test_equation_6_as_printed_matches_two_means_and_nothing_else(s: float) -> None:
    images, locations = samples(7, 5, 1), samples(7, 5, 2)

    def printed(a: Tensor, b: Tensor) -> float:
        return sum(math.log(kernel(u, v, s)) for u in a for v in b) / (len(a) * len(b))

    literal = printed(images, images) + printed(locations, locations) - 2 * printed(images, locations)
    closed = float(mean_divergence(images, locations, torch.tensor(s, dtype=torch.float64)))
    assert closed == pytest.approx(literal, rel=1e-9)
    difference = images.mean(0) - locations.mean(0)
    assert closed == pytest.approx(float(difference @ difference) / s**2, rel=1e-9)


def test_cauchy_schwarz_has_its_logarithms_outside_the_sums() -> None:
    images, locations, s = samples(6, 4, 3), samples(6, 4, 4), 0.7

    def mean(a: Tensor, b: Tensor) -> float:
        return sum(kernel(u, v, s) for u in a for v in b) / (len(a) * len(b))

    expected = math.log(mean(images, images)) + math.log(mean(locations, locations))
    expected -= 2 * math.log(mean(images, locations))
    found = float(cauchy_schwarz_divergence(images, locations, torch.tensor(s, dtype=torch.float64)))
    assert found == pytest.approx(expected, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 9), m=st.integers(1, 9), k=st.integers(1, 6), seed=st.integers(0, 2**16),
    s=st.floats(0.05, 10.0),
)  # fmt: skip
def test_cauchy_schwarz_is_never_negative_symmetric_and_zero_for_equal_samples(
    n: int, m: int, k: int, seed: int, s: float
) -> None:
    a, b, width = samples(n, k, seed), samples(m, k, seed + 1), torch.tensor(s, dtype=torch.float64)
    forward, backward = cauchy_schwarz_divergence(a, b, width), cauchy_schwarz_divergence(b, a, width)
    assert float(forward) >= -1e-9
    assert float(forward) == pytest.approx(float(backward), abs=1e-9)
    assert float(cauchy_schwarz_divergence(a, a, width)) == pytest.approx(0.0, abs=1e-9)


def test_cauchy_schwarz_tells_apart_what_equal_means_hide() -> None:
    """Two samples of one mean: equation 6 sees no difference, the Cauchy-Schwarz divergence does."""
    wide = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    tall = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
    assert float(divergence("mean", wide, tall)) == 0
    assert float(divergence("cs", wide, tall)) > 0.1
    assert float(divergence("none", wide, tall)) == 0


def test_the_kernel_is_as_wide_as_the_median_distance_and_lets_no_gradient_through() -> None:
    a, b = samples(4, 3, 5).requires_grad_(), samples(4, 3, 6)
    both = torch.cat((a, b)).detach()
    distances = sorted(float((both[i] - both[j]).norm()) for i in range(8) for j in range(i))
    width = kernel_width(a, b)
    assert float(width) == pytest.approx(distances[(len(distances) - 1) // 2])
    assert not width.requires_grad


def test_equal_samples_divide_nothing_by_zero() -> None:
    rows = torch.ones(3, 4, requires_grad=True)
    loss = divergence("cs", rows, torch.ones(3, 4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize("measure", [cauchy_schwarz_divergence, mean_divergence])
def test_gradients_of_the_divergences_are_those_of_finite_differences(measure: object) -> None:
    a, b = samples(4, 3, 7).requires_grad_(), samples(5, 3, 8).requires_grad_()
    width = torch.tensor(0.8, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, y: measure(x, y, width), (a, b))  # type: ignore[operator]


def test_gradients_of_the_contrast_are_those_of_finite_differences() -> None:
    images, locations = samples(3, 4, 9).requires_grad_(), samples(6, 4, 10).requires_grad_()
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(contrast, (images, locations, scale))


def test_gradients_of_the_module_are_those_of_finite_differences() -> None:
    torch.manual_seed(11)
    module = ConceptAlignment(ConceptConfig(5, hidden=3), 4).double()
    with torch.no_grad():
        module.image_output.weight.normal_()
    x_img, x_loc = samples(3, 4, 12).requires_grad_(), samples(3, 4, 13).requires_grad_()
    delta = module.delta.detach().clone().normal_(std=0.1).requires_grad_()

    def loss(x_img: Tensor, x_loc: Tensor, delta: Tensor) -> Tensor:
        z_loc = functional.normalize(x_loc @ (module.anchor + delta).T, dim=1)
        z_img = module(x_img)
        return contrast(z_img, z_loc, module.logit_scale) + cauchy_schwarz_divergence(
            z_img, z_loc, torch.tensor(0.5, dtype=torch.float64)
        )

    assert torch.autograd.gradcheck(loss, (x_img, x_loc, delta))


def test_the_contrast_is_the_formula_of_equation_4_with_the_queue_as_further_negatives() -> None:
    images, locations, scale = samples(2, 3, 14), samples(5, 3, 15), torch.tensor(math.log(4.0))
    expected = 0.0
    for i in range(2):
        powers = [math.exp(4.0 * float(images[i] @ locations[j])) for j in range(5)]
        expected -= math.log(powers[i] / sum(powers)) / 2
    assert float(contrast(images, locations, scale)) == pytest.approx(expected)


def test_excluded_pairs_are_no_negatives() -> None:
    images, locations, scale = samples(2, 3, 16), samples(4, 3, 17), torch.tensor(1.0)
    excluded = torch.tensor([[False, False, True, False], [False, False, True, False]])
    without = contrast(images, locations[[0, 1, 3]], scale)
    assert float(contrast(images, locations, scale, excluded)) == pytest.approx(float(without))


def test_both_sides_begin_alike_and_are_of_unit_length() -> None:
    torch.manual_seed(18)
    module = ConceptAlignment(ConceptConfig(7), 6)
    x = samples(5, 6, 19).float()
    torch.testing.assert_close(module(x), module.location_scores(x))
    torch.testing.assert_close(module(x), functional.normalize(x @ module.basis.T, dim=1))
    with torch.no_grad():
        module.delta.normal_()
        module.image_output.bias.normal_()
    torch.testing.assert_close(module(x).norm(dim=1), torch.ones(5))
    torch.testing.assert_close(module.location_scores(x).norm(dim=1), torch.ones(5))


def test_of_the_basis_only_delta_is_learned() -> None:
    module = ConceptAlignment(ConceptConfig(7), 6)
    assert torch.equal(module.basis, module.anchor)
    names = {name for name, _ in module.named_parameters()}
    assert "delta" in names
    assert "anchor" not in names


def test_a_basis_is_taken_by_its_directions() -> None:
    module = ConceptAlignment(ConceptConfig(3), 4)
    module.start_from(torch.eye(3, 4) * 5)
    assert torch.equal(module.basis, torch.eye(3, 4))
    with pytest.raises(ValueError, match="expected"):
        module.start_from(torch.eye(4))
    with pytest.raises(ValueError, match="no direction"):
        module.start_from(torch.zeros(3, 4))


@pytest.mark.parametrize("count", [3, 8, 19])
def test_the_seeded_basis_is_orthonormal_as_far_as_the_space_has_room(count: int) -> None:
    basis = seeded_basis(count, 8)
    assert basis.shape == (count, 8)
    assert torch.equal(basis, seeded_basis(count, 8))
    torch.testing.assert_close(basis.norm(dim=1), torch.ones(count))
    block = basis[:8]
    torch.testing.assert_close(block @ block.T, torch.eye(len(block)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("wrong", [{"space": "z"}, {"divergence": "kl"}, {"weight": -1.0}])
def test_a_switch_without_such_a_position_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no (space|divergence)|at least 0"):
        AlignmentConfig(**wrong)  # type: ignore[arg-type]
