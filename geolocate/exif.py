"""When and where a photo says that it was taken: EXIF position, time and zone, out of untrusted metadata.

exifread sees neither the file nor the camera's own block, only what :func:`geolocate.exif_block.distil`
leaves of it: a dozen entries. (In a block as it stands, exifread follows 65,535 entries of 999 values.)
"""

from __future__ import annotations

import io
import logging
import math
import re
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from geolocate.exif_block import MAX_BLOCK_BYTES, distil
from geolocate.records import Position

_reading = threading.local()


def _not_ours(_record: logging.LogRecord) -> bool:
    return not getattr(_reading, "now", False)


# exifread reports on each odd value, which in photos are the normal case. What it logs for others stays.
logging.getLogger("exifread").addFilter(_not_ours)

#: The position is exactly (0, 0): what devices without a fix write, so it is not taken as truth.
NOTE_ZERO = "exif-zero"
#: The position is itself an estimate of this program, which is never taken as truth.
NOTE_ESTIMATE = "exif-estimate"
#: How GPSProcessingMethod begins where `geolocate tag` wrote the position.
ESTIMATE_METHOD = "geolocate estimate"

#: The time zones of the world lie within this of UTC.
MAX_UTC_OFFSET_MINUTES = 14 * 60

_TIME_AND_ZONE = (
    ("EXIF DateTimeOriginal", "EXIF OffsetTimeOriginal"),
    ("EXIF DateTimeDigitized", "EXIF OffsetTimeDigitized"),
    ("Image DateTime", "EXIF OffsetTime"),
)
_TIME = re.compile(r"\s*(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"\s*([+-])(\d\d):?(\d\d)\s*$")


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """What a photo's EXIF says.

    Attributes:
        position: None where there is none, or none that can be true.
        taken: local time of the camera, without a zone.
        utc_offset_minutes: of that time, east positive; None where EXIF does not state it.
        notes: tokens for the `notes` column.
    """

    position: Position | None = None
    taken: datetime | None = None
    utc_offset_minutes: int | None = None
    notes: tuple[str, ...] = ()


def read_exif(block: bytes | None) -> ExifFacts:
    """Reads position, time and zone; whatever is broken is left out, and nothing is ever raised.

    Args:
        block: the EXIF block as a decoder hands it over; none larger than 1 MiB is read.
    """
    if not block or len(block) > MAX_BLOCK_BYTES:
        return ExifFacts()
    distilled = distil(block)
    tags = _read_tags(distilled) if distilled else {}
    position = _position(tags)
    note = None
    if position == Position(0.0, 0.0):
        note = NOTE_ZERO
    elif position is not None and _is_estimate(tags):
        note = NOTE_ESTIMATE
    taken, utc_offset = _time_and_zone(tags)
    return ExifFacts(None if note else position, taken, utc_offset, (note,) if note else ())


def _read_tags(block: bytes) -> dict[str, Any]:
    import exifread  # 40 ms, and a run with --no-exif does not need it

    _reading.now = True
    try:
        tags: dict[str, Any] = exifread.process_file(
            io.BytesIO(block), details=False, extract_thumbnail=False, strict=False
        )
    except Exception:  # exifread documents no exceptions; broken metadata never costs a photo
        return {}
    finally:
        _reading.now = False
    return tags


def _position(tags: dict[str, Any]) -> Position | None:
    latitude = _degrees(tags, "GPS GPSLatitude", "N", "S", 90.0)
    longitude = _degrees(tags, "GPS GPSLongitude", "E", "W", 180.0)
    if latitude is None or longitude is None:
        return None
    return Position(latitude, longitude)


def _is_estimate(tags: dict[str, Any]) -> bool:
    """Whether this program wrote the position; eight bytes before the text name its encoding."""
    values = getattr(tags.get("GPS GPSProcessingMethod"), "values", ())
    try:
        return bytes(values)[8:].startswith(ESTIMATE_METHOD.encode("ascii"))
    except (TypeError, ValueError):  # a text or numbers that are no bytes
        return False


def _degrees(tags: dict[str, Any], name: str, positive: str, negative: str, limit: float) -> float | None:
    """Signed degrees of a coordinate given as one to three parts; None unless it is whole and in range."""
    hemisphere = _text(tags, name + "Ref").upper()
    parts = getattr(tags.get(name), "values", ())
    if hemisphere not in (positive, negative) or not isinstance(parts, list) or not 1 <= len(parts) <= 3:
        return None
    numbers = [_number(part) for part in parts]
    degrees, minutes, seconds = [*numbers, 0.0, 0.0][:3]
    if not (0 <= degrees <= limit and 0 <= minutes <= 60 and 0 <= seconds <= 60):  # False for NaN too
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if value > limit:
        return None
    return -value if hemisphere == negative and value else value


def _number(part: object) -> float:
    """A rational or a float of exifread as a number; NaN where it is none."""
    if isinstance(part, tuple) and len(part) == 1:  # floats arrive as struct.unpack gives them
        part = part[0]
    try:
        return float(part)  # type: ignore[arg-type]
    except (TypeError, ValueError, ArithmeticError):
        return math.nan


def _time_and_zone(tags: dict[str, Any]) -> tuple[datetime | None, int | None]:
    for time_name, zone_name in _TIME_AND_ZONE:
        match = _TIME.match(_text(tags, time_name))
        if not match:
            continue
        try:
            taken = datetime(*map(int, match.groups()))  # type: ignore[arg-type]
        except ValueError:
            continue  # 0000:00:00, the camera's clock was never set
        return taken, _utc_offset(_text(tags, zone_name))
    return None, None


def _utc_offset(text: str) -> int | None:
    match = _OFFSET.match(text)
    if not match:
        return None
    minutes = 60 * int(match[2]) + int(match[3])
    if minutes > MAX_UTC_OFFSET_MINUTES or int(match[3]) > 59:
        return None
    return -minutes if match[1] == "-" else minutes


def _text(tags: dict[str, Any], name: str) -> str:
    value = getattr(tags.get(name), "values", "")
    return value.strip(" \0") if isinstance(value, str) else ""
