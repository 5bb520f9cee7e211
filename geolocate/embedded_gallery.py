"""A gallery of the user's own: coordinates from a CSV, embedded by the bundle's location encoder, once.

The embeddings stay in the user's cache folder under the hash of the file and of the encoder, so the second
run with the same gallery starts at once, and a changed file or another model is another entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import LOCATION_ENCODER, Bundle, sha256_of
from geolocate.equal_earth import project
from geolocate.errors import BundleDamaged, GalleryError
from geolocate.gallery import Gallery, are_unit_vectors
from geolocate.gallery_csv import read_gallery
from geolocate.private_files import cache_root, make_private_file, make_private_folder
from geolocate.session import LocationEncoder

#: Points that are embedded at once.
BLOCK = 4096
#: Changes with the layout of an entry and the rules of reading galleries, so that no older entry is taken.
CACHE_VERSION = 2

PARTS = COORDINATES, WEIGHTS, EMBEDDINGS = "coordinates.npy", "weights.npy", "embeddings.npy"
#: Begins the names of entries that are being made.
BUILDING_PREFIX = ".building-"


def cache_folder() -> Path:
    """Where embedded galleries are kept."""
    return cache_root() / "galleries"


def open_gallery(
    path: Path,
    bundle: Bundle,
    device: Literal["cpu", "cuda"],
    *,
    advance: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda message: None,
    cache: Path | None = None,
) -> Gallery:
    """Opens the gallery of a CSV file for a bundle; embeds it where that has not been done before.

    Args:
        path: see :func:`geolocate.gallery_csv.read_gallery`.
        advance: called with the points done and all points while it embeds.
        warn: called where the cache cannot be used; the run goes on without it.
        cache: a folder; None takes the user's.

    Raises:
        GalleryError: the file is no gallery.
        BundlePartMissing, BundleDamaged: the bundle has no usable location encoder.
    """
    try:
        content = sha256_of(path)
    except OSError as error:
        raise GalleryError(f"{path} cannot be read as a gallery: {error.strerror}") from error
    bundle.file(LOCATION_ENCODER)  # raises where the part is missing or of another size
    encoder_hash = bundle.manifest.files[LOCATION_ENCODER].sha256
    key = hashlib.sha256(f"{CACHE_VERSION} {content} {encoder_hash}".encode()).hexdigest()
    folder = cache or cache_folder()
    entry, width = folder / key[:32], bundle.manifest.embedding_dim
    gallery = _load(entry, width)
    if gallery is not None:
        return gallery
    points = read_gallery(path)
    encoder = LocationEncoder(bundle, device)
    scratch = None
    try:
        make_private_folder(folder)
        scratch = Path(tempfile.mkdtemp(prefix=BUILDING_PREFIX, dir=folder))
        for name in PARTS:
            make_private_file(scratch / name)
        embeddings = np.lib.format.open_memmap(
            scratch / EMBEDDINGS, mode="w+", dtype=np.float32, shape=(len(points.coordinates), width)
        )
        _embed(encoder, points.coordinates, embeddings, advance)
        embeddings.flush()
        np.save(scratch / COORDINATES, points.coordinates)
        np.save(scratch / WEIGHTS, points.weights)
        kept = _move(scratch, entry, width)
        if kept is None:
            raise OSError(f"{entry.name} cannot be read back")
        return kept
    except OSError as error:
        warn(f"the embedded gallery cannot be kept in {folder}: {error.strerror or error}")
        in_memory = np.empty((len(points.coordinates), width), dtype=np.float32)
        _embed(encoder, points.coordinates, in_memory, advance)
        return Gallery(points.coordinates, points.weights, in_memory)
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _embed(
    encoder: LocationEncoder,
    coordinates: NDArray[np.float64],
    embeddings: NDArray[np.float32],
    advance: Callable[[int, int], None],
) -> None:
    """Fills `embeddings` (M, d) for `coordinates` (M, 2) in blocks.

    Raises:
        BundleDamaged: the encoder gives what is no unit vector. Here, since to look through all of a large
            gallery at each start would read gigabytes.
    """
    for start in range(0, len(coordinates), BLOCK):
        block = project(coordinates[start : start + BLOCK]).astype(np.float32)
        embedded = encoder(block)
        if not are_unit_vectors(embedded):
            raise BundleDamaged(f"{LOCATION_ENCODER} gives no unit vectors for this gallery")
        embeddings[start : start + len(block)] = embedded
        advance(start + len(block), len(coordinates))


def _load(entry: Path, width: int) -> Gallery | None:
    """The gallery of a cache entry, or None where there is none or it is damaged."""
    try:
        coordinates, weights, embeddings = (
            np.load(entry / name, mmap_mode="r", allow_pickle=False)
            for name in (COORDINATES, WEIGHTS, EMBEDDINGS)
        )
        if embeddings.dtype != np.float32 or embeddings.shape[1:] != (width,):
            return None
        return Gallery(np.asarray(coordinates), np.asarray(weights), embeddings)
    except (OSError, ValueError, EOFError, GalleryError):
        return None


def _move(scratch: Path, entry: Path, width: int) -> Gallery | None:
    """Moves a finished entry into place, and opens what stands there then; None where nothing usable does.

    Another run may have been first: its entry stays, since a third one may be opening it.
    """
    with contextlib.suppress(OSError):
        os.rename(scratch, entry)
    if (kept := _load(entry, width)) is not None:
        return kept
    shutil.rmtree(entry, ignore_errors=True)  # it is damaged
    with contextlib.suppress(OSError):
        os.rename(scratch, entry)
    return _load(entry, width)
