"""Outputs of several runs as one: shards back in the order of a single run, to the byte.

    parts with their manifests (part) -> all there, of one run, in order (shards) -> writers

Parts without manifests are sorted instead (by_path); the OUTPUT of `geolocate distributed` has an order of
its own (partitions).
"""
