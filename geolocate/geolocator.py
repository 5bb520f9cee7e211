"""The pipeline: photos in, predictions out, as a generator with bounded memory.

    paths -> find -> decode (threads, a bounded number ahead) -> batch -> image encoder -> posterior
          -> candidates, radius, names, EXIF truth -> Prediction

Features of photos and texts join it at the image head. No list of all photos exists anywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geolocate.album_fixes import AlbumFixes
from geolocate.bundle import Bundle, load_bundle
from geolocate.decoding import DecodedItem, DecodeOptions
from geolocate.device import Device, choose_device, choose_precision
from geolocate.encoding import EncodedImage, Encoders
from geolocate.errors import DeviceError, UsageError
from geolocate.gallery import Gallery
from geolocate.geocoding import Namer, NoNames, open_namer
from geolocate.known import Known
from geolocate.machine import usable_cpus
from geolocate.photos import find_photos
from geolocate.placing import By, Placer, Wish
from geolocate.priors import Prior, inside, restricted
from geolocate.ranking import Ranking
from geolocate.records import Prediction
from geolocate.reference import DEFAULT_NEIGHBOURS, DEFAULT_SIGMA_KM, Reference
from geolocate.reference_photos import open_reference
from geolocate.session import Retrieval
from geolocate.text_safety import printable


def to_standard_error(text: str) -> None:
    """Where messages go unless the caller says otherwise."""
    print(f"geolocate: {text}", file=sys.stderr)


class Geolocator:
    """Tells where photos were taken.

    Args:
        bundle: see :func:`geolocate.bundle.load_bundle`.
        device: "auto" takes CUDA where it works, "cuda" insists on it, "cpu" never tries.
        precision: of the image encoder; "auto" takes the fastest that the bundle has for the device.
        batch_size: photos in one call of the image encoder; None takes what suits the device.
        decode: how photos are decoded.
        threads: cores that encoding and placing may use, where others share the machine; None takes all.
        gallery: the coordinates to place photos on; None takes the bundle's.
        priors: what is known of all photos; the attribute `gallery` holds the points that they leave.
        namer: gives positions their names; see :func:`geolocate.geocoding.open_namer`.
        named_ranks: how many ranks `namer` is asked for, the others get offline names; None for all.
        say: called with each message for the user.

    Raises:
        BundleError: the bundle lacks a part or is damaged.
        DeviceError: `device` is "cuda" and does not work.
        UsageError: the bundle does not have that precision, or not for that device; or the priors exclude
            every point.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: Device = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        decode: DecodeOptions | None = None,
        threads: int | None = None,
        gallery: Gallery | None = None,
        priors: Sequence[Prior] = (),
        namer: Namer | None = None,
        named_ranks: int | None = None,
        say: Callable[[str], None] = to_standard_error,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch_size is at least 1, not {batch_size}")
        self.bundle = bundle
        self.device = choose_device(device, say)
        self.gallery = restricted(gallery or Gallery.from_bundle(bundle), priors)
        self.priors = tuple(priors)
        self._threads = threads
        try:
            self._retrieval = self._open_retrieval()  # the smallest graph finds out whether CUDA works
        except DeviceError as error:
            if device != "auto":
                raise
            say(f"running on the CPU: {error}")
            self.device = "cpu"
            self._retrieval = self._open_retrieval()
        self.precision = choose_precision(precision, bundle.manifest.precisions, self.device)
        self._encoders = Encoders(
            bundle,
            self.device,
            self.precision,
            batch_size=batch_size,
            decode=decode or DecodeOptions(),
            threads=threads,
            say=say,
        )
        self._placer = Placer(
            bundle,
            self.gallery,
            self._retrieval,
            namer or NoNames(),
            named_ranks,
            threads=(threads or usable_cpus()) if self.device == "cuda" else 1,
        )
        self._say = say

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
        gallery = self.gallery
        return Retrieval(
            self.bundle, gallery.embeddings, gallery.log_weights, self.device, self._threads or 0
        )

    def encode_images(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        exif: bool = False,
        exclude: Collection[str] = (),
        ten_crops: bool = False,
    ) -> Iterator[EncodedImage]:
        """Yields the embedding of each photo, in the order of `paths`, folders searched recursively.

        A photo that fails has an `error`; it never stops the others. Arguments are those of :meth:`locate`.

        Args:
            ten_crops: see :meth:`geolocate.encoding.Encoders.images`.

        Raises:
            BundleError: the image encoder cannot be used.
        """
        batches = self._image_batches(paths, exif, exclude, ten_crops)
        return (image for batch in batches for image in batch)

    def encode_features(self, features: NDArray[Any], *, name: str = "features") -> Iterator[EncodedImage]:
        """Yields the embedding of each row of the backbone's features; see :meth:`locate_features`.

        Raises:
            UsageError: the features are not (N, c).
            BundlePartMissing: the bundle has no image head of its own.
        """
        batches = self._encoders.features(features, name)
        return (image for batch in batches for image in batch)

    def encode_locations(self, coordinates: NDArray[np.float64]) -> NDArray[np.float32]:
        """L2-normalised embeddings (N, d) of coordinates in degrees (N, 2), latitude first.

        Raises:
            UsageError: they are not (N, 2), or not on the globe.
            BundleError: the bundle has no location encoder that can be used.
        """
        pairs = np.asarray(coordinates, dtype=np.float64)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise UsageError(f"coordinates have the shape (N, 2), not {pairs.shape}")
        if not (np.abs(pairs) <= (90.0, 180.0)).all():  # False for NaN too
            raise UsageError("a coordinate is not on the globe: latitude comes first, in degrees")
        return self._encoders.locations(pairs)

    def posteriors(self, embeddings: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yields for each of the image embeddings (N, d) its posterior (M,) over the gallery, sum 1."""
        return self._retrieval.posteriors(embeddings)

    def _image_batches(
        self,
        paths: Iterable[str | os.PathLike[str]],
        exif: bool,
        exclude: Collection[str],
        ten_crops: bool = False,
    ) -> Iterator[list[EncodedImage]]:
        return self._encoders.images(self._photos(paths, exclude), exif=exif, ten_crops=ten_crops)

    def _photos(
        self,
        paths: Iterable[str | os.PathLike[str]],
        exclude: Collection[str],
        on_found: Callable[[str, str], None] = lambda argument, photo: None,
    ) -> Iterator[str]:
        _refuse_single(paths, "paths")
        _ = self._encoders.image_encoder  # fails now, not at the first photo
        return find_photos(
            (os.fspath(path) for path in paths),
            on_warning=self._say,
            exclude=exclude,
            limits=self._encoders.decode.fetch,
            on_found=on_found,
        )

    def locate(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        top_k: int = 1,
        ranking: Ranking = "merged",
        concepts: int = 5,
        exif: bool = True,
        exclude: Collection[str] = (),
        by: By = "place",
        abstain_km: float | None = None,
        album: bool = False,
        reference: Reference | None = None,
        skip: Callable[[str], bool] = lambda photo: False,
        on_found: Callable[[str, str], None] = lambda argument, photo: None,
    ) -> Iterator[Prediction]:
        """Yields a prediction for each photo, in the order of `paths`, folders searched recursively.

        A photo that fails is a prediction with `error`; it never stops the others. A file that comes again,
        as a link or a copy, is encoded once and has the note `duplicate`.

        Args:
            paths: photos and folders.
            top_k: candidates for each photo, at most as many as the gallery has.
            ranking: see the functions of these names in :mod:`geolocate.ranking`.
            concepts: at most so many that the photo shows, where the bundle has concepts.
            exif: read the true position from EXIF and give each candidate's error.
            exclude: files in those folders that are not photos of the user (the run's own outputs).
            by: "country" gives countries in place of places, each at its strongest point.
            abstain_km: photos with a larger credible radius get no candidate, but the note `uncertain`.
            album: read the EXIF of all photos first; those near in time to others with a position are placed
                with their help, and by the time zone of their clock. Rows that rest mainly on other photos
                have the note `album` and no `error_km`.
            reference: photos whose places are known, from :meth:`open_reference`; rows whose place is that of
                one of them have the note `reference`.
            skip: asked once for each photo, in order: whether it is left out, before it is decoded. It may be
                called in another thread. With `album` such a photo still says where its neighbours were.
            on_found: told of each photo and of the path that it was reached from, in the same order, before
                `skip` is asked.

        Raises:
            UsageError: `top_k` is below 1, or another argument makes no sense.
            BundleError: the image encoder cannot be used.
        """
        wish = Wish(top_k, ranking, concepts, by, abstain_km, reference)
        if album:
            return self._place_album(self._photos(paths, exclude, on_found), exif, wish, skip)
        images = self._encoders.images(self._photos(paths, exclude, on_found), exif=exif, skip=skip)
        return self._placer.place(images, wish, Known(self.priors))

    def locate_decoded(
        self,
        batches: Iterator[list[DecodedItem]],
        *,
        top_k: int = 1,
        ranking: Ranking = "merged",
        concepts: int = 5,
        by: By = "place",
        abstain_km: float | None = None,
    ) -> Iterator[Prediction]:
        """Yields a prediction for each photo that was decoded elsewhere, as :meth:`locate` would.

        Args:
            batches: each photo with its own pixels (S, S, 3) and EXIF facts, or its error.

        Raises:
            UsageError, BundleError: as :meth:`locate`.
        """
        wish = Wish(top_k, ranking, concepts, by, abstain_km)
        return self._placer.place(self._encoders.decoded(batches), wish, Known(self.priors))

    def locate_features(
        self,
        features: NDArray[Any],
        *,
        name: str = "features",
        top_k: int = 1,
        ranking: Ranking = "merged",
        concepts: int = 5,
        by: By = "place",
        abstain_km: float | None = None,
        reference: Reference | None = None,
        skip: Callable[[str], bool] = lambda row: False,
    ) -> Iterator[Prediction]:
        """Yields a prediction for each row of the backbone's features, so photos need no second pass.

        Args:
            features: (N, c), raw: with the norms that the backbone gave them (about 18 for CLIP ViT-L/14).
                Normalised features give far worse places, without an error.
            name: begins the `photo` of each prediction, `NAME#row`, rows counted from 0.
            skip: asked once for each `NAME#row`, in order: whether it is left out.

        Raises:
            UsageError: `top_k` is below 1, or the features are not (N, c).
            BundlePartMissing: the bundle has no image head of its own.
        """
        wish = Wish(top_k, ranking, concepts, by, abstain_km, reference)
        return self._placer.place(self._encoders.features(features, name, skip), wish, Known(self.priors))

    def query(
        self,
        texts: Sequence[str],
        *,
        top_k: int = 1,
        ranking: Ranking = "merged",
        by: By = "place",
        abstain_km: float | None = None,
    ) -> Iterator[Prediction]:
        """Yields a prediction for each text: where a photo that it describes would have been taken.

        Raises:
            UsageError: `top_k` is below 1, or a text is empty.
            BundlePartMissing: the bundle has no text encoder.
        """
        wish = Wish(top_k, ranking, 0, by, abstain_km)
        _refuse_single(texts, "texts")
        return self._placer.place(self._encoders.texts(texts), wish, Known(self.priors))

    def open_reference(
        self,
        path: str | os.PathLike[str],
        *,
        k: int = DEFAULT_NEIGHBOURS,
        sigma_km: float = DEFAULT_SIGMA_KM,
        weight: float | None = None,
        advance: Callable[[int, int], None] = lambda done, total: None,
    ) -> Reference:
        """Photos whose places are known, to find neighbours among; for :meth:`locate`.

        See :func:`geolocate.reference_photos.open_reference`. It belongs to this bundle, this precision and
        these priors: photos that they exclude are no neighbours.

        Raises:
            UsageError: no photo with a position, or none that the priors leave where the model has no say; k,
                sigma or weight make no sense.
            TableError: the table cannot be read.
            BundleError: the image encoder cannot be used.
        """
        reference = open_reference(
            Path(path),
            self._encoders,
            k=k,
            sigma_km=sigma_km,
            weight=weight,
            advance=advance,
            say=self._say,
        )
        kept = inside(reference.coordinates, self.priors)
        if not kept.any():
            wishes = " ".join(prior.wish for prior in self.priors)
            told = f"the reference {printable(str(path))} has no photo in {wishes}"
            if weight == 1:
                raise UsageError(f"{told}, and its weight of 1 leaves the model no say")
            self._say(f"{told}: the model alone decides")
            return reference  # the priors leave its photos no share
        return reference if kept.all() else reference.only(kept)

    def _place_album(
        self, photos: Iterator[str], exif: bool, wish: Wish, skip: Callable[[str], bool]
    ) -> Iterator[Prediction]:
        """All photos twice: first their EXIF, then with what it says of their neighbours in time."""
        with AlbumFixes(self._encoders.decode.fetch) as album:
            self._say("album: reading the positions and times of all photos first")
            album.read(photos)
            self._say(f"album: {album.fixes:,} of {album.photos:,} photos have a position and a time")
            with closing(self._encoders.images(album.paths(), exif=True, skip=skip)) as batches:
                yield from self._placer.place(batches, wish, Known(self.priors, album), exif=exif)


def _refuse_single(several: object, what: str) -> None:
    """A string is a list of its characters, and one of those may be "/"."""
    if isinstance(several, str | bytes | os.PathLike):
        raise UsageError(f"{what} are a list: [{several!r}] instead of {several!r}")
