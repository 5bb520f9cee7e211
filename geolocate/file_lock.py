"""A claim on an open file that ends with the process, however that ends."""

from __future__ import annotations

import os
import sys

#: Windows locks a range of bytes against reading too: one that no file reaches.
LOCKED_BYTE = 2**62


def lock(descriptor: int) -> bool:
    """Claims an open file for this process; False where another holds it."""
    if sys.platform == "win32":
        import msvcrt

        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, position, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: better unlocked than not at all
        return True
    return True
