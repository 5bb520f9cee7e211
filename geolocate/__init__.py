"""geolocate tells where photos were taken, how sure it is, and why.

>>> from geolocate import Geolocator                                          # doctest: +SKIP
>>> for prediction in Geolocator.load("starter").locate(["photos/"], top_k=5):  # doctest: +SKIP
...     print(prediction.photo, prediction.candidates[0].position)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# From 1.31 on ONNX Runtime reports its use to its maker, on every platform, and leaves a device id in the
# user's cache folder. It reads this at its import; its disable_telemetry_events() comes too late for the id.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from geolocate.geolocator import Geolocator
    from geolocate.records import Prediction

__all__ = ["Geolocator", "Prediction"]


def __getattr__(name: str) -> Any:
    """Imports on first use, so that the command line starts without numpy and onnxruntime."""
    if name == "Geolocator":
        from geolocate.geolocator import Geolocator

        return Geolocator
    if name == "Prediction":
        from geolocate.records import Prediction

        return Prediction
    raise AttributeError(f"module 'geolocate' has no attribute {name!r}")
