"""Photos, features, texts and coordinates to embeddings: the encoders of a bundle, opened when first used."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import Bundle, image_encoder_name
from geolocate.decoding import DecodedItem, DecodeOptions, decode_batches
from geolocate.device import BATCHES_IN_FLIGHT, choose_batch_size
from geolocate.duplicates import told_apart
from geolocate.encoded_image import EncodedImage as EncodedImage
from geolocate.encoding_ahead import encode_batches, rows_of
from geolocate.equal_earth import project
from geolocate.errors import UsageError
from geolocate.machine import usable_cores
from geolocate.session import Embedded, ImageEncoder, ImageHead, LocationEncoder
from geolocate.text import TextEncoder

#: Features that go through the image head together, and coordinates through the location encoder.
FEATURE_BLOCK = 256
LOCATION_BLOCK = 1024
#: Where a photo takes a few milliseconds, as in graphs of this size, threads inside one operator get in the
#: way of those that decode: the starter's run is 4 % faster without.
SMALL_ENCODER_BYTES = 64 * 2**20
#: Ten-crop evaluation: views of the input size out of a square this much larger (224 of 256), at its corners
#: and centre, each mirrored too (Krizhevsky et al. 2012).
TEN_CROP_SCALE = 256 / 224


class Encoders:
    """The encoders of a bundle on one device.

    Args:
        precision: of the image encoder, one that the bundle has.
        batch_size: photos in one call of the image encoder; None takes what suits the device. It shrinks
            where memory runs out.
        decode: how photos are decoded.
        threads: cores that images may be encoded on; None takes all.
        say: called with each message for the user.

    Raises:
        BundleError, DeviceError: at first use, where the part that is needed is missing or cannot be used.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: Literal["cuda", "cpu"],
        precision: str,
        *,
        batch_size: int | None,
        decode: DecodeOptions,
        threads: int | None = None,
        say: Callable[[str], None],
    ) -> None:
        self.bundle = bundle
        self.device = device
        self.precision = precision
        self.batch_size = batch_size or choose_batch_size(device)
        self.decode = decode
        self._threads = threads
        self._say = say
        self._said_halved = False

    @cached_property
    def image_encoder(self) -> ImageEncoder:
        """Pixels to embeddings."""
        threads = 1 if self._is_small else self._threads or 0
        return ImageEncoder(self.bundle, self.device, self.precision, threads)

    @cached_property
    def _is_small(self) -> bool:
        """Whether decoding takes longer than encoding: then whole batches go side by side, a thread each."""
        entry = self.bundle.manifest.files.get(image_encoder_name(self.precision))
        return self.device == "cpu" and entry is not None and entry.size < SMALL_ENCODER_BYTES

    @property
    def _in_flight(self) -> int:
        """Batches that are encoded at the same time."""
        return (self._threads or usable_cores()) if self._is_small else BATCHES_IN_FLIGHT[self.device]

    @cached_property
    def image_head(self) -> ImageHead:
        """The backbone's raw features to embeddings."""
        return ImageHead(self.bundle, self.device)

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """Text to the space of image embeddings."""
        return TextEncoder(self.bundle, self.device)

    @cached_property
    def location_encoder(self) -> LocationEncoder:
        """Coordinates to embeddings."""
        return LocationEncoder(self.bundle, self.device)

    def images(
        self,
        photos: Iterator[str],
        *,
        exif: bool,
        ten_crops: bool = False,
        skip: Callable[[str], bool] = lambda photo: False,
    ) -> Generator[list[EncodedImage], None, None]:
        """Photos in order, by batch; one that fails has an error and stops no other.

        They are encoded in a thread of its own, the next batch while the caller is busy with the last one,
        and a file that comes again is encoded once. Of ten crops the embedding is the mean and so no unit
        vector: its logits are the means of theirs.

        Args:
            skip: asked once for each photo, in order and perhaps in another thread: whether it is left out.
        """
        size = self.bundle.manifest.image.size
        encode = self._encode_crops if ten_crops else self._encode
        if ten_crops:
            size = round(size * TEN_CROP_SCALE)
        _ = self.image_encoder  # one, and not one for each thread
        decode = partial(
            decode_batches, size=size, batch_size=self.batch_size, options=self.decode, exif=exif
        )
        return encode_batches(told_apart(photos, skip), decode, encode, self._in_flight)

    def decoded(self, batches: Iterator[list[DecodedItem]]) -> Generator[list[EncodedImage], None, None]:
        """Photos that were decoded elsewhere, squares of the bundle's input size, as :meth:`images`.

        None of them may be at hand: each has its own pixels, or its error.
        """
        return encode_batches(iter(()), lambda _: (batch for batch in batches), self._encode, self._in_flight)

    def features(
        self, features: NDArray[Any], name: str, skip: Callable[[str], bool] = lambda row: False
    ) -> Iterator[list[EncodedImage]]:
        """Rows of the backbone's raw features (N, c), in blocks; see :meth:`Geolocator.locate_features`.

        Raises:
            UsageError: they are not (N, c).
        """
        width = self.bundle.manifest.feature_dim
        if features.ndim != 2 or features.shape[1] != width or features.dtype.kind not in "fiu":
            raise UsageError(
                f"features of {self.bundle.manifest.name} are numbers of the shape (N, {width}), "
                f"not {features.dtype} {features.shape}"
            )
        _ = self.image_head
        return self._features(features, name, skip)

    def _features(
        self, features: NDArray[Any], name: str, skip: Callable[[str], bool]
    ) -> Iterator[list[EncodedImage]]:
        for start in range(0, len(features), FEATURE_BLOCK):
            block = np.asarray(features[start : start + FEATURE_BLOCK], dtype=np.float32)
            rows = [f"{name}#{row}" for row in range(start, start + len(block))]
            left = [not skip(row) for row in rows]
            if any(left):  # the whole block: so each row is computed as it always is
                encoded = zip(rows, left, rows_of(self.image_head(block)), strict=True)
                yield [EncodedImage(row, *image) for row, wanted, image in encoded if wanted]

    def texts(self, texts: Sequence[str]) -> Iterator[list[EncodedImage]]:
        """Texts, one by one, as if they were photos.

        Raises:
            UsageError: a text is empty.
        """
        if not all(text.strip() for text in texts):
            raise UsageError("a text to look for is empty")
        _ = self.text_encoder
        return self._texts(texts)

    def _texts(self, texts: Sequence[str]) -> Iterator[list[EncodedImage]]:
        for text in texts:
            tokens = self.text_encoder.tokenizer([text])
            notes = ("truncated",) if tokens.truncated[0] else ()
            (embedding,) = self.text_encoder(tokens)
            yield [EncodedImage(text, embedding, notes=notes)]

    def locations(self, coordinates: NDArray[np.float64]) -> NDArray[np.float32]:
        """Degrees (N, 2), latitude first, to L2-normalised embeddings (N, d)."""
        projected = project(coordinates).astype(np.float32)  # (N, 2)
        blocks = [
            self.location_encoder(projected[start : start + LOCATION_BLOCK])
            for start in range(0, len(projected), LOCATION_BLOCK)
        ]
        return np.concatenate(blocks or [np.empty((0, self.bundle.manifest.embedding_dim), np.float32)])

    def _encode_crops(self, pixels: Sequence[NDArray[np.uint8]]) -> Embedded:
        """Means over the ten crops of each larger square."""
        size = self.bundle.manifest.image.size
        crops = self._encode([crop for square in pixels for crop in ten_crops(square, size)])
        count = len(pixels)
        scores = crops.concept_scores
        return Embedded(
            crops.embeddings.reshape(count, 10, -1).mean(axis=1),
            None if scores is None else scores.reshape(count, 10, -1).mean(axis=1),
        )

    def _encode(self, pixels: Sequence[NDArray[np.uint8]]) -> Embedded:
        """Photos (S, S, 3); in smaller batches from then on where memory runs out."""
        parts: list[Embedded] = []
        done = 0
        while done < len(pixels):
            size = self.batch_size  # another thread may halve it
            try:
                parts.append(self.image_encoder(pixels[done : done + size], rows=size))
            except MemoryError:
                if size == 1:
                    raise
                # On a GPU a batch is filled up to its size, whatever it holds.
                given = size if self.device == "cuda" else min(size, len(pixels) - done)
                self.batch_size = min(self.batch_size, max(1, given // 2))
                if not self._said_halved:
                    self._say("not enough memory for a batch: going on with smaller ones")
                    self._said_halved = True
                continue
            done += len(parts[-1].embeddings)
        scores = [part.concept_scores for part in parts if part.concept_scores is not None]
        return Embedded(
            np.concatenate([part.embeddings for part in parts]), np.concatenate(scores) if scores else None
        )


def ten_crops(square: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    """The corners and the centre of a square (T, T, 3), each (S, S, 3), and their mirror images."""
    end, middle = len(square) - size, (len(square) - size) // 2
    corners = ((0, 0), (0, end), (end, 0), (end, end), (middle, middle))
    crops = [square[top : top + size, left : left + size] for top, left in corners]
    return crops + [crop[:, ::-1] for crop in crops]
