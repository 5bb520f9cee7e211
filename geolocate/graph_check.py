"""ONNX graphs of strangers, looked through before ONNX Runtime opens them.

ONNX Runtime reads data beside a graph from any file of the folder, hard links included, and unfolds
functions and loops however often a graph says. So graphs stand whole in one file here, with known operators
and no loops. The walk goes over protobuf's wire format, since the runtime has no `onnx`: weights are stepped
over and not read, and a graph of gigabytes takes no longer than its nodes. What protobuf's C++ reads in
another way than it stands there is refused: a tag is a number of 32 bits to it, whatever the file says.

Reference: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, whose numbers of fields these are.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geolocate.confined_open import open_beneath
from geolocate.errors import BundleDamaged

#: Domains of the standard operators, and with ONNX Runtime's own, which its optimisers and quantisers write.
STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
RUNTIME_DOMAINS = STANDARD_DOMAINS | {"com.microsoft"}
#: Operators that repeat a graph: an encoder needs none, and a count in the file could run for ever.
LOOPS = frozenset(
    {"Loop", "Scan", "SequenceMap", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"}
)
#: Loads a compiled graph from a file that it names.
FILE_OPERATORS = frozenset({"EPContext"})
#: Bounds far above any encoder's: a few thousand nodes, subgraphs two deep.
MAX_NODES = 200_000
MAX_FIELDS = 10_000_000
MAX_DEPTH = 16
MAX_NAME_BYTES = 512

#: By message, the fields that hold messages in which nodes or tensors can be.
NESTED: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
#: Of a tensor: where its data lies (0 is in the file), and what tells the place.
DATA_LOCATION, EXTERNAL_DATA = 14, 13
#: By message, the fields with the name of an operator or function, and with its domain.
NAMES = {"NodeProto": (4, 7), "FunctionProto": (1, 10)}
#: Wire types of protobuf.
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
#: The most bytes of a number on the wire, and of a tag or a length; longer ones are errors to protobuf too.
_NUMBER_BYTES, _TAG_BYTES = 10, 5
_MAX_TAG, _MAX_LENGTH = 2**32 - 1, 2**31 - 1

Buffer = bytes | mmap.mmap
#: Domain and name.
Operator = tuple[str, str]


class GraphRefused(ValueError):
    """Why a graph is not opened; reads on from the file's name."""


@dataclass(slots=True)
class _Found:
    """What the walk has met: how often the graph and each function call an operator."""

    fields: int = 0
    graph: Counter[Operator] = field(default_factory=Counter)
    functions: dict[Operator, Counter[Operator]] = field(default_factory=dict)


def check_graph_file(path: Path) -> None:
    """Looks a bundle's graph through.

    Raises:
        BundleDamaged: as :func:`check_graph`, or it cannot be read.
    """
    try:
        with (
            open_beneath(path.parent, path.name) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            check_graph(data, RUNTIME_DOMAINS)
    except GraphRefused as error:
        raise BundleDamaged(f"{path.name} {error}") from error
    except (OSError, ValueError) as error:
        raise BundleDamaged(f"{path.name} cannot be read: {error}") from error


def check_graph(data: Buffer, domains: Collection[str]) -> None:
    """Looks the bytes of a graph through, subgraphs, functions and constants included.

    Args:
        domains: of the operators that it may have, besides functions of its own.

    Raises:
        GraphRefused: it has data outside the file, a loop, operators of other domains, more nodes than any
            encoder once its functions are unfolded, or is no graph at all.
    """
    found = _Found()
    try:
        _walk(data, 0, len(data), "ModelProto", found, found.graph, 0)
    except (IndexError, UnicodeDecodeError) as error:
        raise GraphRefused("is no ONNX graph") from error
    if not found.graph:
        raise GraphRefused("is no ONNX graph: it has no nodes")
    called = found.graph.keys() | {operator for body in found.functions.values() for operator in body}
    if any(name in LOOPS for _, name in called):
        raise GraphRefused("has a loop; export it with its loops unrolled")
    if strange := {
        f"{domain}::{name}" if domain not in domains else name
        for domain, name in called
        if name in FILE_OPERATORS  # the runtime takes its own, whatever function has that name
        or (domain not in domains and (domain, name) not in found.functions)
    }:
        raise GraphRefused(f"has operators that are not standard: {ascii(sorted(strange)[:3])[1:-1]}")
    if _unfolded(found.graph, found.functions, {}, 0) > MAX_NODES:
        raise GraphRefused(f"has more than {MAX_NODES:,} nodes")


def _walk(
    data: Buffer, start: int, end: int, message: str, found: _Found, calls: Counter[Operator], depth: int
) -> None:
    """Goes through one message; `calls` counts the nodes of the graph or function that it belongs to."""
    if depth > 3 * MAX_DEPTH:  # a graph in an attribute of a node of a graph
        raise GraphRefused("has subgraphs too deep in one another")
    nested, (name_field, domain_field) = NESTED[message], NAMES.get(message, (0, 0))
    name = domain = ""
    body = Counter[Operator]() if message == "FunctionProto" else calls
    for number, wire, low, high in _fields(data, start, end, found):
        if message == "TensorProto" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and high)):
            raise GraphRefused("keeps weights outside the file; save it with all of them inside")
        if wire != _LENGTH:
            continue
        if number in nested:
            _walk(data, low, high, nested[number], found, body, depth + 1)
        elif number == name_field:
            name = _text(data, low, high)
        elif number == domain_field:
            domain = _text(data, low, high)
    if message == "NodeProto":
        calls[domain, name] += 1
    elif message == "FunctionProto":
        found.functions.setdefault((domain, name), Counter()).update(body)


def _text(data: Buffer, low: int, high: int) -> str:
    if high - low > MAX_NAME_BYTES:
        raise GraphRefused("has names longer than any operator's")
    return data[low:high].decode("utf-8")


def _fields(data: Buffer, start: int, end: int, found: _Found) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type and extent of each field of a message; of a number its value in place of the end."""
    while start < end:
        found.fields += 1
        if found.fields > MAX_FIELDS:
            raise GraphRefused("has more parts than any encoder")
        tag, start = _varint(data, start, end, _TAG_BYTES)
        number, wire = tag >> 3, tag & 7
        if not number or tag > _MAX_TAG:
            raise GraphRefused("is no ONNX graph")
        if wire == _VARINT:
            value, start = _varint(data, start, end, _NUMBER_BYTES)
            yield number, wire, start, value
            continue
        if wire == _LENGTH:
            length, start = _varint(data, start, end, _TAG_BYTES)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise GraphRefused("is no ONNX graph")
        if length > _MAX_LENGTH or start + length > end:
            raise GraphRefused("is no ONNX graph, or is cut off")
        yield number, wire, start, start + length
        start += length


def _varint(data: Buffer, at: int, end: int, most: int) -> tuple[int, int]:
    """A number of seven bits a byte, in at most `most` bytes before `end`, and where it ends."""
    value = shift = 0
    for place in range(at, min(at + most, end)):
        byte = data[place]
        if byte < 0x80:
            return value | byte << shift, place + 1
        value |= (byte & 0x7F) << shift
        shift += 7
    raise GraphRefused("is no ONNX graph")


def _unfolded(
    calls: Counter[Operator],
    functions: Mapping[Operator, Counter[Operator]],
    known: dict[Operator, int],
    depth: int,
) -> int:
    """How many nodes there are once every function stands where it is called, by arithmetic alone."""
    if depth > MAX_DEPTH:
        raise GraphRefused("has functions too deep in one another, or one that calls itself")
    total = 0
    for operator, count in calls.items():
        if operator in functions and operator not in known:
            known[operator] = _unfolded(functions[operator], functions, known, depth + 1)
        total += count * known.get(operator, 1)
    return total
