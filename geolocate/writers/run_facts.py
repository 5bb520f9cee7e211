"""What an output can say of the run besides its predictions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geolocate.decoded_item import DecodeOptions


def _unwatched(total: int) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(lambda: None)


@dataclass(slots=True)
class RunFacts:
    """Made before the outputs are opened; the model's part follows when that is loaded.

    A writer keeps the record and looks into it from its first prediction on, or when it is closed: a run
    without photos has no first one.

    Attributes:
        what: the plural of what is located ("photos", "texts").
        thumbnails: how the photos are decoded for small pictures of them; None where there are to be none, or
            where what is located is no file that could be decoded (features, texts).
        model: lines that say which model runs and how good it is measured to be; empty until it is loaded.
        watch: a context that shows how far thumbnails are, of so many; what it gives is called after each.
    """

    what: str = "photos"
    thumbnails: DecodeOptions | None = None
    model: tuple[str, ...] = ()
    watch: Callable[[int], AbstractContextManager[Callable[[], None]]] = _unwatched
