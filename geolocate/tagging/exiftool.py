"""exiftool, the program that writes metadata into nearly every kind of picture without touching the rest.

It never learns the name of a photo: the picture goes in by standard input and out by standard output, so no
name can be an option, and nothing is written that this program did not open. Its own configuration file,
which is Perl code, is not read. Minor faults of a photo, which it could pass over at a loss, end the writing.

Source: https://exiftool.org/exiftool_pod.html
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geolocate.errors import ExiftoolError, TagRefused
from geolocate.text_safety import printable
from geolocate.untrusted_json import as_list, as_object, parse_json

#: The oldest that was tried, of Debian 12.
MIN_VERSION = (12, 57)
#: For one photo.
TIMEOUT_S = 120
_MAX_MESSAGE = 200
_MAX_ANSWER_BYTES = 2**20
_VERSION = re.compile(rb"(\d{1,3})\.(\d{1,3})")
#: Without its configuration, numbers as numbers.
_ALWAYS = ("-config", "", "-n", "-q", "-charset", "utf8")


@dataclass(frozen=True, slots=True)
class Exiftool:
    """An exiftool that works.

    Attributes:
        program: where it is.
        version: what it says.
    """

    program: str
    version: str

    def read(self, picture: int, tags: Sequence[str]) -> dict[str, Any]:
        """The values of tags, by group and name ("GPS:GPSLatitude"); those that are not there are left out.

        Args:
            picture: a descriptor; its position does not matter.
            tags: as exiftool names them.

        Raises:
            TagRefused: it cannot read the picture; says why.
        """
        options = ["-json", "-G1", "-a", *(f"-{tag}" for tag in tags), "-"]
        answer = self._run(options, picture, subprocess.PIPE)
        try:
            if len(answer) > _MAX_ANSWER_BYTES:
                raise ValueError("too much")
            values = as_object(as_list(parse_json(answer) if answer.strip() else [{}])[0])
        except (ValueError, IndexError) as error:
            raise TagRefused("what exiftool says of it cannot be read") from error
        return {key: value for key, value in values.items() if key != "SourceFile"}

    def write(self, picture: int, result: int, values: Sequence[tuple[str, str]]) -> None:
        """Copies a picture with new values in it.

        Args:
            picture: a descriptor of the one.
            result: of the other, empty.
            values: tags and what they become; an empty text removes one.

        Raises:
            TagRefused: it cannot write this kind of picture, or not this one; says why.
        """
        self._run([*(f"-{tag}={value}" for tag, value in values), "-o", "-", "-"], picture, result)

    def _run(self, options: Sequence[str], picture: int, output: int) -> bytes:
        os.lseek(picture, 0, os.SEEK_SET)
        try:
            done = subprocess.run(
                [self.program, *_ALWAYS, *options],
                stdin=picture,
                stdout=output,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TagRefused(f"exiftool took more than {TIMEOUT_S} s") from None
        except OSError as error:
            raise ExiftoolError(f"exiftool cannot be run: {error.strerror or error}") from error
        if done.returncode:
            raise TagRefused(f"exiftool: {_message(done.stderr)}")
        return done.stdout or b""


def find_exiftool() -> Exiftool:
    """The exiftool on the search path.

    Raises:
        ExiftoolError: there is none, it does not work, or is older than MIN_VERSION.
    """
    program = shutil.which("exiftool")
    needed = ".".join(map(str, MIN_VERSION))
    if program is None:
        raise ExiftoolError(
            f"--in-place needs exiftool {needed} or newer, and there is none (https://exiftool.org; Debian: "
            "libimage-exiftool-perl). Without --in-place, estimates go into sidecars"
        )
    try:
        done = subprocess.run(
            [program, "-config", "", "-ver"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExiftoolError(f"{printable(program)} does not work: {error}") from error
    match = _VERSION.match(done.stdout)
    if done.returncode or match is None:
        raise ExiftoolError(f"{printable(program)} does not work: {_message(done.stderr)}")
    if (int(match[1]), int(match[2])) < MIN_VERSION:
        found = match[0].decode("ascii")
        raise ExiftoolError(f"--in-place needs exiftool {needed} or newer; {printable(program)} is {found}")
    return Exiftool(program, match[0].decode("ascii"))


def _message(output: bytes) -> str:
    """The first line of what it complains of, without the name that standard input has for it."""
    lines = printable(output.decode("utf-8", "replace"), newlines=True).strip().splitlines()
    text = (lines[0] if lines else "failed without a word").removeprefix("Error: ")
    return re.sub(r"( - -)?$", "", text)[:_MAX_MESSAGE]
