"""The benchmark of performance runs, compares turn by turn, and keeps what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks' modules, importable as when a script of theirs is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def run(*arguments: str) -> str:
    script = str(BENCHMARKS / "performance.py")
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_quick_run_gives_the_starters_ratio_and_keeps_the_other_arms(tmp_path: Path) -> None:
    record = tmp_path / "figures.json"
    record.write_text(json.dumps({"arms": {"predict": {"seconds": 1}}}))
    shown = run("--quick", "--only", "starter", "--json", str(record))
    arms: dict[str, Any] = json.loads(record.read_text())["arms"]
    assert set(arms) == {"predict", "starter"}
    assert arms["predict"] == {"seconds": 1}
    ratio = next(figure for figure in arms["starter"]["figures"] if figure["goal"] is not None)
    assert 0 < ratio["value"]["least"] <= ratio["value"]["median"] <= ratio["value"]["most"]
    assert ratio["what"] in shown
    assert arms["starter"]["machine"]["cores"]


def test_an_arm_that_cannot_run_here_is_left_out_aloud(tmp_path: Path) -> None:
    record = tmp_path / "figures.json"
    shown = run("--only", "end-to-end", "--only", "cuda", "--json", str(record))
    assert "end-to-end: left out: it needs --model" in shown
    assert "cuda: left out: it needs --device cuda" in shown
    assert shown.endswith("no goal was measured\n")
    assert not record.exists()


def test_photos_of_ones_own_are_taken(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert "end-to-end: left out" in run("--only", "end-to-end", "--photos", str(tmp_path))


def test_a_size_that_no_photo_has_is_refused() -> None:
    words = [sys.executable, str(BENCHMARKS / "performance.py"), "--megapixels", "0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--megapixels is from" in done.stderr


@pytest.mark.usefixtures("modules")
def test_the_last_line_counts_the_goals() -> None:
    from performance import summary

    assert summary([]) == "no goal was measured"
    assert summary(["reached"] * 3) == "all 3 goals that were measured are reached"
    assert summary(["reached", "MISSED"]) == "1 of the 2 goals that were measured are missed"


@pytest.mark.usefixtures("modules")
def test_the_smallest_turn_gives_the_peer_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    import peer_arms
    from setting import Setting

    photo = tmp_path / "only.jpg"
    guessed: list[Path] = []
    monkeypatch.setattr(peer_arms, "first_guess", lambda _, path: path)
    monkeypatch.setattr(peer_arms, "CachedGeoclip", lambda _: SimpleNamespace(first_guess=guessed.append))
    monkeypatch.setattr(peer_arms, "precisions", lambda _: ["fp32"])
    monkeypatch.setattr(peer_arms, "open_locator", lambda *_: None)
    monkeypatch.setattr(peer_arms, "end_to_end", lambda *_: lambda: 1.0)
    setting = Setting(tmp_path, "any", None, [photo], 1.0, 2, 1, 1, "cpu")
    setting.theirs = None
    figures = {figure.what: figure.value for figure in peer_arms.predict(setting)}
    assert guessed == [photo] * 2
    assert figures["fp32 / geoclip, cached by hand"].least > 0


@pytest.mark.usefixtures("modules")
def test_a_ratio_is_taken_inside_a_turn_not_between_medians() -> None:
    from turns import Turns

    # The machine slows down to a third, and ours is twice as fast in each turn.
    drifting = Turns({"ours": [6.0, 4.0, 2.0], "theirs": [3.0, 2.0, 1.0]})
    ratio = drifting.ratio("ours", "theirs")
    assert (ratio.median, ratio.least, ratio.most) == (2.0, 2.0, 2.0)
    crossed = Turns({"ours": [1.0, 2.0, 6.0], "theirs": [4.0, 1.0, 2.0]})
    assert crossed.ratio("ours", "theirs").median == 2.0
    assert (crossed.ratio("ours", "theirs").least, crossed.ratio("ours", "theirs").most) == (0.25, 3.0)


@pytest.mark.usefixtures("modules")
def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    from turns import in_turn

    order: list[str] = []

    def way(name: str) -> float:
        order.append(name)
        return 1.0

    turns = in_turn({"a": lambda: way("a"), "b": lambda: way("b")}, 2)
    assert order == ["a", "b"] * 3
    assert [len(rates) for rates in turns.rates.values()] == [2, 2]


@pytest.mark.usefixtures("modules")
def test_a_verdict_knows_whether_less_is_better() -> None:
    from figures import Figure
    from turns import Spread

    value = Spread.of([90.0, 100.0, 110.0])
    assert Figure("a", value, goal=100.0).verdict == "reached"
    assert Figure("a", value, goal=101.0).verdict == "MISSED"
    assert Figure("a", value, goal=99.0, less_is_better=True).verdict == "MISSED"
    assert Figure("a", value, goal=101.0, less_is_better=True).verdict == "reached"
    assert Figure("a", value).verdict == ""


@pytest.mark.usefixtures("modules")
def test_generated_photos_are_distinct_and_have_positions(tmp_path: Path) -> None:
    from natural_photos import write_natural_photos

    from geolocate.exif import read_exif
    from geolocate.photos import decode_photo

    photos = write_natural_photos(tmp_path, 3, 0.1)
    assert len({photo.read_bytes() for photo in photos}) == 3
    facts = [read_exif(decode_photo(photo, size=64).exif) for photo in photos]
    assert len({fact.position for fact in facts}) == 3
    assert all(fact.position is not None for fact in facts)
