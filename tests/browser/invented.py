"""Predictions that nobody made, of any number, to fill a map: the same seed gives the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator

from geolocate.geodesic import geodesic_km
from geolocate.records import Candidate, Concept, NamedPosition, Place, Position, Prediction

#: Name, region, country, code, position.
TOWNS = (
    Place("Arezzo", "Tuscany", "Italy", "IT", Position(43.463, 11.881)),
    Place("Ghent", "Flanders", "Belgium", "BE", Position(51.050, 3.717)),
    Place("Suva", "Central", "Fiji", "FJ", Position(-18.142, 178.442)),
    Place("Apia", "Tuamasaga", "Samoa", "WS", Position(-13.833, -171.767)),
    Place("Tromsø", "Troms", "Norway", "NO", Position(69.649, 18.957)),
    Place("Nakuru", "Nakuru", "Kenya", "KE", Position(-0.303, 36.080)),
    Place("Cusco", "Cuzco Department", "Peru", "PE", Position(-13.532, -71.967)),
    Place("Hobart", "Tasmania", "Australia", "AU", Position(-42.882, 147.327)),
    Place("Kyoto", "Kyoto", "Japan", "JP", Position(35.012, 135.768)),
    Place("Halifax", "Nova Scotia", "Canada", "CA", Position(44.646, -63.573)),
)
CONCEPTS = ("tiled roofs", "rice terraces", "birch forest", "tuk-tuk", "mangrove", "fjord", "market stalls")
#: Every so many photos failed, has an EXIF position, lies where the one before lies.
FAILED_EVERY, KNOWN_EVERY, SAME_EVERY = 25, 3, 4


def invented(count: int, names: Iterator[str] | None = None, seed: int = 1) -> Iterator[Prediction]:
    """Yields so many predictions, under names of their own or under those given."""
    dice = random.Random(seed)
    before = TOWNS[0].position
    for number in range(count):
        photo = next(names) if names else f"trip {number // 100}/IMG_{number:05}.jpg"
        if number % FAILED_EVERY == FAILED_EVERY - 1:
            yield Prediction(photo, model="starter", error="damaged: it breaks off")
            continue
        towns = dice.sample(TOWNS, 3)
        positions = [_near(town.position, dice) for town in towns]
        if number % SAME_EVERY == SAME_EVERY - 1:
            positions[0] = before
        before = positions[0]
        share = dice.random()
        truth = _near(towns[0].position, dice) if number % KNOWN_EVERY == 0 else None
        yield Prediction(
            photo,
            candidates=tuple(
                Candidate(
                    rank,
                    position,
                    share / 2**rank,
                    10 ** dice.uniform(0, 4) if rank == 1 else None,
                    NamedPosition(town, geodesic_km(position, town.position)),
                    geodesic_km(position, truth) if truth else None,
                )
                for rank, (town, position) in enumerate(zip(towns, positions, strict=True), start=1)
            ),
            concepts=tuple(Concept(name, dice.random()) for name in dice.sample(CONCEPTS, 5)),
            exif=truth,
            model="starter",
            notes=("zero-shot",),
        )


def _near(position: Position, dice: random.Random) -> Position:
    longitude = (position.longitude + dice.gauss(0, 4) + 180) % 360 - 180
    return Position(max(-85.0, min(85.0, position.latitude + dice.gauss(0, 3))), longitude)
