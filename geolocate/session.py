"""The graphs of a bundle as functions of arrays, checked when they are opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import IMAGE_HEAD, LOCATION_ENCODER, RETRIEVAL, Bundle, image_encoder_name
from geolocate.graph import Graph, Nodes, page_locked

#: Bound on one block of posteriors, so that memory does not grow with gallery times batch.
POSTERIOR_BLOCK_BYTES = 64 * 2**20
#: Fewer rows take another code path in matrix products, with other rounding: pad to this many.
MIN_PRODUCT_ROWS = 2


def _pad_rows(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Repeats the last row until there are `rows`."""
    missing = rows - len(array)
    return array if missing <= 0 else np.concatenate((array, np.repeat(array[-1:], missing, axis=0)))


@dataclass(frozen=True, slots=True)
class Embedded:
    """What an image graph gives for N photos.

    Attributes:
        embeddings: float32 (N, d), L2-normalised; a row of NaN is the caller's to find.
        concept_scores: float32 (N, K), L2-normalised, of graphs with a trained concept projection; else None.
    """

    embeddings: NDArray[np.float32]
    concept_scores: NDArray[np.float32] | None = None

    def first(self, count: int) -> Embedded:
        """Of the first photos alone."""
        scores = self.concept_scores
        return Embedded(self.embeddings[:count], None if scores is None else scores[:count])


class _ToEmbeddings:
    """A graph from rows to `image_embedding` (N, d) and, where a concept module is in it, `concept_scores`.

    Raises:
        BundlePartMissing, BundleDamaged, DeviceError: see :class:`geolocate.graph.Graph`.
    """

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        device: Literal["cuda", "cpu"],
        threads: int,
        inputs: tuple[str, str, Sequence[int | None]],
    ) -> None:
        manifest = bundle.manifest
        self.graph = Graph(bundle.file(name), device, threads)
        self._input, dtype, shape = inputs
        outputs: Nodes = {
            "image_embedding": ("float", (None, manifest.embedding_dim)),
            "concept_scores": ("float", (None, manifest.concept_count)),
        }
        self.graph.check({self._input: (dtype, shape)}, outputs, optional=["concept_scores"])
        found = {node.name for node in self.graph.session.get_outputs()}
        self._outputs = [output for output in outputs if output in found]
        # A dynamically quantised graph takes its scale over the whole batch: such graphs take one row only.
        rows = self.graph.session.get_inputs()[0].shape[0]
        self._fixed_rows = rows if isinstance(rows, int) else None

    def _run(self, rows: NDArray[Any]) -> Embedded:
        step = self._fixed_rows or len(rows)
        blocks = [
            self.graph(self._outputs, {self._input: rows[start : start + step]})
            for start in range(0, len(rows), step)
        ]
        return Embedded(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


class ImageEncoder(_ToEmbeddings):
    """Pixels to image embeddings; safe to call from several threads."""

    def __init__(
        self, bundle: Bundle, device: Literal["cuda", "cpu"], precision: str = "fp32", threads: int = 0
    ) -> None:
        side = bundle.manifest.image.size
        super().__init__(
            bundle,
            image_encoder_name(precision),
            device,
            threads,
            inputs=("pixels", "uint8", (None, side, side, 3)),
        )
        self._on_gpu = device == "cuda"
        self._staged: SimpleQueue[NDArray[np.uint8]] = SimpleQueue()

    def __call__(self, photos: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], rows: int = 0) -> Embedded:
        """Of N photos uint8 (S, S, 3).

        Args:
            rows: the graph is given at least so many, the rest of them blank: kernels of a GPU are chosen by
                the size of a batch and round differently, so a row is the same only in batches of one size.

        Raises:
            MemoryError: the device has too little memory for these photos.
        """
        if not self._on_gpu:
            return self._run(np.stack(list(photos))).first(len(photos))
        pixels = self._staging(max(rows, len(photos)))
        try:
            np.stack(list(photos), out=pixels[: len(photos)])
            pixels[len(photos) :] = 0
            return self._run(pixels).first(len(photos))
        finally:
            self._staged.put(pixels)

    def _staging(self, rows: int) -> NDArray[np.uint8]:
        """Memory (rows, S, S, 3) to hand photos over in, used again: a block for each call at work."""
        try:
            while len(block := self._staged.get_nowait()) != rows:  # of another size: it goes
                pass
            return block
        except Empty:
            side = self.graph.session.get_inputs()[0].shape[1]
            return page_locked((rows, side, side, 3), np.uint8)


class ImageHead(_ToEmbeddings):
    """The backbone's raw features to image embeddings."""

    def __init__(self, bundle: Bundle, device: Literal["cuda", "cpu"], threads: int = 0) -> None:
        features = ("features", "float", (None, bundle.manifest.feature_dim))
        super().__init__(bundle, IMAGE_HEAD, device, threads, features)

    def __call__(self, features: NDArray[np.float32]) -> Embedded:
        """Of float32 (N, c), norms as the backbone gave them."""
        return self._run(_pad_rows(features, MIN_PRODUCT_ROWS)).first(len(features))


class LocationEncoder:
    """Equal Earth coordinates to location embeddings.

    Raises:
        BundlePartMissing, BundleDamaged, DeviceError: see :class:`geolocate.graph.Graph`.
    """

    def __init__(self, bundle: Bundle, device: Literal["cuda", "cpu"], threads: int = 0) -> None:
        self._graph = Graph(bundle.file(LOCATION_ENCODER), device, threads)
        self._graph.check(
            {"coordinates": ("float", (None, 2))},
            {"location_embedding": ("float", (None, bundle.manifest.embedding_dim))},
        )

    def __call__(self, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, 2) of :func:`geolocate.equal_earth.project` to L2-normalised float32 (N, d)."""
        padded = _pad_rows(coordinates, MIN_PRODUCT_ROWS)
        (embeddings,) = self._graph(["location_embedding"], {"coordinates": padded})
        return embeddings[: len(coordinates)]


class Retrieval:
    """Image embeddings against a gallery: the posterior over its points.

    Args:
        gallery: float32 (M, d); it is put on the device once.
        log_prior: float32 (M,), added to the logits.

    Attributes:
        logit_factor: what a cosine is multiplied with.

    Raises:
        BundlePartMissing, BundleDamaged, DeviceError: see :class:`geolocate.graph.Graph`.
    """

    def __init__(
        self,
        bundle: Bundle,
        gallery: NDArray[np.float32],
        log_prior: NDArray[np.float32],
        device: Literal["cuda", "cpu"],
        threads: int = 0,
    ) -> None:
        self.logit_factor = bundle.manifest.logit_factor
        self._graph = Graph(
            bundle.file(RETRIEVAL),
            device,
            threads,
            constants={
                "gallery": gallery,
                "log_prior": log_prior,
                "logit_factor": np.array(self.logit_factor, dtype=np.float32),
                "top": np.array([1], dtype=np.int64),
            },
        )
        width = bundle.manifest.embedding_dim
        self._graph.check(
            {
                "image_embedding": ("float", (None, width)),
                "gallery": ("float", (None, width)),
                "log_prior": ("float", (None,)),
                "logit_factor": ("float", ()),
                "top": ("int64", (1,)),
            },
            {
                "posterior": ("float", (None, None)),
                "top_probability": ("float", (None, None)),
                "top_index": ("int64", (None, None)),
            },
        )
        self._rows = max(MIN_PRODUCT_ROWS, POSTERIOR_BLOCK_BYTES // (4 * len(gallery)))

    def posteriors(self, embeddings: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """(N, d) to N posteriors (M,), each summing to 1; none depends on the others."""
        for start in range(0, len(embeddings), self._rows):
            block = embeddings[start : start + self._rows]
            padded = _pad_rows(block, MIN_PRODUCT_ROWS)
            (posterior,) = self._graph(["posterior"], {"image_embedding": padded})
            yield from posterior[: len(block)]
