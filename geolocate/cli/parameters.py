"""Kinds of options and of values that click does not have."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from geolocate.errors import BundleNotFound, GalleryError, UsageError


class EnvironmentOption(click.Option):
    """An option that the environment can set; its help and errors of its value name the variable."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **{"show_envvar": True} | attributes)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """What an error message calls this option; the variable only where the value came from it."""
        names = " / ".join(f"'{name}'" for name in self.opts)
        source = ctx.get_parameter_source(self.name) if ctx is not None and self.name else None
        return f"{names} (from {self.envvar})" if source is ParameterSource.ENVIRONMENT else names


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """Numbers with commas between them, a fixed count of them.

    Args:
        form: what each is, as in the usage line ("LAT,LON,KM").
    """

    def __init__(self, form: str) -> None:
        self.name = self.form = form

    def convert(
        self, value: str | tuple[float, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Raises BadParameter for anything else."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != len(self.form.split(",")):
            self.fail(f"{value!r} is not {self.form}, numbers with commas between them.", param, ctx)
        return numbers


@contextmanager
def blaming_environment(option: str) -> Iterator[None]:
    """Errors in the value of an option name the environment variable that it came from, if it did."""
    try:
        yield
    except (UsageError, BundleNotFound, GalleryError) as error:
        ctx = click.get_current_context(silent=True)
        if ctx is None or ctx.get_parameter_source(option) is not ParameterSource.ENVIRONMENT:
            raise
        variable = next(p.envvar for p in ctx.command.get_params(ctx) if p.name == option)
        raise type(error)(f"{error} (from {variable})") from error


class FiniteRange(click.FloatRange):
    """A number in a range that may be open, but no NaN, which is in every range, and no infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises BadParameter for those too."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


class FilePath(click.Path):
    """A path that is not empty: an empty one would mean the working folder, which nobody means."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Raises BadParameter for an empty path."""
        if not os.fspath(value):
            self.fail("an empty path", param, ctx)
        return super().convert(value, param, ctx)
