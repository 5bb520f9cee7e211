"""Estimates in the photos themselves: written by exiftool into a copy, which takes the place of the photo.

The copy is looked at first: the position must read back, and every pixel must be what it was. The photo that
was there stays beside it, whole, as `a.jpg.untagged`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from functools import partial
from typing import Any

from geolocate.errors import TagRefused
from geolocate.photos.pixels import pixel_digest
from geolocate.records import Position
from geolocate.tagging.change_log import Change, ChangeLog
from geolocate.tagging.estimate import Estimate
from geolocate.tagging.exiftool import Exiftool
from geolocate.tagging.folder import NO_LINKS, temporary_name
from geolocate.tagging.photo_file import PhotoFile, existing_position
from geolocate.tagging.sidecar import Write
from geolocate.tagging.xmp import FIX_TAGS, is_near

BACKUP_SUFFIX = ".untagged"

_POSITIONS = ("GPSLatitude", "GPSLongitude")
_NAMES = ("XMP-photoshop:City", "XMP-photoshop:State", "XMP-photoshop:Country", "XMP-iptcCore:CountryCode")
#: Where others put names as well: in IPTC's older block, and in the places of its extension.
_OTHER_NAMES = (
    "IPTC:City",
    "IPTC:Province-State",
    "IPTC:Country-PrimaryLocationName",
    "XMP-iptcCore:Location",
    *(
        f"XMP-iptcExt:Location{which}{part}"
        for which in ("Created", "Shown")
        for part in ("Sublocation", "City", "ProvinceState", "CountryName")
    ),
)
_BACK = ("GPS:GPSLatitude", "GPS:GPSLatitudeRef", "GPS:GPSLongitude", "GPS:GPSLongitudeRef")
_METHOD, _ERROR = "GPS:GPSProcessingMethod", "GPS:GPSHPositioningError"
_READ_BACK = (*_BACK, _METHOD, _ERROR)


class InPlace:
    """Writes estimates into photos.

    Args:
        exiftool: does the writing.
        overwrite: also over a position that is there.
    """

    def __init__(self, exiftool: Exiftool, *, overwrite: bool) -> None:
        self._exiftool = exiftool
        self._overwrite = overwrite

    def target(self, photo: str) -> str:
        """What is written for a photo, as its path."""
        return photo

    def prepare(self, photo: PhotoFile, estimate: Estimate) -> Write | None:
        """What is to be done; None where the photo has this very estimate.

        Raises:
            TagRefused: the photo is not to be replaced, or exiftool finds a position that nobody else does.
        """
        _refuse_loss(photo)
        descriptor = photo.folder.open(photo.name)
        try:
            found = self._exiftool.read(descriptor, (*_POSITIONS, *_READ_BACK, *_NAMES, *_OTHER_NAMES))
        finally:
            os.close(descriptor)
        # A composite is computed from the others.
        positions = [k for k in found if k.rpartition(":")[2] in _POSITIONS and not k.startswith("Composite")]
        if positions and not self._overwrite:
            raise TagRefused(f"exiftool finds a position in it ({positions[0].partition(':')[0]})")
        if _is_written(found, estimate):
            return None
        existing = existing_position(photo) if positions else None
        names = {k.rpartition(":")[2] for k in (*_NAMES, *_OTHER_NAMES)} & {
            k.rpartition(":")[2] for k in found
        }
        own = existing is not None and existing.is_estimate
        values = _values(estimate, over=bool(positions), names=own or not names)
        return partial(self._write, photo, estimate, values)

    def _write(
        self, photo: PhotoFile, estimate: Estimate, values: list[tuple[str, str]], log: ChangeLog
    ) -> None:
        """Logs the change, makes the copy, looks at it, and puts it in the photo's place.

        Raises:
            OSError: the system refuses.
            PhotoError: exiftool cannot, or what it wrote is not as it should be; the photo is as it was.
        """
        folder, temporary, path = photo.folder, temporary_name(), os.fspath(photo.path)
        log.append(Change(path, "begun", temporary))
        with contextlib.ExitStack() as stack:
            source = folder.open(photo.name)
            stack.callback(os.close, source)
            stack.callback(folder.remove, temporary)
            copy = folder.create(temporary, 0o600)
            stack.callback(os.close, copy)
            before = _digest(source)
            self._exiftool.write(source, copy, values)
            if not _is_written(self._exiftool.read(copy, _READ_BACK), estimate):
                raise TagRefused("this kind of picture holds no position: a sidecar can")
            if pixel_digest(folder.path / temporary) != pixel_digest(photo.path):
                raise TagRefused("exiftool would change its pixels")
            _take_over(source, copy, photo.status)
            os.fsync(copy)
            log.append(Change(path, "photo", temporary, before=before, after=_digest(copy)))
            stack.callback(_forget_original, photo)
            _keep_original(photo, before, log)
            if not photo.is_unchanged():
                raise TagRefused("changed by another program at this moment")
            folder.move(temporary, photo.name)
            folder.sync()


def _refuse_loss(photo: PhotoFile) -> None:
    status = photo.status
    if not status.st_mode & 0o222:
        raise TagRefused("read-only")
    if hasattr(os, "geteuid") and os.geteuid() not in (0, status.st_uid):
        raise TagRefused("belongs to another user")
    backup = photo.folder.status(photo.name + BACKUP_SUFFIX)
    # A run that was killed may have left the photo with its second name.
    own = backup is not None and os.path.samestat(backup, status)
    if status.st_nlink > 1 + own:
        raise TagRefused("has another name (a hard link), which would keep the old content: a sidecar can")
    if backup is not None and not own and not _is_copy(photo, backup):
        raise TagRefused(
            f"the original from an earlier run is there ({BACKUP_SUFFIX}): --undo that one first"
        )


def _is_copy(photo: PhotoFile, backup: os.stat_result) -> bool:
    """Whether a backup is what the photo is now, left by a run that was killed."""
    if not stat.S_ISREG(backup.st_mode) or backup.st_size != photo.status.st_size:
        return False
    return file_digest(photo.folder.open(photo.name)) == file_digest(
        photo.folder.open(photo.name + BACKUP_SUFFIX)
    )


def _keep_original(photo: PhotoFile, before: str, log: ChangeLog) -> None:
    """Gives the photo a second name, which it keeps when another file gets the first; or a copy has it."""
    folder, name = photo.folder, photo.name + BACKUP_SUFFIX
    with contextlib.suppress(FileExistsError):  # it was looked at before
        try:
            folder.link(photo.name, name)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            temporary = temporary_name()
            log.append(Change(os.fspath(photo.path), "begun", temporary))
            try:
                _copy(photo, temporary)
                folder.place(temporary, name)
            finally:
                folder.remove(temporary)
    if file_digest(folder.open(name)) != before:
        raise TagRefused("changed by another program at this moment")
    folder.sync()


def _forget_original(photo: PhotoFile) -> None:
    """Takes the second name away where the photo still has the first, so was not replaced."""
    now, backup = (photo.folder.status(name) for name in (photo.name, photo.name + BACKUP_SUFFIX))
    if now is not None and backup is not None and os.path.samestat(now, backup):
        photo.folder.remove(photo.name + BACKUP_SUFFIX)


def _copy(photo: PhotoFile, name: str) -> None:
    with (
        os.fdopen(photo.folder.open(photo.name), "rb") as source,
        os.fdopen(photo.folder.create(name, 0o600), "r+b") as copy,
    ):
        shutil.copyfileobj(source, copy)
        copy.flush()
        _take_over(source.fileno(), copy.fileno(), photo.status)
        os.fsync(copy.fileno())


def _take_over(source: int, copy: int, status: os.stat_result) -> None:
    """Gives a copy the owner, mode, extended attributes and times of the photo.

    Raises:
        OSError: the mode or the times cannot be set.
    """
    if hasattr(os, "fchown"):
        with contextlib.suppress(OSError):  # the group of a file of one's own may be one that one has left
            os.fchown(copy, status.st_uid, status.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(copy, stat.S_IMODE(status.st_mode))
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(source):
                with contextlib.suppress(OSError):  # some are the system's own
                    os.setxattr(copy, name, os.getxattr(source, name))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def _values(estimate: Estimate, *, over: bool, names: bool) -> list[tuple[str, str]]:
    """The tags to be written; an empty text removes one.

    Args:
        over: a position is there: what describes its fix goes, and so does one in XMP, which would differ.
    """
    position = estimate.position
    values = [
        ("EXIF:GPSLatitude", f"{abs(position.latitude):.9f}"),
        ("EXIF:GPSLatitudeRef", "S" if position.latitude < 0 else "N"),
        ("EXIF:GPSLongitude", f"{abs(position.longitude):.9f}"),
        ("EXIF:GPSLongitudeRef", "W" if position.longitude < 0 else "E"),
        ("EXIF:GPSMapDatum", "WGS-84"),
        ("EXIF:GPSProcessingMethod", estimate.method),
        ("EXIF:GPSHPositioningError", "" if estimate.error_m is None else str(estimate.error_m)),
    ]
    if over:
        values += [(f"EXIF:{tag}", "") for tag in FIX_TAGS]
        values += [(f"XMP-exif:{tag}", "") for tag in (*_POSITIONS, *FIX_TAGS, "GPSProcessingMethod")]
    if names:
        texts = estimate.city, estimate.region, estimate.country, estimate.country_code
        values += [(tag, text) for tag, text in zip(_NAMES, texts, strict=True) if text or over]
    return values


def _is_written(found: dict[str, Any], estimate: Estimate) -> bool:
    """Whether the tags of a picture say this estimate, to 1e-5 degree."""
    try:
        latitude, longitude = float(found[_BACK[0]]), float(found[_BACK[2]])
    except (KeyError, TypeError, ValueError):
        return False
    south, west = found.get(_BACK[1]) == "S", found.get(_BACK[3]) == "W"
    position = Position(-latitude if south else latitude, -longitude if west else longitude)
    rest = found.get(_METHOD), found.get(_ERROR)
    return is_near(position, estimate.position) and rest == (estimate.method, estimate.error_m)


def file_digest(descriptor: int) -> str:
    """SHA-256 of an open file, hex; closes it."""
    try:
        return _digest(descriptor)
    finally:
        os.close(descriptor)


def _digest(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    sha = hashlib.sha256()
    while block := os.read(descriptor, 2**20):
        sha.update(block)
    return sha.hexdigest()
