"""The values that travel through the house: plain frozen dataclasses, no behaviour beyond their own.

Degrees everywhere, latitude before longitude; distances in kilometres.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Columns of CSV and keys of JSONL, in this order.
COLUMNS = (
    "photo",
    "rank",
    "latitude",
    "longitude",
    "probability",
    "radius_km",
    "country_code",
    "country",
    "region",
    "place",
    "place_km",
    "concepts",
    "exif_latitude",
    "exif_longitude",
    "error_km",
    "model",
    "notes",
    "error",
)
#: Beside them, where a format holds UTF-8 alone: the raw bytes of a name that is not; else absent or null.
PHOTO_BYTES = "photo_bytes"


@dataclass(frozen=True, slots=True)
class Position:
    """A point on the globe, in degrees (WGS-84)."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Place:
    """A named place.

    Attributes:
        country_code: ISO 3166-1 alpha-2; empty where there is none to name.
        position: None where it was read back from rows, which do not hold it.
        geonames_id: 0 where the place does not come from GeoNames.
    """

    name: str
    region: str
    country: str
    country_code: str
    position: Position | None
    geonames_id: int = 0


@dataclass(frozen=True, slots=True)
class NamedPosition:
    """What a position is called.

    Attributes:
        place: the nearest named place; None where a service gave nothing.
        distance_km: from the position to that place, great-circle.
        ocean: the position is out at sea, so the country of the place is not that of the position.
    """

    place: Place | None
    distance_km: float
    ocean: bool = False


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept that a photo shows, with its score (higher is stronger)."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One guess of where a photo was taken.

    Attributes:
        rank: 1 is the best.
        probability: the share of the posterior, 0 to 1.
        radius_km: the credible radius (half of the posterior); rank 1 only.
        named: its nearest place, or None where naming is switched off.
        error_km: WGS-84 geodesic to the EXIF position, or None without one.
    """

    rank: int
    position: Position
    probability: float
    radius_km: float | None = None
    named: NamedPosition | None = None
    error_km: float | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is known of one photo after the run: its candidates, or why there are none.

    Attributes:
        photo: the path as reached from the argument (undecodable bytes as surrogate escapes).
        candidates: by rank; empty where the photo failed.
        concepts: what the photo shows; empty where the bundle has no concepts that mean something.
        exif: where the photo's own EXIF says it was taken.
        model: name of the bundle.
        notes: tokens that do not affect the exit status.
        error: why the photo failed, or None.
    """

    photo: str
    candidates: tuple[Candidate, ...] = ()
    concepts: tuple[Concept, ...] = ()
    exif: Position | None = None
    model: str = ""
    notes: tuple[str, ...] = ()
    error: str | None = None
