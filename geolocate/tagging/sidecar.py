"""Estimates in sidecars: `a.jpg.xmp` beside `a.jpg`, made, or added to what another program wrote there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from functools import partial

from geolocate.errors import SidecarRefused, TagRefused
from geolocate.tagging.change_log import Change, ChangeLog
from geolocate.tagging.estimate import Estimate
from geolocate.tagging.folder import Folder, temporary_name
from geolocate.tagging.photo_file import SIDECAR_SUFFIX, PhotoFile, is_same, read_sidecar
from geolocate.tagging.xmp import merged_packet, new_packet
from geolocate.text_safety import printable

#: What is to be done, once its log is given.
Write = Callable[[ChangeLog], None]


class Sidecars:
    """Writes estimates beside photos, which are not touched."""

    def target(self, photo: str) -> str:
        """What is written for a photo, as its path."""
        return photo + SIDECAR_SUFFIX

    def prepare(self, photo: PhotoFile, estimate: Estimate) -> Write | None:
        """What is to be done; None where the sidecar would stay as it is.

        Raises:
            SidecarRefused: what is there is no XMP that anything can be added to.
        """
        status = photo.folder.status(photo.sidecar)
        before = read_sidecar(photo, photo.sidecar)
        if before is None or status is None:
            # Whom the photo is hidden from, its place is too.
            mode = stat.S_IMODE(photo.status.st_mode) & 0o666 | 0o600
            return partial(_write, photo, new_packet(estimate), None, None, mode)
        try:
            after = merged_packet(before, estimate)
        except SidecarRefused as error:
            raise SidecarRefused(f"{printable(photo.sidecar)}: {error}") from None
        if not status.st_mode & 0o222:
            raise SidecarRefused(f"{printable(photo.sidecar)} is read-only")
        if after == before:
            return None
        return partial(_write, photo, after, before, status, stat.S_IMODE(status.st_mode) & 0o777)


def _write(
    photo: PhotoFile,
    after: bytes,
    before: bytes | None,
    status: os.stat_result | None,
    mode: int,
    log: ChangeLog,
) -> None:
    """Logs the change, then makes it.

    Raises:
        OSError: the system refuses; the sidecar is as it was.
        TagRefused: somebody else changed it meanwhile.
    """
    temporary = temporary_name()
    log.append(
        Change(
            os.fspath(photo.path),
            "sidecar",
            temporary,
            before="" if before is None else digest(before),
            after=digest(after),
            previous=before,
            mode=mode,
            mtime_ns=0 if status is None else status.st_mtime_ns,
        )
    )
    replace(photo.folder, temporary, photo.sidecar, after, mode, status)


def replace(
    folder: Folder,
    temporary: str,
    name: str,
    data: bytes,
    mode: int,
    status: os.stat_result | None,
    mtime_ns: int | None = None,
) -> None:
    """Gives a file new content, all of it or none, as long as it is what it was.

    Args:
        status: of the file when it was read; None where there was none.
        mtime_ns: when it was last changed; now, if None.

    Raises:
        OSError: the system refuses; the file is as it was.
        TagRefused: somebody else changed it meanwhile.
    """
    try:
        folder.write(temporary, data, mode)
        if mtime_ns is not None:
            folder.set_time(temporary, mtime_ns)
        if status is None:
            folder.place(temporary, name)
        else:
            now = folder.status(name)
            if now is None or not is_same(now, status):
                raise TagRefused("changed by another program at this moment")
            folder.move(temporary, name)
        folder.sync()
    except FileExistsError:
        raise TagRefused("another program made it at this moment") from None
    finally:
        folder.remove(temporary)


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
