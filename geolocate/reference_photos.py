"""Opening a reference: the user's own photos with positions, encoded once and kept by content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import LOCATION_ENCODER, sha256_of
from geolocate.embedding_cache import EmbeddingCache, default_cache_path
from geolocate.encoding import Encoders
from geolocate.errors import PhotoError, UsageError
from geolocate.exif import read_exif
from geolocate.photo_names import PHOTO_EXTENSIONS
from geolocate.photos import find_photos, read_exif_block
from geolocate.position_table import Problems, read_positions
from geolocate.records import Position
from geolocate.reference import DEFAULT_NEIGHBOURS, DEFAULT_SIGMA_KM, Reference
from geolocate.text_safety import printable

#: Photos between two visits of the cache: what a run that is cut off loses at most.
KEPT_TOGETHER = 256

NO_POSITION = "no position in its EXIF"
UNREADABLE = "cannot be read"
COPY = "copy of another photo"


@dataclass(frozen=True, slots=True)
class _Known:
    """A photo of the reference, with the SHA-256 of its content."""

    path: str
    position: Position
    content: str


def open_reference(
    path: Path,
    encoders: Encoders,
    *,
    k: int = DEFAULT_NEIGHBOURS,
    sigma_km: float = DEFAULT_SIGMA_KM,
    weight: float | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda message: None,
    cache: Path | None = None,
) -> Reference:
    """Reads photos and positions, and encodes those photos that no earlier run has encoded.

    A photo without a position, one that cannot be read and a copy of another are left out, counted and named.

    Args:
        path: a folder of photos with GPS in their EXIF, or a table with the columns of
            :func:`geolocate.position_table.read_positions`, whose names are relative to its own folder.
        k, sigma_km, weight: see :class:`geolocate.reference.Reference`.
        advance: called with the photos done and all photos to encode.
        say: told what was left out, and how many there are.
        cache: an SQLite file; None takes the user's.

    Raises:
        UsageError: there is nothing of that name, or no photo with a position in it.
        TableError: the table cannot be read, or lacks a column.
        BundleError: the image encoder cannot be used.
    """
    name = printable(str(path))
    if not path.exists():
        raise UsageError(f"no such reference: {name}")
    if path.suffix[1:].lower() in PHOTO_EXTENSIONS and path.is_file():
        raise UsageError(f"the reference {name} is a photo: a reference is a folder of photos, or a table")
    problems = Problems()
    photos = list(_unique(_labelled(path, problems, say), problems))
    embeddings = _embeddings(photos, encoders, problems, advance, say, cache)
    known = [photo for photo in photos if photo.content in embeddings]
    for line in problems.lines():
        say(f"reference {name}: left out {line}")
    if not known:
        raise UsageError(
            f"the reference {name} has no photo with a position: it is a folder of photos with GPS in their "
            "EXIF, or a table of image, latitude, longitude"
        )
    coordinates = np.array([(p.position.latitude, p.position.longitude) for p in known], dtype=np.float64)
    manifest = encoders.bundle.manifest
    may_doubt = manifest.trained and encoders.bundle.has(LOCATION_ENCODER)
    return Reference(
        np.stack([embeddings[photo.content] for photo in known]),
        coordinates,
        [photo.content for photo in known],
        k,
        sigma_km,
        weight,
        encoders.locations(coordinates) if may_doubt else None,
    )


def content_of(photo: str) -> str | None:
    """What tells a photo's content from any other's, the SHA-256 of its file; None if it cannot be read."""
    try:
        return sha256_of(Path(photo)) if Path(photo).is_file() else None
    except (OSError, ValueError):
        return None


def _labelled(path: Path, problems: Problems, say: Callable[[str], None]) -> Iterator[tuple[str, Position]]:
    """Paths of photos with their positions."""
    if not path.is_dir():
        for row in read_positions(path, path.parent, problems=problems):
            yield row.path, row.position
        return
    for photo in find_photos([str(path)], on_warning=say):
        try:
            position = read_exif(read_exif_block(photo)).position
        except PhotoError as error:
            problems.add(UNREADABLE, f"{photo} ({error})")
            continue
        if position is None:
            problems.add(NO_POSITION, photo)
        else:
            yield photo, position


def _unique(labelled: Iterator[tuple[str, Position]], problems: Problems) -> Iterator[_Known]:
    """One photo for each content; copies would be each other's neighbours."""
    seen: set[str] = set()
    for photo, position in labelled:
        content = content_of(photo)
        if content is None:
            problems.add(UNREADABLE, photo)
        elif content in seen:
            problems.add(COPY, photo)
        else:
            seen.add(content)
            yield _Known(photo, position, content)


def _embeddings(
    photos: list[_Known],
    encoders: Encoders,
    problems: Problems,
    advance: Callable[[int, int], None],
    say: Callable[[str], None],
    cache: Path | None,
) -> dict[str, NDArray[np.float32]]:
    """Embeddings (d,) by content, of those photos that can be encoded."""
    bundle, decode = encoders.bundle, encoders.decode
    model = f"{bundle.sha256} {encoders.precision} {decode.exact} {decode.allow_truncated}"
    width = bundle.manifest.embedding_dim
    with EmbeddingCache(cache or default_cache_path(), model, width, say) as kept:
        found = kept.get([photo.content for photo in photos])
        missing = [photo for photo in photos if photo.content not in found]
        for start in range(0, len(missing), KEPT_TOGETHER):
            some = missing[start : start + KEPT_TOGETHER]
            new: dict[str, NDArray[np.float32]] = {}
            images = (i for batch in encoders.images(iter([p.path for p in some]), exif=False) for i in batch)
            for done, (photo, image) in enumerate(zip(some, images, strict=True), start=start + 1):
                if image.embedding is None:
                    problems.add(UNREADABLE, f"{photo.path} ({image.error})")
                elif np.isfinite(image.embedding).all():
                    new[photo.content] = image.embedding
                else:
                    problems.add("no number by the model", photo.path)
                advance(done, len(missing))
            kept.put(new.items())
            found |= new
    return found
