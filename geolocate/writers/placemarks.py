"""The rows of a photo as placemarks of KML 2.2 (OGC 07-147r2).

Names are bytes of strangers. XML cannot hold every character, so those are replaced. And a balloon of Google
Earth is a page of HTML, so what stands in a description is escaped for HTML first and for XML then.
"""

from __future__ import annotations

import html
import re
from xml.sax.saxutils import escape

from geolocate.records import COLUMNS, PHOTO_BYTES
from geolocate.text_safety import REPLACEMENT, printable
from geolocate.writers.rows import DEGREE_DECIMALS, Row

#: A radius up to so many kilometres gets this colour (RGB) and size; the surer, the larger. The yellow
#: default pin keeps them when it is tinted; pins of other colours would be fetched from a server.
CONFIDENCE: tuple[tuple[float, str, float], ...] = (
    (25, "1a9641", 1.2),
    (200, "a6d96a", 1.1),
    (750, "ffffbf", 1.0),
    (2500, "fdae61", 0.9),
    (float("inf"), "d7191c", 0.8),
)
_UNKNOWN = ("ffffff", 0.8)
_OTHER = ("bbbbbb", 0.6)
_ERROR_COLOUR = "ff3030"
#: By default a balloon shows the name as HTML too.
_BALLOON = "<BalloonStyle><text>$[description]</text></BalloonStyle>"
#: What XML 1.0 has no way to write (2.2, production 2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def styles() -> str:
    """The shared styles: for each step of confidence, for other candidates, for lines of errors."""
    pins = [(_step(limit), colour, size, 0.8) for limit, colour, size in CONFIDENCE]
    pins += [("unknown", *_UNKNOWN, 0.8), ("other", *_OTHER, 0.0)]
    lines = [
        f'<Style id="{name}"><IconStyle><color>{_kml_colour(colour)}</color><scale>{size}</scale></IconStyle>'
        f"<LabelStyle><scale>{label}</scale></LabelStyle>{_BALLOON}</Style>\n"
        for name, colour, size, label in pins
    ]
    lines.append(
        f'<Style id="error"><LineStyle><color>{_kml_colour(_ERROR_COLOUR)}</color><width>2</width>'
        f"</LineStyle>{_BALLOON}</Style>\n"
    )
    return "".join(lines)


def photo_placemark(row: Row) -> str:
    """The best candidate of a photo, or the photo without a place.

    Args:
        row: here and below, as :func:`geolocate.writers.rows.in_json` gives it.
    """
    radius = _number(row, "radius_km")
    style = "unknown"
    if radius is not None:
        style = _step(next(limit for limit, _, _ in CONFIDENCE if radius <= limit))
    return _placemark(row, _shown(row["photo"]), style)


def other_placemark(row: Row) -> str:
    """A candidate of a lower rank; hidden until the reader ticks it."""
    name = f"{row['rank']}: {_shown(row['photo'])}"
    return _placemark(row, name, "other", "<visibility>0</visibility>")


def error_placemark(row: Row) -> str | None:
    """A line from the guess to where EXIF says that it was taken; None where one of them is missing."""
    guess, truth = _coordinates(row, ""), _coordinates(row, "exif_")
    distance = _number(row, "error_km")
    if guess is None or truth is None or distance is None:
        return None
    name = f"{_shown(row['photo'])}: {distance:,.0f} km off"
    data = _data({key: row[key] for key in ("photo", "rank", "error_km")})
    return (
        f"<Placemark><name>{xml_text(name)}</name><description>{_html_text(name)}</description>"
        f"<styleUrl>#error</styleUrl>{data}<LineString><tessellate>1</tessellate>"
        f"<coordinates>{guess} {truth}</coordinates></LineString></Placemark>\n"
    )


def xml_text(text: str) -> str:
    """Text between tags: escaped, and valid XML 1.0."""
    return escape(_NOT_XML.sub(REPLACEMENT, text), {"\r": "&#13;"})


def _placemark(row: Row, name: str, style: str, visibility: str = "") -> str:
    point = _coordinates(row, "")
    geometry = f"<Point><coordinates>{point}</coordinates></Point>" if point else ""
    return (
        f"<Placemark><name>{xml_text(name)}</name>{visibility}"
        f'<Snippet maxLines="1">{xml_text(_place(row))}</Snippet>'
        f"<description>{_description(row)}</description>"
        f"<styleUrl>#{style}</styleUrl>{_data(row)}{geometry}</Placemark>\n"
    )


def _description(row: Row) -> str:
    """What the balloon says, as XML text of HTML."""
    probability, radius, error = (_number(row, name) for name in ("probability", "radius_km", "error_km"))
    facts = [_place(row)]
    if probability is not None:
        facts.append(f"rank {row['rank']}, {100 * probability:.3g} % of the posterior")
    if radius is not None:
        facts.append(f"radius {radius:,.0f} km: half of the posterior lies inside")
    if error is not None:
        facts.append(f"{error:,.0f} km from where EXIF says")
    facts += [f"{name}: {row[name]}" for name in ("concepts", "model", "notes", "error") if row[name]]
    lines = [f"&lt;b&gt;{_html_text(_shown(row['photo']))}&lt;/b&gt;", *map(_html_text, filter(None, facts))]
    return "&lt;br&gt;".join(lines)


def _html_text(text: str) -> str:
    """Text in HTML in XML; `$[` would be a variable of Google Earth's."""
    return xml_text(html.escape(printable(text)).replace("$[", "&#36;["))


def _place(row: Row) -> str:
    return ", ".join(printable(str(row[part])) for part in ("place", "region", "country") if row[part])


def _shown(value: object) -> str:
    """A name as a label: without what reorders or hides text."""
    return printable(str(value))


def _data(values: Row) -> str:
    """ExtendedData: the columns that hold something, exactly as in JSON."""
    names = [name for name in (*COLUMNS, PHOTO_BYTES) if values.get(name) is not None]
    cells = "".join(
        f'<Data name="{name}"><value>{xml_text(str(values[name]))}</value></Data>' for name in names
    )
    return f"<ExtendedData>{cells}</ExtendedData>"


def _number(row: Row, name: str) -> float | None:
    value = row[name]
    return value if isinstance(value, float) else None


def _coordinates(row: Row, prefix: str) -> str | None:
    longitude, latitude = _number(row, f"{prefix}longitude"), _number(row, f"{prefix}latitude")
    if longitude is None or latitude is None:
        return None
    return f"{longitude:.{DEGREE_DECIMALS}f},{latitude:.{DEGREE_DECIMALS}f}"


def _step(limit: float) -> str:
    return f"radius-{limit:g}" if limit < float("inf") else "radius-more"


def _kml_colour(rgb: str) -> str:
    """KML has alpha, blue, green, red."""
    return f"ff{rgb[4:]}{rgb[2:4]}{rgb[:2]}"
