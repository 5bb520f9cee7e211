"""Features from a file, for `--features`: opened safely, and looked at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from geolocate.errors import UsageError
from geolocate.text_safety import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
#: A mean norm in between means that the features were normalised.
UNIT_NORMS = (0.9, 1.1)
#: Rows that are looked at for that.
NORM_ROWS = 256


def open_features(path: str) -> NDArray[Any]:
    """Opens an NPY file of features (N, c); it stays memory-mapped.

    Raises:
        UsageError: it is not there, or no such file; nothing in it is ever executed.
    """
    import numpy as np

    shown = printable(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{shown} is no file of features")
    try:
        with open(path, "rb") as file:
            magic = file.read(len(NPY_MAGIC))
        if magic.startswith(ZIP_MAGIC):
            raise UsageError(
                f"{shown} is an archive of several arrays (NPZ): --features takes one array (NPY)"
            )
        if magic != NPY_MAGIC:
            raise UsageError(f"{shown} is no NPY file: save features with numpy.save")
        features: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UsageError(f"features cannot be read: {shown}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise UsageError(
            f"{shown} is no NPY array of numbers, or is cut off: save features with numpy.save"
        ) from None
    return features


def remark_on_norms(features: NDArray[Any]) -> str | None:
    """What there is to say of the norms of features (N, c); None where they can be a backbone's."""
    import numpy as np

    if features.ndim != 2 or features.dtype.kind not in "fiu" or not len(features):
        return None
    norm = float(np.linalg.norm(np.asarray(features[:NORM_ROWS], dtype=np.float64), axis=1).mean())
    if not UNIT_NORMS[0] <= norm <= UNIT_NORMS[1]:
        return None
    return (
        f"the features seem to be normalised (mean norm {norm:.3f}); the model wants them as the backbone "
        "gives them, and its places are far worse otherwise"
    )
