"""What is fuzzed: for each kind of file, how a damaged one is made, and who reads it."""

from __future__ import annotations

import functools
import io
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bundles import make_bundle
from hostile import exif_blocks, mutations, pictures
from PIL import Image
from tagging.tagged_folders import DARKTABLE, LIGHTROOM, WITH_GPS, estimate

from geolocate.bundle import load_bundle, parse_manifest
from geolocate.concepts import ConceptBank
from geolocate.errors import PhotoError
from geolocate.evaluation.scored_table import read_predictions
from geolocate.exif import read_exif
from geolocate.gallery import Gallery
from geolocate.gallery_csv import read_gallery
from geolocate.geocode_http import BoundedAdapter
from geolocate.geocode_services import ServicePolicy, open_service
from geolocate.geocoding import ServiceNames
from geolocate.photos import decode_photo, read_exif_block
from geolocate.position_table import read_positions
from geolocate.records import Candidate, Concept, NamedPosition, Place, Position, Prediction
from geolocate.results import read_results
from geolocate.tagging.xmp import merged_packet
from geolocate.writers import open_writers
from geolocate.writers.journal import Journal
from geolocate.writers.rows import rows_of

#: Pixels that a damaged photo may claim: at 4 bytes, in a few copies, they stay below the limit of memory.
MAX_PIXELS = 2**24
#: Side of the result.
SIDE = 32
BLOCK = exif_blocks.position_block(exif_blocks.degrees(43, 28, 2.8), exif_blocks.degrees(11, 53, 6.4))

Random = random.Random


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        make: a damaged one.
        read: reads it, in a folder of its own, as the program does; says what came of it in a word. Raises
            what is in :mod:`geolocate.errors`, and anything else is a fault.
    """

    make: Callable[[Random], bytes]
    read: Callable[[bytes, Path, Random], str]


@functools.cache
def targets() -> dict[str, Target]:
    """All kinds by name, photos first; HEIC where the extra can encode it."""
    photos = {name: Target(_damaged(bases), _photo) for name, bases in _photos().items()}
    return {**photos, **_others()}


def photo_kinds() -> list[str]:
    """The kinds that are photos."""
    return [*_photos()]


@functools.cache
def _photos() -> dict[str, list[bytes]]:
    small = Image.fromarray(pictures.scene(40, 30))
    frames = [Image.fromarray(pictures.scene(24, 20, seed)) for seed in range(3)]
    animated: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 40}
    profile = _profile()

    def file(kind: str, picture: Image.Image = small, **options: Any) -> bytes:
        return pictures.encoded(picture, kind, **options)

    grey, palette, alpha = small.convert("L"), small.quantize(16), small.convert("RGBA")
    deep = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
    found = {
        "JPEG": [
            file("JPEG", exif=BLOCK),
            file("JPEG", grey),
            file("JPEG", small.convert("CMYK")),
            file("JPEG", icc_profile=profile, subsampling=0),
        ],
        "JPEG-progressive": [file("JPEG", progressive=True, exif=BLOCK)],
        "MPO": [file("MPO", frames[0], save_all=True, append_images=frames[1:])],
        "PNG": [
            file("PNG", exif=BLOCK, icc_profile=profile),
            file("PNG", palette, transparency=0),
            file("PNG", alpha),
            file("PNG", deep),
            file("PNG", small.convert("1")),
        ],
        "APNG": [file("PNG", frames[0], **animated)],
        "WebP": [file("WEBP", exif=BLOCK), file("WEBP", alpha)],
        "WebP-lossless": [file("WEBP", lossless=True)],
        "WebP-animated": [file("WEBP", frames[0], **animated)],
        "GIF": [file("GIF", frames[0], **animated), file("GIF", palette, interlace=1)],
        "BMP": [file("BMP"), file("BMP", palette), file("BMP", small.convert("1")), file("BMP", alpha)],
        "TIFF": [file("TIFF", exif=BLOCK), file("TIFF", deep), file("TIFF", alpha), file("TIFF", palette)],
        "TIFF-lzw": [file("TIFF", compression="tiff_lzw")],
        "TIFF-deflate": [file("TIFF", compression="tiff_adobe_deflate")],
        "TIFF-packbits": [file("TIFF", compression="packbits")],
        "TIFF-jpeg": [file("TIFF", compression="jpeg")],
        "TIFF-group4": [file("TIFF", small.convert("1"), compression="group4")],
        "AVIF": [file("AVIF", exif=BLOCK, speed=10), file("AVIF", alpha, speed=10)],
        "AVIF-animated": [file("AVIF", frames[0], speed=10, **animated)],
    }
    try:
        import pillow_heif
    except ImportError:
        return found
    if pillow_heif.libheif_info()["HEIF"]:
        pillow_heif.register_heif_opener()
        found["HEIC"] = [file("HEIF", Image.fromarray(pictures.scene(64, 64)), exif=BLOCK)]
    return found


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _damaged(bases: list[bytes]) -> Callable[[Random], bytes]:
    return lambda generator: mutations.mutated(generator.choice(bases), generator)


def _photo(data: bytes, folder: Path, generator: Random) -> str:
    path = folder / "photo"
    path.write_bytes(data)
    if generator.random() < 0.1:
        read_exif(read_exif_block(path))
        return "metadata"
    truncated, exact = generator.random() < 0.5, generator.random() < 0.1
    try:
        photo = decode_photo(path, size=SIDE, max_pixels=MAX_PIXELS, allow_truncated=truncated, exact=exact)
    except PhotoError as error:
        text = str(error)
        assert 0 < len(text) < 200, f"an error message of {len(text)} letters"
        assert text.isprintable(), f"an error message that does not print: {text!r}"
        assert str(folder) not in text, "an error message with the path"
        assert "not enough memory" not in text, "it wanted more memory than there is"
        raise
    assert photo.pixels.shape == (SIDE, SIDE, 3)
    assert photo.pixels.dtype == np.uint8
    read_exif(photo.exif)
    return "picture"


def _exif(data: bytes, folder: Path, generator: Random) -> str:
    facts = read_exif(data)
    if facts.position is not None:
        assert abs(facts.position.latitude) <= 90
        assert abs(facts.position.longitude) <= 180
    return "position" if facts.position else "no position"


def _others() -> dict[str, Target]:
    return {
        "EXIF": Target(mutations.exif_block, _exif),
        "manifest": Target(
            lambda generator: mutations.json_text(json.loads(_manifest()), generator), _read_manifest
        ),
        "concepts": Target(lambda generator: mutations.json_text(_CONCEPTS, generator), _read_concepts),
        "arrays": Target(_damaged_array, _read_arrays),
        "gallery": Target(
            mutations.either(functools.partial(mutations.table, _GALLERY), _GALLERY.encode()), _gallery
        ),
        "positions": Target(
            mutations.either(functools.partial(mutations.table, _POSITIONS), _POSITIONS.encode()), _positions
        ),
        "predictions": Target(
            mutations.either(functools.partial(mutations.table, _PREDICTIONS), _PREDICTIONS.encode()),
            _predictions,
        ),
        "geocoder": Target(
            lambda generator: mutations.json_text(generator.choice([*_ANSWERS.values()]), generator),
            _geocoder,
        ),
        "journal": Target(_damaged_journal, _journal),
        "results": Target(_damaged_results, _results),
        "sidecar": Target(_damaged([DARKTABLE, LIGHTROOM, WITH_GPS]), _sidecar),
    }


def _sidecar(data: bytes, folder: Path, generator: Random) -> str:
    merged = merged_packet(data, estimate())
    assert merged_packet(merged, estimate()) == merged
    return "added to"


# Bundles.

_CONCEPTS = {
    "kind": "zero-shot",
    "concepts": [
        {
            "name": "souk",
            "category": "place",
            "prompts": ["a souk"],
            "baseline": 0.1,
            "auc": 0.9,
            "shown": True,
        },
        {"name": "wadi", "baseline": 0.2, "shown_in_photos": False},
    ],
}


@functools.cache
def _arrays() -> dict[str, bytes]:
    unit = np.eye(4, dtype=np.float32)[:3]
    arrays = {
        "gallery_coordinates.npy": np.array([[43.5, 11.9], [-33.9, 151.2], [0.0, 0.0]]),
        "gallery_weights.npy": np.ones(3, np.float32),
        "gallery_embeddings.npy": unit,
        "gallery_places.npy": np.arange(3),
        "concept_basis.npy": unit[:2],
    }
    files = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array)
        files[name] = stream.getvalue()
    return files


def _bundle(folder: Path, **changed: bytes) -> Path:
    files = {**_arrays(), "concepts.json": json.dumps(_CONCEPTS).encode()}
    return make_bundle(folder / "bundle", files={**files, **changed}, concept_count=2)


@functools.cache
def _manifest() -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return (_bundle(Path(folder)) / "bundle.json").read_text(encoding="utf-8")


def _read_manifest(data: bytes, folder: Path, generator: Random) -> str:
    parse_manifest(data, "bundle.json").to_json()
    return "manifest"


def _read_concepts(data: bytes, folder: Path, generator: Random) -> str:
    bank = ConceptBank.from_bundle(load_bundle(_bundle(folder, **{"concepts.json": data})))
    assert bank is not None
    assert bank.names
    assert np.isfinite(bank.distinct_directions).all()
    return "concepts"


def _damaged_array(generator: Random) -> bytes:
    """The name of the file on a line before it."""
    name = generator.choice([*_arrays()])
    return name.encode() + b"\n" + mutations.mutated(_arrays()[name], generator)


def _read_arrays(data: bytes, folder: Path, generator: Random) -> str:
    name, _, array = data.partition(b"\n")
    bundle = load_bundle(_bundle(folder, **{name.decode(): array}))
    gallery = Gallery.from_bundle(bundle)
    assert np.isfinite(gallery.vectors).all()
    assert np.isfinite(gallery.log_weights).all()
    bank = ConceptBank.from_bundle(bundle)
    assert bank is not None
    return "gallery"


# Tables.

_GALLERY = "name,LAT,LON\na,43.5,11.9\nb,-33.9,151.2\nc,0,0\nd,89.99,-180\n"
_POSITIONS = "img_id,author,lat,lon\na.jpg,x,43.5,11.9\nsub/b.jpg,y,-33.9,151.2\nc,z,0,0\n"
_PREDICTIONS = (
    "photo,rank,latitude,longitude,radius_km,exif_latitude,exif_longitude,notes,error\n"
    "a.jpg,1,43.5,11.9,12.5,43.4,11.8,,\na.jpg,2,40,10,,43.4,11.8,,\n"
    "sub/b.jpg,1,-33.9,151.2,900,-33,150,album;ocean,\nc.jpg,,,,,,,,damaged\n"
)


def _gallery(data: bytes, folder: Path, generator: Random) -> str:
    (folder / "table.csv").write_bytes(data)
    points = read_gallery(folder / "table.csv")
    assert (np.abs(points.coordinates) <= (90, 180)).all()
    return "gallery"


def _positions(data: bytes, folder: Path, generator: Random) -> str:
    (folder / "table.csv").write_bytes(data)
    images = folder if generator.random() < 0.3 else None
    for photo in read_positions(folder / "table.csv", images):
        assert abs(photo.position.latitude) <= 90
    return "table"


def _predictions(data: bytes, folder: Path, generator: Random) -> str:
    (folder / "table.csv").write_bytes(data)
    truth = folder / "truth.csv" if generator.random() < 0.5 else None
    if truth:
        truth.write_text(_POSITIONS, encoding="utf-8")
    scored = read_predictions(folder / "table.csv", truth)
    assert (np.abs(scored.truth) <= (90, 180)).all()
    return "table"


# Answers of geocoding services.

_ANSWERS: dict[str, Any] = {
    "nominatim": {
        "lat": "43.46",
        "lon": "11.88",
        "display_name": "Arezzo, Italia",
        "address": {"town": "Arezzo", "state": "Tuscany", "country": "Italy", "country_code": "it"},
    },
    "photon": {
        "features": [
            {
                "geometry": {"coordinates": [11.88, 43.46]},
                "properties": {"name": "Arezzo", "type": "city", "country": "Italy", "countrycode": "IT"},
            }
        ]
    },
    "opencage": {
        "status": {"code": 200},
        "results": [
            {
                "geometry": {"lat": 43.46, "lng": 11.88},
                "formatted": "Arezzo",
                "components": {"city": "Arezzo", "country": "Italy"},
            }
        ],
    },
    "geonames": {
        "geonames": [
            {
                "lat": "43.46",
                "lng": "11.88",
                "toponymName": "Arezzo",
                "name": "Arezzo",
                "countryName": "Italy",
            }
        ]
    },
}


class _NoCache:
    def get(self, *_: object) -> tuple[bool, None]:
        return False, None

    def put(self, *_: object) -> None:
        """Nothing is kept."""


def _geocoder(data: bytes, folder: Path, generator: Random) -> str:
    class Adapter(BoundedAdapter):
        def get_text(self, url: str, *, timeout: float, headers: dict[str, str]) -> str:
            return data.decode("utf-8", "replace")

    found = 0
    for service in _ANSWERS:
        geocoder = open_service(service, None if service in ("nominatim", "photon") else "key", None, "test")
        geocoder.adapter = Adapter(proxies=None, ssl_context=None)
        namer = ServiceNames(
            service,
            geocoder.reverse,
            ServicePolicy(),
            _NoCache(),  # type: ignore[arg-type]
            service,
            warn=lambda text: None,
            clock=lambda: 0.0,
            sleep=lambda seconds: None,
        )
        (named,) = namer.names([Position(43.5, 11.9)])
        found += named is not None
        if named is not None and named.place is not None:
            assert named.place.name.isprintable()
            assert abs(named.place.position.latitude) <= 90
    return "named" if found else "blank"


# Journals.

_RUN = {"inputs": ["photos"], "top_k": 2}


def _prediction(number: int) -> Prediction:
    place = Place("Arezzo", "Tuscany", "Italy", "IT", Position(43.46, 11.88), 3182884)
    guess = Candidate(1, Position(43.5, 11.9), 0.5, 12.5, NamedPosition(place, 0.6), 1.0)
    bad = "damaged: it ended" if number % 3 == 2 else None
    return Prediction(
        f"photos/{number}.jpg",
        () if bad else (guess,),
        () if bad else (Concept("souk", 0.5),),
        Position(43.4, 11.8),
        "starter",
        ("uncertain",),
        bad,
    )


@functools.cache
def _whole_journal() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "out.csv")
        journal.begin(_RUN)
        for number in range(6):
            journal.write(_prediction(number))
        journal.close()
        return journal.path.read_bytes()


def _damaged_journal(generator: Random) -> bytes:
    """Half of them with checksums that are right, as an edited journal or another version's has them."""
    data = _whole_journal()
    if generator.random() < 0.5:
        return mutations.mutated(data, generator)
    contents = [json.dumps(json.loads(line)[1], separators=(",", ":")).encode() for line in data.splitlines()]
    at = generator.randrange(len(contents))
    contents[at] = mutations.json_text(json.loads(contents[at]), generator).replace(b"\n", b" ")
    lines, checksum = [], 0
    for content in contents:
        checksum = zlib.crc32(content, checksum)
        lines.append(b'["%08x",%b]\n' % (checksum, content))
    return b"".join(lines)


def _journal(data: bytes, folder: Path, generator: Random) -> str:
    (folder / "out.csv.journal").write_bytes(data)
    journal = Journal(folder / "out.csv")
    try:
        journal.begin(_RUN)
        photos = 0
        for prediction in journal.earlier():
            photos += bool([*rows_of(prediction)])
        assert photos == journal.photos
        journal.write(_prediction(99))
        journal.discard()
    finally:
        journal.close()
    return "some photos" if photos else "no photo"


# Results that are read back.


@functools.cache
def _whole_results() -> tuple[bytes, ...]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        paths = {form: Path(folder) / form for form in ("csv", "jsonl")}
        with open_writers(paths) as writers:
            for number in range(6):
                writers.write(_prediction(number))
            writers.close()
        return tuple(path.read_bytes() for path in paths.values())


def _damaged_results(generator: Random) -> bytes:
    return mutations.mutated(generator.choice(_whole_results()), generator)


def _results(data: bytes, folder: Path, generator: Random) -> str:
    path = folder / "results"
    path.write_bytes(data)
    found = list(read_results(path))
    _write_again(found, path)
    content = path.read_bytes()
    _write_again(list(read_results(path)), path)
    assert path.read_bytes() == content
    return "some photos" if found else "no photo"


def _write_again(predictions: list[Prediction], path: Path) -> None:
    with open_writers({"jsonl": path}) as writers:
        for prediction in predictions:
            writers.write(prediction)
        writers.close()
