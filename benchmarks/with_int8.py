"""Adds an int8 image encoder to a bundle whatever its accuracy, to time it.

    python benchmarks/with_int8.py DIR

For bundles over random weights, whose int8 may miss the gate of accuracy; see `random_clip.py`. Such a bundle
is good for nothing else.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import onnx

from geolocate.bundle import image_encoder_name, load_bundle, write_manifest
from geolocate_export.graphs import graph_bytes
from geolocate_export.quantise import to_int8


def main() -> None:
    """Writes the graph and the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    manifest = load_bundle(folder).manifest
    float32 = onnx.load(folder / image_encoder_name("fp32"))
    (folder / image_encoder_name("int8")).write_bytes(graph_bytes(to_int8(float32)))
    write_manifest(folder, replace(manifest, precisions=("fp32", "int8")))
    print(folder)


if __name__ == "__main__":
    main()
