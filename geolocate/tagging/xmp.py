"""An estimate as XMP: a packet of its own, or a description more in a packet that others wrote.

Sources: XMP specification part 1 (ISO 16684-1) for the packet, part 2 for the properties of EXIF
("DDD,MM.mmk"); IPTC Core 1.3 for names of places.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from geolocate.errors import SidecarRefused
from geolocate.exif import ESTIMATE_METHOD
from geolocate.records import Position
from geolocate.tagging.estimate import Estimate
from geolocate.tagging.xmp_scan import RDF, Description, Name, Packet, scan

EXIF = "http://ns.adobe.com/exif/1.0/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_PREFIXES = {EXIF: "exif", PHOTOSHOP: "photoshop", IPTC: "Iptc4xmpCore"}

LATITUDE, LONGITUDE = (EXIF, "GPSLatitude"), (EXIF, "GPSLongitude")
METHOD = (EXIF, "GPSProcessingMethod")
_DATUM, _ERROR = (EXIF, "GPSMapDatum"), (EXIF, "GPSHPositioningError")
_CITY, _REGION, _COUNTRY = (PHOTOSHOP, "City"), (PHOTOSHOP, "State"), (PHOTOSHOP, "Country")
_COUNTRY_CODE = (IPTC, "CountryCode")
_POSITION_NAMES = frozenset((LATITUDE, LONGITUDE, METHOD, _DATUM, _ERROR))
_PLACE_NAMES = frozenset((_CITY, _REGION, _COUNTRY, _COUNTRY_CODE))
#: Where others put names as well: a spot in a city, and whole places, taken or shown.
_MORE_PLACE_NAMES = frozenset(
    (
        (IPTC, "Location"),
        (IPTC_EXTENSION, "LocationCreated"),
        (IPTC_EXTENSION, "LocationShown"),
    )
)
#: What describes the fix that a position came from, and goes with that position.
FIX_TAGS = (
    "GPSAltitude",
    "GPSAltitudeRef",
    "GPSAreaInformation",
    "GPSDifferential",
    "GPSDOP",
    "GPSMeasureMode",
    "GPSSatellites",
    "GPSStatus",
)
_FIX_NAMES = frozenset((EXIF, tag) for tag in FIX_TAGS)

#: A ten-thousandth of a millimetre.
MINUTE_DECIMALS = 8
_MINUTES = 60 * 10**MINUTE_DECIMALS
_ANGLE = re.compile(r"\s*(\d{1,3}),(\d{1,2}(?:\.\d{1,15})?)(?:,(\d{1,2}(?:\.\d{1,15})?))?([NSEW])\s*")
#: Of an element with a line of its own, in bytes.
MAX_INDENT = 1000

#: Begins every packet, so that programs can find one in any file.
_PACKET_ID = "W5M0MpCehiHzreSzNTczkc9d"


@dataclass(frozen=True, slots=True)
class XmpPosition:
    """What a packet says of where a photo was taken.

    Attributes:
        position: None where what it says cannot be read.
        is_estimate: this program wrote it.
    """

    position: Position | None
    is_estimate: bool


def read_position(data: bytes) -> XmpPosition | None:
    """The position in a packet, or in none readable form; None where there is no word of one.

    Raises:
        SidecarRefused: it is no XMP that can be read safely.
    """
    return _position_in(scan(data))


def new_packet(estimate: Estimate) -> bytes:
    """A packet that holds the estimate alone."""
    version = importlib.metadata.version("geolocate")
    head = (
        f'<?xpacket begin="\ufeff" id="{_PACKET_ID}"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="geolocate {version}">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}">\n'
    )
    tail = b' </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'
    return head.encode("utf-8") + _description(_properties(estimate, names=True), "") + tail


def merged_packet(data: bytes, estimate: Estimate) -> bytes:
    """A packet of others with the estimate in it: every byte that says something else is as it was.

    A position that is there goes, with all that describes its fix; so do the names of a place that this
    program wrote with it. Names that somebody else gave stay, and then no others are added.

    Raises:
        SidecarRefused: it is no XMP that can be read safely, or the result could not be read back.
    """
    packet = scan(data)
    before = _position_in(packet)
    # An estimate has no fix: what speaks of one beside it is of somebody else.
    going = _POSITION_NAMES if before is None or before.is_estimate else _POSITION_NAMES | _FIX_NAMES
    spans: list[tuple[int, int]] = []
    named = False
    for description in packet.descriptions:
        own = going | _PLACE_NAMES if _is_own(description) else going
        spans += _spans(data, description, own)
        named |= any(p.name in (_PLACE_NAMES | _MORE_PLACE_NAMES) - own for p in description.properties)
    # Before the spaces that indent the end tag.
    end = len(data[: packet.rdf_end].rstrip(b" \t"))
    block = _description(_properties(estimate, names=not named), packet.about)
    block = block if data[end - 1 : end] == b"\n" else b"\n" + block
    written = b"".join((*_kept(data, spans, 0, end), block, *_kept(data, spans, end, len(data))))
    after = read_position(written)
    if after is None or not after.is_estimate or not is_near(after.position, estimate.position):
        raise SidecarRefused("the position would not be read back from it")
    return written


def _kept(data: bytes, spans: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[bytes]:
    """What is left of [start, end) without the spans, which do not overlap."""
    for gone, resumed in sorted(spans):
        if start <= gone < end:
            yield data[start:gone]
            start = resumed
    yield data[start:end]


def is_near(found: Position | None, wanted: Position) -> bool:
    """Whether two positions agree to 1e-5 degree, about a metre."""
    return (
        found is not None
        and abs(found.latitude - wanted.latitude) <= 1e-5
        and abs(found.longitude - wanted.longitude) <= 1e-5
    )


def angle(degrees: float, positive: str, negative: str) -> str:
    """Degrees as XMP writes them: "46,20.47274540N"."""
    whole, minutes = divmod(round(abs(degrees) * _MINUTES), _MINUTES)
    decimals = 10**MINUTE_DECIMALS
    letter = negative if degrees < 0 else positive
    return f"{whole},{minutes // decimals}.{minutes % decimals:0{MINUTE_DECIMALS}}{letter}"


def _position_in(packet: Packet) -> XmpPosition | None:
    latitude, longitude = packet.text(LATITUDE), packet.text(LONGITUDE)
    if latitude is None and longitude is None:
        return None
    degrees = _degrees(latitude or "", "NS", 90), _degrees(longitude or "", "EW", 180)
    position = None if degrees[0] is None or degrees[1] is None else Position(degrees[0], degrees[1])
    return XmpPosition(position, (packet.text(METHOD) or "").startswith(ESTIMATE_METHOD))


def _degrees(text: str, letters: str, limit: float) -> float | None:
    match = _ANGLE.fullmatch(text)
    if match is None or match[4] not in letters:
        return None
    value = int(match[1]) + float(match[2]) / 60 + float(match[3] or 0) / 3600
    if value > limit:
        return None
    return -value if match[4] == letters[1] else value


def _properties(estimate: Estimate, *, names: bool) -> dict[Name, str]:
    position = estimate.position
    found = {
        LATITUDE: angle(position.latitude, "N", "S"),
        LONGITUDE: angle(position.longitude, "E", "W"),
        _DATUM: "WGS-84",
        METHOD: estimate.method,
        _ERROR: "" if estimate.error_m is None else f"{estimate.error_m}/1",
    }
    if names:
        found |= {
            _CITY: estimate.city,
            _REGION: estimate.region,
            _COUNTRY: estimate.country,
            _COUNTRY_CODE: estimate.country_code,
        }
    return {name: text for name, text in found.items() if text}


def _description(properties: dict[Name, str], about: str) -> bytes:
    """One description; all letters beyond ASCII as references, so that it fits any encoding of the packet."""
    lines = [f'  <rdf:Description xmlns:rdf="{RDF}" rdf:about={quoteattr(about)}']
    lines += [f'    xmlns:{_PREFIXES[space]}="{space}"' for space in dict.fromkeys(n[0] for n in properties)]
    lines[-1] += ">"
    for (space, name), text in properties.items():
        tag = f"{_PREFIXES[space]}:{name}"
        lines.append(f"   <{tag}>{escape(text)}</{tag}>")
    lines.append("  </rdf:Description>\n")
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace")


def _is_own(description: Description) -> bool:
    """Whether a description is as this program writes it: anything else may be a person's word by now."""
    texts = {p.name: p.text for p in description.properties}
    return (
        texts.get(METHOD, "").startswith(ESTIMATE_METHOD) and texts.keys() <= _POSITION_NAMES | _PLACE_NAMES
    )


def _spans(data: bytes, description: Description, going: frozenset[Name]) -> list[tuple[int, int]]:
    """The bytes of a description that go: of some properties, or of all of it where nothing else is in it."""
    gone = [p for p in description.properties if p.name in going]
    elements = [p for p in gone if p.start >= description.inner_start]
    spans = [(p.start, p.end) for p in elements]
    rest = b"".join(_kept(data, spans, description.inner_start, description.inner_end))
    if gone and len(gone) == len(description.properties) and not rest.strip():
        return [_with_its_line(data, description.start, description.end)]
    attributes = [(p.start, p.end) for p in gone if p.start < description.inner_start]
    return attributes + [_with_its_line(data, *span) for span in spans]


def _with_its_line(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The bytes of an element; with its line's indent and end, where it has lines of its own."""
    _, line_begin, indent = data[max(0, start - MAX_INDENT) : start].rpartition(b"\n")
    blanks, line_end, _ = data[end : end + MAX_INDENT].partition(b"\n")
    if line_begin and line_end and not indent.strip() and not blanks.strip():
        return start - len(indent), end + len(blanks + line_end)
    return start, end
