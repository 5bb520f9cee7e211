"""The image encoder in other precisions, each let into the bundle only within its own limit.

float16 cannot be measured where it is exported (see `geolocate_export.quantise`): it goes in unseen, and says
so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from geolocate.bundle import Manifest, image_encoder_name
from geolocate.errors import UsageError
from geolocate.sphere import great_circle_km, unit_vectors
from geolocate_export import graphs
from geolocate_export.model import GeoModel
from geolocate_export.parity import cpu_session, run_batched
from geolocate_export.quantise import to_float16, to_int8
from geolocate_export.to_onnx import NewBundle

PRECISIONS = ("fp32", "int8", "fp16")
#: The least cosine to torch that int8 may have on any photo, the mean over the photos removed from both: what
#: tells photos apart has to survive. The plain cosine would flatter, since all embeddings share a large part.
INT8_MIN_CENTRED_COSINE = 0.999
UNSEEN = "not measured: exported and checked by onnx, opened on no device"
#: Photos through an encoder at once.
BATCH = 4


@dataclass(frozen=True, slots=True)
class PrecisionAgreement:
    """One precision of the image encoder against torch in float32, over `n` photos.

    Attributes:
        max_abs_difference: over all values.
        min_cosine: the worst photo's.
        min_centred_cosine: the same with the mean over the photos removed from both sides.
        top1_drift_km: how far the best gallery point of a photo lies from torch's, at most.
    """

    n: int
    max_abs_difference: float
    min_cosine: float
    min_centred_cosine: float
    top1_drift_km: float

    @classmethod
    def of(
        cls,
        expected: NDArray[np.float32],
        found: NDArray[np.float32],
        coordinates: NDArray[np.float64],
        gallery: NDArray[np.float32],
    ) -> PrecisionAgreement:
        """Compares L2-normalised rows (N, d), and what they find in `gallery` (M, d).

        Args:
            coordinates: (M, 2) of the gallery, degrees.
        """
        best, other = ((rows @ gallery.T).argmax(axis=1) for rows in (expected, found))  # (N,), (N,)
        vectors = unit_vectors(*coordinates.T)  # (M, 3)
        drift = max(
            float(great_circle_km(vectors[b : b + 1], vectors[a])[0]) if a != b else 0.0
            for a, b in zip(best, other, strict=True)
        )
        return cls(
            len(expected),
            float(np.abs(expected - found).max()),
            float(_cosines(expected, found).min()),
            float(_cosines(expected - expected.mean(axis=0), found - found.mean(axis=0)).min()),
            drift,
        )


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row by row, (N, d) and (N, d) to (N,)."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a64, axis=1) * np.linalg.norm(b64, axis=1)
    cosines: NDArray[np.float64] = (a64 * b64).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return cosines


def check_precisions(precisions: Sequence[str]) -> None:
    """Raises UsageError where one is none of :data:`PRECISIONS`, or "fp32" is not among them."""
    unknown = [precision for precision in precisions if precision not in PRECISIONS]
    if unknown:
        raise UsageError(f"no precision {', '.join(unknown)}; there are {', '.join(PRECISIONS)}")
    if "fp32" not in precisions:
        raise UsageError("fp32 is always exported: the other precisions are measured against it")


def add_precisions(
    new: NewBundle,
    model: GeoModel,
    precisions: Sequence[str],
    *,
    say: Callable[[str], None] = lambda message: None,
) -> Manifest:
    """Measures float32 once more by itself, and adds the other precisions that were asked for.

    An int8 encoder past :data:`INT8_MIN_CENTRED_COSINE` is left out, said, and its row kept: the bundle is
    whole without it.

    Raises:
        UsageError: as :func:`check_precisions`.
    """
    check_precisions(precisions)
    with torch.inference_mode():
        pixels = torch.from_numpy(new.photos)  # (N, S, S, 3)
        expected = torch.cat(
            [model.image_encoder(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)]
        ).numpy()  # (N, d)
    float32 = onnx.load(new.folder / image_encoder_name("fp32"))
    rows: dict[str, Any] = {"image_encoder.fp32": asdict(_measure(float32, new, expected))}
    kept = ["fp32"]
    if "int8" in precisions:
        say("quantising the image encoder to int8")
        int8 = to_int8(float32)
        agreement = _measure(int8, new, expected)
        rows["image_encoder.int8"] = asdict(agreement)
        if agreement.min_centred_cosine >= INT8_MIN_CENTRED_COSINE:
            (new.folder / image_encoder_name("int8")).write_bytes(graphs.graph_bytes(int8))
            kept.append("int8")
        else:
            say(
                f"int8 is left out: its least cosine with the mean removed is "
                f"{agreement.min_centred_cosine:.5f}, below {INT8_MIN_CENTRED_COSINE:g}"
            )
        del int8
    if "fp16" in precisions:
        say("converting the image encoder to float16, unseen")
        (new.folder / image_encoder_name("fp16")).write_bytes(graphs.graph_bytes(to_float16(float32)))
        rows["image_encoder.fp16"] = UNSEEN
        kept.append("fp16")
    return replace(new.manifest, precisions=tuple(kept), parity={**new.manifest.parity, **rows})


def _measure(graph: onnx.ModelProto, new: NewBundle, expected: NDArray[np.float32]) -> PrecisionAgreement:
    found = run_batched(cpu_session(graph), new.photos, BATCH)  # (N, d)
    return PrecisionAgreement.of(expected, found, new.coordinates, new.gallery_embeddings)
