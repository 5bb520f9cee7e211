"""Where the properties of an XMP packet stand, byte by byte, so that some can be taken out and the rest stay.

The packet is a stranger's: a document type (and with it every entity) is refused, and nothing is built of
what is read but a list.

Source: XMP specification part 1 (ISO 16684-1), section 7: RDF/XML without typed nodes, all properties of the
packet in `rdf:Description`s below one `rdf:RDF`, as elements or as attributes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from geolocate.errors import SidecarRefused

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
#: Deeper than any structure that XMP has.
MAX_DEPTH = 100
#: Descriptions and properties; all schemas together have fewer.
MAX_PROPERTIES = 5_000
#: Of a property's text, in characters; what is read here are numbers and names.
MAX_TEXT = 1000

_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
_START_TAG = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*/?>""")

Name = tuple[str, str]


@dataclass(slots=True)
class Property:
    """One property: its namespace and name, its text, and the bytes [start, end) that state it."""

    name: Name
    text: str
    start: int
    end: int


@dataclass(slots=True)
class Description:
    """One `rdf:Description`: its bytes [start, end), those between its tags, and its properties."""

    start: int
    end: int
    inner_start: int
    inner_end: int
    properties: list[Property] = field(default_factory=list)


@dataclass(slots=True)
class Packet:
    """What stands where.

    Attributes:
        about: what the packet's descriptions are about, which is the same in each, or empty.
        rdf_end: where the end tag of `rdf:RDF` begins.
    """

    about: str
    rdf_end: int
    descriptions: list[Description]

    def text(self, name: Name) -> str | None:
        """The text of a property; None where there is none of that name."""
        found = (
            p.text for description in self.descriptions for p in description.properties if p.name == name
        )
        return next(found, None)


def scan(data: bytes) -> Packet:
    """Finds the properties of an XMP packet; the caller bounds its size.

    Raises:
        SidecarRefused: it is no XMP, has a document type or more properties than XMP can have, or is in
            UTF-16 or UTF-32; says what.
    """
    if b"\0" in data:
        raise SidecarRefused("no XMP in UTF-8")
    scanner = _Scanner(data)
    try:
        scanner.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise SidecarRefused(f"no XMP: {expat.ErrorString(error.code)}, line {error.lineno}") from error
    except (LookupError, ValueError) as error:  # of an encoding that Python does not have
        raise SidecarRefused("no XMP in UTF-8") from error
    if scanner.rdf_end is None:
        raise SidecarRefused("no XMP: there is no RDF in it")
    return Packet(scanner.about, scanner.rdf_end, scanner.descriptions)


class _Scanner:
    """Follows the parser; elements are counted from `rdf:RDF`: descriptions are 1 below it, properties 2."""

    def __init__(self, data: bytes) -> None:
        self.about = ""
        self.rdf_end: int | None = None
        self.descriptions: list[Description] = []
        self.parser = expat.ParserCreate()
        self.parser.ordered_attributes = True
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._data = data
        self._scopes: list[dict[str, str]] = [{"xml": XML}]
        self._depth = 0
        #: The element that began last has no end tag.
        self._empty = False
        self._stated = 0
        self._rdf_depth: int | None = None

    def _doctype(self, *_: object) -> None:
        raise SidecarRefused("its XMP has a document type, which XMP never has")

    def _start(self, name: str, attributes: list[str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SidecarRefused("its XMP is nested too deep")
        pairs = list(zip(attributes[::2], attributes[1::2], strict=True))
        scope = self._scopes[-1]
        declared = {key[6:]: value for key, value in pairs if key == "xmlns" or key.startswith("xmlns:")}
        self._scopes.append(scope | declared if declared else scope)
        start = self.parser.CurrentByteIndex
        end = self._tag_end(start)
        self._empty = self._data.startswith(b"/", end - 2)
        full = self._resolve(name, default=True)
        if full == (RDF, "RDF"):
            if self._rdf_depth is not None:
                raise SidecarRefused("its XMP has more than one RDF")
            if self._empty:
                raise SidecarRefused("its RDF is empty")
            self._rdf_depth = self._depth
        elif self._below_rdf() == 1:
            self._count()
            self.descriptions.append(Description(start, end, end, end))
            self._read_attributes(pairs, start, end)
        elif self._below_rdf() == 2:
            self._count()
            self.descriptions[-1].properties.append(Property(full, "", start, end))

    def _count(self) -> None:
        self._stated += 1
        if self._stated > MAX_PROPERTIES:
            raise SidecarRefused(f"its XMP has more than {MAX_PROPERTIES:,} properties")

    def _end(self, name: str) -> None:
        at = self.parser.CurrentByteIndex
        end = None if self._empty else self._data.index(b">", at) + 1
        self._empty = False
        if self._depth == self._rdf_depth:
            self.rdf_end = at
        elif end is not None and self._below_rdf() == 1:
            self.descriptions[-1].inner_end, self.descriptions[-1].end = at, end
        elif end is not None and self._below_rdf() == 2:
            self.descriptions[-1].properties[-1].end = end
        self._scopes.pop()
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self._below_rdf() >= 2:
            last = self.descriptions[-1].properties[-1]
            last.text += text[: MAX_TEXT - len(last.text)]

    def _below_rdf(self) -> int:
        """How far below an open `rdf:RDF` the parser is; 0 outside of one."""
        return 0 if self._rdf_depth is None or self.rdf_end is not None else self._depth - self._rdf_depth

    def _tag_end(self, start: int) -> int:
        match = _START_TAG.match(self._data, start)
        if match is None:  # expat takes nothing that this does not
            raise SidecarRefused("no XMP: a tag that cannot be read")
        return match.end()

    def _read_attributes(self, pairs: list[tuple[str, str]], start: int, end: int) -> None:
        """The properties that a description states as attributes."""
        texts = dict(pairs)
        for match in _ATTRIBUTE.finditer(self._data, start, end):
            key = match[1].decode("utf-8", "replace")
            name = self._resolve(key, default=False)
            if name in ((RDF, "about"), ("", "about")):
                self.about = self.about or texts[key]
            elif key != "xmlns" and not key.startswith("xmlns:"):
                self._count()
                text = texts.get(key, "")[:MAX_TEXT]
                self.descriptions[-1].properties.append(Property(name, text, match.start(), match.end()))

    def _resolve(self, name: str, *, default: bool) -> Name:
        """A name with its namespace; of elements without a prefix that is the default one."""
        prefix, colon, local = name.rpartition(":")
        if not colon and not default:
            return "", local
        return self._scopes[-1].get(prefix, ""), local
