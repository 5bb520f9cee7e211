"""Torch side of geolocate: the encoders, their training and their export to ONNX."""

import os

import geolocate  # noqa: F401  before ONNX Runtime, whose reports it switches off

# The hub's client, which open_clip brings along, would tell of its use; it reads this at its import.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
