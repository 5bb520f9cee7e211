"""XMP packets: made, read, and added to without a byte of others lost."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tagging.tagged_folders import DARKTABLE, LIGHTROOM, WITH_GPS, estimate

from geolocate.errors import SidecarRefused
from geolocate.records import Position
from geolocate.tagging.xmp import EXIF, LATITUDE, angle, is_near, merged_packet, new_packet, read_position
from geolocate.tagging.xmp_scan import scan

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs the program exiftool")
NO_RDF = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'
#: Attributes, and elements; nothing between one tag and the next.
ONE_LINE = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<r:Description r:about="" xmlns:e="http://ns.adobe.com/exif/1.0/"%b>%b</r:Description>'
    b"</r:RDF></x:xmpmeta>"
)
LATITUDES = st.floats(-90, 90, allow_nan=False)
LONGITUDES = st.floats(-180, 180, allow_nan=False)


def as_exiftool_reads(packet: bytes, folder: Path) -> dict[str, Any]:
    path = folder / "read.xmp"
    path.write_bytes(packet)
    done = subprocess.run(["exiftool", "-n", "-json", path], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


@given(latitude=LATITUDES, longitude=LONGITUDES)
def test_every_position_reads_back(latitude: float, longitude: float) -> None:
    found = read_position(new_packet(estimate(latitude, longitude)))
    assert found is not None
    assert found.is_estimate
    assert is_near(found.position, Position(latitude, longitude))


@pytest.mark.parametrize(
    ("degrees", "text"),
    [
        (46.34120912, "46,20.47254720N"),
        (-0.0, "0,0.00000000N"),
        (-33.5, "33,30.00000000S"),
        (89.99999999999, "90,0.00000000N"),
        (7.99999999999, "8,0.00000000N"),
    ],
)
def test_minutes_never_become_sixty(degrees: float, text: str) -> None:
    assert angle(degrees, "N", "S") == text


@needs_exiftool
@pytest.mark.parametrize(
    "position", [(46.123456, 8.654321), (-33.9, -70.25), (-90.0, 180.0), (0.00001, -0.00001)]
)
def test_exiftool_reads_the_position_to_a_metre(position: tuple[float, float], tmp_path: Path) -> None:
    found = as_exiftool_reads(new_packet(estimate(*position)), tmp_path)
    assert is_near(Position(found["GPSLatitude"], found["GPSLongitude"]), Position(*position))


@needs_exiftool
@pytest.mark.parametrize("before", [None, DARKTABLE, LIGHTROOM, WITH_GPS])
def test_exiftool_reads_that_it_is_an_estimate(before: bytes | None, tmp_path: Path) -> None:
    packet = new_packet(estimate()) if before is None else merged_packet(before, estimate())
    found = as_exiftool_reads(packet, tmp_path)
    assert found["GPSProcessingMethod"] == estimate().method
    assert found["GPSHPositioningError"] == 12_000
    assert found["GPSMapDatum"] == "WGS-84"
    assert "GPSAltitude" not in found
    assert found["City"] == ("Oma's Garten" if before == LIGHTROOM else "Göschenen")
    assert found.get("CountryCode") == (None if before == LIGHTROOM else "CH")
    assert "Warning" not in found


@pytest.mark.parametrize("before", [DARKTABLE, LIGHTROOM])
def test_what_others_wrote_stays_byte_for_byte(before: bytes) -> None:
    after = merged_packet(before, estimate())
    at = next(i for i in range(len(before)) if before[i] != after[i])
    added = len(after) - len(before)
    assert before == after[:at] + after[at + added :]
    assert b"GPSLatitude" in after[at : at + added]
    ElementTree.fromstring(after)


def test_a_position_goes_with_all_that_describes_its_fix_and_nothing_else() -> None:
    after = merged_packet(WITH_GPS, estimate())
    assert b"47,22.5N" not in after
    assert b"GPSAltitude" not in after
    assert b'exif:DateTimeOriginal="2021:07:01 10:00:00"' in after
    # The same but for where the two attributes and the element were.
    assert after == merged_packet(DARKTABLE, estimate())


@pytest.mark.parametrize("name", ["x:LocationShown", "x:LocationCreated", "c:Location"])
def test_where_others_name_the_place_in_their_own_way_no_names_are_added(name: str) -> None:
    spaces = (
        b' xmlns:x="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        b' xmlns:c="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"'
    )
    given = f"<{name}>Home</{name}>".encode()
    after = merged_packet(ONE_LINE % (spaces, given), estimate())
    assert given in after
    assert b"photoshop" not in after


@pytest.mark.parametrize("before", [None, DARKTABLE, LIGHTROOM, WITH_GPS])
def test_a_second_estimate_takes_the_place_of_the_first(before: bytes | None) -> None:
    first, second = estimate(1.0, 2.0), replace(estimate(3.0, 4.0), city="Elsewhere", region="")
    once = new_packet(first) if before is None else merged_packet(before, first)
    twice = merged_packet(once, second)
    assert twice == (new_packet(second) if before is None else merged_packet(before, second))
    assert merged_packet(twice, second) == twice


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_name_makes_a_packet_that_parses(city: str, model: str) -> None:
    from tagging.tagged_folders import prediction

    from geolocate.records import Candidate, NamedPosition, Place
    from geolocate.tagging.estimate import estimate_of

    plain = prediction("a.jpg", model=model)
    named = NamedPosition(Place(city, city, city, "CH", Position(0, 0)), 1.0)
    best: Candidate = replace(plain.candidates[0], named=named)
    found = estimate_of(replace(plain, candidates=(best,)))
    assert found is not None
    for packet in (new_packet(found), merged_packet(DARKTABLE, found)):
        ElementTree.fromstring(packet)
        back = read_position(packet)
        assert back is not None
        assert back.is_estimate


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + DARKTABLE[DARKTABLE.index(b"<x:") :], "document type"),
        (DARKTABLE[:-30], "no XMP"),
        (b"", "no XMP"),
        (b"\xff\xd8\xff\xe0JFIF", "no XMP"),
        (b"<svg/>", "no RDF"),
        (DARKTABLE.decode().encode("utf-16"), "UTF-8"),
(DARKTABLE.replace(b"</rdf:RDF>", b"</rdf:RDF>" + NO_RDF), "more than one"),
        (b"<a>" * 200 + b"</a>" * 200, "too deep"),
        (NO_RDF, "empty"),
        (DARKTABLE.replace(b"UTF-8", b"UTF-9"), "UTF-8"),
        (ONE_LINE % (b"", b"<e:GPSLatitude/>" * 5001), "more than 5,000 properties"),
        (ONE_LINE % (b"".join(b' e:p%d=""' % n for n in range(5001)), b""), "more than 5,000 properties"),
    ],
)  # fmt: skip
def test_what_is_no_xmp_or_dangerous_is_refused(packet: bytes, reason: str) -> None:
    with pytest.raises(SidecarRefused, match=reason):
        merged_packet(packet, estimate())


@pytest.mark.parametrize(
    "packet",
    [
        DARKTABLE.replace(
            b'darktable:raw_params="0"', b"e:GPSLatitude='x' xmlns:e='http://ns.adobe.com/exif/1.0/'"
        ),
        WITH_GPS.replace(b"exif:", b"q:").replace(b"xmlns:exif", b"xmlns:q"),
        b"\xef\xbb\xbf" + WITH_GPS,
        WITH_GPS.replace(b"UTF-8", b"ISO-8859-1"),
        WITH_GPS.replace(b"\n", b"\r\n"),
        ONE_LINE.replace(b">%b</r:Description>", b"/>") % b' e:GPSLatitude="1,2N"',
        ONE_LINE % (b"", b"<e:GPSLatitude/>"),
        ONE_LINE % (b' e:Flash="1"', b'<e:GPSLatitude r:resource="1,2N"/>'),
    ],
    ids=[
        "one coordinate, unreadable",
        "another prefix",
        "byte order mark",
        "Latin-1",
        "CR LF",
        "one line, no element",
        "one line, an empty element",
        "one line, something else",
    ],
)
def test_a_position_is_noticed_in_any_spelling_and_replaced_whole(packet: bytes) -> None:
    found = read_position(packet)
    assert found is not None
    assert not found.is_estimate
    after = merged_packet(packet, estimate())
    assert len(after.split(b"GPSLatitude")) == 3  # one element: its start and its end
    ElementTree.fromstring(after)


def test_letters_of_the_same_name_in_another_namespace_are_nobodys_position() -> None:
    packet = DARKTABLE.replace(b'darktable:raw_params="0"', b'darktable:GPSLatitude="1,2N"')
    assert read_position(packet) is None
    assert b'darktable:GPSLatitude="1,2N"' in merged_packet(packet, estimate())


def test_what_others_say_of_an_altitude_stays_at_the_second_estimate_too() -> None:
    packet = DARKTABLE.replace(b'darktable:raw_params="0"', b'exif:GPSAltitude="408/1"')
    once = merged_packet(packet, estimate(1.0, 2.0))
    assert b'exif:GPSAltitude="408/1"' in merged_packet(once, estimate())


#: What damages a packet, or means to be taken for a part of it.
PIECES = (
    b"<!-- </rdf:RDF> -->", b"<![CDATA[</rdf:RDF>]]>", b"<?pi </rdf:RDF>?>", b"<!DOCTYPE a>", b"</a>",
    b"exif:GPSLatitude='1'", b"xmlns:exif=''", b"<exif:GPSLatitude>1,2N</exif:GPSLatitude>",
    b"<rdf:Description exif:GPSLatitude='4,4N' xmlns:exif='http://ns.adobe.com/exif/1.0/'/>",
    b"<rdf:Description rdf:about=''/>", b"<", b">", b"'", b"\xff", b"\n",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_packet_of_any_kind_is_refused_or_added_to_without_a_loss(seed: int) -> None:
    chance = random.Random(seed)
    taken = 0
    for _ in range(1000):
        packet = bytearray(chance.choice((DARKTABLE, LIGHTROOM, WITH_GPS)))
        places = [i for i, byte in enumerate(packet) if byte in b"\n "]
        at = chance.choice(places)
        packet[at : at + chance.choice((0, 0, 0, 1, 20))] = chance.choice(PIECES)
        try:
            after = merged_packet(bytes(packet), estimate())
        except SidecarRefused:
            continue
        taken += 1
        assert others(after) >= others(bytes(packet)) - {(EXIF, "GPSAltitude")}
        assert [p.name for d in scan(after).descriptions for p in d.properties].count(LATITUDE) == 1
        assert merged_packet(after, estimate()) == after
    assert taken > 100


def others(packet: bytes) -> set[tuple[str, str]]:
    """The names of the properties that are no part of a position."""
    found = {p.name for d in scan(packet).descriptions for p in d.properties}
    return {name for name in found if name[0] != EXIF or name[1] in ("GPSAltitude", "DateTimeOriginal")}
