"""What a file is, told from its first bytes: the allowlist of formats that a decoder may see.

Sources: each format's standard for its signature; ISO/IEC 14496-12 for `ftyp`, 23008-12 for brands of HEIF.
"""

from __future__ import annotations

from geolocate.errors import PhotoFormatRefused

#: Bytes that :func:`identify` wants to see; an `ftyp` box with many brands still fits.
HEADER_BYTES = 256

_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIF_BRANDS = frozenset((b"mif1", b"msf1", b"mif2"))

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)
#: Refused whatever the file is called; known by name so that the message can say what it is.
_REFUSED = (
    (b"%PDF", "a PDF document"),
    (b"%!", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "a Photoshop file"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"PK\x03\x04", "a ZIP archive"),
)


def identify(header: bytes) -> str:
    """Returns the decoder's name for a file: JPEG, PNG, GIF, TIFF, BMP, WEBP, AVIF or HEIF.

    Args:
        header: the first HEADER_BYTES of the file, or all of a shorter one.

    Raises:
        PhotoFormatRefused: it is something else; says what, where that is known.
    """
    if not header:
        raise PhotoFormatRefused("the file is empty")
    for signature, name in _SIGNATURES:
        if header.startswith(signature):
            return name
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WEBP"
    if header[4:8] == b"ftyp":
        return _identify_boxes(header)
    for signature, name in _REFUSED:
        if header.startswith(signature):
            raise PhotoFormatRefused(f"not a photo: the content is {name}")
    raise PhotoFormatRefused("not a photo: the content is no image format that is decoded")


def _identify_boxes(header: bytes) -> str:
    end = min(len(header), max(16, int.from_bytes(header[:4], "big")))
    brands = {header[8:12], *(header[start : start + 4] for start in range(16, end - 3, 4))}
    if header[8:12] in _HEIC_BRANDS:
        return "HEIF"
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & (_HEIC_BRANDS | _HEIF_BRANDS):
        return "HEIF"
    raise PhotoFormatRefused("not a photo: the content is a video or another media file")
