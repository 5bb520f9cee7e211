"""Graphs of strangers are looked through before ONNX Runtime opens them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geolocate.bundle import load_bundle
from geolocate.errors import BundleDamaged
from geolocate.graph import Graph
from geolocate.graph_check import LOOPS, NESTED, RUNTIME_DOMAINS, GraphRefused, check_graph, check_graph_file

onnx = pytest.importorskip("onnx", reason="graphs are built with onnx: the 'export' extra")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOATS = np.arange(4, dtype=np.float32)


def outside(location: str) -> TensorProto:
    """Four numbers that stand in another file."""
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def value(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])


def model(nodes: list[Any], constants: list[Any] | None = None, functions: list[Any] | None = None) -> Any:
    """A model from x to y, four floats each."""
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], constants or [])
    domains = {"": 20, **{node.domain: 1 for node in nodes if node.domain}}
    domains.update({function.domain: 1 for function in functions or []})
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return helper.make_model(graph, functions=functions or [], opset_imports=opsets, ir_version=10)


ADD = helper.make_node("Add", ["x", "c"], ["y"])


def function(name: str, nodes: list[Any]) -> Any:
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["x"], ["y"], nodes, opsets)


def call(name: str, source: str = "x", target: str = "y") -> Any:
    return helper.make_node(name, [source], [target], domain="own")


def in_initializer(location: str) -> Any:
    return model([ADD], [outside(location)])


def in_constant(location: str) -> Any:
    return model([helper.make_node("Constant", [], ["c"], value=outside(location)), ADD])


def in_sparse_constant(location: str) -> Any:
    indices = numpy_helper.from_array(np.array([0, 1, 2, 3]), "indices")
    sparse = onnx.SparseTensorProto(values=outside(location), indices=indices, dims=[4])
    return model([helper.make_node("Constant", [], ["c"], sparse_value=sparse), ADD])


def in_subgraph(location: str) -> Any:
    yes = helper.make_graph(
        [helper.make_node("Add", ["x", "c"], ["z"])], "b", [], [value("z")], [outside(location)]
    )
    no = helper.make_graph([helper.make_node("Identity", ["x"], ["w"])], "e", [], [value("w")])
    branch = helper.make_node("If", ["flag"], ["y"], then_branch=yes, else_branch=no)
    return model([branch], [numpy_helper.from_array(np.array(True), "flag")])


def in_function(location: str) -> Any:
    constant = helper.make_node("Constant", [], ["c"], value=outside(location))
    return model([call("F")], functions=[function("F", [constant, ADD])])


def in_training_information(location: str) -> Any:
    whole = model([helper.make_node("Abs", ["x"], ["y"])])
    whole.training_info.add().algorithm.CopyFrom(in_initializer(location).graph)
    return whole


PLACES = [in_initializer, in_constant, in_sparse_constant, in_subgraph, in_function, in_training_information]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize(
    "location", ["../../etc/passwd", "/etc/passwd", "secret", "link", "hard", "sub/../secret", ""]
)
def test_data_outside_the_file_is_refused_wherever_the_graph_hides_it(
    tmp_path: Path, place: Callable[[str], Any], location: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "secret").write_bytes(FLOATS.tobytes())
    (tmp_path / "link").symlink_to("secret")
    os.link(tmp_path / "secret", tmp_path / "hard")
    path = tmp_path / "graph.onnx"
    path.write_bytes(place(location).SerializeToString())
    with pytest.raises(BundleDamaged, match=r"graph\.onnx keeps weights outside the file"):
        Graph(path, "cpu")


def test_without_the_check_onnx_runtime_would_read_a_hard_link_to_any_file(tmp_path: Path) -> None:
    """Why there is one; where this fails, ONNX Runtime has become stricter."""
    import onnxruntime

    (tmp_path / "elsewhere").write_bytes(FLOATS.tobytes())
    (tmp_path / "b").mkdir()
    os.link(tmp_path / "elsewhere", tmp_path / "b" / "hard")
    (tmp_path / "b" / "graph.onnx").write_bytes(in_function("hard").SerializeToString())
    session = onnxruntime.InferenceSession(tmp_path / "b" / "graph.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": np.zeros(4, np.float32)})[0], FLOATS)


def number(value: int) -> bytes:
    """As protobuf writes it; of any length."""
    written = b""
    while value > 0x7F:
        written += bytes([value & 0x7F | 0x80])
        value >>= 7
    return written + bytes([value])


def part(tag: int, content: bytes) -> bytes:
    return number(tag) + number(len(content)) + content


def tag(field: int, wire: int = 2, above: int = 0) -> int:
    """The tag of a field of this wire type, and `above` its 32 bits."""
    return field << 3 | wire | above << 32


def with_initializer(tensor: bytes, graph_tag: int = tag(7), tensor_tag: int = tag(5)) -> bytes:
    """Adds four numbers, which a second piece of the graph holds: protobuf makes one graph of both."""
    return bytes(model([ADD]).SerializeToString()) + part(graph_tag, part(tensor_tag, tensor))


def shape_of_four(**fields: Any) -> bytes:
    return bytes(TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[4], **fields).SerializeToString())


def lying_in_secret(above: int = 0) -> bytes:
    """The tensor of :func:`outside`, with tags that protobuf cuts to these two fields."""
    place = part(tag(1), b"location") + part(tag(2), b"secret")
    where = part(tag(13, above=above), place) + number(tag(14, 0, above)) + number(1)
    return shape_of_four() + where


def run_by_onnx_runtime(folder: Path, data: bytes) -> Any:
    import onnxruntime

    (folder / "secret").write_bytes(FLOATS.tobytes())
    (folder / "graph.onnx").write_bytes(data)
    session = onnxruntime.InferenceSession(folder / "graph.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros(4, np.float32)})[0]


@pytest.mark.parametrize(
    "data",
    [
        with_initializer(lying_in_secret(above=1)),
        with_initializer(lying_in_secret(above=7)),
        with_initializer(lying_in_secret(), tensor_tag=tag(5, above=1)),
        with_initializer(lying_in_secret(), graph_tag=tag(7, above=2)),
    ],
    ids=["tensor", "tensor, all bits", "initializer", "graph"],
)
def test_a_tag_that_protobuf_cuts_to_another_is_refused(tmp_path: Path, data: bytes) -> None:
    np.testing.assert_array_equal(run_by_onnx_runtime(tmp_path, data), FLOATS)  # it would read the file
    with pytest.raises(BundleDamaged, match=r"graph\.onnx is no ONNX graph"):
        Graph(tmp_path / "graph.onnx", "cpu")


@pytest.mark.parametrize(
    "data",
    [
        with_initializer(shape_of_four() + lying_in_secret()),
        with_initializer(lying_in_secret() + number(tag(14, 0)) + number(2**32 + 1)),
        with_initializer(shape_of_four() + b"\xea\x80\x80\x00" + lying_in_secret()[-20:]),
    ],
    ids=["a tensor in two pieces", "an enumeration above 32 bits", "a tag of four bytes"],
)
def test_other_spellings_of_data_outside_the_file_are_seen(data: bytes) -> None:
    with pytest.raises(GraphRefused, match="keeps weights outside the file"):
        check_graph(data, RUNTIME_DOMAINS)


TENSOR = shape_of_four(float_data=FLOATS.tolist())


@pytest.mark.parametrize(
    "tail",
    [
        b"\x00\x00",
        part(tag(0), b""),
        number(tag(100, 3)) + number(tag(100, 4)),
        number(tag(100, 4)),
        b"\xc2\x80\x80\x80\x80\x00\x00",
        b"\x7a\x80\x80\x80\x80\x80\x00",
        b"\x08" + b"\x80" * 10 + b"\x00",
        b"\x08\x80",
    ],
    ids=[
        "field 0, a number",
        "field 0, bytes",
        "a group",
        "the end of a group",
        "a tag of six bytes",
        "a length of six bytes",
        "a number of eleven bytes",
        "a number that goes on behind its message",
    ],
)
def test_what_protobuf_does_not_read_as_it_stands_is_refused_in_any_message(tail: bytes) -> None:
    check_graph(with_initializer(TENSOR), RUNTIME_DOMAINS)
    for data in (with_initializer(TENSOR + tail) + part(tag(2), b"me"), with_initializer(TENSOR) + tail):
        with pytest.raises(GraphRefused, match="is no ONNX graph"):
            check_graph(data, RUNTIME_DOMAINS)


def test_numbers_of_ten_bytes_are_taken_as_protobuf_writes_negative_ones() -> None:
    negative = number(tag(8, 0)) + number(2**64 - 1)
    assert len(negative) == 11
    check_graph(with_initializer(TENSOR + negative), RUNTIME_DOMAINS)


def looping(operator: str) -> Any:
    return model([helper.make_node(operator, ["x"], ["y"])])


def laughing(levels: int) -> Any:
    """Functions that call the one before ten times."""
    functions = [function("F0", [helper.make_node("Abs", ["x"], ["y"])])]
    for level in range(1, levels):
        calls = [
            call(f"F{level - 1}", f"t{n}" if n else "x", f"t{n + 1}" if n < 9 else "y") for n in range(10)
        ]
        functions.append(function(f"F{level}", calls))
    return model([call(f"F{levels - 1}")], functions=functions)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (looping("Loop"), "has a loop"),
        (looping("Scan"), "has a loop"),
        *(
            (model([helper.make_node(name, ["x"], ["y"], domain="com.microsoft")]), "has a loop")
            for name in ("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch")
        ),
        (
            model([call("F")], functions=[function("F", [helper.make_node("Loop", ["x"], ["y"])])]),
            "has a loop",
        ),
        (model([helper.make_node("Run", ["x"], ["y"], domain="evil\x1b.ops")]), r"evil\\x1b\.ops::Run"),
        (model([helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")]), "EPContext"),
        (
            model(
                [helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")],
                functions=[
                    helper.make_function(
                        "com.microsoft", "EPContext", ["x"], ["y"], [ADD], [helper.make_opsetid("", 20)]
                    )
                ],
            ),
            "EPContext",
        ),
        (model([call("G")], functions=[function("F", [ADD])]), "own::G"),
        (model([call("F")], functions=[function("F", [call("F")])]), "calls itself"),
        (laughing(8), "more than 200,000 nodes"),
        (laughing(40), "too deep"),
        (model([helper.make_node("A" * 1000, ["x"], ["y"])]), "longer than any operator's"),
    ],
)
def test_a_graph_that_no_encoder_needs_is_refused_with_the_reason(graph: Any, message: str) -> None:
    with pytest.raises(GraphRefused, match=message) as caught:
        check_graph(graph.SerializeToString(), RUNTIME_DOMAINS)
    assert str(caught.value).isprintable()


def test_the_bound_is_on_nodes_as_often_as_their_functions_are_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thousand = laughing(4).SerializeToString()
    monkeypatch.setattr("geolocate.graph_check.MAX_NODES", 1000)
    check_graph(thousand, RUNTIME_DOMAINS)
    monkeypatch.setattr("geolocate.graph_check.MAX_NODES", 999)
    with pytest.raises(GraphRefused, match="more than 999 nodes"):
        check_graph(thousand, RUNTIME_DOMAINS)


def test_every_operator_of_the_runtime_that_runs_graphs_is_a_loop_or_a_branch() -> None:
    """Against ONNX Runtime's own list, so that a later one is not overlooked."""
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema, schemadef

    kinds = (schemadef.OpSchema.AttrType.GRAPH, schemadef.OpSchema.AttrType.GRAPHS)
    running = {
        schema.name
        for schema in get_all_operator_schema()
        if schema.domain in RUNTIME_DOMAINS
        and any(attribute.type in kinds for attribute in schema.attributes.values())
    }
    assert running - LOOPS == {"If"}


def test_functions_and_branches_as_exporters_write_them_are_taken() -> None:
    check_graph(laughing(4).SerializeToString(), RUNTIME_DOMAINS)
    check_graph(
        model([helper.make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft")]).SerializeToString(),
        RUNTIME_DOMAINS,
    )


def test_the_packaged_graphs_pass() -> None:
    bundle = load_bundle("starter")
    graphs = [name for name in bundle.manifest.files if name.endswith(".onnx")]
    assert len(graphs) >= 4
    for name in graphs:
        check_graph_file(bundle.file(name))


def test_bytes_that_are_no_graph_are_refused_whatever_they_are(tmp_path: Path) -> None:
    whole = in_sparse_constant("x").SerializeToString()
    plain = model([helper.make_node("Abs", ["x"], ["y"])]).SerializeToString()
    random = np.random.default_rng(0)
    damaged = [
        b"",
        b"\x80\x04pickle",
        b"\x0a" + b"\xff" * 20,
        b"\x0b" * 100,
        b"\x3a\xff\xff\xff\xff\x0f",
        plain[:-9],
    ]
    damaged += [whole[:cut] for cut in range(0, len(whole) - 1, 7)]
    damaged += [random.bytes(200) for _ in range(300)]
    for data in damaged:
        with pytest.raises(GraphRefused):
            check_graph(data, RUNTIME_DOMAINS)
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(BundleDamaged, match=r"empty\.onnx cannot be read"):
        check_graph_file(tmp_path / "empty.onnx")


def test_every_message_that_can_hold_nodes_or_tensors_is_walked_through() -> None:
    """Against onnx's own description of the format, so that a later field is not overlooked."""
    described: dict[str, dict[int, str]] = {}
    waiting = [onnx.ModelProto.DESCRIPTOR]
    while waiting:
        message = waiting.pop()
        if message.name not in described:
            inner = {field.number: field.message_type for field in message.fields if field.message_type}
            described[message.name] = {number: kind.name for number, kind in inner.items()}
            waiting += inner.values()
    holding = {"NodeProto", "TensorProto"}
    while more := {name for name, inner in described.items() if holding & set(inner.values())} - holding:
        holding |= more
    assert {
        name: {number: kind for number, kind in described[name].items() if kind in holding}
        for name in holding
    } == NESTED


def test_a_graph_that_fails_on_its_inputs_is_named_and_no_traceback(tmp_path: Path) -> None:
    beyond = numpy_helper.from_array(np.array([99], np.int64), "beyond")
    path = tmp_path / "graph.onnx"
    path.write_bytes(
        model([helper.make_node("Gather", ["x", "beyond"], ["y"])], [beyond]).SerializeToString()
    )
    graph = Graph(path, "cpu")
    with pytest.raises(BundleDamaged, match=r"graph\.onnx cannot be run: "):
        graph(["y"], {"x": FLOATS})
