"""Arms of `performance.py` about the whole program: end to end, start-up, the size of the gallery."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
from figures import Figure
from ours import decoding_alone, encoder_alone, end_to_end, open_locator, precisions
from setting import STARTER, Setting
from turns import Spread, Turns, Way, in_turn

from geolocate.bundle import load_bundle
from geolocate.gallery import Gallery

END_TO_END_GOALS = {"fp32": 0.95, "int8": 0.90}
STARTER_GOAL = 0.9
#: Whole processes, in milliseconds.
HELP_GOAL_MS, COLD_GOAL_MS = 150.0, 1000.0
PROCESS_TURNS = 7
GALLERY_POINTS = (100_000, 1_000_000)
GALLERY_GOAL = 1.1


def large_end_to_end(setting: Setting) -> list[Figure]:
    """The whole program with ViT-L/14 against its image encoder alone: what is left uncovered."""
    model = setting.large_model
    photos = setting.photos(2 * setting.photos_a_turn)
    figures = []
    for precision in precisions(model):
        ways: dict[str, Way] = {
            "encoder": encoder_alone(model, precision, photos),
            "end to end": end_to_end(open_locator(model, precision), photos, setting.scratch),
        }
        turns = in_turn(ways, setting.turns)
        figures += [
            Figure(f"{precision}, image encoder alone", turns.rate("encoder"), "photos/s"),
            Figure(f"{precision}, end to end", turns.rate("end to end"), "photos/s"),
            Figure(
                f"{precision}, end to end / image encoder alone",
                turns.ratio("end to end", "encoder"),
                goal=END_TO_END_GOALS[precision],
            ),
        ]
    return figures


def starter(setting: Setting) -> list[Figure]:
    """The whole program with the starter against decoding alone."""
    photos = setting.photos(setting.starter_photos)
    precision = precisions(STARTER)[-1]
    ways: dict[str, Way] = {
        "decoding": decoding_alone(STARTER, photos),
        "encoder": encoder_alone(STARTER, precision, photos),
        "end to end": end_to_end(open_locator(STARTER, precision), photos, setting.scratch),
    }
    turns = in_turn(ways, setting.turns)
    return [
        Figure("decoding alone, all cores", turns.rate("decoding"), "photos/s"),
        Figure(f"starter {precision}, image encoder alone", turns.rate("encoder"), "photos/s"),
        Figure(f"starter {precision}, end to end", turns.rate("end to end"), "photos/s"),
        Figure(
            f"starter {precision}, end to end / decoding alone",
            turns.ratio("end to end", "decoding"),
            goal=STARTER_GOAL,
        ),
    ]


def start_up(setting: Setting) -> list[Figure]:
    """Whole processes: help, a shell's completion, one photo with the starter."""
    photo = setting.photos(1)[0]
    table = setting.scratch / "one.csv"
    program = [os.path.join(os.path.dirname(sys.executable), "geolocate")]
    completion = {"_GEOLOCATE_COMPLETE": "bash_complete", "COMP_WORDS": "geolocate --top", "COMP_CWORD": "1"}
    located = [*program, "-q", "--model", STARTER, "--csv", str(table), str(photo.absolute())]
    ways = {
        "python alone": _process([sys.executable, "-c", "pass"]),
        "geolocate --help": _process([*program, "--help"]),
        "shell completion": _process(program, completion),
        "one photo, starter": _process(located),
    }
    used: dict[str, list[float]] = {way: [] for way in ways}
    turns = in_turn({way: _counted(run, used[way]) for way, run in ways.items()}, PROCESS_TURNS)
    goals = {
        "geolocate --help": HELP_GOAL_MS,
        "shell completion": HELP_GOAL_MS,
        "one photo, starter": COLD_GOAL_MS,
    }
    return [
        *(Figure(way, _milliseconds(turns, way), "ms", goals.get(way), less_is_better=True) for way in ways),
        *(Figure(f"{way}, processor time", Spread.of(used[way][1:]), "ms") for way in ways),
    ]


def _counted(run: Way, used: list[float]) -> Way:
    """The same, with the milliseconds of processor time noted: other load delays a process, and uses none."""

    def counted() -> float:
        before = _used_by_children_ms()
        units = run()
        used.append(_used_by_children_ms() - before)
        return units

    return counted


def _used_by_children_ms() -> float:
    times = os.times()
    return 1e3 * (times.children_user + times.children_system)


def _process(command: Sequence[str], extra: dict[str, str] | None = None) -> Way:
    """A whole process, started from elsewhere than the repository, so that the installed package runs."""

    def run() -> float:
        subprocess.run(command, env=os.environ | (extra or {}), check=True, capture_output=True, cwd=os.sep)
        return 1

    return run


def _milliseconds(turns: Turns, way: str) -> Spread:
    return Spread.of([1e3 / rate for rate in turns.rates[way]])


def gallery_size(setting: Setting) -> list[Figure]:
    """A photo with ViT-L/14 over galleries of 100,000 and of 1,000,000 points."""
    model = setting.large_model
    photos = setting.photos(2 * setting.photos_a_turn)
    figures = []
    for precision in precisions(model):
        ways: dict[str, Way] = {}
        for points in GALLERY_POINTS:
            gallery = random_gallery(points, load_bundle(model).manifest.embedding_dim)
            locator = open_locator(model, precision, gallery=gallery)
            ways[f"{points:,}"] = end_to_end(locator, photos, setting.scratch)
        turns = in_turn(ways, setting.turns)
        small, large = ways
        figures += [
            *(Figure(f"{precision}, {way} points", _milliseconds(turns, way), "ms a photo") for way in ways),
            Figure(
                f"{precision}, time over {large} points / over {small}",
                turns.ratio(small, large),
                goal=GALLERY_GOAL,
                less_is_better=True,
            ),
        ]
    return figures


def random_gallery(points: int, width: int) -> Gallery:
    """Points spread evenly over the inhabited latitudes, with random embeddings of length 1."""
    random = np.random.default_rng(points)
    sines = random.uniform(np.sin(np.radians(-55)), np.sin(np.radians(70)), points)
    coordinates = np.column_stack([np.degrees(np.arcsin(sines)), random.uniform(-180, 180, points)])
    embeddings = random.standard_normal((points, width), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Gallery(coordinates, np.ones(points, np.float32), embeddings)
