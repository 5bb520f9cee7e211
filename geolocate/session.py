"""ONNX Runtime sessions: the graphs of a bundle as functions, checked when they are opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from geolocate.bundle import IMAGE_HEAD, LOCATION_ENCODER, RETRIEVAL, Bundle, image_encoder_name
from geolocate.device import CPU_PROVIDER, CUDA_PROVIDER
from geolocate.errors import BundleDamaged, DeviceError

#: What ONNX Runtime's messages say where memory ran out: its arena, the CUDA runtime, cuBLAS and cuDNN.
OUT_OF_MEMORY_SIGNS = (
    "Failed to allocate memory",
    "bad_alloc",
    "BFCArena",
    "bfc_arena",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

#: ONNX Runtime's log level: errors reach the user as exceptions, not as lines on standard error.
LOG_FATAL = 4
#: Bound on one block of posteriors, so that memory does not grow with gallery times batch.
POSTERIOR_BLOCK_BYTES = 64 * 2**20
#: Fewer rows take another code path in matrix products, with other rounding: pad to this many.
MIN_PRODUCT_ROWS = 2


def open_session(
    path: Path, device: Literal["cuda", "cpu"], threads: int = 0
) -> onnxruntime.InferenceSession:
    """A session on `device`.

    Args:
        threads: threads inside one operator; 0 takes one per physical core.

    Raises:
        BundleDamaged: ONNX Runtime cannot load the graph.
        DeviceError: the session does not really run on CUDA.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = LOG_FATAL
    options.intra_op_num_threads = threads
    # Waiting threads would spin on the cores that decode the next photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = [CUDA_PROVIDER, CPU_PROVIDER] if device == "cuda" else [CPU_PROVIDER]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime has no common base class of its exceptions
        if device == "cuda" and any(sign in str(error).lower() for sign in ("cuda", "cudnn", "cublas")):
            raise DeviceError(f"CUDA does not work here: {_first_line(error)}") from error
        raise BundleDamaged(f"{path.name} cannot be loaded: {_first_line(error)}") from error
    if device == "cuda" and session.get_providers()[0] != CUDA_PROVIDER:
        raise DeviceError(
            "CUDA does not work here: ONNX Runtime fell back to the CPU while it opened the graph"
        )
    return session


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _run(
    session: onnxruntime.InferenceSession, outputs: Sequence[str], inputs: dict[str, NDArray[Any]]
) -> list[NDArray[np.float32]]:
    """The named outputs of a graph.

    Raises:
        MemoryError: the device has too little memory for these inputs.
    """
    try:
        result: list[NDArray[np.float32]] = session.run(list(outputs), inputs)
    except Exception as error:  # ONNX Runtime has no common base class of its exceptions
        if any(sign in str(error) for sign in OUT_OF_MEMORY_SIGNS):
            raise MemoryError(_first_line(error)) from error
        raise
    return result


def _check(
    session: onnxruntime.InferenceSession,
    name: str,
    inputs: dict[str, tuple[str, Sequence[int | None]]],
    outputs: dict[str, tuple[str, Sequence[int | None]]],
    optional: Sequence[str] = (),
) -> None:
    """Raises BundleDamaged where a graph's names, types or fixed sizes are not the ones that are expected.

    Outputs that are `optional` need not be there.
    """
    for kind, nodes, expected in (
        ("input", session.get_inputs(), inputs),
        ("output", session.get_outputs(), outputs),
    ):
        found = {node.name: node for node in nodes}
        if not set(expected) - set(optional) <= set(found) <= set(expected):
            raise BundleDamaged(f"{name} has the {kind}s {sorted(found)}, expected {sorted(expected)}")
        for key, node in found.items():
            dtype, shape = expected[key]
            fits = len(node.shape) == len(shape) and all(
                want is None or not isinstance(have, int) or have == want
                for have, want in zip(node.shape, shape, strict=True)
            )
            if node.type != f"tensor({dtype})" or not fits:
                raise BundleDamaged(
                    f"{name}: {kind} '{key}' is {node.type} {node.shape}, "
                    f"expected tensor({dtype}) {list(shape)}"
                )


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


class _ToEmbeddings:
    """A graph from rows to `image_embedding` (N, d) and, where a concept module is in it, `concept_scores`.

    Raises:
        BundlePartMissing, BundleDamaged, DeviceError: see :func:`open_session`.
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
        self.session = open_session(bundle.file(name), device, threads)
        self._input, dtype, shape = inputs
        outputs: dict[str, tuple[str, Sequence[int | None]]] = {
            "image_embedding": ("float", (None, manifest.embedding_dim)),
            "concept_scores": ("float", (None, manifest.concept_count)),
        }
        _check(self.session, name, {self._input: (dtype, shape)}, outputs, optional=["concept_scores"])
        found = {node.name for node in self.session.get_outputs()}
        self._outputs = [output for output in outputs if output in found]
        # A dynamically quantised graph takes its scale over the whole batch: such graphs take one row only.
        rows = self.session.get_inputs()[0].shape[0]
        self._fixed_rows = rows if isinstance(rows, int) else None

    def _run(self, rows: NDArray[Any]) -> Embedded:
        step = self._fixed_rows or len(rows)
        blocks = [
            _run(self.session, self._outputs, {self._input: rows[start : start + step]})
            for start in range(0, len(rows), step)
        ]
        return Embedded(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


class ImageEncoder(_ToEmbeddings):
    """Pixels to image embeddings."""

    def __init__(
        self, bundle: Bundle, device: Literal["cuda", "cpu"], precision: str = "fp32", threads: int = 0
    ) -> None:
        side = bundle.manifest.image.size
        pixels = ("pixels", "uint8", (None, side, side, 3))
        super().__init__(bundle, image_encoder_name(precision), device, threads, pixels)

    def __call__(self, pixels: NDArray[np.uint8]) -> Embedded:
        """Of uint8 (N, S, S, 3)."""
        return self._run(pixels)


class ImageHead(_ToEmbeddings):
    """The backbone's raw features to image embeddings."""

    def __init__(self, bundle: Bundle, device: Literal["cuda", "cpu"], threads: int = 0) -> None:
        features = ("features", "float", (None, bundle.manifest.feature_dim))
        super().__init__(bundle, IMAGE_HEAD, device, threads, features)

    def __call__(self, features: NDArray[np.float32]) -> Embedded:
        """Of float32 (N, c), norms as the backbone gave them."""
        padded = self._run(_pad_rows(features, MIN_PRODUCT_ROWS))
        count, scores = len(features), padded.concept_scores
        return Embedded(padded.embeddings[:count], None if scores is None else scores[:count])


class LocationEncoder:
    """Equal Earth coordinates to location embeddings.

    Raises:
        BundlePartMissing, BundleDamaged, DeviceError: see :func:`open_session`.
    """

    def __init__(self, bundle: Bundle, device: Literal["cuda", "cpu"], threads: int = 0) -> None:
        self.session = open_session(bundle.file(LOCATION_ENCODER), device, threads)
        _check(
            self.session,
            LOCATION_ENCODER,
            {"coordinates": ("float", (None, 2))},
            {"location_embedding": ("float", (None, bundle.manifest.embedding_dim))},
        )

    def __call__(self, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, 2) of :func:`geolocate.equal_earth.project` to L2-normalised float32 (N, d)."""
        padded = _pad_rows(coordinates, MIN_PRODUCT_ROWS)
        (embeddings,) = _run(self.session, ["location_embedding"], {"coordinates": padded})
        return embeddings[: len(coordinates)]


@dataclass(frozen=True)
class Retrieval:
    """Image embeddings against a gallery: the posterior over its points.

    Attributes:
        gallery: float32 (M, d).
        log_prior: float32 (M,), added to the logits.
        logit_factor: what a cosine is multiplied with.
    """

    session: onnxruntime.InferenceSession
    gallery: NDArray[np.float32]
    log_prior: NDArray[np.float32]
    logit_factor: float

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        gallery: NDArray[np.float32],
        log_prior: NDArray[np.float32],
        device: Literal["cuda", "cpu"],
        threads: int = 0,
    ) -> Retrieval:
        """Opens the bundle's retrieval graph over `gallery`.

        Raises:
            BundlePartMissing, BundleDamaged, DeviceError: see :func:`open_session`.
        """
        session = open_session(bundle.file(RETRIEVAL), device, threads)
        width = bundle.manifest.embedding_dim
        _check(
            session,
            RETRIEVAL,
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
        return cls(session, gallery, log_prior, bundle.manifest.logit_factor)

    def posteriors(self, embeddings: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """(N, d) to N posteriors (M,), each summing to 1; none depends on the others."""
        rows = max(MIN_PRODUCT_ROWS, POSTERIOR_BLOCK_BYTES // (4 * len(self.gallery)))
        for start in range(0, len(embeddings), rows):
            block = embeddings[start : start + rows]
            (posterior,) = _run(
                self.session,
                ["posterior"],
                {
                    "image_embedding": _pad_rows(block, MIN_PRODUCT_ROWS),
                    "gallery": self.gallery,
                    "log_prior": self.log_prior,
                    "logit_factor": np.array(self.logit_factor, dtype=np.float32),
                    "top": np.array([1], dtype=np.int64),
                },
            )
            yield from posterior[: len(block)]
