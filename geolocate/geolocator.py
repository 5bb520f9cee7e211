"""The pipeline: photos in, predictions out, as a generator with bounded memory.

    paths -> find -> decode (threads, a bounded number ahead) -> batch -> image encoder -> posterior
          -> candidates, radius, names, EXIF truth -> Prediction

No list of all photos exists anywhere.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import Bundle, load_bundle
from geolocate.errors import PhotoError, UsageError
from geolocate.exif import ExifFacts, read_exif
from geolocate.gallery import Gallery
from geolocate.geocoding import Namer, NoNames, OfflineNames, open_namer
from geolocate.photos import DEFAULT_MAX_PIXELS, decode_photo, find_photos
from geolocate.ranking import Ranking
from geolocate.records import Candidate, NamedPosition, Position, Prediction
from geolocate.session import Device, ImageEncoder, Retrieval, choose_device

#: Photos in one call of the image encoder; on the CPU larger batches gain nothing.
BATCH_SIZE: dict[Literal["cpu", "cuda"], int] = {"cpu": 4, "cuda": 64}


def to_standard_error(text: str) -> None:
    """Where messages go unless the caller says otherwise."""
    print(f"geolocate: {text}", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One photo after its thread: pixels uint8 (S, S, 3) and EXIF facts, or the error."""

    photo: str
    pixels: NDArray[np.uint8] | None = None
    facts: ExifFacts | None = None
    error: str | None = None


class Geolocator:
    """Tells where photos were taken.

    Args:
        bundle: see :func:`geolocate.bundle.load_bundle`.
        device: "auto" takes CUDA where it works, "cuda" insists on it, "cpu" never tries.
        batch_size: photos in one call of the image encoder; None takes what suits the device.
        workers: threads that decode; None takes one per core.
        max_pixels: larger photos are errors.
        allow_truncated: decode what there is of a truncated file.
        exact_decode: decode JPEG at full scale (slower; differs by less than 1e-4 in cosine).
        namer: gives positions their names; see :func:`geolocate.geocoding.open_namer`.
        named_ranks: how many ranks `namer` is asked for, the others get offline names; None for all.
        say: called with each message for the user.

    Raises:
        BundleError: the bundle lacks a part or is damaged.
        DeviceError: `device` is "cuda" and does not work.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: Device = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        allow_truncated: bool = False,
        exact_decode: bool = False,
        namer: Namer | None = None,
        named_ranks: int | None = None,
        say: Callable[[str], None] = to_standard_error,
    ) -> None:
        self.bundle = bundle
        self.device = choose_device(device, say)
        self.gallery = Gallery.from_bundle(bundle)
        self._encoder = ImageEncoder(bundle, self.device)
        self._retrieval = Retrieval.open(
            bundle, self.gallery.embeddings, self.gallery.log_weights, self.device
        )
        self._batch_size = batch_size or BATCH_SIZE[self.device]
        self._workers = workers or os.cpu_count() or 1
        self._max_pixels = max_pixels
        self._allow_truncated = allow_truncated
        self._exact_decode = exact_decode
        self._namer = namer or NoNames()
        self._named_ranks = named_ranks
        self._say = say

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        geocoder: str = "offline",
        device: Device = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        say: Callable[[str], None] = to_standard_error,
    ) -> Self:
        """Opens a bundle by name or folder; None takes the best one that is installed.

        Args:
            geocoder: "offline", "none", or a geopy service with its default settings.

        Raises:
            BundleError, DeviceError: see the class.
            UsageError: there is no geocoder of that name.
        """
        namer = open_namer(geocoder, warn=say)
        return cls(
            load_bundle(model),
            device=device,
            batch_size=batch_size,
            workers=workers,
            namer=namer,
            named_ranks=1 if namer.interval_s else None,
            say=say,
        )

    @property
    def gallery_size(self) -> int:
        """How many candidates a photo can have."""
        return self.gallery.rows()

    def locate(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        top_k: int = 1,
        ranking: Ranking = "merged",
        exif: bool = True,
        exclude: Collection[str] = (),
    ) -> Iterator[Prediction]:
        """Yields a prediction for each photo, in the order of `paths`, folders searched recursively.

        A photo that fails is a prediction with `error`; it never stops the others.

        Args:
            paths: photos and folders.
            top_k: candidates for each photo, at most as many as the gallery has.
            ranking: see the functions of these names in :mod:`geolocate.ranking`.
            exif: read the true position from EXIF and give each candidate's error.
            exclude: files in those folders that are not photos of the user (the run's own outputs).

        Raises:
            UsageError: `top_k` is below 1.
        """
        if top_k < 1:
            raise UsageError("top_k must be at least 1")
        found = find_photos((os.fspath(path) for path in paths), on_warning=self._say, exclude=exclude)
        return self._locate(found, top_k, ranking, exif)

    def _locate(
        self, photos: Iterator[str], top_k: int, ranking: Ranking, exif: bool
    ) -> Iterator[Prediction]:
        for batch in self._batches(photos, exif):
            rows = [item for item in batch if item.pixels is not None]
            posteriors = iter(self._posteriors(rows))
            for item in batch:
                if item.pixels is None:
                    yield Prediction(item.photo, model=self.bundle.manifest.name, error=item.error)
                else:
                    yield self._predict(item, next(posteriors), top_k, ranking)

    def _batches(self, photos: Iterator[str], exif: bool) -> Iterator[list[_Decoded]]:
        """Photos in order, in lists that hold at most a batch of decoded ones and any number of failures."""
        batch: list[_Decoded] = []
        decoded = 0
        for item in self._decode_ahead(photos, exif):
            batch.append(item)
            decoded += item.pixels is not None
            if decoded == self._batch_size or len(batch) == 16 * self._batch_size:
                yield batch
                batch, decoded = [], 0
        if batch:
            yield batch

    def _decode_ahead(self, photos: Iterator[str], exif: bool) -> Iterator[_Decoded]:
        """Decodes in threads, at most two batches ahead; yields in order."""
        limit = 2 * self._batch_size + self._workers
        ahead: deque[Future[_Decoded]] = deque()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        try:
            for photo in photos:
                ahead.append(pool.submit(self._decode, photo, exif))
                if len(ahead) >= limit:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _decode(self, photo: str, exif: bool) -> _Decoded:
        try:
            decoded = decode_photo(
                photo,
                size=self.bundle.manifest.image.size,
                max_pixels=self._max_pixels,
                allow_truncated=self._allow_truncated,
                exact=self._exact_decode,
            )
        except PhotoError as error:
            return _Decoded(photo, error=str(error))
        except MemoryError:
            return _Decoded(photo, error="not enough memory to decode it")
        return _Decoded(photo, decoded.pixels, read_exif(decoded.exif) if exif else None)

    def _posteriors(self, items: list[_Decoded]) -> NDArray[np.float32]:
        """(N, M); NaN in the rows for which the model gives no number."""
        if not items:
            return np.empty((0, len(self.gallery)), dtype=np.float32)
        embeddings = self._encode(np.stack([item.pixels for item in items if item.pixels is not None]))
        return self._retrieval.posteriors(embeddings)

    def _encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Image embeddings (N, d); halves the batch for good where memory does not suffice."""
        while True:
            try:
                return np.concatenate(
                    [
                        self._encoder(pixels[start : start + self._batch_size])
                        for start in range(0, len(pixels), self._batch_size)
                    ]
                )
            except MemoryError:
                if self._batch_size == 1:
                    raise
                self._batch_size //= 2
                self._say(f"not enough memory for the batch, going on with {self._batch_size}")

    def _predict(
        self, item: _Decoded, posterior: NDArray[np.float32], top_k: int, ranking: Ranking
    ) -> Prediction:
        model = self.bundle.manifest.name
        truth = item.facts.position if item.facts else None
        notes = item.facts.notes if item.facts else ()
        if not np.isfinite(posterior).all():
            error = "the model gave no number for this photo"
            return Prediction(item.photo, exif=truth, model=model, notes=notes, error=error)
        ranked = self.gallery.rank(posterior, top_k, ranking)
        positions = [Position(*map(float, self.gallery.coordinates[index])) for index, _ in ranked]
        names = self._names(positions)
        candidates = tuple(
            Candidate(
                rank=rank,
                position=position,
                probability=probability,
                radius_km=self.gallery.credible_radius_km(index, posterior) if rank == 1 else None,
                named=named,
                error_km=geodesic_km(position, truth) if truth else None,
            )
            for rank, ((index, probability), position, named) in enumerate(
                zip(ranked, positions, names, strict=True), start=1
            )
        )
        return Prediction(item.photo, candidates, exif=truth, model=model, notes=notes)

    def _names(self, positions: list[Position]) -> list[NamedPosition | None]:
        first = self._namer.names(positions[: self._named_ranks])
        return first + OfflineNames().names(positions[len(first) :]) if len(first) < len(positions) else first


def geodesic_km(first: Position, second: Position) -> float:
    """WGS-84 geodesic distance in km (Karney's algorithm, by geopy)."""
    from geopy.distance import geodesic  # 86 ms, and only photos with a position need it

    kilometres: float = geodesic(
        (first.latitude, first.longitude), (second.latitude, second.longitude)
    ).kilometers
    return kilometres
