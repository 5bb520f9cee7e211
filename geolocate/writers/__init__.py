"""Outputs: one module per format, one protocol, any number of them in one run."""

from geolocate.writers.formats import FORMATS, Writer
from geolocate.writers.outputs import Writers, open_writers
from geolocate.writers.run_facts import RunFacts
from geolocate.writers.stream import STANDARD_OUTPUT
from geolocate.writers.target import MANIFEST_SUFFIX, PARTIAL_SUFFIX

__all__ = [
    "FORMATS",
    "MANIFEST_SUFFIX",
    "PARTIAL_SUFFIX",
    "STANDARD_OUTPUT",
    "RunFacts",
    "Writer",
    "Writers",
    "open_writers",
]
