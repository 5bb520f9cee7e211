"""Bundles that come with geolocate: data only."""
