"""A bundle of a small known world: four countries, and concepts that live where their names say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, load_model, numpy_helper, save_model

from geolocate.bundle import (
    CONCEPT_BASIS,
    CONCEPTS,
    GALLERY_COORDINATES,
    GALLERY_EMBEDDINGS,
    GALLERY_PLACES,
    GALLERY_WEIGHTS,
    IMAGE_HEAD,
    RETRIEVAL,
    ImageInput,
    Manifest,
    image_encoder_name,
    load_bundle,
    write_manifest,
)
from geolocate.places import PlaceIndex

#: Country, a point inside it, and the concept that lives there; its place is its axis in the embedding.
HOMES = (
    ("JP", (36.0, 138.5), "torii"),
    ("IT", (43.0, 12.0), "campanile"),
    ("BR", (-15.0, -48.0), "favela"),
    ("KE", (0.3, 37.0), "acacia"),
)
#: A concept that is everywhere alike, and one that is not fit to be shown.
CONCEPT_NAMES = (*(name for _, _, name in HOMES), "street", "hidden")
WIDTH, SIDE = 8, 16
POINTS_EACH = 120
#: What all concepts and photos have in common.
COMMON_AXIS = 6


def axis(name: str) -> int:
    """The axis of the embedding that a concept is on."""
    return CONCEPT_NAMES.index(name)


def concept_world(folder: Path, kind: str = "zero-shot") -> Path:
    """Writes the bundle and returns its folder; features are embeddings before they have length 1.

    Pixels count by their mean colour: red is Japan, green is Italy, blue is Brazil.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    coordinates, embeddings = [], []
    for row, (_, centre, _) in enumerate(HOMES):
        coordinates.append(np.array(centre) + rng.normal(0, 0.8, (POINTS_EACH, 2)))
        points = rng.normal(0, 0.15, (POINTS_EACH, WIDTH))
        points[:, row] += 1.0
        embeddings.append(points)
    where = np.concatenate(coordinates)
    basis = np.eye(len(CONCEPT_NAMES), WIDTH, dtype=np.float32)
    basis[:, COMMON_AXIS] += 2.0
    np.save(folder / GALLERY_COORDINATES, where)
    np.save(folder / GALLERY_WEIGHTS, np.ones(len(where), np.float32))
    np.save(folder / GALLERY_EMBEDDINGS, unit(np.concatenate(embeddings)))
    np.save(folder / GALLERY_PLACES, PlaceIndex.load().nearest_ids(where).astype(np.int64))
    np.save(folder / CONCEPT_BASIS, unit(basis))
    listed = [{"name": name, "baseline": 0.0, "shown": name != "hidden"} for name in CONCEPT_NAMES]
    (folder / CONCEPTS).write_text(json.dumps({"kind": kind, "concepts": listed}))
    scores = basis[:, :COMMON_AXIS] if kind == "trained" else None
    colours = np.zeros((3, WIDTH), np.float32)
    colours[np.arange(3), np.arange(3)] = 1.0
    save_model(_image_graph(colours, scores), folder / image_encoder_name("fp32"))
    save_model(_image_graph(None, scores), folder / IMAGE_HEAD)
    save_model(_retrieval_graph(), folder / RETRIEVAL)
    image = ImageInput(SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    manifest = Manifest(
        name="world",
        version="1",
        licence="MIT",
        source="made up",
        trained=True,
        image=image,
        feature_dim=WIDTH,
        embedding_dim=WIDTH,
        logit_scale=3.0,
        concept_count=len(CONCEPT_NAMES),
    )
    write_manifest(folder, manifest)
    return folder


def photo_features(**shows: float) -> NDArray[np.float32]:
    """Features (WIDTH,) of a photo that shows concepts so much."""
    features = np.zeros(WIDTH, np.float32)
    for name, much in shows.items():
        features[axis(name)] = much
    return features


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:  # type: ignore[type-arg]
    """Rows of length 1, float32."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _retrieval_graph() -> ModelProto:
    """That of the starter at our width: to build it takes torch."""
    graph = load_model(load_bundle("starter").file(RETRIEVAL))
    for given in graph.graph.input:
        if given.name in ("image_embedding", "gallery"):
            given.type.tensor_type.shape.dim[1].dim_value = WIDTH
    return graph


def _image_graph(colours: NDArray[np.float32] | None, concepts: NDArray[np.float32] | None) -> ModelProto:
    """Pixels or features to unit embeddings and, where concepts (K, c) are given, unit scores."""
    constants, nodes = [], []
    if colours is None:
        given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH])
        first = "features"
    else:
        given = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
        constants.append(numpy_helper.from_array(colours, "colours"))
        constants.append(numpy_helper.from_array(np.array([1, 2], np.int64), "sides"))
        nodes += [
            helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers", "sides"], ["means"], keepdims=0),
            helper.make_node("MatMul", ["means", "colours"], ["coloured"]),
        ]
        first = "coloured"
    nodes.append(helper.make_node("LpNormalization", [first], ["image_embedding"], axis=1, p=2))
    outputs = [helper.make_tensor_value_info("image_embedding", TensorProto.FLOAT, ["N", WIDTH])]
    if concepts is not None:
        project = np.zeros((WIDTH, len(concepts)), np.float32)
        project[: concepts.shape[1]] = concepts.T
        constants.append(numpy_helper.from_array(project, "project"))
        nodes += [
            helper.make_node("MatMul", ["image_embedding", "project"], ["z"]),
            helper.make_node("LpNormalization", ["z"], ["concept_scores"], axis=1, p=2),
        ]
        outputs.append(
            helper.make_tensor_value_info("concept_scores", TensorProto.FLOAT, ["N", len(concepts)])
        )
    graph = helper.make_graph(nodes, "image", [given], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
