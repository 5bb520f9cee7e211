"""What an output must never replace: a picture, what the run reads, another output."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from geolocate.errors import PhotoFormatRefused, UsageError
from geolocate.writers.stream import STANDARD_OUTPUT, OutputPath, is_direct, is_standard_output
from geolocate.writers.stream import shown as shown_path
from geolocate.writers.target import check_replaceable, manifest_path, own_files, real_path

#: So much of a file tells whether it is text.
HEAD_BYTES = 8192
#: Control characters that no text has.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")

#: Of a file: device and inode; its real path, where there is none yet.
Identity = tuple[int, int] | str | object


def refuse_conflicts(
    wanted: Mapping[str, OutputPath],
    *,
    inputs: Iterable[OutputPath] = (),
    table: bool = False,
    own_pictures: Collection[str] = (),
) -> None:
    """Looks at all outputs of a run before the first of them is opened.

    Args:
        wanted: where each output goes, by the name of its option.
        inputs: what the run reads; names that are no files are passed over.
        table: standard output gets a table.
        own_pictures: outputs whose present file is a picture that this program drew.

    Raises:
        UsageError: two outputs share a place (each has a partial file and a manifest besides), one is an
            input, or one would replace a picture or a video.
        OutputError: where a manifest goes, there is something else than a file.
    """
    read: set[Identity] = set(filter(None, map(_regular_file, inputs)))
    taken: dict[Identity, str] = {_identity(STANDARD_OUTPUT): "the table"} if table else {}
    for name, path in wanted.items():
        file = None if is_direct(path) else real_path(path)
        places = {_identity(path): path}
        if file is not None:
            places |= {_identity(own): own for own in own_files(file)[1:]}
        for place, own in places.items():
            if place in taken:
                raise UsageError(f"{taken[place]} and --{name} cannot both be written to {_shown(own)}")
            if place in read:
                raise UsageError(f"--{name} would overwrite {_shown(own)}, which this run reads")
        taken |= dict.fromkeys(places, f"--{name}")
        if file is not None:
            check_replaceable(manifest_path(file))
            if name not in own_pictures:
                _refuse_picture(name, path)


def _regular_file(path: OutputPath) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _identity(path: OutputPath) -> Identity:
    """What two paths share when they are one file, also through links."""
    try:
        status = os.fstat(sys.stdout.fileno()) if is_standard_output(path) else os.stat(path)
    except (OSError, ValueError, AttributeError):  # no such file, or no such stream
        return STANDARD_OUTPUT if is_standard_output(path) else os.path.realpath(path)
    if stat.S_ISCHR(status.st_mode) and _is_null(status):
        return object()  # there is room for all
    return (status.st_dev, status.st_ino)


def _is_null(status: os.stat_result) -> bool:
    try:
        return status.st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return False


def _refuse_picture(option: str, path: OutputPath) -> None:
    """Raises UsageError where `path` is a picture by its content, or by its name and no text.

    ``--csv *.jpg`` makes the first photo the output: one that nobody meant to lose.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return
        with Path(path).open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        return  # opening it as an output says what is wrong
    if head and (kind := _picture_kind(real_path(path), head)):
        raise UsageError(
            f"--{option} would replace {_shown(path)}, {kind}: no output does that, choose another name"
        )


def _picture_kind(file: Path, head: bytes) -> str | None:
    """What a picture or video is, in words; None for anything else."""
    # Decoders come with these: imported only where there is a file to look at.
    from geolocate.photo_names import PHOTO_EXTENSIONS, RAW_EXTENSIONS, VIDEO_EXTENSIONS
    from geolocate.photos.identify import HEADER_BYTES, identify

    text = _BINARY.search(head) is None
    with suppress(PhotoFormatRefused):
        name = identify(head[:HEADER_BYTES])
        if not (text and name == "BMP"):  # two letters that a text may begin with too
            return f"a {name} picture"
    if not text and file.suffix[1:].lower() in PHOTO_EXTENSIONS | RAW_EXTENSIONS | VIDEO_EXTENSIONS:
        return "a photo or video by its name"
    return None


def _shown(path: OutputPath) -> str:
    return "standard output" if is_standard_output(path) else shown_path(path)
