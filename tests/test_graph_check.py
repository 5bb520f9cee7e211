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
from geolocate.graph_check import NESTED, RUNTIME_DOMAINS, GraphRefused, check_graph, check_graph_file

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
        (
            model([call("F")], functions=[function("F", [helper.make_node("Loop", ["x"], ["y"])])]),
            "has a loop",
        ),
        (model([helper.make_node("Run", ["x"], ["y"], domain="evil\x1b.ops")]), r"evil\\x1b\.ops::Run"),
        (model([helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")]), "EPContext"),
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
