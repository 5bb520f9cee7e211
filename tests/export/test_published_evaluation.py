"""`geolocate evaluate` on real CLIP vectors with the published heads: known accuracies, radii that hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import SHARED

from geolocate.bundle import Bundle
from geolocate.cli import cli

EMBEDDINGS = SHARED / "embeddings"
pytestmark = pytest.mark.skipif(
    not EMBEDDINGS.is_dir(), reason="the real CLIP vectors do not lie beside the repository"
)

#: What the published heads reach on the 60 placed news photos, in per cent, and their median error.
NEWS_ACCURACY = (10.0, 21.7, 31.7, 53.3, 78.3)
NEWS_MEDIAN_KM = 608


def evaluate(bundle: Bundle, folder: Path, *more: str) -> dict[str, Any]:
    report = folder / "report.json"
    words = [
        "evaluate",
        "--features",
        EMBEDDINGS / "news_image_embeddings.npy",
        EMBEDDINGS / "news_places.csv",
    ]
    words += ["--model", bundle.path, "--device", "cpu", "-q", "--json", report, *more]
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def test_news_photos_reach_the_published_accuracies_and_their_radii_hold(
    published_heads: Bundle, tmp_path: Path
) -> None:
    report = evaluate(published_heads, tmp_path, "--ranking", "published")
    row = report["rows"][0]
    found = [row[f"within_{limit}_km"] for limit in (1, 25, 200, 750, 2500)]
    assert row["n"] == 60
    assert found == pytest.approx(NEWS_ACCURACY, abs=0.1)
    assert row["median_km"] == pytest.approx(NEWS_MEDIAN_KM, abs=1)
    assert 2500 < row["geoscore"] < 3300
    for coverage in report["coverage"]:
        low, high = coverage["interval"]
        assert low <= coverage["stated"] <= high  # nearly calibrated as it is
        assert coverage["n"] == 60
    assert report["calibration_error"] < 0.1
    constant, random = report["rows"][1:]
    assert constant["within_750_km"] < row["within_750_km"] / 2
    assert random["within_2500_km"] < row["within_2500_km"] / 2


def test_a_temperature_fitted_on_them_is_written_and_stays_near_one(
    published_heads: Bundle, tmp_path: Path
) -> None:
    copy = tmp_path / "calibrated"
    report = evaluate(published_heads, tmp_path, "--fit-temperature", str(copy), "--ranking", "points")
    fit = report["temperature"]
    assert 0.5 < fit["factor"] < 2
    manifest = json.loads((copy / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["temperature"] == pytest.approx(published_heads.manifest.temperature * fit["factor"])
    assert manifest["calibration"]["photos"] == 60
    again = evaluate(Bundle(copy, published_heads.manifest), tmp_path, "--ranking", "points")
    assert again["calibration_error"] <= report["calibration_error"] + 0.005
