"""What files are called: the endings that select photos in folders, archives and object stores."""

from __future__ import annotations

#: Extensions that select a file in a folder; the content then decides the decoder.
PHOTO_EXTENSIONS = frozenset(
    "jpg jpeg jpe jfif jif mpo png apng webp gif bmp dib tif tiff avif heic heif hif".split()
)
#: Counted in one note, because somebody may expect them to be read.
RAW_EXTENSIONS = frozenset(
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf "
    "srw x3f".split()
)
VIDEO_EXTENSIONS = frozenset("3gp avi insv lrv m2ts m4v mkv mov mp4 mpeg mpg mts webm wmv".split())


def extension_of(name: str) -> str:
    """What follows the last dot of a name or path, in lower case; empty without one."""
    _, dot, extension = name.rpartition(".")
    return extension.lower() if dot else ""


def without_dots(name: str) -> str:
    """The name of a member of an archive without the `./` that `tar -C folder .` puts before all of them."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def is_photo_name(name: str) -> bool:
    """Whether a file of that name is taken for a photo in a folder."""
    return extension_of(name) in PHOTO_EXTENSIONS
