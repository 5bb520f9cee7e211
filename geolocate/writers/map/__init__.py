"""The map: one page that opens in a browser without network, with everything in it."""

from geolocate.writers.map.writer import MapWriter

__all__ = ["MapWriter"]
