"""How a run ends: the exit status, and the one line on standard error that goes with it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TextIO

import click

from geolocate.errors import GeolocateError, UsageError
from geolocate.text_safety import printable

DONE = 0
FAILED = 1
USAGE = 2
#: The run finished, but some photos failed.
PHOTOS_FAILED = 3
INTERRUPTED = 128 + 2  # SIGINT
PIPE_CLOSED = 128 + 13  # SIGPIPE

#: What a full or failing disk says, most often when rows or messages are written.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def run_with_status(run: Callable[[], Any], program: str) -> int:
    """Runs the program and returns its exit status; no ending that a user can cause shows a traceback.

    Args:
        run: the program; an int that it returns is the status, anything else is success.
        program: begins the lines on standard error.
    """
    try:
        status = _run(run, program)
        # Now, where an error can still become a message; at interpreter exit it would be a traceback.
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        _silence_standard_output()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno is None:
            raise  # not the system's word: a fault of the program
        _silence_standard_output()
        return _end(FAILED, program, _reason(error))


def _run(run: Callable[[], Any], program: str) -> int:
    try:
        result = run()
        return result if isinstance(result, int) else DONE
    except UsageError as error:
        return _end(USAGE, program, str(error))
    except GeolocateError as error:
        return _end(FAILED, program, str(error))
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        with contextlib.suppress(BrokenPipeError):
            error.show()
        return error.exit_code
    except click.Abort:
        return _end(FAILED, program, "aborted")
    except KeyboardInterrupt:
        return _interrupted(program)
    except (ImportError, AttributeError) as error:
        if _came_of_interrupt(error):
            return _interrupted(program)
        if not _is_of_runtime(error):
            raise
        message = f"ONNX Runtime cannot be loaded: {error}; what mends it: {program} doctor"
        return _end(FAILED, program, message)
    except MemoryError:
        return _end(FAILED, program, "out of memory; a smaller --batch-size needs less")


def _interrupted(program: str) -> int:
    # What was done is written by now; a second Ctrl-C must not wait for worker threads.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if is_terminal(sys.stderr):
        click.echo(err=True)  # ends the line on which the terminal shows ^C
    return _end(INTERRUPTED, program, "interrupted")


def _came_of_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error: modules in C++ that are cut off while they load say ImportError."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _is_of_runtime(error: ImportError | AttributeError) -> bool:
    """Whether ONNX Runtime is missing, or one wheel that was taken out left the other an empty module."""
    name = error.name if isinstance(error, ImportError) else getattr(error.obj, "__name__", None)
    return (name or "").partition(".")[0] == "onnxruntime"


def _reason(error: OSError) -> str:
    """What the system says, and of which file if it names one."""
    reason = error.strerror or os.strerror(error.errno or 0)
    if isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {reason}"
    return f"cannot write: {reason}" if error.errno in DISK_ERRORS else reason


def _end(status: int, program: str, message: str) -> int:
    with contextlib.suppress(BrokenPipeError):  # nobody reads the message; the status still tells
        click.echo(f"{program}: {printable(message, newlines=True)}", err=True)
    return status


def _silence_standard_output() -> None:
    """Points standard output at nothing, so that the interpreter's own last flush cannot fail again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; one that was closed at the start is None."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed since
        return False


def can_redraw(stream: TextIO | None) -> bool:
    """Whether a line can be drawn over: a terminal that knows control sequences."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def prepare_streams() -> None:
    """Makes standard output and error take any text: what the locale cannot show is escaped, never raised.

    Descriptors that are closed are pointed at nothing: the next file would be opened under their number, and
    get what a library prints.
    """
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
