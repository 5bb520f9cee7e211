"""The pipeline: photos in, predictions out, as a generator with bounded memory.

    paths -> find -> decode (threads, a bounded number ahead) -> batch -> image encoder -> posterior
          -> candidates, radius, names, EXIF truth -> Prediction

Features of photos and texts join it at the image head. No list of all photos exists anywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import Bundle, load_bundle
from geolocate.concepts import ZERO_SHOT, ConceptBank
from geolocate.decoding import DecodedItem, DecodeOptions, decode_batches
from geolocate.device import BATCH_SIZE, Device, choose_device, choose_precision
from geolocate.errors import DeviceError, UsageError
from geolocate.gallery import Gallery
from geolocate.geocoding import Namer, NoNames, OfflineNames, open_namer
from geolocate.photos import find_photos
from geolocate.ranking import RANKINGS, Ranking
from geolocate.records import Candidate, Concept, NamedPosition, Position, Prediction
from geolocate.session import ImageEncoder, ImageHead, Retrieval
from geolocate.text import TextEncoder

#: Features that go through the image head and the gallery together.
FEATURE_BLOCK = 256


def to_standard_error(text: str) -> None:
    """Where messages go unless the caller says otherwise."""
    print(f"geolocate: {text}", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a prediction shall hold."""

    top_k: int
    ranking: Ranking
    concepts: int

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no sense."""
        if not isinstance(self.top_k, int) or self.top_k < 1:
            raise UsageError(f"top_k is a whole number of at least 1, not {self.top_k!r}")
        if not isinstance(self.concepts, int) or self.concepts < 0:
            raise UsageError(f"concepts is a whole number of at least 0, not {self.concepts!r}")
        if self.ranking not in RANKINGS:
            raise UsageError(f"ranking is one of {', '.join(RANKINGS)}, not {self.ranking!r}")


class Geolocator:
    """Tells where photos were taken.

    Args:
        bundle: see :func:`geolocate.bundle.load_bundle`.
        device: "auto" takes CUDA where it works, "cuda" insists on it, "cpu" never tries.
        precision: of the image encoder; "auto" takes the fastest that the bundle has for the device.
        batch_size: photos in one call of the image encoder; None takes what suits the device.
        decode: how photos are decoded.
        gallery: the coordinates to place photos on; None takes the bundle's.
        namer: gives positions their names; see :func:`geolocate.geocoding.open_namer`.
        named_ranks: how many ranks `namer` is asked for, the others get offline names; None for all.
        say: called with each message for the user.

    Raises:
        BundleError: the bundle lacks a part or is damaged.
        DeviceError: `device` is "cuda" and does not work.
        UsageError: the bundle does not have that precision, or not for that device.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: Device = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        decode: DecodeOptions | None = None,
        gallery: Gallery | None = None,
        namer: Namer | None = None,
        named_ranks: int | None = None,
        say: Callable[[str], None] = to_standard_error,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch_size is at least 1, not {batch_size}")
        self.bundle = bundle
        self.device = choose_device(device, say)
        self.gallery = gallery or Gallery.from_bundle(bundle)
        try:
            self._retrieval = self._open_retrieval()  # the smallest graph finds out whether CUDA works
        except DeviceError as error:
            if device != "auto":
                raise
            say(f"running on the CPU: {error}")
            self.device = "cpu"
            self._retrieval = self._open_retrieval()
        self.precision = choose_precision(precision, bundle.manifest.precisions, self.device)
        self._batch_size = batch_size or BATCH_SIZE[self.device]
        self._decode = decode or DecodeOptions()
        self._namer = namer or NoNames()
        self._named_ranks = named_ranks
        self._say = say
        self._said_halved = False

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        geocoder: str = "offline",
        device: Device = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        decode: DecodeOptions | None = None,
        say: Callable[[str], None] = to_standard_error,
    ) -> Self:
        """Opens a bundle by name or folder; None takes the best one that is installed.

        Args:
            geocoder: "offline", "none", or a geopy service with its default settings.

        Raises:
            BundleError, DeviceError, UsageError: see the class; UsageError for an unknown geocoder too.
        """
        namer = open_namer(geocoder, warn=say)
        return cls(
            load_bundle(model),
            device=device,
            precision=precision,
            batch_size=batch_size,
            decode=decode,
            namer=namer,
            named_ranks=1 if namer.interval_s else None,
            say=say,
        )

    def _open_retrieval(self) -> Retrieval:
        return Retrieval.open(self.bundle, self.gallery.embeddings, self.gallery.log_weights, self.device)

    @cached_property
    def _encoder(self) -> ImageEncoder:
        return ImageEncoder(self.bundle, self.device, self.precision)

    @cached_property
    def _head(self) -> ImageHead:
        return ImageHead(self.bundle, self.device)

    @cached_property
    def _concepts(self) -> ConceptBank | None:
        return ConceptBank.from_bundle(self.bundle)

    @cached_property
    def _text_encoder(self) -> TextEncoder:
        return TextEncoder(self.bundle, self.device)

    def locate(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        top_k: int = 1,
        ranking: Ranking = "merged",
        concepts: int = 5,
        exif: bool = True,
        exclude: Collection[str] = (),
    ) -> Iterator[Prediction]:
        """Yields a prediction for each photo, in the order of `paths`, folders searched recursively.

        A photo that fails is a prediction with `error`; it never stops the others.

        Args:
            paths: photos and folders.
            top_k: candidates for each photo, at most as many as the gallery has.
            ranking: see the functions of these names in :mod:`geolocate.ranking`.
            concepts: at most so many that the photo shows, where the bundle has concepts.
            exif: read the true position from EXIF and give each candidate's error.
            exclude: files in those folders that are not photos of the user (the run's own outputs).

        Raises:
            UsageError: `top_k` is below 1.
            BundleError: the image encoder cannot be used.
        """
        wish = _Wish(top_k, ranking, concepts)
        _refuse_single(paths, "paths")
        _ = self._encoder  # fails now, not at the first photo
        photos = find_photos((os.fspath(path) for path in paths), on_warning=self._say, exclude=exclude)
        return self._locate(photos, wish, exif)

    def _locate(self, photos: Iterator[str], wish: _Wish, exif: bool) -> Iterator[Prediction]:
        size = self.bundle.manifest.image.size
        for batch in decode_batches(photos, size, self._batch_size, self._decode, exif=exif):
            pixels = [item.pixels for item in batch if item.pixels is not None]
            placed = self._place(self._encode(pixels)) if pixels else iter(())
            for item in batch:
                if item.pixels is None:
                    yield Prediction(item.photo, model=self.bundle.manifest.name, error=item.error)
                else:
                    yield self._predict(item, *next(placed), wish)

    def locate_features(
        self,
        features: NDArray[Any],
        *,
        name: str = "features",
        top_k: int = 1,
        ranking: Ranking = "merged",
        concepts: int = 5,
    ) -> Iterator[Prediction]:
        """Yields a prediction for each row of the backbone's features, so photos need no second pass.

        Args:
            features: (N, c), raw: with the norms that the backbone gave them (about 18 for CLIP ViT-L/14).
                Normalised features give far worse places, without an error.
            name: begins the `photo` of each prediction, `NAME#row`, rows counted from 0.

        Raises:
            UsageError: `top_k` is below 1, or the features are not (N, c).
            BundlePartMissing: the bundle has no image head of its own.
        """
        wish = _Wish(top_k, ranking, concepts)
        width = self.bundle.manifest.feature_dim
        if features.ndim != 2 or features.shape[1] != width or features.dtype.kind not in "fiu":
            raise UsageError(
                f"features of {self.bundle.manifest.name} are numbers of the shape (N, {width}), "
                f"not {features.dtype} {features.shape}"
            )
        _ = self._head
        return self._locate_features(features, name, wish)

    def _locate_features(self, features: NDArray[Any], name: str, wish: _Wish) -> Iterator[Prediction]:
        for start in range(0, len(features), FEATURE_BLOCK):
            block = np.asarray(features[start : start + FEATURE_BLOCK], dtype=np.float32)
            for row, placed in enumerate(self._place(self._head(block)), start=start):
                yield self._predict(DecodedItem(f"{name}#{row}"), *placed, wish)

    def query(
        self, texts: Sequence[str], *, top_k: int = 1, ranking: Ranking = "merged"
    ) -> Iterator[Prediction]:
        """Yields a prediction for each text: where a photo that it describes would have been taken.

        Raises:
            UsageError: `top_k` is below 1, or a text is empty.
            BundlePartMissing: the bundle has no text encoder.
        """
        wish = _Wish(top_k, ranking, concepts=0)
        _refuse_single(texts, "texts")
        if not all(text.strip() for text in texts):
            raise UsageError("a text to look for is empty")
        _ = self._text_encoder
        return self._query(texts, wish)

    def _query(self, texts: Sequence[str], wish: _Wish) -> Iterator[Prediction]:
        for text in texts:
            tokens = self._text_encoder.tokenizer([text])
            notes = ("truncated",) if tokens.truncated[0] else ()
            (placed,) = self._place(self._text_encoder(tokens))
            yield self._predict(DecodedItem(text), *placed, wish, notes)

    def _encode(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Photos (S, S, 3) to image embeddings (N, d); smaller batches from then on where memory runs out."""
        embeddings: list[NDArray[np.float32]] = []
        done = 0
        while done < len(pixels):
            try:
                embeddings.append(self._encoder(np.stack(pixels[done : done + self._batch_size])))
            except MemoryError:
                if self._batch_size == 1:
                    raise
                self._batch_size = min(self._batch_size, len(pixels)) // 2 or 1
                if not self._said_halved:
                    self._say("not enough memory for a batch: going on with smaller ones")
                    self._said_halved = True
                continue
            done += len(embeddings[-1])
        return np.concatenate(embeddings)

    def _place(
        self, embeddings: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Each of the embeddings (N, d) with its posterior (M,); NaN where the embedding has NaN."""
        return zip(embeddings, self._retrieval.posteriors(embeddings), strict=True)

    def _predict(
        self,
        item: DecodedItem,
        embedding: NDArray[np.float32],
        posterior: NDArray[np.float32],
        wish: _Wish,
        notes: tuple[str, ...] = (),
    ) -> Prediction:
        model = self.bundle.manifest.name
        truth = item.facts.position if item.facts else None
        notes += item.facts.notes if item.facts else ()
        if not np.isfinite(posterior).all():
            error = "the model gave no number for this photo"
            return Prediction(item.photo, exif=truth, model=model, notes=notes, error=error)
        ranked = self.gallery.rank(posterior, wish.top_k, wish.ranking)
        positions = [Position(*map(float, self.gallery.coordinates[index])) for index, _ in ranked]
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
                zip(ranked, positions, self._names(positions), strict=True), start=1
            )
        )
        concepts: tuple[Concept, ...] = ()
        if wish.concepts and self._concepts is not None:
            concepts = self._concepts.strongest(embedding, wish.concepts)
            notes += (ZERO_SHOT,) if concepts and self._concepts.kind == ZERO_SHOT else ()
        return Prediction(item.photo, candidates, concepts, truth, model, notes)

    def _names(self, positions: list[Position]) -> list[NamedPosition | None]:
        first = self._namer.names(positions[: self._named_ranks])
        return first + OfflineNames().names(positions[len(first) :]) if len(first) < len(positions) else first


def _refuse_single(several: object, what: str) -> None:
    """A string is a list of its characters, and one of those may be "/"."""
    if isinstance(several, str | bytes | os.PathLike):
        raise UsageError(f"{what} are a list: [{several!r}] instead of {several!r}")


def geodesic_km(first: Position, second: Position) -> float:
    """WGS-84 geodesic distance in km (Karney's algorithm, by geopy)."""
    from geopy.distance import geodesic  # 86 ms, and only photos with a position need it

    kilometres: float = geodesic(
        (first.latitude, first.longitude), (second.latitude, second.longitude)
    ).kilometers
    return kilometres
