"""Outputs: one module per format, one protocol, any number of them in one run."""

from geolocate.writers.outputs import Writer, Writers, open_writers
from geolocate.writers.stream import STANDARD_OUTPUT
from geolocate.writers.target import MANIFEST_SUFFIX, PARTIAL_SUFFIX

__all__ = ["MANIFEST_SUFFIX", "PARTIAL_SUFFIX", "STANDARD_OUTPUT", "Writer", "Writers", "open_writers"]
