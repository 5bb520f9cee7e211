"""Arms of `performance.py` about the whole program and the geoclip package: time, and the same places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from figures import Figure
from ours import end_to_end, open_locator, precisions
from peers import CachedGeoclip, first_guess
from setting import Setting
from turns import Spread, Way, in_turn

from geolocate import Geolocator
from geolocate.geodesic import geodesic_km
from geolocate.records import Position

#: Goals: photos a second of the whole program against the peer's `predict`.
PREDICT_GOALS = {"fp32": 14.0, "int8": 40.0}
#: Photos on which the first guess is compared with the peer's.
COMPARED_PHOTOS = 24
#: The peer's gallery is float32: degrees that are equal to it differ by less.
SAME_POINT_KM = 0.01


def predict(setting: Setting) -> list[Figure]:
    """The whole program against geoclip's `predict`, and against the same with its gallery kept by hand."""
    model = setting.large_model
    theirs = setting.theirs
    photos = setting.photos(2 * setting.photos_a_turn)
    cached = CachedGeoclip(theirs)

    def each(guess: Callable[..., object], count: int) -> Way:
        def run() -> float:
            for photo in photos[:count]:
                guess(photo)
            return len(photos[:count])

        return run

    ways: dict[str, Way] = {
        "predict": each(lambda photo: first_guess(theirs, photo), 1),
        "cached by hand": each(cached.first_guess, max(1, setting.photos_a_turn // 2)),
    }
    for precision in precisions(model):
        locator = open_locator(model, precision)
        ways[precision] = end_to_end(locator, photos, setting.scratch)
    turns = in_turn(ways, setting.turns, warm_up=False)
    figures = [Figure(f"{way}, whole program", turns.rate(way), "photos/s") for way in ways]
    for precision in list(ways)[2:]:
        figures += [
            Figure(
                f"{precision} / geoclip's predict",
                turns.ratio(precision, "predict"),
                goal=PREDICT_GOALS[precision],
            ),
            Figure(f"{precision} / geoclip, cached by hand", turns.ratio(precision, "cached by hand")),
        ]
    return figures


def same_places(setting: Setting) -> list[Figure]:
    """Whether ours in fp32, ranked as published, guesses the same point as geoclip on every photo."""
    model = setting.large_model
    theirs = setting.theirs
    photos = setting.photos(COMPARED_PHOTOS)
    cached = CachedGeoclip(theirs)
    expected = [Position(*cached.first_guess(photo)) for photo in photos]
    settled = expected[0] == Position(*first_guess(theirs, photos[0]))
    figures = [Figure("kept by hand equals predict on a photo", Spread.of([float(settled)]), "of 1", goal=1)]
    for exact in (False, True):
        locator = open_locator(model, "fp32", exact=exact)
        same = sum(_same_point(locator, photos, expected))
        decoded = "decoded at full scale" if exact else "as by default"
        figures.append(
            Figure(
                f"fp32, {decoded}: the same first point",
                Spread.of([float(same)]),
                f"of {len(photos)} photos",
                goal=len(photos),
            )
        )
    return figures


def _same_point(locator: Geolocator, photos: list[Path], expected: list[Position]) -> list[bool]:
    found = [prediction.candidates[0].position for prediction in locator.locate(photos, ranking="published")]
    return [geodesic_km(a, b) < SAME_POINT_KM for a, b in zip(found, expected, strict=True)]
