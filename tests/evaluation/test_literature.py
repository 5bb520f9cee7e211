"""The published tables are the literature's, name their sources, and come with what must be said of them."""

from __future__ import annotations

import pytest
from conftest import SHARED

from geolocate.evaluation.literature import (
    BENCHMARKS,
    CAVEAT_SOURCE,
    DATA_PATH,
    guess_benchmark,
    published_rows,
)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_each_benchmark_has_a_table_whose_rows_name_their_source(benchmark: str) -> None:
    rows = published_rows(benchmark)
    assert rows
    for row in rows:
        assert row.source
        shares = [share for share in row.within if share is not None]
        assert shares == sorted(shares)
        assert all(0 <= share <= 100 for share in shares)


def test_geoclip_on_im2gps3k_is_as_published_and_the_papers_own_run_stands_beside_it() -> None:
    rows = {row.method: row for row in published_rows("im2gps3k")}
    assert rows["GeoCLIP"].within == (14.11, 34.47, 50.65, 69.67, 83.82)
    assert [row.method for row in rows.values() if CAVEAT_SOURCE in row.source] == [
        "GeoCLIP (rerun by arXiv 2509.01910)",
        "Concept-aware alignment",
    ]
    assert rows["StreetCLIP"].within[0] is None


def test_the_shipped_table_is_the_projects() -> None:
    original = SHARED / "published_accuracy.csv"
    if not original.is_file():
        pytest.skip("the literature's table does not lie beside the repository")
    assert DATA_PATH.read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("name", "benchmark"),
    [
        ("data/im2gps3k_places365.csv", "im2gps3k"),
        ("Im2GPS-3k.csv", "im2gps3k"),
        ("yfcc4k.csv", "yfcc4k"),
        ("GWS15k/truth.csv", "gws15k"),
        ("mine.csv", None),
        ("im2gps3k_and_yfcc4k.csv", None),
    ],
)
def test_the_benchmark_is_guessed_from_the_name(name: str, benchmark: str | None) -> None:
    assert guess_benchmark(name) == benchmark
