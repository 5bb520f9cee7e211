"""What runs over very many photos need: trees of small real JPEGs, and a bundle that thinks little.

Its image encoder is trivial and its gallery has few points, so that a million photos take minutes; nothing
is stubbed. Each file is found, opened, decoded, encoded, ranked, named and written as any other.
"""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from geolocate.bundle import (
    GALLERY_COORDINATES,
    GALLERY_EMBEDDINGS,
    GALLERY_PLACES,
    GALLERY_WEIGHTS,
    image_encoder_name,
    load_bundle,
    write_manifest,
)

#: Photos that differ in their pixels; among those of a million, the rest differ in a comment.
DRAWINGS = 4096
#: Side of the encoder's input, in pixels; and of the grid of mean colours that it looks at.
INPUT_SIDE, GRID_SIDE = 64, 4
#: Points of the gallery: ranking takes a fortieth of what it takes over the starter's.
GALLERY_POINTS = 256

#: In each photo, with its number: what makes it another file than any other.
COMMENT = b"photo %012d"


def small_photos(drawings: int = DRAWINGS) -> list[tuple[bytes, bytes]]:
    """JPEGs of about 1 KB, split where the number of the photo goes; every second one has a GPS position."""
    random = np.random.default_rng(1)
    halves = []
    for number in range(drawings):
        blocks = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x9003] = exif[0x0132] = f"2024:{1 + number % 12:02}:01 12:00:00"
        if number % 2:
            position = (random.uniform(-60, 70), random.uniform(-180, 180))
            gps = exif.get_ifd(0x8825)
            for tag, degrees, signs in ((1, position[0], "NS"), (3, position[1], "EW")):
                gps[tag] = signs[degrees < 0]
                gps[tag + 1] = (abs(degrees), 0.0, 0.0)
        stream = io.BytesIO()
        picture = Image.fromarray(blocks).resize((96, 72))
        picture.save(stream, "JPEG", quality=60, exif=exif, comment=COMMENT % 0)
        before, after = stream.getvalue().split(COMMENT % 0)
        halves.append((before, after))
    return halves


def write_photos(folder: Path, count: int, per_folder: int = 1000) -> None:
    """Writes `count` distinct photos, so many to a folder."""
    halves = small_photos(min(count, DRAWINGS))
    for number in range(count):
        if number % per_folder == 0:
            part = os.path.join(folder, f"{number // per_folder:06}")
            os.makedirs(part)
        before, after = halves[number % len(halves)]
        descriptor = os.open(os.path.join(part, f"{number:09}.jpg"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, before + COMMENT % number + after)
        os.close(descriptor)


def write_small_bundle(folder: Path, model: str = "starter", points: int | None = GALLERY_POINTS) -> None:
    """Copies a bundle, with an image encoder that knows no more than a grid of mean colours.

    Args:
        points: of its gallery, evenly picked; None keeps all.
    """
    bundle = load_bundle(model)
    left_out = shutil.ignore_patterns("__init__.py", "__pycache__", "checkpoint")
    shutil.copytree(bundle.path, folder, ignore=left_out)
    manifest = bundle.manifest
    widths = {"image_embedding": manifest.embedding_dim, "concept_scores": manifest.concept_count}
    _write_encoder(
        folder / image_encoder_name("fp32"), {name: width for name, width in widths.items() if width}
    )
    for name in (GALLERY_COORDINATES, GALLERY_EMBEDDINGS, GALLERY_PLACES, GALLERY_WEIGHTS):
        array = np.load(folder / name)
        np.save(folder / name, array[:: len(array) // (points or len(array))][:points])
    image = replace(manifest.image, size=INPUT_SIDE)
    write_manifest(folder, replace(manifest, name="mean-colours", image=image))


def _write_encoder(path: Path, widths: dict[str, int]) -> None:
    """Writes a graph from pixels (N, S, S, 3) to random projections of mean colours, each (N, width)."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(2)
    step = [INPUT_SIDE // GRID_SIDE] * 2
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "grey"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["grid"], kernel_shape=step, strides=step),
    ]
    outputs, weights = [], [numpy_helper.from_array(np.array(127.5, np.float32), "grey")]
    for name, width in widths.items():
        # A convolution works photo by photo, so that no row depends on its batch.
        kernel = random.normal(size=(width, 3, GRID_SIDE, GRID_SIDE)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}_kernel"))
        nodes += [
            helper.make_node("Conv", ["grid", f"{name}_kernel"], [f"{name}_cells"]),
            helper.make_node("Flatten", [f"{name}_cells"], [f"{name}_rows"]),
            helper.make_node("LpNormalization", [f"{name}_rows"], [name], axis=1, p=2),
        ]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", INPUT_SIDE, INPUT_SIDE, 3])
    graph = helper.make_graph(nodes, "mean_colours", [pixels], outputs, weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
