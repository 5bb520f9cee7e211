"""Do circles hold what they state: on posteriors whose truth is drawn from them, and after a fit."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate.errors import UsageError
from geolocate.evaluation.calibration import (
    FEWEST_PHOTOS,
    MASSES,
    TEMPERATURES,
    Coverage,
    binomial_interval,
    calibration_error,
    coverages,
    fit_temperature,
    level_of,
    levels_at_temperatures,
)
from geolocate.gallery import Gallery
from geolocate.sphere import great_circle_km

DRAWS = 10_000


def gallery_of(rng: np.random.Generator, size: int) -> Gallery:
    """Points crowded as photos are: a third all over the globe, the others round a few cities."""
    cities = np.stack((rng.uniform(-50, 65, 12), rng.uniform(-180, 180, 12)), axis=1)
    crowd = cities[rng.integers(12, size=size - size // 3)] + rng.normal(0, 1.5, (size - size // 3, 2))
    spread = np.stack(
        (np.degrees(np.arcsin(rng.uniform(-1, 1, size // 3))), rng.uniform(-180, 180, size // 3)), axis=1
    )
    points = np.concatenate((spread, crowd))
    points[:, 1] = (points[:, 1] + 180) % 360 - 180
    return Gallery(points, np.ones(size, np.float32), np.zeros((size, 2), np.float32))


def diffuse(rng: np.random.Generator, size: int, highest: float) -> np.ndarray:
    """A posterior (M,) of which no point has more than `highest`."""
    posterior = rng.gamma(0.5, size=size)
    while (posterior / posterior.sum()).max() > highest:
        posterior = np.minimum(posterior, 0.9 * highest * posterior.sum())
    return (posterior / posterior.sum()).astype(np.float32)


@pytest.mark.parametrize("stated", [0.5, 0.9])
@pytest.mark.parametrize("ranking", ["merged", "points"])
def test_circles_of_diffuse_posteriors_hold_what_they_state_and_at_most_two_points_more(
    stated: float, ranking: str
) -> None:
    rng = np.random.default_rng(20)
    gallery = gallery_of(rng, 3000)
    hits, exact = 0, []
    for _ in range(50):
        posterior = diffuse(rng, 3000, 0.01)
        ((index, _share),) = gallery.rank(posterior, 1, ranking)  # type: ignore[arg-type]
        radius = gallery.credible_radius_km(index, posterior, stated)
        inside = great_circle_km(gallery.vectors, gallery.vectors[index]) <= radius
        exact.append(float(posterior[inside].sum(dtype=np.float64)))
        shares = posterior.astype(np.float64)
        truth = rng.choice(3000, size=DRAWS // 50, p=shares / shares.sum())
        hits += int(inside[truth].sum())
    assert min(exact) >= stated - 1e-6
    assert max(exact) <= stated + 0.02
    low, high = binomial_interval(hits, DRAWS)
    assert low <= stated + 0.02
    assert high >= stated


def test_circles_of_sharp_posteriors_hold_no_less_than_they_state() -> None:
    rng = np.random.default_rng(21)
    gallery = gallery_of(rng, 500)
    hits = 0
    for _ in range(100):
        posterior = rng.dirichlet(np.full(500, 0.01)).astype(np.float32)
        ((index, _share),) = gallery.rank(posterior, 1, "points")
        radius = gallery.credible_radius_km(index, posterior)
        truth = rng.choice(500, size=DRAWS // 100, p=posterior.astype(float) / posterior.sum(dtype=float))
        distances = great_circle_km(gallery.vectors, gallery.vectors[index])
        hits += int((distances[truth] <= radius).sum())
    assert hits / DRAWS >= 0.5


def test_levels_of_a_truthful_posterior_are_uniform_and_its_calibration_error_small() -> None:
    rng = np.random.default_rng(22)
    gallery = gallery_of(rng, 2000)
    levels = []
    for _ in range(1500):
        posterior = diffuse(rng, 2000, 0.01)
        distances = great_circle_km(gallery.vectors, gallery.vectors[int(posterior.argmax())])
        truth = rng.choice(2000, p=posterior.astype(float) / posterior.sum(dtype=float))
        levels.append(level_of(posterior, distances, float(distances[truth])))
    assert calibration_error(np.array(levels)) < 0.03


def test_coverage_and_error_of_cases_worked_out_by_hand() -> None:
    assert coverages(np.array([0.0, 0.4, 0.8]), np.array([0.01, 0.4, 0.41, 0.9])) == pytest.approx(
        [1 / 3, 1 / 3, 2 / 3, 1]
    )
    assert calibration_error(np.zeros(9)) == pytest.approx(0.5)  # says half and holds all
    assert calibration_error(np.ones(9)) == pytest.approx(0.5)
    assert calibration_error((np.arange(1000) + 0.5) / 1000) < 0.001
    posterior = np.array([0.5, 0.3, 0.2], np.float32)
    assert level_of(posterior, np.array([0.0, 10, 20]), 10.0) == pytest.approx(0.5)
    assert level_of(posterior, np.array([0.0, 10, 20]), 0.0) == 0.0


def test_photos_without_a_radius_or_a_prediction_are_no_part_of_the_coverage() -> None:
    found = Coverage.of(0.5, np.array([10, np.nan, 10, 30]), np.array([5, 5, np.nan, 31]))
    assert found is not None
    assert (found.hits, found.n, found.share, found.median_radius_km) == (1, 2, 0.5, 20)
    assert Coverage.of(0.5, np.full(3, np.nan), np.ones(3)) is None


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [(5, 10, (0.2366, 0.7634)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (0, 0, (0.0, 1.0))],
)
def test_binomial_intervals_are_wilson_s(hits: int, count: int, expected: tuple[float, float]) -> None:
    assert binomial_interval(hits, count) == pytest.approx(expected, abs=1e-4)


def levels_of_overconfident(count: int, factor: float) -> np.ndarray:
    """Levels (N, T) of photos whose logits are `factor` times too sharp, from posteriors on a line."""
    rng = np.random.default_rng(23)
    places = np.arange(200, dtype=np.float64)
    found = []
    for _ in range(count):
        honest = rng.normal(0, 2, 200)
        shares = np.exp(honest) / np.exp(honest).sum()
        truth = float(rng.choice(200, p=shares))

        def level(posterior: np.ndarray, truth: float = truth) -> float:
            guess = float(posterior.argmax())
            return level_of(posterior, np.abs(places - guess), abs(truth - guess))

        stated = (honest * factor).astype(np.float32)
        found.append(levels_at_temperatures(stated, np.zeros(200, np.float32), 1.0, level))
    return np.array(found)


def test_a_model_that_is_twice_too_sure_gets_a_temperature_of_about_two() -> None:
    fit = fit_temperature(levels_of_overconfident(600, 2.0))
    assert 1.6 < fit.factor < 2.5
    assert fit.error_after < fit.error_before / 2
    for stated, hits in fit.held_out:
        low, high = binomial_interval(hits, fit.n)
        assert low <= stated <= high


def test_an_honest_model_keeps_its_temperature() -> None:
    fit = fit_temperature(levels_of_overconfident(600, 1.0))
    assert 0.85 < fit.factor < 1.2


def test_few_photos_are_refused() -> None:
    with pytest.raises(UsageError, match=f"at least {FEWEST_PHOTOS} photos with a position, here are 49"):
        fit_temperature(np.zeros((49, len(TEMPERATURES))))


def test_the_masses_are_every_per_cent() -> None:
    assert MASSES[[0, 49, -1]] == pytest.approx([0.01, 0.5, 0.99])
