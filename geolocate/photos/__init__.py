"""Photos: found, identified, opened safely, decoded, turned upright and brought to the encoder's size."""

from __future__ import annotations

from geolocate.photos.decode import DEFAULT_MAX_PIXELS, DecodedPhoto, decode_photo, read_exif_block
from geolocate.photos.find import check_arguments, count_photos, find_photos
from geolocate.photos.path_list import read_path_list

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "DecodedPhoto",
    "check_arguments",
    "count_photos",
    "decode_photo",
    "find_photos",
    "read_exif_block",
    "read_path_list",
]
