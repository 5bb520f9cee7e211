"""A prediction in the journal is the prediction that was written."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geolocate.records import Candidate, Position, Prediction
from geolocate.writers.prediction_json import prediction_from_json, prediction_to_json

#: Names of files may hold bytes that are no text, which arrive as lone low surrogates.
escapes = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
texts = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), escapes), max_size=8)
st.register_type_strategy(str, texts)
st.register_type_strategy(float, st.floats(allow_nan=False))


@given(st.builds(Prediction))
def test_every_prediction_comes_back_equal(prediction: Prediction) -> None:
    line = prediction_to_json(prediction)
    assert b"\n" not in line
    assert prediction_from_json(json.loads(line)) == prediction


def test_a_number_of_numpy_comes_back_with_every_digit() -> None:
    share = np.float32(0.1)
    prediction = Prediction("a.jpg", (Candidate(1, Position(1.0, 2.0), share),))  # type: ignore[arg-type]
    (candidate,) = prediction_from_json(json.loads(prediction_to_json(prediction))).candidates
    assert candidate.probability == float(share)
