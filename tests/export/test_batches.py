"""Batches meet every photo as often as any other, and none twice at once."""

from __future__ import annotations

import numpy as np
import pytest

from geolocate_export.batches import epoch_batches


@pytest.mark.parametrize(
    ("photos", "size", "steps"), [(10, 4, 9), (459, 128, 30), (5, 8, 4), (7, 7, 3), (9, 2, 1)]
)
def test_no_photo_is_twice_in_a_batch_where_two_rounds_meet(photos: int, size: int, steps: int) -> None:
    for seed in range(20):
        batches = epoch_batches(photos, size, steps, np.random.default_rng(seed))
        assert [len(batch) for batch in batches] == [min(size, photos)] * steps
        assert all(len(set(batch)) == len(batch) for batch in batches)
        order = np.concatenate(batches)
        for start in range(0, len(order), photos):
            whole = order[start : start + photos]
            assert len(set(whole)) == len(whole), "none comes again before all have come"


def test_without_steps_every_photo_comes_once_in_batches_of_nearly_one_size() -> None:
    batches = epoch_batches(103, 10, None, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(103))
    assert {len(batch) for batch in batches} == {9, 10}
    assert len(epoch_batches(3, 10, None, np.random.default_rng(0))) == 1
