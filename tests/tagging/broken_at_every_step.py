"""Runs `geolocate tag` again and again, each time broken off at the next call of the system.

    python broken_at_every_step.py FOLDER RESULTS WAY FAULT

Every call that makes, writes, syncs, names or removes a file is a step. FAULT is what happens at step 0, 1, 2
and so on in turn, until a run comes to its end without it: "killed" (the process is gone before the call; of
a write half is done), "full" or "failing" (that call fails, and none after it, as on a full or failing disk).
After each broken run one more goes on to the end, every other time, and all is undone. Then undoing is broken
in the same way. Prints how many steps there were; fails where a file was ever neither old nor new.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from geolocate.cli import cli
from geolocate.tagging.exiftool import Exiftool
from geolocate.tagging.folder import is_temporary

STEPS = ("open", "write", "fsync", "link", "replace", "unlink", "utime", "fchmod", "ftruncate")
KILLED = 77
#: What a run that meets a fault may end with.
ENDINGS = {"killed": {KILLED}, "full": {0, 1, 3}, "failing": {0, 1, 3}}

Contents = dict[str, bytes]


def contents(folder: Path) -> Contents:
    return {os.fspath(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run(words: list[str]) -> int:
    """A run in this process."""
    return CliRunner().invoke(cli, words).exit_code


def broken_run(words: list[str], fault: str, step: int) -> tuple[int, bool]:
    """A run in a child, whose calls are its own; its exit status, and whether it came as far as that step."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        break_at(step, fault, partial(os.write, writing, b"x"))
        os._exit(run(words))
    os.close(writing)
    _, status = os.waitpid(child, 0)
    met = os.read(reading, 1) == b"x"
    os.close(reading)
    return os.waitstatus_to_exitcode(status), met


def remember_exiftool() -> None:
    """Lets exiftool answer each question once: it takes a tenth of a second, and is not what is broken."""
    answers: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
    real = Exiftool._run

    def run(self: Exiftool, options: Sequence[str], picture: int, output: int) -> bytes:
        os.lseek(picture, 0, os.SEEK_SET)
        question = (*options, hashlib.sha256(os.read(picture, 2**20)).digest())
        if question not in answers:
            answer = real(self, options, picture, output)
            written = b"" if output < 0 else os.pread(output, 2**20, 0)
            answers[question] = answer, written
        elif output >= 0:
            with os.fdopen(os.dup(output), "wb", buffering=0) as copy:
                copy.write(answers[question][1])
        return answers[question][0]

    Exiftool._run = run  # type: ignore[method-assign]


def break_at(step: int, fault: str, met: Callable[[], object]) -> None:
    """Makes the calls of this process count, and one of them fail."""
    count = 0

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal count
            reading = name == "open" and not arguments[1] & (os.O_CREAT | os.O_WRONLY)
            if reading:
                return real(*arguments, **keywords)
            count += 1
            if count - 1 != step:
                return real(*arguments, **keywords)
            met()
            if name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if fault == "killed":
                os._exit(KILLED)
            number = errno.ENOSPC if fault == "full" else errno.EIO
            raise OSError(number, os.strerror(number))

        return call

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))


def main() -> int:
    folder, results, way, fault = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    words = ["tag", results, "--photos", os.fspath(folder)]
    tagging, undoing = [*words, "--write", *([way] if way else [])], [*words, "--undo"]
    remember_exiftool()
    before = contents(folder)
    assert run(tagging) == 0
    after = contents(folder)
    assert run(undoing) == 0
    assert contents(folder) == before, "undo"

    def check(found: Contents, doing: str) -> None:
        for name, content in found.items():
            if name.endswith(".untagged"):
                whole = content == before[name.removesuffix(".untagged")]
            else:
                whole = is_temporary(os.path.basename(name)) or content in (before.get(name), after.get(name))
            assert whole, f"{name} is neither old nor new, {doing}"
        assert before.keys() <= found.keys(), f"a file is lost, {doing}"

    step = total = 0
    met = True
    while met:
        doing = f"{fault} at step {step} of tagging"
        status, met = broken_run(tagging, fault, step)
        assert not met or status in ENDINGS[fault], f"{status} {doing}"
        check(contents(folder), doing)
        if fault != "killed":
            found = contents(folder)
            assert not [n for n in found if is_temporary(os.path.basename(n))], doing
            kept = [n.removesuffix(".untagged") for n in found if n.endswith(".untagged")]
            assert [n for n in kept if found[n] != after[n]] == [], (
                f"an original is kept for nothing, {doing}"
            )
        if step % 2:  # taken back at once, or after it went on
            assert run(tagging) == 0, doing
            assert contents(folder) == after, f"going on, {doing}"
        assert run(undoing) == 0, doing
        assert contents(folder) == before, f"undone, {doing}"
        step += 1
    total += step
    step, met = 0, True
    while met:
        doing = f"{fault} at step {step} of undoing"
        assert run(tagging) == 0, doing
        status, met = broken_run(undoing, fault, step)
        assert not met or status in ENDINGS[fault], f"{status} {doing}"
        check(contents(folder), doing)
        assert run(undoing) == 0, doing
        assert contents(folder) == before, f"undone, {doing}"
        step += 1
    print(total + step)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
