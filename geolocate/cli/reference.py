"""The options about reference photos, which predict and evaluate share, and the opening of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from geolocate.cli.options import together
from geolocate.cli.parameters import EnvironmentOption, FilePath, FiniteRange, blaming_environment
from geolocate.cli.progress import Progress
from geolocate.errors import UsageError

if TYPE_CHECKING:
    from geolocate.geolocator import Geolocator
    from geolocate.reference import Reference

reference_options = together(
    click.option(
        "--reference",
        type=FilePath(),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_REFERENCE",
        metavar="DIR|CSV",
        help="Your own photos with known positions: a folder with GPS in the EXIF, or a table of image, "
        "latitude, longitude. Photos that look like some of them may be there.",
    ),
    click.option(
        "--reference-k",
        type=click.IntRange(min=1),
        default=10,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_REFERENCE_K",
        metavar="N",
        help="Most similar references that vote.",
    ),
    click.option(
        "--reference-sigma",
        type=FiniteRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        cls=EnvironmentOption,
        envvar="GEOLOCATE_REFERENCE_SIGMA",
        metavar="KM",
        help="How far apart references are one place: the bandwidth of their density.",
    ),
    click.option(
        "--reference-weight",
        type=FiniteRange(min=0, min_open=True, max=1),
        cls=EnvironmentOption,
        envvar="GEOLOCATE_REFERENCE_WEIGHT",
        metavar="SHARE",
        help="What the references have of each probability, 1 leaves the model no say.  "
        "[default: how often they find each other]",
    ),
)


@dataclass(frozen=True, slots=True)
class ReferenceOptions:
    """The values of these options.

    Raises:
        UsageError: one on the command line that means nothing without --reference.
    """

    reference: str | None
    reference_k: int
    reference_sigma: float
    reference_weight: float | None

    def __post_init__(self) -> None:
        """See the class."""
        if self.reference is not None:
            return
        ctx = click.get_current_context()
        for name in ("reference_k", "reference_sigma", "reference_weight"):
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(f"--{name.replace('_', '-')} is about --reference, which is not given")

    @property
    def files(self) -> list[str]:
        """What the run reads and no output may replace."""
        return [] if self.reference is None else [self.reference]

    @property
    def settings(self) -> dict[str, Any]:
        """For manifests; none without a reference."""
        if self.reference is None:
            return {}
        return {name: getattr(self, name) for name in self.__slots__}

    def open(self, geolocator: Geolocator, *, quiet: bool, progress: bool | None) -> Reference | None:
        """The reference, with a progress line of its own while it is encoded; None without one."""
        if self.reference is None:
            return None
        done = size = 0

        def advance(now: int, total: int) -> None:
            nonlocal done, size
            size = total
            shown.advance(now - done)
            done = now

        with Progress(shown=progress, quiet=quiet, total=lambda: size, unit="reference photo") as shown:
            with blaming_environment("reference"):
                reference = geolocator.open_reference(
                    self.reference,
                    k=self.reference_k,
                    sigma_km=self.reference_sigma,
                    weight=self.reference_weight,
                    advance=advance,
                )
            photos = "1 photo" if len(reference) == 1 else f"{len(reference):,} photos"
            shown.note(
                f"geolocate: reference {self.reference}: {photos} with a position"
                + ("" if done else ", encoded earlier")
            )
        return reference
