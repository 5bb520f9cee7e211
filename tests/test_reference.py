"""Neighbours among the user's own photos, on embeddings drawn so that the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from geolocate.errors import UsageError
from geolocate.extra_points import Posterior
from geolocate.gallery import Gallery
from geolocate.reference import MODEL_ERROR, PRIOR_SHARE, Reference, Vote, knn_positions

Floats = NDArray[np.float64]
Embeddings = NDArray[np.float32]


def unit(rows: NDArray[np.floating]) -> Embeddings:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def reference(embeddings: Embeddings, coordinates: list[tuple[float, float]], **options: object) -> Reference:
    contents = [f"photo {row}" for row in range(len(embeddings))]
    return Reference(embeddings, np.array(coordinates, dtype=np.float64), contents, **options)  # type: ignore[arg-type]


@pytest.fixture
def places() -> tuple[Embeddings, Floats, NDArray[np.intp]]:
    """Photos of forty places all over the world, ten of each: alike within a place, and not else."""
    draw = np.random.default_rng(7)
    centres = np.stack((draw.uniform(-60, 60, 40), draw.uniform(-180, 180, 40)), axis=1)
    looks = draw.normal(size=(40, 32))
    of = np.repeat(np.arange(40), 10)
    embeddings = unit(looks[of] + 0.3 * draw.normal(size=(400, 32)))
    return embeddings, centres[of] + draw.normal(size=(400, 2)) * 0.002, of


def test_the_most_similar_photo_places_a_photo() -> None:
    look = np.eye(3, dtype=np.float32)
    album = reference(look, [(10, 20), (-30, 40), (50, -60)])
    assert knn_positions(album, unit(look + 0.1)).tolist() == [[10, 20], [-30, 40], [50, -60]]


def test_two_neighbours_that_agree_outvote_a_stronger_one() -> None:
    query = np.array([1, 0, 0], np.float32)
    alike = unit(np.array([[1, 0.10, 0], [1, 0.12, 0], [1, 0, 0.12], [0, 1, 0], [0, 0, 1], [0, -1, 0]]))
    where = [(0.0, 0.0), (45.0, 9.0), (45.0, 9.001), (20.0, 0), (30, 0), (40, 0)]
    assert knn_positions(reference(alike, where, k=3), query[None])[0].tolist() != [0.0, 0.0]
    assert knn_positions(reference(alike, where, k=1), query[None])[0].tolist() == [0.0, 0.0]


def test_the_density_is_that_of_gaussians_weighted_by_similarity() -> None:
    album = reference(np.ones((2, 1), np.float32), [(0, 0), (0, 0.01)], sigma_km=1.0)
    vote = album.vote(np.ones(1, np.float32))
    assert vote is not None
    assert vote.shares.tolist() == [0.5, 0.5]
    three = reference(np.ones((3, 1), np.float32), [(0, 0), (0, 0), (0, 90)])
    vote = three.vote(np.ones(1, np.float32))
    assert vote is not None
    assert sorted(vote.shares) == pytest.approx([1 / 5, 2 / 5, 2 / 5])  # densities 1, 2, 2


def test_a_photo_is_never_its_own_neighbour() -> None:
    album = reference(np.eye(2, dtype=np.float32), [(10, 20), (30, 40)])
    same = np.array([1, 0], np.float32)
    assert knn_positions(album, same[None], ["photo 0"]).tolist() == [[30, 40]]
    assert knn_positions(album, same[None], ["a renamed copy"]).tolist() == [[10, 20]]
    alone = reference(np.eye(1, dtype=np.float32), [(10, 20)])
    assert alone.vote(np.ones(1, np.float32), "photo 0") is None
    assert np.isnan(knn_positions(alone, np.ones((1, 1), np.float32), ["photo 0"])).all()


def test_the_weight_is_how_often_references_find_each_other(
    places: tuple[Embeddings, Floats, NDArray[np.intp]],
) -> None:
    embeddings, coordinates, _ = places
    shuffled = np.random.default_rng(1).permutation(len(coordinates))
    contents = [str(row) for row in range(400)]
    weights = []
    for where in (coordinates, coordinates[shuffled]):
        album = Reference(embeddings, where, contents)
        votes = [album.vote(embeddings[row], str(row)) for row in range(0, 400, 7)]
        weights.append(np.mean([album.evidence(vote)[1] for vote in votes if vote is not None]))
    assert weights[0] > 0.95
    assert weights[1] < 0.4  # of the neighbours, one in forty is of the place by chance, in ten tries


def test_stated_weights_hold_on_photos_that_were_not_asked(
    places: tuple[Embeddings, Floats, NDArray[np.intp]],
) -> None:
    embeddings, coordinates, of = places
    draw = np.random.default_rng(2)
    lost = draw.random(400) < 0.5  # half of the photos look like any place
    looks = embeddings.copy()
    looks[lost] = unit(draw.normal(size=(int(lost.sum()), 32)))
    known = draw.random(400) < 0.7
    album = Reference(looks[known], coordinates[known], [str(row) for row in np.flatnonzero(known)])
    stated, held = [], []
    for row in np.flatnonzero(~known):
        vote = album.vote(looks[row])
        assert vote is not None
        stated.append(album.evidence(vote)[1])
        held.append((of[known][vote.indices] == of[row]).any())
    assert np.mean(stated) == pytest.approx(np.mean(held), abs=0.1)
    stated_of_hits = np.mean(np.array(stated)[np.array(held)])
    assert stated_of_hits > np.mean(np.array(stated)[~np.array(held)]) + 0.3


def test_a_photo_unlike_all_of_the_album_gets_little_weight() -> None:
    draw = np.random.default_rng(5)
    village = unit(np.array([1.0] + [0.0] * 31) + 0.1 * draw.normal(size=(200, 32)))
    album = reference(village, [(43.46, 11.88)] * 200)
    own = album.vote(unit(np.array([1.0] + [0.0] * 31) + 0.1 * draw.normal(size=32)))
    other = album.vote(unit(draw.normal(size=32)))
    assert own is not None
    assert other is not None
    assert album.evidence(own)[1] > 0.95
    assert album.evidence(other)[1] < album.evidence(own)[1]
    assert album.odds(other) < 0.2 * album.odds(own)


def test_one_reference_is_worth_little() -> None:
    album = reference(np.eye(1, 4, dtype=np.float32), [(10, 20)])
    vote = album.vote(unit(np.ones(4)))
    assert vote is not None
    assert album.evidence(vote)[1] == pytest.approx(PRIOR_SHARE)


def test_the_model_may_doubt_a_reference_but_not_vouch_for_it() -> None:
    album = reference(np.eye(2, dtype=np.float32), [(10, 20), (30, 40)])
    vote = Vote(1.0, np.array([0, 1]), np.array([0.5, 0.5]))
    plain, certain = album.evidence(vote), album.evidence(vote, np.array([50.0, 50.0]))
    assert certain[1] == pytest.approx(plain[1])
    points, weight = album.evidence(vote, np.array([1.0, 0.0]))
    assert points.shares == pytest.approx([1 / (1 + MODEL_ERROR), MODEL_ERROR / (1 + MODEL_ERROR)])
    assert weight < plain[1]
    _, doubted = album.evidence(vote, np.zeros(2))
    odds = plain[1] / (1 - plain[1])
    assert doubted / (1 - doubted) == pytest.approx(odds * MODEL_ERROR)


def test_likelihoods_follow_from_the_strongest_point_of_the_gallery() -> None:
    draw = np.random.default_rng(9)
    gallery = Gallery(
        draw.uniform(-50, 50, (20, 2)),
        draw.integers(1, 9, 20).astype(np.float32),
        unit(draw.normal(size=(20, 8))),
    )
    photo, factor = unit(draw.normal(size=8)), 3.0
    likelihoods = np.exp(factor * gallery.embeddings.astype(np.float64) @ photo)
    shares = gallery.weights * likelihoods
    posterior = Posterior(gallery, (shares / shares.sum()).astype(np.float32))
    locations = unit(draw.normal(size=(2, 8)))
    album = reference(unit(draw.normal(size=(2, 8))), [(0, 0), (50, 50)], location_embeddings=locations)
    vote = album.vote(photo)
    assert vote is not None
    average = shares.sum() / gallery.weights.sum()
    expected = np.exp(factor * locations[vote.indices].astype(np.float64) @ photo) / average
    points, weight = album.evidence(vote, expected)
    fused = album.fused(posterior, photo, None, factor)
    assert fused.extra.shares == pytest.approx(points.shares * weight, rel=1e-4)
    assert fused.shares.sum() + fused.extra.shares.sum() == pytest.approx(1.0)


def test_a_weight_of_one_leaves_only_the_neighbours() -> None:
    gallery = Gallery(np.array([[0.0, 0], [5, 5]]), np.ones(2, np.float32), np.eye(2, dtype=np.float32))
    album = reference(np.eye(2, dtype=np.float32), [(10, 20), (10, 20)], weight=1.0)
    fused = album.fused(Posterior(gallery, np.array([0.9, 0.1])), np.array([1, 0], np.float32), None, 5.0)
    assert fused.rank(5, "merged") == [(2, pytest.approx(1.0))]
    assert fused.credible_radius_km(2) == pytest.approx(1.18, abs=0.05)  # sigma * sqrt(2 ln 2)


def test_no_number_of_the_model_stays_no_number() -> None:
    gallery = Gallery(np.array([[0.0, 0]]), np.ones(1, np.float32), np.ones((1, 1), np.float32))
    album = reference(np.ones((1, 1), np.float32), [(10, 20)])
    nothing = Posterior(gallery, np.array([np.nan]))
    assert not album.fused(nothing, np.array([np.nan], np.float32), None, 5.0).is_finite()


@pytest.mark.parametrize("options", [{"k": 0}, {"sigma_km": 0.0}, {"weight": 0.0}, {"weight": 1.5}])
def test_what_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        reference(np.ones((1, 1), np.float32), [(0, 0)], **options)
    with pytest.raises(UsageError, match="at least one photo"):
        reference(np.empty((0, 1), np.float32), [])
