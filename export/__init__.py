"""Torch side of geolocate: the encoders, their training and their export to ONNX."""

import geolocate  # noqa: F401  before ONNX Runtime, whose reports it switches off
