"""Estimates written back: into XMP sidecars beside photos, or into photos by exiftool; and taken back."""
