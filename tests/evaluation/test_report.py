"""The report as a reader gets it: text, Markdown and JSON say the same, and pictures are not blank."""

from __future__ import annotations

import json
import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geolocate.errors import ExtraMissing, OutputError
from geolocate.evaluation.calibration import TemperatureFit
from geolocate.evaluation.literature import CAVEAT
from geolocate.evaluation.measuring import Measured
from geolocate.evaluation.pictures import check_can_draw, draw
from geolocate.evaluation.rendering import to_json, to_markdown, to_text
from geolocate.evaluation.report import (
    CONTINENT_SAMPLE,
    NamedErrors,
    Report,
    baselines,
    build_report,
    errors_of,
)
from geolocate.gallery import Gallery


def measured(count: int = 80, missed: int = 2) -> Measured:
    """Photos of Europe and Fiji, the latter placed across the date line."""
    rng = np.random.default_rng(8)
    truth = np.stack((rng.uniform(44, 54, count), rng.uniform(0, 20, count)), axis=1)
    truth[: count // 8] = (-17.7, 178.0)
    predicted = truth + rng.normal(0, 4, (count, 2))
    predicted[:, 1] = (predicted[:, 1] + 180) % 360 - 180
    predicted[count - missed :] = np.nan
    return Measured(
        truth,
        predicted,
        np.where(np.isnan(predicted), np.nan, [400.0, 900.0]),
        np.where(np.isnan(predicted[:, 0]), np.nan, rng.uniform(0, 1, count)),
        None,
        rng.uniform(0, 0.3, count),
        ("bad.jpg: damaged",) if missed else (),
    )


def gallery() -> Gallery:
    points = np.array([(50.0, 10.0), (40.0, -100.0), (-17.0, 178.0)])
    return Gallery(points, np.array([5, 2, 1], np.float32), np.zeros((3, 2), np.float32))


def report(found: Measured, **more: Any) -> tuple[Report, list[NamedErrors]]:
    methods = [NamedErrors("the model", errors_of(found, "great-circle"))]
    methods += baselines(found.truth, gallery(), "great-circle")
    built = build_report(
        found, methods, data="im2gps3k|x.csv", settings={"ranking": "merged"}, benchmark="im2gps3k", **more
    )
    return built, methods


def test_the_report_holds_everything_in_each_form() -> None:
    fit = TemperatureFit(1.5, 78, ((0.5, 40), (0.9, 70)), 0.1, 0.05)
    built, _ = report(measured(), fit=fit, remarks=["a remark"])
    value = json.loads(to_json(built))
    ours = value["rows"][0]
    assert (ours["n"], ours["missed"]) == (80, 2)
    assert [row["name"] for row in value["rows"]][1:] == [
        "constant guess (50.00, 10.00)",
        "random gallery point",
    ]
    assert value["rows"][2]["n"] == 80
    assert {row["name"]: row["n"] for row in value["continents"]}["Oceania"] == 10
    assert sum(row["n"] for row in value["continents"]) == 80
    assert [row["n"] for row in value["coverage"]] == [78, 78]
    assert sum(interval["n"] for interval in value["concepts"]) == 78  # a miss is no error interval
    for text in (to_text(built), to_markdown(built)):
        for piece in (
            "the model",
            f"{ours['within_200_km']:.1f}",
            "GeoScore",
            "14.11",
            CAVEAT[1:],
            "a remark",
        ):
            assert piece in text
        assert "2 of 80 photos have no prediction" in text
        assert "bad.jpg: damaged" in text
        assert "1.5 times the model" in text


def test_markdown_tables_have_as_many_cells_in_each_line() -> None:
    built, _ = report(measured())
    lines = to_markdown(built).splitlines()
    assert lines[0] == "# Accuracy of the model on im2gps3k\\|x.csv"
    for before, line in pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert before.replace("\\|", "").count("|") == line.replace("\\|", "").count("|")


def test_numbers_that_are_none_are_null_in_json_and_no_nan_in_text() -> None:
    found = measured(count=3, missed=3)
    methods = [NamedErrors("the model", errors_of(found, "great-circle"))]
    built = build_report(found, methods, data="x", settings={})
    value = json.loads(to_json(built), parse_constant=lambda name: pytest.fail(name))
    assert value["rows"][0]["median_km"] is None
    assert value["rows"][0]["mean_km"] is None
    assert value["coverage"] == []
    for text in (to_text(built), to_markdown(built)):
        assert "nan" not in text
        assert "no limit" in text


def test_from_a_thousand_photos_on_two_decimals_are_printed_as_the_literature_does() -> None:
    built, _ = report(measured(count=1200, missed=0))
    assert f"{built.rows[0].accuracy.within[2]:.2f}" in to_text(built)


def test_of_very_many_photos_the_continents_are_those_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CONTINENT_SAMPLE >= 10_000
    monkeypatch.setattr("geolocate.evaluation.report.CONTINENT_SAMPLE", 50)
    built, _ = report(measured())
    assert sum(row.accuracy.n for row in built.continents) == 50
    assert any("random sample of 50 photos" in remark for remark in built.remarks)


def test_pictures_show_something_and_are_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra: pip install 'geolocate[plots]'")
    found = measured()
    _, methods = report(found)
    first = draw(tmp_path / "new" / "first", found, methods)
    second = draw(tmp_path / "second", found, methods)
    assert [path.name for path in first] == ["accuracy.png", "errors_map.png", "reliability.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        with Image.open(one) as picture:
            colours = picture.convert("RGB").getcolors(2**24)
        assert len(colours) > 50
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        draw(tmp_path / "file", found, methods)


def test_without_matplotlib_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'geolocate\[plots\]'"):
        check_can_draw()


def test_errors_of_photos_without_a_prediction_are_infinite() -> None:
    errors = errors_of(measured(missed=2), "geodesic")
    assert [math.isinf(error) for error in errors[-3:]] == [False, True, True]
