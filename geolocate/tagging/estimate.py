"""What is written of a prediction: the best position, how far it may be off, and names no finer than that."""

from __future__ import annotations

import importlib.metadata
import math
import re
from dataclasses import dataclass

from geolocate.exif import ESTIMATE_METHOD
from geolocate.records import Candidate, NamedPosition, Place, Position, Prediction
from geolocate.text_safety import printable, to_unicode

#: A name is written where the radius is no larger: those within which the field calls a guess right about
#: a city, a region, a country. Photo managers show "Nice" without saying how sure anybody is of it.
CITY_RADIUS_KM, REGION_RADIUS_KM, COUNTRY_RADIUS_KM = 25.0, 200.0, 750.0
#: Of a name, in characters; GeoNames' longest are shorter.
MAX_NAME_LENGTH = 200
#: Of a model's name; a longer value would not be read back as GPSProcessingMethod.
MAX_MODEL_LENGTH = 64

_COUNTRY_CODE = re.compile(r"[A-Z]{2}")
#: Characters that are Unicode but cannot stand in XML.
_NOT_IN_XML = re.compile(r"[\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is written of one photo.

    Attributes:
        radius_km: half of the posterior lies within; None where the results do not say.
        probability: the share of the posterior, 0 to 1.
        method: how the position came about, for EXIF's GPSProcessingMethod: says that it is an estimate.
        city, region, country, country_code: empty where unknown, or finer than the estimate is sure of.
    """

    position: Position
    radius_km: float | None
    probability: float
    method: str
    city: str = ""
    region: str = ""
    country: str = ""
    country_code: str = ""

    @property
    def error_m(self) -> int | None:
        """EXIF's GPSHPositioningError, in metres."""
        return None if self.radius_km is None else max(1, round(self.radius_km * 1000))


@dataclass(frozen=True, slots=True)
class Limits:
    """Which estimates are sure enough to be written; None is no limit."""

    min_probability: float | None = None
    max_radius_km: float | None = None

    def reason_against(self, estimate: Estimate) -> str | None:
        """Why an estimate is not sure enough; None where it is."""
        if self.min_probability is not None and not estimate.probability >= self.min_probability:
            return f"probability {estimate.probability:.3g}"
        if self.max_radius_km is None:
            return None
        if estimate.radius_km is None:
            return "its radius is not known"
        return None if estimate.radius_km <= self.max_radius_km else f"radius {estimate.radius_km:,.1f} km"


def estimate_of(prediction: Prediction) -> Estimate | None:
    """The estimate of rank 1; None where there is none, or none that lies on the globe."""
    best = next((candidate for candidate in prediction.candidates if candidate.rank == 1), None)
    if best is None or not _is_on_globe(best.position):
        return None
    radius = _usable_radius(best)
    place = best.named.place if best.named else None
    return Estimate(
        best.position,
        radius,
        best.probability,
        _method(prediction.model),
        **_names(best.named, place, radius),
    )


def _is_on_globe(position: Position) -> bool:
    return abs(position.latitude) <= 90 and abs(position.longitude) <= 180  # False for NaN too


def _usable_radius(candidate: Candidate) -> float | None:
    radius = candidate.radius_km
    return radius if radius is not None and math.isfinite(radius) and radius >= 0 else None


def _method(model: str) -> str:
    """In ASCII, which EXIF stores as it is."""
    version = importlib.metadata.version("geolocate")
    name = _clean(model).encode("ascii", "replace").decode("ascii")[:MAX_MODEL_LENGTH]
    return f"{ESTIMATE_METHOD} {version} (model {name or 'unknown'}), not a GPS fix"


def _names(named: NamedPosition | None, place: Place | None, radius_km: float | None) -> dict[str, str]:
    """The names that an estimate of such a radius is sure of; none out at sea."""
    if named is None or place is None or named.ocean or radius_km is None:
        return {}
    names = {}
    if radius_km <= CITY_RADIUS_KM:
        names["city"] = _clean(place.name)
    if radius_km <= REGION_RADIUS_KM:
        names["region"] = _clean(place.region)
    if radius_km <= COUNTRY_RADIUS_KM:
        names["country"] = _clean(place.country)
        names["country_code"] = place.country_code if _COUNTRY_CODE.fullmatch(place.country_code) else ""
    return names


def _clean(text: str) -> str:
    """A text out of a table, without what steers terminals or cannot stand in XML."""
    return _NOT_IN_XML.sub("", printable(to_unicode(text)))[:MAX_NAME_LENGTH].strip()
