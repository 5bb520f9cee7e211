"""Regions are held out whole, unknown truth counts for nothing, and the AUC is that of its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolocate.sphere import chord_to_km, unit_vectors
from geolocate_export.grounding import (
    MARGIN_KM,
    Geography,
    Grounding,
    block_folds,
    concept_auc,
    held_out_blocks,
)


def test_points_of_one_block_are_on_one_side_also_where_the_date_line_cuts_it() -> None:
    points = np.random.default_rng(1).uniform((-90, -180), (90, 180), size=(20_000, 2))
    held_out = held_out_blocks(points, 0.25, seed=3)
    assert 0.2 < held_out.mean() < 0.3
    cells = np.floor((points + np.array([90.0, 180.0])) / 10).astype(int)
    for cell in np.unique(cells, axis=0):
        assert len(set(held_out[(cells == cell).all(axis=1)])) == 1
    west, east = np.array([[5.0, -180.0]]), np.array([[5.0, 180.0]])
    both = held_out_blocks(np.concatenate((points, west, east)), 0.25, seed=3)
    assert both[-1] == both[-2]


def test_the_same_seed_holds_out_the_same_regions_and_another_others() -> None:
    points = np.random.default_rng(1).uniform((-90, -180), (90, 180), size=(2000, 2))
    assert np.array_equal(held_out_blocks(points, 0.3, 1), held_out_blocks(points, 0.3, 1))
    assert not np.array_equal(held_out_blocks(points, 0.3, 1), held_out_blocks(points, 0.3, 2))


def test_nothing_is_learned_near_what_is_measured_at_the_poles_and_the_date_line_too() -> None:
    points = np.random.default_rng(4).uniform((-90, -180), (90, 180), (3000, 2))
    held_out = held_out_blocks(points, 0.2, seed=1)
    truths = np.ones((1, 3000), np.float32)
    learned = Geography(points, truths, held_out).learned
    vectors = unit_vectors(*points.T)
    nearest = chord_to_km(
        np.sqrt(np.maximum(0.0, 2 - 2 * vectors @ vectors[held_out].T)).min(axis=1)
    )  # (M,) km
    assert np.array_equal(learned, nearest > MARGIN_KM)
    assert 0.01 < (~learned & ~held_out).mean() < 0.1, "there is a margin, and it costs little"
    assert np.array_equal(Geography(points, truths, held_out, margin_km=0.0).learned, ~held_out)
    nowhere = np.zeros(3000, np.bool_)
    assert Geography(points, truths, nowhere).learned.all()


def test_folds_cut_the_world_into_whole_blocks() -> None:
    points = np.random.default_rng(0).uniform((-90, -180), (90, 180), (3000, 2))
    folds = block_folds(points, 5, seed=1)
    assert set(folds) == set(range(5))
    assert np.bincount(folds).min() > 400
    cells = np.floor(np.add(points, (90, 180)) / 10).astype(int)
    for cell in np.unique(cells, axis=0):
        assert len(set(folds[(cells == cell).all(axis=1)])) == 1


def test_the_auc_is_the_share_of_pairs_in_the_right_order_ties_counting_half() -> None:
    generator = np.random.default_rng(2)
    scores = generator.integers(0, 6, size=(40, 3)).astype(np.float32)
    truths = (generator.random((3, 40)) < 0.4).astype(np.float32)
    truths[generator.random((3, 40)) < 0.2] = np.nan
    for row, found in enumerate(concept_auc(scores, truths)):
        ones, zeros = scores[truths[row] == 1, row], scores[truths[row] == 0, row]
        pairs = [(a > b) + 0.5 * (a == b) for a in ones for b in zeros]
        assert found == pytest.approx(np.mean(pairs))


def test_a_concept_whose_truth_is_all_alike_has_no_auc() -> None:
    truths = np.array([[1, 1, np.nan], [0, 0, 0], [np.nan] * 3], np.float32)
    assert np.isnan(concept_auc(np.zeros((3, 3), np.float32), truths)).all()


def test_unknown_truth_and_concepts_without_facts_push_nothing() -> None:
    truths = np.array([[1, 0, np.nan, 0], [np.nan] * 4, [1, 1, 1, 1]], np.float32)
    scores = torch.zeros(4, 3, requires_grad=True)
    Grounding(truths)(scores, torch.from_numpy(truths)).backward()
    assert scores.grad is not None
    moved = scores.grad.numpy() != 0
    assert moved[:, 0].tolist() == [True, True, False, True]
    assert not moved[:, 1:].any()


def test_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    truth = (np.arange(1000) < 20).astype(np.float32)[None]  # 2 %
    scores = torch.zeros(1000, 1, requires_grad=True)
    Grounding(truth)(scores, torch.from_numpy(truth)).backward()
    assert scores.grad is not None
    pushes = scores.grad[:, 0].numpy()
    assert pushes[:20].sum() == pytest.approx(-pushes[20:].sum(), rel=1e-4)
    assert pushes[0] < 0 < pushes[-1], "true points are drawn up, false ones down"


def test_geography_whose_parts_do_not_belong_together_is_refused() -> None:
    points, truths = np.zeros((3, 2)), np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="do not belong"):
        Geography(points, truths[:, :2], np.zeros(3, np.bool_))
    with pytest.raises(ValueError, match="nothing to learn"):
        Geography(points, truths, np.ones(3, np.bool_))
    with pytest.raises(ValueError, match="nothing to learn"):
        Geography(points, truths, np.array([True, False, False]))
