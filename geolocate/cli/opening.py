"""What a run opens first: what the user knows already, their own gallery, and lines about the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geolocate.cli.parameters import blaming_environment
from geolocate.cli.progress import Progress

if TYPE_CHECKING:
    from geolocate.bundle import Bundle
    from geolocate.device import Device
    from geolocate.gallery import Gallery
    from geolocate.priors import Prior


def priors_of(
    near: tuple[float, float, float] | None,
    country: str | None,
    bbox: tuple[float, float, float, float] | None,
) -> list[Prior]:
    """What the user knows already, by the values of the options.

    Raises:
        UsageError: what nobody can know: no such position, no such country.
    """
    priors: list[Prior] = []
    if near is not None:
        from geolocate.priors import Near
        from geolocate.records import Position

        with blaming_environment("near"):
            latitude, longitude, km = near
            priors.append(Near(Position(latitude, longitude), km))
    if country is not None:
        from geolocate.priors import Countries

        with blaming_environment("country"):
            priors.append(Countries(tuple(country.split(","))))
    if bbox is not None:
        from geolocate.priors import Box

        with blaming_environment("bbox"):
            priors.append(Box(*bbox))
    return priors


def open_own_gallery(
    path: str | None,
    bundle: Bundle,
    wanted_device: Device,
    *,
    quiet: bool,
    progress: bool | None,
    say: Callable[[str], None],
) -> Gallery | None:
    """The user's own gallery, with a progress line of its own while it is embedded; None without a path."""
    if path is None:
        return None
    from geolocate.device import choose_device
    from geolocate.embedded_gallery import open_gallery

    done = size = 0
    shown = Progress(shown=progress, quiet=quiet, total=lambda: size, unit="point")

    def advance(now: int, total: int) -> None:
        nonlocal done, size
        size = total
        shown.advance(now - done)
        done = now

    with shown:
        device = choose_device(wanted_device, lambda text: None)
        with blaming_environment("gallery"):
            gallery = open_gallery(Path(path), bundle, device, advance=advance, warn=say)
    points = "1 point" if len(gallery) == 1 else f"{len(gallery):,} points"
    say(f"gallery {path}: {points}" + ("" if done else ", embedded earlier"))
    return gallery


def introduction(bundle: Bundle, precision: str) -> Iterator[str]:
    """Lines that say which model runs, and what it is not."""
    from geolocate.bundle import DEFAULT_NAMES

    best, *_, starter = DEFAULT_NAMES
    manifest = bundle.manifest
    name = f"model {manifest.name} ({precision})"
    if manifest.trained:
        measured = manifest.accuracy.get("summary")
        yield f"{name}: {measured}" if isinstance(measured, str) else name
    else:
        yield f"{name}: untrained, so its places are chance; it shows how the program works and no more"
    if manifest.name == starter:
        yield f"for the published GeoCLIP: geolocate models pull {best}"


def limits(gallery: Gallery, priors: Sequence[Prior], top_k: int) -> Iterator[str]:
    """Lines that say how many points there are to choose from, where that is fewer than one may think."""
    if priors:
        size, whole = len(gallery), len(gallery.cut_from or gallery)
        wishes = " ".join(prior.wish for prior in priors)
        yield f"{wishes}: {size:,} of {whole:,} gallery points are left"
    elif top_k > gallery.rows():
        size = gallery.rows()
        points = "1 point" if size == 1 else f"{size:,} points"
        yield f"the gallery has {points}: --top-k {top_k} gives no more"
