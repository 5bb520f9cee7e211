"""Folders of small photos and the results that predict would have written for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from click.testing import CliRunner, Result
from PIL import Image

from geolocate.cli import cli
from geolocate.records import Candidate, NamedPosition, Place, Position, Prediction
from geolocate.tagging.estimate import Estimate
from geolocate.writers.csv import CsvWriter
from geolocate.writers.jsonl import JsonlWriter
from geolocate.writers.target import FileTarget

#: Written by darktable 4, shortened: attributes, a structure, a packet without wrapper.
DARKTABLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
    exif:DateTimeOriginal="2021:07:01 10:00:00"
    darktable:xmp_version="5"
    darktable:raw_params="0">
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:operation="sharpen" darktable:params="0000&gt;00"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

#: As Lightroom writes it: a wrapper, padding, names of places that a person chose, and an `about`.
LIGHTROOM = (
    """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\r
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">\r
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\r
  <rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"\r
    xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'\r
    xmlns:dc="http://purl.org/dc/elements/1.1/"\r
    photoshop:City='Oma&#39;s Garten'>\r
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Sommer &amp; Küche</rdf:li></rdf:Alt></dc:title>\r
  </rdf:Description>\r
 </rdf:RDF>\r
</x:xmpmeta>\r
"""
    + " " * 200
    + '\r\n<?xpacket end="w"?>'
).encode()

#: One that has a position, as attributes, with the altitude of its fix as an element.
WITH_GPS = DARKTABLE.replace(
    b'exif:DateTimeOriginal="2021:07:01 10:00:00"',
    b'exif:DateTimeOriginal="2021:07:01 10:00:00" exif:GPSLatitude="47,22.5N" exif:GPSLongitude="8,32.5E"',
).replace(
    b"   <darktable:history>", b"   <exif:GPSAltitude>4080/10</exif:GPSAltitude>\n   <darktable:history>"
)

NOWHERE = Position(0.0, 0.0)


def estimate(latitude: float = 46.5, longitude: float = 8.25, radius_km: float | None = 12.0) -> Estimate:
    """An estimate with names, as `estimate_of` makes it."""
    method = "geolocate estimate 9.9.9 (model tried), not a GPS fix"
    return Estimate(
        Position(latitude, longitude), radius_km, 0.5, method, "Göschenen", "Uri", "Schweiz", "CH"
    )


def prediction(photo: str, latitude: float = 46.5, longitude: float = 8.25, **changes: object) -> Prediction:
    """A prediction of one candidate; `radius_km`, `probability` and `model` can be given."""
    place = Place("Göschenen", "Uri", "Switzerland", "CH", NOWHERE)
    values = {"radius_km": 12.0, "probability": 0.5, "model": "tried"} | changes
    best = Candidate(
        1,
        Position(latitude, longitude),
        float(str(values["probability"])),
        None if values["radius_km"] is None else float(str(values["radius_km"])),
        NamedPosition(place, 1.0),
    )
    return Prediction(photo, (best,), model=str(values["model"]))


def draw(path: Path, seed: int = 0, **options: object) -> Path:
    """A small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = [(seed * 37 + number * 59) % 256 for number in range(3 * 48)]
    image = Image.frombytes("RGB", (8, 6), bytes(colours)).resize((32, 24))
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def write_results(path: Path, predictions: Iterable[Prediction]) -> Path:
    """Results as predict writes them, CSV or JSON lines by the name."""
    writer = (CsvWriter if path.suffix == ".csv" else JsonlWriter)(FileTarget(path, overwrite=True))
    for each in predictions:
        writer.write(each)
    writer.close()
    return path


def tag(folder: Path, *words: str | os.PathLike[str]) -> Result:
    """`geolocate tag` with the photos of a folder."""
    return CliRunner().invoke(cli, ["tag", "--photos", os.fspath(folder), *map(os.fspath, words)])


def contents(folder: Path) -> Mapping[str, tuple[bytes, int, int]]:
    """Every file below a folder: its content, mode, and when it was last changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir():
            status = path.lstat()
            found[os.fspath(path.relative_to(folder))] = (
                path.read_bytes(),
                status.st_mode,
                status.st_mtime_ns,
            )
    return found
