"""JSON of strangers is parsed within limits."""

from __future__ import annotations

import time

import pytest

from geolocate.untrusted_json import MAX_DEPTH, parse_json


def test_what_json_allows_is_read() -> None:
    assert parse_json('{"é": [1, -2.5e3, true, null, "\\ud83d\\ude00"]}'.encode()) == {
        "é": [1, -2500.0, True, None, "😀"]
    }
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * 100_000, "nested too deep"),
        (b"[" * 1_000_000 + b"]" * 1_000_000, "nested too deep"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "nested too deep"),
        (b'{"a": {"b": NaN}}', "a.b: a number that is not finite"),
        (b"[-Infinity]", "not finite"),
        (b"[1e400]", "not finite"),
        (b'{"size": 1, "size": 2}', "'size' is there twice"),
        (b'{"a": "\\ud800"}', "a: half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b"1" * 10_000_000, "integer string conversion"),
        (b"\xff", "utf-8"),
        (b"\xed\xa0\x80", "utf-8"),
        (b"", "Expecting value"),
        (b"{}x", "Extra data"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_it_does_not_is_refused_quickly_and_in_printable_words(data: bytes, message: str) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError, match=message) as caught:
        parse_json(data)
    assert time.process_time() - begun < 5, "a quadratic parser would take minutes"
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
