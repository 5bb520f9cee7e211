"""Where on Earth a concept lives: the score of each gallery point, by country and region, and as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geolocate.concepts import ConceptBank
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex

#: The mean of fewer points says more of the points than of the area.
LEAST_POINTS = 10
#: Decimals of degrees and of scores in GeoJSON.
DEGREE_DECIMALS, SCORE_DECIMALS = 6, 5


@dataclass(frozen=True, slots=True)
class Area:
    """A country, or a first-level region of one.

    Attributes:
        region: empty for a whole country.
        score: mean of its points, in standard deviations of the gallery above the gallery's mean.
        points: how many there are.
    """

    country_code: str
    country: str
    region: str
    score: float
    points: int


@dataclass(frozen=True)
class ConceptMap:
    """A concept over a gallery.

    Attributes:
        scores: float32 (M,), higher where the location embedding is more like the concept.
    """

    concept: str
    gallery: Gallery
    scores: NDArray[np.float32]

    @cached_property
    def deviations(self) -> NDArray[np.float32]:
        """(M,): the scores in standard deviations above the gallery's mean."""
        mean, spread = self.scores.mean(dtype=np.float64), self.scores.std(dtype=np.float64)
        return np.asarray((self.scores - mean) / (spread if spread > 0 else 1.0), np.float32)

    def countries(self) -> list[Area]:
        """Countries with enough points, the highest mean first."""
        index = PlaceIndex.load()
        return sorted(
            (
                Area(index.country_codes[country], index.country_names[country], "", score, points)
                for country, score, points in _means(self.gallery.countries, self.deviations)
                if country >= 0
            ),
            key=lambda area: -area.score,
        )

    def regions(self) -> list[Area]:
        """First-level regions with enough points and a known name, the highest mean first."""
        index = PlaceIndex.load()
        rows = index.rows_of(self.gallery.places) if self.gallery.places is not None else np.array([-1])
        if (rows < 0).any():
            rows, _ = index.nearest(*self.gallery.coordinates.T)
        count = len(index.region_names)
        country, region = self.gallery.countries, index.region[rows].astype(np.int64)
        keys = np.where((country >= 0) & (region > 0), country * count + region, -1)  # (M,)
        return sorted(
            (
                Area(
                    index.country_codes[key // count],
                    index.country_names[key // count],
                    index.region_names[key % count],
                    score,
                    points,
                )
                for key, score, points in _means(keys, self.deviations)
                if key >= 0
            ),
            key=lambda area: -area.score,
        )

    def geojson(self) -> Iterator[str]:
        """The parts of a GeoJSON FeatureCollection (RFC 7946): longitude first, one point a line."""
        head = json.dumps({"type": "FeatureCollection", "concept": self.concept}, ensure_ascii=False)
        yield head[:-1] + ', "features": [\n'
        columns = (*self.gallery.coordinates.T, self.scores, self.deviations)
        for row, (latitude, longitude, score, deviation) in enumerate(zip(*columns, strict=True)):
            feature = {
                "type": "Feature",
                "geometry": {
                    "type": "Point",
                    "coordinates": [
                        round(float(longitude), DEGREE_DECIMALS),
                        round(float(latitude), DEGREE_DECIMALS),
                    ],
                },
                "properties": {
                    "score": round(float(score), SCORE_DECIMALS),
                    "deviations": round(float(deviation), SCORE_DECIMALS),
                },
            }
            yield (",\n" if row else "") + json.dumps(feature)
        yield "\n]}\n"


def map_known_concept(bank: ConceptBank, row: int, gallery: Gallery) -> ConceptMap:
    """The map of a concept of the bank: its location score at each point."""
    return ConceptMap(bank.names[row], gallery, bank.location_scores(gallery.embeddings)[:, row])


def map_direction(concept: str, direction: NDArray[np.float32], gallery: Gallery) -> ConceptMap:
    """The map of a direction (d,) in the space of embeddings, such as a text's: the cosine at each point."""
    cosines: NDArray[np.float32] = gallery.embeddings @ (direction / np.linalg.norm(direction))
    return ConceptMap(concept, gallery, cosines)


def _means(keys: NDArray[np.int64], values: NDArray[np.float32]) -> Iterator[tuple[int, float, int]]:
    """Key, mean and count of each group with LEAST_POINTS members."""
    found, member = np.unique(keys, return_inverse=True)
    counts = np.bincount(member)
    sums = np.bincount(member, weights=values)
    for row in np.flatnonzero(counts >= LEAST_POINTS):
        yield int(found[row]), float(sums[row] / counts[row]), int(counts[row])
