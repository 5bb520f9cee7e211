"""Held-out albums: half of a track's photos have lost their GPS, and a model of known error sees them all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from geolocate.album import NOTE_ALBUM
from geolocate.album_fixes import AlbumFixes
from geolocate.bundle import load_bundle
from geolocate.exif import ExifFacts
from geolocate.extra_points import ExtraPoints, Posterior
from geolocate.gallery import Gallery
from geolocate.known import Known
from geolocate.priors import Near
from geolocate.records import Position
from geolocate.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors

#: Of the synthetic model: it errs by a Gaussian of this spread, or with this probability it knows nothing.
MODEL_KM, MODEL_LOST = 400.0, 0.2
DRAWS = 3
START = datetime(2024, 6, 1, 8)
HOUR = timedelta(hours=1)
#: (time since the start, position) of each photo
Track = list[tuple[timedelta, Position]]
Draw = np.random.Generator


def destination(start: Position, km: float, bearing: float) -> Position:
    arc, phi = km / EARTH_RADIUS_KM, np.radians(start.latitude)
    sine = np.sin(phi) * np.cos(arc) + np.cos(phi) * np.sin(arc) * np.cos(bearing)
    turn = np.arctan2(np.sin(bearing) * np.sin(arc) * np.cos(phi), np.cos(arc) - np.sin(phi) * sine)
    longitude = (start.longitude + np.degrees(turn) + 180.0) % 360.0 - 180.0
    return Position(float(np.degrees(np.arcsin(sine))), float(longitude))


def standing_still(draw: Draw) -> Track:
    square = Position(48.21, 16.37)
    return [
        (timedelta(minutes=10 * k), destination(square, abs(draw.normal(0, 0.3)), draw.uniform(0, 6.28)))
        for k in range(60)
    ]


def journeys(draw: Draw, start: Position, stops: int, minutes: float, kmh: tuple[float, float]) -> Track:
    """Four journeys from one start, a few days apart, in other directions, at speeds that change."""
    track: Track = []
    for journey in range(4):
        time, here, bearing = timedelta(days=5 * journey), start, draw.uniform(0, 2 * np.pi)
        for _ in range(stops):
            track.append((time, here))
            hours = draw.uniform(0.5, 1.5) * minutes / 60
            time += timedelta(hours=hours)
            here = destination(here, draw.uniform(*kmh) * hours, bearing + draw.normal(0, 0.1))
    return track


def train(draw: Draw) -> Track:
    return journeys(draw, Position(48.85, 2.35), 20, 12, (100, 300))


def flight(draw: Draw) -> Track:
    return journeys(draw, Position(50.03, 8.57), 15, 30, (800, 900))


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    return Gallery.from_bundle(load_bundle("starter"))


def seen(gallery: Gallery, truth: Position, draw: Draw) -> Posterior:
    """What the synthetic model, calibrated by construction, makes of a photo."""
    base = gallery.weights.astype(np.float64) / gallery.weights.sum(dtype=np.float64)
    if draw.random() < MODEL_LOST:
        guess = Position(*gallery.coordinates[draw.choice(len(base), p=base)])
    else:
        guess = destination(truth, MODEL_KM * draw.rayleigh(), draw.uniform(0, 2 * np.pi))
    distances = great_circle_km(gallery.vectors, vector(guess))
    kernel = base * np.exp(-0.5 * ((distances - distances.min()) / MODEL_KM) ** 2)
    return Posterior(gallery, (1 - MODEL_LOST) * kernel / kernel.sum() + MODEL_LOST * base)


def vector(position: Position) -> NDArray[np.float64]:
    return unit_vectors([position.latitude], [position.longitude])[0]  # type: ignore[no-any-return]


def off_km(posterior: Posterior, truth: Position) -> float:
    ((index, _),) = posterior.rank(1, "merged")
    return float(great_circle_km(vector(posterior.position(index))[None, :], vector(truth))[0])


def medians(
    gallery: Gallery,
    make: Callable[[Draw], Track],
    clock: timedelta = timedelta(),
    offset: int | None = None,
    offset_of_fixes: int | None = None,
) -> tuple[float, float]:
    """Median errors in km of the model alone and of the album, over the photos without GPS.

    Args:
        clock: by which the clock of those photos is wrong.
        offset: which their clock states, in minutes; and that of the others.
    """
    alone, together = [], []
    for seed in range(DRAWS):  # of one alone, the median is of some 30 photos
        draw = np.random.default_rng((20240601, seed))
        track = make(draw)
        hidden = draw.random(len(track)) < 0.5
        with AlbumFixes() as album:
            for (time, position), lost in zip(track, hidden, strict=True):
                if not lost:
                    album.add(ExifFacts(position, START + time, offset_of_fixes))
            known = Known((), album)
            for (time, truth), lost in zip(track, hidden, strict=True):
                if lost:
                    posterior = seen(gallery, truth, draw)
                    facts = ExifFacts(None, START + time + clock, offset)
                    informed, _ = known.applied(posterior, facts)
                    alone.append(off_km(posterior, truth))
                    together.append(off_km(informed, truth))
    return float(np.median(alone)), float(np.median(together))


def test_standing_still_is_placed_within_two_kilometres(gallery: Gallery) -> None:
    alone, together = medians(gallery, standing_still)
    assert alone > 200
    assert together < 2


def test_on_a_train_the_error_is_a_tenth_of_the_model_alone(gallery: Gallery) -> None:
    alone, together = medians(gallery, train)
    assert together < alone / 10


def test_in_a_plane_the_album_helps(gallery: Gallery) -> None:
    alone, together = medians(gallery, flight)
    assert together < alone / 2


@pytest.mark.parametrize("track", [standing_still, train, flight])
@pytest.mark.parametrize("clock", [HOUR, -HOUR, 7 * HOUR], ids=["+1h", "-1h", "+7h"])
def test_a_wrong_clock_costs_no_more_than_twice_the_model_alone(
    gallery: Gallery, track: Callable[[Draw], Track], clock: timedelta
) -> None:
    alone, together = medians(gallery, track, clock)
    assert together <= 2 * alone


@pytest.mark.parametrize("track", [standing_still, train, flight])
@pytest.mark.parametrize("of_fixes", [120, 540], ids=["camera", "all"])
def test_a_clock_in_the_wrong_time_zone_costs_no_more_than_twice_the_model_alone(
    gallery: Gallery, track: Callable[[Draw], Track], of_fixes: int
) -> None:
    alone, together = medians(gallery, track, timedelta(), 540, of_fixes)
    assert together <= 2 * alone


@pytest.fixture
def two_towns() -> Gallery:
    return Gallery(
        np.array([(45.0, 9.0), (45.0, -120.0)]), np.ones(2, np.float32), np.eye(2, dtype=np.float32)
    )


def test_the_time_zone_alone_can_decide_and_is_named(two_towns: Gallery) -> None:
    posterior = Posterior(two_towns, np.array([0.4, 0.6]))
    with AlbumFixes() as album:
        informed, notes = Known((), album).applied(posterior, ExifFacts(None, START, 60))
    assert notes == ("prior:timezone",)
    assert informed.shares[0] > 0.95
    assert informed.shares.sum() == pytest.approx(1.0)


def test_a_place_that_rests_on_neighbours_is_marked_and_one_that_does_not_is_not(two_towns: Gallery) -> None:
    torn = Posterior(two_towns, np.array([0.5, 0.5]))
    certain = Posterior(two_towns, np.array([1e-4, 1.0 - 1e-4]))
    with AlbumFixes() as album:
        album.add(ExifFacts(Position(45.1, 9.1), START))
        known, facts = Known((), album), ExifFacts(None, START + timedelta(minutes=5))
        informed, notes = known.applied(torn, facts)
        assert notes == (NOTE_ALBUM,)
        assert off_km(informed, Position(45.1, 9.1)) < 0.01
        assert informed.shares.sum() + informed.extra.shares.sum() == pytest.approx(1.0)
        informed, notes = known.applied(certain, facts)
        assert notes == ()
        assert informed.rank(1, "merged")[0][0] == 1


def test_hard_priors_hold_for_positions_outside_the_gallery_too(two_towns: Gallery) -> None:
    priors = [Near(Position(45.0, -120.0), 100)]
    reference = ExtraPoints(
        np.array([(45.0, 9.2), (45.0, -120.2)]), np.array([0.5, 0.5]), np.array([1.0, 1.0])
    )
    posterior = Posterior(two_towns, np.array([0.0, 1.0])).mixed(reference, 0.5)
    with AlbumFixes() as album:
        album.add(ExifFacts(Position(45.1, 9.1), START))  # outside
        informed, notes = Known(priors, album).applied(posterior, ExifFacts(None, START))
    assert notes == ("prior:near",)
    allowed = np.isfinite(priors[0].log_at(informed.extra.coordinates))
    assert informed.extra.shares[~allowed].tolist() == [0.0]
    assert informed.shares.sum() + informed.extra.shares.sum() == pytest.approx(1.0)
