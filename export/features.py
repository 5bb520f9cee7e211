"""Features of a frozen backbone, computed once: a cache on disk that grows row by row and outlives a kill.

A cache is a folder for one backbone and number of views: `features.f16` holds float16 (rows, V, c), and
`digests.bin` the SHA-256 of each row's photo. Features are written before their digests, so what the digests
count is whole. Photos are known by their content: renamed, moved or listed anew they cost no second pass.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from geolocate.errors import OutputError, PhotoError, PhotoNotReadable, UsageError
from geolocate.file_lock import lock
from geolocate.photos import decode_photo
from geolocate_export import augmentation
from geolocate_export.feature_set import FeatureSet
from geolocate_export.model import ImageEncoder
from geolocate_export.training_data import NOT_DECODED, TrainingPhotos

FEATURES_NAME, DIGESTS_NAME, DESCRIPTION_NAME = "features.f16", "digests.bin", "cache.json"
#: Changes with anything that makes older features differ, such as how photos are decoded.
CACHE_FORMAT = 1
DIGEST_BYTES = 32
#: Photos that go through the backbone at once, and are written at once: the same after a kill as without.
BLOCK = 32
#: Photos decoded ahead of the backbone.
LOOK_AHEAD = 2 * BLOCK

DUPLICATE = "same content as an earlier photo"
NOT_HELD = "features that float16 cannot hold or that are no numbers"


def cached_features(
    photos: TrainingPhotos,
    encoder: ImageEncoder,
    views: int,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureSet:
    """The features of photos in several views, computed where the cache does not have them yet.

    View 0 is the photo as inference sees it; the others are :func:`augmentation.augmented`, cut from the
    square that inference sees. Photos that cannot be decoded, whose content came before (it would stand on
    both sides of a split), or whose features float16 cannot hold, are left out and told to `photos.problems`.

    Args:
        encoder: whose backbone it is; heads do not matter. It is left on `device`.
        views: V, at least 1.
        folder: that holds caches, each in a subfolder named by backbone, preprocessing and views.
        device: of torch, that the backbone runs on.
        workers: threads that decode; None takes one per core.
        progress: gets the photos done and their total.

    Returns:
        The good photos in their order; the features are memory-mapped where the cache has those rows in that
        order, else copied into memory.

    Raises:
        UsageError: fewer than one view, or no photo that can be used.
        OutputError: another run writes the cache, or it cannot be written.
    """
    if views < 1:
        raise UsageError(f"{views} views: at least one is needed")
    encoder = encoder.to(device).eval()
    try:
        with Cache.open(folder, encoder, views) as cache:
            kept, rows = _fill(cache, photos, encoder, device, workers or os.cpu_count() or 1, progress)
            if not kept:
                reasons = "".join(f"; {line}" for line in photos.problems.lines())
                raise UsageError(f"none of the photos can be used{reasons}")
            features = cache.features(rows)  # (P, V, c)
    except OSError as error:
        raise OutputError(f"the cache of features cannot be used: {error.strerror or error}") from error
    names = tuple(photos.names[index] for index in kept)
    return FeatureSet(features, photos.coordinates[kept], names)


def _fill(
    cache: Cache,
    photos: TrainingPhotos,
    encoder: ImageEncoder,
    device: str,
    workers: int,
    progress: Callable[[int, int], None],
) -> tuple[list[int], list[int]]:
    """Adds what the cache lacks; returns the photos that are good and their rows."""
    kept: dict[bytes, int] = {}
    block: list[_Photo] = []

    def compute() -> None:
        for digest in _append(cache, block, encoder, device):
            photos.problems.add(NOT_HELD, photos.names[kept.pop(digest)])
        block.clear()

    for index, photo in enumerate(_prepared(photos.paths, cache, encoder.config.image_size, workers)):
        if photo.error is not None:
            photos.problems.add(NOT_DECODED, f"{photos.names[index]} ({photo.error})")
        elif photo.digest in kept:
            photos.problems.add(DUPLICATE, photos.names[index])
        else:
            kept[photo.digest] = index
            if photo.pixels is not None:
                block.append(photo)
        if len(block) == BLOCK:
            compute()
        progress(index + 1, len(photos))
    if block:
        compute()
    return list(kept.values()), [cache.rows[digest] for digest in kept]


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo after its thread: its digest with views uint8 (V, S, S, 3), None where cached; or the error."""

    digest: bytes = b""
    pixels: NDArray[np.uint8] | None = None
    error: str | None = None


def _prepared(paths: Collection[str], cache: Cache, size: int, workers: int) -> Iterator[_Photo]:
    """The photos in order, decoded in threads a bounded number ahead."""
    ahead: deque[Future[_Photo]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="view")
    try:
        for path in paths:
            ahead.append(pool.submit(_prepare, path, size, cache))
            if len(ahead) > LOOK_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _prepare(path: str, size: int, cache: Cache) -> _Photo:
    try:
        digest = _digest(path)
        if digest in cache.rows:
            return _Photo(digest)
        pixels = [decode_photo(path, size=size).pixels]  # (S, S, 3)
        if cache.views > 1:
            square = decode_photo(path, size=augmentation.SOURCE_SIDES * size).pixels
            pixels += [augmentation.augmented(square, size, digest, view) for view in range(1, cache.views)]
    except PhotoError as error:
        return _Photo(error=str(error))
    return _Photo(digest, np.stack(pixels))


def _digest(path: str) -> bytes:
    try:
        if not os.path.isfile(path):  # a FIFO would block
            raise PhotoNotReadable("no such file")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise PhotoNotReadable(f"cannot be read: {error.strerror or type(error).__name__}") from None


def _append(cache: Cache, block: list[_Photo], encoder: ImageEncoder, device: str) -> list[bytes]:
    """Adds the photos' features; returns the digests of those that have none to add."""
    pixels = torch.from_numpy(np.stack([photo.pixels for photo in block if photo.pixels is not None]))
    with torch.inference_mode():
        by_view = [
            encoder.features(pixels[:, view].to(device)).float().cpu().numpy() for view in range(cache.views)
        ]
    with np.errstate(over="ignore"):
        features = np.stack(by_view, axis=1).astype(np.float16)  # (N, V, c)
    held = [bool(np.isfinite(photo).all()) for photo in features]  # (N,)
    cache.append([photo.digest for photo, good in zip(block, held, strict=True) if good], features[held])
    return [photo.digest for photo, good in zip(block, held, strict=True) if not good]


class Cache:
    """The rows of one backbone and number of views; one process at a time writes them.

    Attributes:
        folder: of its files.
        views: V of each row.
        rows: the row of each photo, by the SHA-256 of its content.
    """

    def __init__(self, folder: Path, views: int, width: int) -> None:
        self.folder, self.views, self._width = folder, views, width
        self.rows: dict[bytes, int] = {}

    @classmethod
    def open(cls, folder: Path, encoder: ImageEncoder, views: int) -> Cache:
        """The cache below `folder` for this backbone; made where there is none."""
        description = {
            "format": CACHE_FORMAT,
            "views": views,
            "image": asdict(encoder.config),
            "weights": _weights_digest(encoder),
            "augmentation": augmentation.RECIPE if views > 1 else None,
        }
        text = json.dumps(description, indent=1, sort_keys=True) + "\n"
        cache = cls(
            folder / hashlib.sha256(text.encode()).hexdigest()[:16], views, encoder.config.feature_dim
        )
        cache.folder.mkdir(parents=True, exist_ok=True)
        (cache.folder / DESCRIPTION_NAME).write_text(text, encoding="utf-8")
        return cache

    def __enter__(self) -> Cache:
        """Claims the cache and cuts off what a killed run left half-written.

        Raises:
            OutputError: another process writes it.
        """
        self._digests = (self.folder / DIGESTS_NAME).open("a+b")
        if not lock(self._digests.fileno()):
            self._digests.close()
            raise OutputError(f"another run writes the cache of features in {self.folder}")
        self._features = (self.folder / FEATURES_NAME).open("a+b")
        self._digests.seek(0)
        stored = self._digests.read()
        row_bytes = self.views * self._width * np.dtype(np.float16).itemsize
        whole = min(len(stored) // DIGEST_BYTES, self._features.seek(0, os.SEEK_END) // row_bytes)
        self._digests.truncate(whole * DIGEST_BYTES)
        self._features.truncate(whole * row_bytes)
        self.rows = {stored[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]: at for at in range(whole)}
        return self

    def __exit__(self, *_: object) -> None:
        """Lets go of the files; the rows stay."""
        self._features.close()
        self._digests.close()

    def append(self, digests: list[bytes], features: NDArray[np.float16]) -> None:
        """Adds rows (N, V, c)."""
        self._features.write(features.tobytes())
        self._features.flush()
        os.fsync(self._features.fileno())
        self._digests.write(b"".join(digests))
        self._digests.flush()
        for digest in digests:
            self.rows[digest] = len(self.rows)

    def features(self, rows: list[int]) -> NDArray[np.float16]:
        """Those rows (P, V, c): memory-mapped where they follow each other, else a copy."""
        shape = (len(self.rows), self.views, self._width)
        stored = np.memmap(self.folder / FEATURES_NAME, np.float16, "r", shape=shape)
        wanted = np.array(rows)
        if (np.diff(wanted) == 1).all():
            return stored[wanted[0] : wanted[-1] + 1]
        copy: NDArray[np.float16] = np.asarray(stored)[wanted]
        return copy


def _weights_digest(encoder: ImageEncoder) -> str:
    """SHA-256 (hex) of the backbone's weights; of an ONNX graph the configuration has its own."""
    digest = hashlib.sha256()
    if encoder.backbone is not None:
        for name, tensor in sorted(encoder.backbone.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()
