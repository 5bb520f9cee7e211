"""Folders and files for the user's eyes alone, whatever the umask and whatever stood there before."""

from __future__ import annotations

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

    Raises:
        OSError: it cannot be made, is no regular file, or belongs to somebody else.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    os.close(os.open(path, flags, FILE_MODE))
    _close_to_others(path, FILE_MODE)


def _close_to_others(path: Path, mode: int) -> None:
    if os.name == "nt":  # permissions are inherited from the user's profile there
        return
    status = path.stat()
    if os.geteuid() not in (0, status.st_uid):
        raise PermissionError(1, "belongs to another user", os.fspath(path))
    if stat.S_IMODE(status.st_mode) & _OF_OTHERS or stat.S_IMODE(status.st_mode) & mode != mode:
        path.chmod(mode)
