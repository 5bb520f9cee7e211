"""A fitted temperature goes into a copy of the bundle, complete or not there, and a load then uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundles import make_bundle

from geolocate.bundle import load_bundle
from geolocate.errors import OutputError, UsageError
from geolocate.evaluation.calibrated_bundle import write_calibrated
from geolocate.evaluation.calibration import TemperatureFit

FIT = TemperatureFit(2.0, 200, ((0.5, 99), (0.9, 181)), 0.21, 0.02)


def test_the_copy_is_whole_and_says_what_it_was_fitted_on(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "mine", temperature=1.5))
    write_calibrated(bundle, tmp_path / "copy", FIT, data="held.csv", date="2026-01-02")
    copy = load_bundle(tmp_path / "copy")
    assert all(problem is None for _, problem in copy.verify())
    assert copy.manifest.temperature == 3.0
    assert copy.manifest.logit_factor == pytest.approx(bundle.manifest.logit_factor / 2)
    assert copy.manifest.calibration["photos"] == 200
    assert copy.manifest.calibration["data"] == "held.csv"
    assert copy.manifest.calibration["date"] == "2026-01-02"
    assert copy.manifest.calibration["held_out_coverage"] == {"0.5": 0.495, "0.9": 0.905}
    assert copy.manifest.files == bundle.manifest.files
    assert load_bundle(tmp_path / "mine").manifest.temperature == 1.5  # the original stays


def test_nothing_is_ever_replaced_and_nothing_half_done_stays(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "mine"))
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="exists"):
        write_calibrated(bundle, tmp_path / "taken", FIT, data="x", date="y")
    with pytest.raises(OutputError, match="no folder"):
        write_calibrated(bundle, tmp_path / "none" / "copy", FIT, data="x", date="y")
    (bundle.path / "CARD.md").unlink()
    with pytest.raises(Exception, match=r"CARD\.md is missing"):
        write_calibrated(bundle, tmp_path / "copy", FIT, data="x", date="y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "taken"]


def test_a_temperature_out_of_range_is_refused(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "mine"))
    wild = TemperatureFit(1e9, 200, (), 0.5, 0.5)
    with pytest.raises(UsageError, match="out of range"):
        write_calibrated(bundle, tmp_path / "copy", wild, data="x", date="y")
