"""Folders and files for the user's eyes alone, whatever the umask and whatever stood there before."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
#: Permissions of anybody but the owner.
_OF_OTHERS = 0o077


def cache_root() -> Path:
    """The program's folder in the platform's cache folder; everything in it is the program's own."""
    import platformdirs

    return platformdirs.user_cache_path("geolocate", appauthor=False)


def make_private_folder(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, for the user alone.

    A folder of the cache that is there already and open to others is closed to them; any other folder is the
    user's own affair and stays as it is.

    Raises:
        OSError: it cannot be made; or it is in the cache and somebody else's, who could read what it gets.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        _close_to_others(path, FOLDER_MODE)  # a umask may have taken even the owner's permissions
    root = cache_root()
    if folder == root or root in folder.parents:
        own = [path for path in (folder, *folder.parents) if path == root or root in path.parents]
        for path in own:
            _close_to_others(path, FOLDER_MODE)


def make_private_file(path: Path) -> None:
    """Makes an empty file where there is none, for the user alone; closes one that is there to others.

    What is judged is what was opened, whatever is put in its place meanwhile.

    Raises:
        OSError: it cannot be made, is no regular file, or belongs to somebody else.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))
        if _is_to_be_closed(path, status, FILE_MODE):
            os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def _close_to_others(folder: Path, mode: int) -> None:
    if _is_to_be_closed(folder, folder.stat(), mode):
        folder.chmod(mode)


def _is_to_be_closed(path: Path, status: os.stat_result, mode: int) -> bool:
    """Whether others have permissions there, or the user too few. Raises OSError where it is another's."""
    if os.name == "nt":  # permissions are inherited from the user's profile there
        return False
    if os.geteuid() not in (0, status.st_uid):
        raise PermissionError(1, "belongs to another user", os.fspath(path))
    permissions = stat.S_IMODE(status.st_mode)
    return bool(permissions & _OF_OTHERS) or permissions & mode != mode
