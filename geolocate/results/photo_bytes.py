"""The name of a photo that is not UTF-8, out of the bytes that stand beside what is shown of it."""

from __future__ import annotations

from geolocate.text_safety import to_unicode


def photo_of_bytes(raw: bytes, shown: object) -> str:
    """The path, undecodable bytes as surrogate escapes.

    Raises:
        ValueError: the row shows another name, so one of the two deceives.
    """
    photo = raw.decode("utf-8", "surrogateescape")
    if to_unicode(photo) != shown:
        raise ValueError("photo and photo_bytes are not the same name")
    return photo
