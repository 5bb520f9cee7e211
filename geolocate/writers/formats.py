"""The formats by name, each imported only where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeAlias

from geolocate.errors import ExtraMissing
from geolocate.records import Prediction
from geolocate.writers.run_facts import RunFacts
from geolocate.writers.target import Target

#: Every format, by the name of its option, in the order in which a run opens them.
FORMATS = ("csv", "jsonl", "geojson", "kml", "parquet", "map")
#: Those that a terminal cannot show.
BINARY = frozenset({"parquet"})
#: What a format needs that the base install lacks: the module, and the extra that brings it.
EXTRAS: Mapping[str, tuple[str, str]] = {"parquet": ("pyarrow", "parquet"), "map": ("js_lib_leaflet", "map")}


class Writer(Protocol):
    """One output."""

    def write(self, prediction: Prediction) -> None:
        """Takes one photo. What streams is out of this process when the call returns.

        Raises:
            OutputError: the disk is full or gone.
            BrokenPipeError: the reader of a pipe has gone.
        """

    def close(self) -> None:
        """The run is complete: makes the output visible. Raises as `write`."""

    def abort(self) -> Path | None:
        """The run is not complete: returns the file that keeps what was written, if any. Never raises."""


#: What takes a target and writes a format to it.
OpenFormat: TypeAlias = Callable[[Target, RunFacts], Writer]


def load_format(name: str) -> OpenFormat:
    """What writes the format of that name; nothing is opened yet.

    Raises:
        ExtraMissing: an optional dependency is not installed.
        KeyError: there is no such format.
    """
    if name in EXTRAS:
        module, extra = EXTRAS[name]
        try:
            import_module(module)
        except ImportError:
            raise ExtraMissing(f"--{name} needs", extra) from None
    match name:
        case "csv":
            from geolocate.writers.csv import CsvWriter

            return lambda target, facts: CsvWriter(target)
        case "jsonl":
            from geolocate.writers.jsonl import JsonlWriter

            return lambda target, facts: JsonlWriter(target)
        case "geojson":
            from geolocate.writers.geojson import GeojsonWriter

            return lambda target, facts: GeojsonWriter(target)
        case "kml":
            from geolocate.writers.kml import KmlWriter

            return lambda target, facts: KmlWriter(target)
        case "parquet":
            from geolocate.writers.parquet import ParquetWriter

            return lambda target, facts: ParquetWriter(target)
        case "map":
            from geolocate.writers.map import MapWriter

            return MapWriter
    raise KeyError(name)
