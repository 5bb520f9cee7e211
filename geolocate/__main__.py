"""The program: ``geolocate``, and ``python -m geolocate``.

The command line takes a tenth of a second to import; Ctrl-C in that time ends it as quietly as later.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + 2  # SIGINT


def main() -> NoReturn:
    """The console entry: runs the program and exits with its status."""
    # Where a signal is ignored (nohup, a background job) it stays so.
    guarded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if guarded:
        signal.signal(signal.SIGINT, _end_at_once)
    from geolocate.cli import main as run

    try:
        if guarded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # ends a run as cleanly as Ctrl-C
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)  # nothing is open yet


if __name__ == "__main__":
    main()
