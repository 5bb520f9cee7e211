"""What the plan on paper stands on: each number with its unit, where it comes from, and of which kind it is.

The numbers are in `scale_parameters.toml`, to be changed there: prices first, which are assumptions.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

#: measured: by a command, on the machine that the source names; ideal: a data sheet's or an equation's, never
#: seen here; stated: an assumption.
Kind = Literal["measured", "ideal", "stated"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of the plan."""

    name: str
    value: float
    unit: str
    kind: Kind
    source: str


class Parameters:
    """All numbers, by name: ``parameters["decode 3 MB"]`` is the value in the table's unit."""

    def __init__(self, table: dict[str, Parameter]) -> None:
        self.table = table

    def __getitem__(self, name: str) -> float:
        return self.table[name].value

    def changed(self, **values: float) -> Parameters:
        """The same with other values; `cores_per_gpu=32` is the parameter "cores per GPU".

        Raises:
            KeyError: there is no such parameter.
            ValueError: a value is no positive number.
        """
        names = {name.replace(" ", "_").lower(): name for name in self.table}
        new = {names[name.replace(" ", "_").lower()]: positive(value) for name, value in values.items()}
        return Parameters(
            {name: replace(one, value=new.get(name, one.value)) for name, one in self.table.items()}
        )


def positive(value: float) -> float:
    """The value itself. Raises ValueError for zero, negative numbers, infinity and NaN."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{value} is no positive number")
    return value


def read_parameters(path: Path = FILE) -> Parameters:
    """Reads the table.

    Raises:
        ValueError: an entry lacks its unit or source, is no positive number, or of no known kind.
    """
    with path.open("rb") as file:
        raw = tomllib.load(file)
    table = {}
    for name, entry in raw.items():
        value = positive(float(entry["value"]))
        table[name] = Parameter(name, value, entry["unit"], entry["kind"], entry["source"])
        if table[name].kind not in KINDS or not table[name].unit or not table[name].source:
            raise ValueError(f"{path.name}: {name} wants a unit, a source, and a kind of {', '.join(KINDS)}")
    return Parameters(table)
