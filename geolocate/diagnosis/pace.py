"""The self-test: the real pipeline over a drawn photo, and how fast its parts are alone.

Decoding and encoding run at the same time, so the slower of the two decides; both share the cores on the CPU.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geolocate.diagnosis.findings import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from geolocate.encoding import Encoders
    from geolocate.geolocator import Geolocator

#: The drawn photo: as many pixels and bytes (about 3 MB) as a telephone's.
PHOTO_WIDTH, PHOTO_HEIGHT = 4000, 3000
PHOTO_QUALITY = 85
#: Random pixels that are enlarged to those of the photo: their size and range decide over the bytes.
GRAIN = 2
GREYS = (100, 156)
#: Shares of the time for decoding alone, encoding alone, and both together.
SHARES = (0.3, 0.3, 0.4)
#: Where one part is slower than the other by less, neither is the bottleneck.
EVEN = 1.25


def draw_photo(path: Path) -> None:
    """Writes a JPEG of coloured noise with an EXIF position, the same each time."""
    import numpy as np
    from PIL import ExifTags, Image

    shape = (PHOTO_HEIGHT // GRAIN, PHOTO_WIDTH // GRAIN, 3)
    noise = np.random.default_rng(0).integers(*GREYS, shape, dtype=np.uint8)
    image = Image.fromarray(noise).resize((PHOTO_WIDTH, PHOTO_HEIGHT), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N",
            ExifTags.GPS.GPSLatitude: (46.0, 30.0, 0.0),
            ExifTags.GPS.GPSLongitudeRef: "E",
            ExifTags.GPS.GPSLongitude: (7.0, 30.0, 0.0),
        }
    )
    image.save(path, quality=PHOTO_QUALITY, exif=exif)


def measure(geolocator: Geolocator, seconds: float) -> dict[str, Any]:
    """Photos a second of each part and of the whole, over about `seconds`.

    The file stays in the system's cache: a slow disk is not measured.

    Raises:
        OSError: there is no temporary folder for it, or no room.
    """
    from geolocate.decoding import DecodeOptions
    from geolocate.encoding import Encoders

    decode_s, encode_s, whole_s = (share * seconds for share in SHARES)
    with tempfile.TemporaryDirectory(prefix="geolocate-doctor-") as folder:
        photo = Path(folder) / "photo.jpg"
        draw_photo(photo)
        encoders = Encoders(
            geolocator.bundle,
            geolocator.device,
            geolocator.precision,
            batch_size=None,
            decode=DecodeOptions(),
            say=lambda text: None,
        )
        pixels, decode = _decode_pace(encoders, photo, decode_s)
        encode = _encode_pace(encoders, pixels, encode_s)
        del encoders  # the pipeline opens its own: a large model is not in memory twice
        megabytes = photo.stat().st_size / 1e6
        with closing(_counted(geolocator.locate(ever_new(photo)))) as located:
            whole = _pace(located, whole_s)
        return {"decode": decode, "encode": encode, "whole": whole, "photo_mb": megabytes}


def ever_new(photo: Path) -> Iterator[str]:
    """A photo again and again, each time one byte longer: a file that comes again would be encoded once."""
    while True:
        with photo.open("ab") as file:
            file.write(b"\0")
        yield str(photo)


def _decode_pace(encoders: Encoders, photo: Path, seconds: float) -> tuple[list[NDArray[np.uint8]], float]:
    """A batch of pixels (S, S, 3), and decoding alone."""
    from geolocate.decoding import decode_batches

    size, batch = encoders.bundle.manifest.image.size, encoders.batch_size
    batches = decode_batches(repeat(str(photo)), size, batch, encoders.decode, exif=True)
    first = next(filter(None, batches))  # one that is empty tells of a pause
    pixels = [item.pixels for item in first if item.pixels is not None]
    with closing(_counted(batches, len)) as decoded:
        return (pixels * batch)[:batch], _pace(decoded, seconds)


def _encode_pace(encoders: Encoders, pixels: list[NDArray[np.uint8]], seconds: float) -> float:
    """The image encoder alone."""
    import numpy as np

    encoder, batch = encoders.image_encoder, np.stack(pixels)  # (N, S, S, 3)
    return _pace((len(encoder(batch).embeddings) for _ in repeat(None)), seconds)


def _counted(
    items: Iterator[Any], count: Callable[[Any], int] = lambda item: 1
) -> Generator[int, None, None]:
    """How many each item holds; closing it closes the source."""
    try:
        for item in items:
            yield count(item)
    finally:
        if isinstance(items, Generator):
            items.close()


def _pace(counts: Iterator[int], seconds: float) -> float:
    """So many a second, for at least that long; the first count, which also prepares, is left out."""
    next(counts)
    begun, done, elapsed = time.perf_counter(), 0, 0.0
    while elapsed < seconds or not done:
        done += next(counts)
        elapsed = time.perf_counter() - begun
    return done / elapsed


def describe_pace(pace: dict[str, Any], device: str) -> list[Finding]:
    """The self-test for people: the paces, and which part decides over them."""
    decode, encode, whole = pace["decode"], pace["encode"], pace["whole"]
    place = "on the GPU" if device == "cuda" else "on the CPU"
    photo = f"JPEG of {PHOTO_WIDTH * PHOTO_HEIGHT / 1e6:.0f} MP, {pace['photo_mb']:.1f} MB"
    text = (
        f"{_rate(whole)} photos/s from file to place ({photo}): "
        f"decoding alone {_rate(decode)}, image encoder alone {_rate(encode)} {place}"
    )
    return [Finding("pace", "ok", text, facts=pace), _describe_bottleneck(decode, encode, device)]


def describe_missing_pace(error: str) -> Finding:
    """Why there is no pace."""
    text = f"the pace cannot be measured, for want of a temporary folder: {error}"
    fix = "let TMPDIR name a folder with 10 MB of room, or take --no-self-test"
    return Finding("pace", "warning", text, fix, {"error": error})


def _describe_bottleneck(decode: float, encode: float, device: str) -> Finding:
    facts = {"bottleneck": "even"}
    if decode * EVEN < encode:
        text = "decoding is the slower part: more cores help, a faster device or a smaller precision does not"
        facts = {"bottleneck": "decode"}
    elif encode * EVEN < decode:
        more = (
            "a GPU helps, and an int8 encoder where the bundle has one" if device == "cpu" else "fp16 helps"
        )
        text = f"the image encoder is the slower part: {more}"
        facts = {"bottleneck": "encode"}
    else:
        text = "decoding and the image encoder are about as fast as each other"
    return Finding("bottleneck", "info", text, facts=facts)


def _rate(pace: float) -> str:
    return f"{pace:.1f}" if pace < 100 else f"{pace:,.0f}"
