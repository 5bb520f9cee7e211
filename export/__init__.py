"""Torch side of geolocate: the encoders, their training and their export to ONNX."""
