"""Numbers and words on the command line that ask for nothing, too much, or what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile.program import rows, run


@pytest.mark.row(34)
@pytest.mark.parametrize("count", ["0", "-1", "1e3", "", "\u0661\u0662x", "9" * 5000])
def test_a_top_k_of_nothing_is_a_usage_error(good: Path, count: str) -> None:
    done = run(good, f"--top-k={count}")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.row(34)
def test_a_top_k_above_the_gallery_is_clamped_with_a_note(good: Path) -> None:
    done = run(good, "-k", "999999999", "--ranking", "points", "--geocoder", "none")
    assert done.exit_code == 0
    assert "--top-k 999999999 gives no more" in done.stderr
    assert 10_000 < len(rows(done.stdout)) < 20_000


@pytest.mark.parametrize(
    "words",
    [
        ["--near", "nan,0,10"], ["--near", "0,0,-1"], ["--near", "91,0,10"], ["--bbox", "1,2,3"],
        ["--bbox", "inf,0,1,1"], ["--country", "XX"], ["--country", ","], ["--abstain", "nan"],
        ["--max-pixels", "0"], ["--batch-size", "0"], ["--workers", "-3"], ["--concepts", "-1"],
        ["--model", ""], ["--model", "../../etc"], ["--csv", ""], ["--geocoder", "no such"],
        ["--gallery", "/dev/null"], ["--resume", "--overwrite"], ["--csv", "-", "--jsonl", "-"],
        ["--nonsense"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_no_option_can_mean_is_refused_in_words(good: Path, words: list[str]) -> None:
    done = run(good, *words)
    assert done.exit_code in (1, 2)
    assert done.stdout == ""
    assert done.stderr
    assert isinstance(done.exception, SystemExit), done.exception
