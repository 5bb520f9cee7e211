"""Decoding in processes: what threads give, and a decoder that breaks costs one photo."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hostile import bad_decoders, exif_blocks, pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geolocate import decode_processes
from geolocate.decode_frames import BadFrame, read_answer, read_request, write_answer, write_request
from geolocate.decoding import DecodedItem, DecodeOptions, decode_batches
from geolocate.errors import DecoderError
from geolocate.exif import ExifFacts
from geolocate.records import Position

SIZE = 32
BLOCK = exif_blocks.position_block(exif_blocks.degrees(43, 28, 2.8), exif_blocks.degrees(11, 53, 6.4))
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="processes and limits as Linux shows them")


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoder processes whose decoders do what the name of a photo says."""
    words = [sys.executable, "-P", "-c", bad_decoders.PROGRAM, json.dumps(sys.path)]
    monkeypatch.setattr(decode_processes, "worker_command", lambda: words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good photos, 0.jpg to 5.jpg."""
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(pictures.photo("JPEG", 40 + number, 30, exif=BLOCK))
    return tmp_path


def decoded(paths: list[Path] | list[str], **options: object) -> list[DecodedItem]:
    wish = DecodeOptions(**options)  # type: ignore[arg-type]
    batches = decode_batches(iter([os.fspath(path) for path in paths]), SIZE, 4, wish, exif=True)
    return [item for batch in batches for item in batch]


def children(parent: int) -> set[int]:
    """The processes that a process has started, zombies included."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if int(status.rpartition(")")[2].split()[1]) == parent:
                found.add(int(entry.name))
    return found


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def assert_gone(processes: set[int], within_s: float = 10) -> None:
    end = time.monotonic() + within_s
    while any(map(alive, processes)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not [process for process in processes if alive(process)]


def test_processes_give_what_threads_give(folder: Path) -> None:
    for file_format in ("PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        (folder / f"photo.{file_format}").write_bytes(pictures.photo(file_format, 90, 60))
    (folder / "cut.jpg").write_bytes(pictures.photo()[:500])
    whole = pictures.photo("PNG", 40, 30)
    at = whole.index(b"IDAT") - 4
    (folder / "claims_4_gib.png").write_bytes(whole[:at] + b"\xfe" + whole[at + 1 :])
    (folder / "text.jpg").write_text("no photo")
    time_block = exif_blocks.Block(
        exif={
            0x9003: exif_blocks.ascii_text(b"2020:02:29 23:59:59"),
            0x9011: exif_blocks.ascii_text(b"-03:30"),
        }
    ).build()
    zero = exif_blocks.position_block(exif_blocks.degrees(0), exif_blocks.degrees(0))
    (folder / "time.jpg").write_bytes(pictures.photo("JPEG", 40, 30, exif=time_block))
    (folder / "zero.jpg").write_bytes(pictures.photo("JPEG", 40, 30, exif=zero))
    paths = [*sorted(map(os.fspath, folder.iterdir())), "no/such.jpg", "nul\0.jpg", "\ud800.jpg", ""]
    threads, processes = decoded(paths), decoded(paths, isolate=True, workers=2)
    assert [item.photo for item in processes] == paths
    for one, other in zip(threads, processes, strict=True):
        assert (one.photo, one.facts, one.error) == (other.photo, other.facts, other.error)
        assert (one.pixels is None) == (other.pixels is None)
        assert one.pixels is None or np.array_equal(one.pixels, other.pixels)  # type: ignore[arg-type]
    assert {item.facts.utc_offset_minutes for item in processes if item.facts} == {None, -210}


@pytest.mark.usefixtures("bad")
@posix_only
def test_a_decoder_that_crashes_costs_one_photo(folder: Path) -> None:
    expected = {
        "SIGSEGV": "its decoder crashed (SIGSEGV)",
        "SIGABRT": "its decoder crashed (SIGABRT)",
        "SIGKILL": "its decoder was killed (SIGKILL), perhaps for want of memory",
        "exit": "its decoder ended with status 7",
        "fault": "the decoder failed: KeyError: 'a fault of ours'",
    }
    paths = sorted(folder.iterdir())
    good = {item.photo: item for item in decoded(paths)}
    for number, word in enumerate(expected):
        paths.insert(2 * number, folder / f"{word}.jpg")
    items = decoded(paths, isolate=True, workers=2)
    assert [item.photo for item in items] == list(map(os.fspath, paths))
    assert {Path(item.photo).stem: item.error for item in items if item.photo not in good} == expected
    for item in items:
        if item.photo in good:
            assert item.error is None
            assert np.array_equal(item.pixels, good[item.photo].pixels)  # type: ignore[arg-type]


@pytest.mark.usefixtures("bad")
@pytest.mark.parametrize("word", ["hang", "sleep"])
def test_a_decoder_that_hangs_costs_one_photo_and_its_time(folder: Path, word: str) -> None:
    paths = [folder / "0.jpg", folder / f"{word}.jpg", folder / "1.jpg", folder / "2.jpg"]
    begun = time.monotonic()
    items = decoded(paths, isolate=True, workers=1, time_limit_s=1.0)
    assert time.monotonic() - begun < 30
    assert [item.error for item in items] == [None, "took longer than 1 s to decode", None, None]


@pytest.mark.usefixtures("bad")
@linux_only
def test_a_decoder_that_wants_all_memory_gets_an_error_and_not_the_memory(folder: Path) -> None:
    items = decoded([folder / "hungry.jpg", folder / "0.jpg"], isolate=True, workers=1)
    assert [item.error for item in items] == ["not enough memory to decode it", None]


@linux_only
def test_the_largest_picture_that_is_allowed_fits_into_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGBA", (4000, 3000), "red").save(path)
    (item,) = decoded([path], isolate=True, workers=1, max_pixels=12_000_000)
    assert item.error is None


@pytest.mark.usefixtures("bad")
@posix_only
def test_a_decoder_cannot_write_a_file(folder: Path) -> None:
    (item,) = decoded([folder / "writes.jpg"], isolate=True, workers=1)
    assert item.error is not None
    assert "File too large" in item.error
    assert not (folder / "writes.written").exists() or not (folder / "writes.written").stat().st_size


@pytest.mark.usefixtures("bad")
@posix_only
@pytest.mark.parametrize("word", bad_decoders.FORGERIES)
def test_an_answer_that_a_decoder_forges_costs_its_photo_alone(folder: Path, word: str) -> None:
    items = decoded([folder / f"{word}.jpg", folder / "0.jpg"], isolate=True, workers=1, time_limit_s=2.0)
    assert [item.error for item in items] == ["its decoder gave an answer that makes no sense", None]


def test_facts_pass_through_a_frame_unchanged() -> None:
    facts = ExifFacts(
        Position(-90.0, 180.0), datetime(1, 1, 1, 0, 0, 1), -840, ("exif-zero", "exif-estimate")
    )
    for item in (
        DecodedItem("a", np.arange(12, dtype=np.uint8).reshape(2, 2, 3), facts),
        DecodedItem("a", np.zeros((2, 2, 3), np.uint8), ExifFacts()),
        DecodedItem("a", np.zeros((2, 2, 3), np.uint8), None),
    ):
        stream = io.BytesIO()
        write_answer(stream, item)
        stream.seek(0)
        again = read_answer(stream, "a", 2)
        assert again.facts == item.facts
        assert np.array_equal(again.pixels, item.pixels)  # type: ignore[arg-type]
        assert not stream.read()


@given(
    st.binary(max_size=80)
    | st.binary(max_size=60).map(b"P".__add__)
    | st.binary(max_size=60).map(b"E".__add__)
)
@settings(deadline=None, max_examples=300, derandomize=True)
def test_whatever_a_decoder_writes_is_an_answer_or_refused(data: bytes) -> None:
    try:
        item = read_answer(io.BytesIO(data), "a", 2)
    except BadFrame:
        return
    assert (item.pixels is None) == (item.error is not None)
    assert item.error is None or item.error.isprintable()
    if item.facts and item.facts.position:
        assert abs(item.facts.position.latitude) <= 90


def test_requests_are_paths_of_any_bytes() -> None:
    stream = io.BytesIO()
    write_request(stream, b"\xff\n \0")
    stream.seek(0)
    assert read_request(stream) == b"\xff\n \0"
    assert read_request(stream) is None


@linux_only
def test_no_process_is_left_when_nobody_wants_the_rest(folder: Path) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield os.fspath(folder / "0.jpg")

    before = children(os.getpid())  # of other tests
    batches = decode_batches(endless(), SIZE, 2, DecodeOptions(2, isolate=True), exif=False)
    next(batches)
    started = children(os.getpid()) - before
    assert started
    batches.close()  # type: ignore[attr-defined]
    assert_gone(started, within_s=1)
    assert not started & children(os.getpid()), "a zombie"


@linux_only
def test_no_process_is_left_when_the_source_of_paths_fails(folder: Path) -> None:
    def failing() -> Iterator[str]:
        yield os.fspath(folder / "0.jpg")
        raise OSError("the folder has gone")

    before = children(os.getpid())
    with pytest.raises(OSError, match="the folder has gone"):
        list(decode_batches(failing(), SIZE, 2, DecodeOptions(2, isolate=True), exif=False))
    assert not children(os.getpid()) - before


@linux_only
def test_a_process_that_is_killed_while_it_has_nothing_to_do_costs_no_photo(folder: Path) -> None:
    before = children(os.getpid())
    pool = decode_processes.DecoderProcesses(SIZE, DecodeOptions(), exif=False)
    try:
        assert pool.decode(os.fspath(folder / "0.jpg")).error is None
        (process,) = children(os.getpid()) - before
        os.kill(process, signal.SIGKILL)
        assert_gone({process})
        assert pool.decode(os.fspath(folder / "0.jpg")).error is None
    finally:
        pool.close()


def test_a_process_that_cannot_start_ends_the_run_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        decode_processes, "worker_command", lambda: [sys.executable, "-c", "raise SystemExit(5)"]
    )
    with pytest.raises(DecoderError, match="does not start: it ended with status 5"):
        decoded([folder / "0.jpg"], isolate=True)
    monkeypatch.setattr(decode_processes, "worker_command", lambda: ["no-such-program"])
    with pytest.raises(DecoderError, match="does not start"):
        decoded([folder / "0.jpg"], isolate=True)


@linux_only
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_no_process_outlives_the_program(folder: Path, number: signal.Signals) -> None:
    words = [sys.executable, "-m", "geolocate", "-q", "--isolate", "--workers", "2", "--batch-size", "1", "-"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(os.fsencode(folder / "0.jpg") + b"\n" + os.fsencode(folder / "1.jpg") + b"\n")
        program.stdin.flush()
        assert program.stdout.readline().startswith(b"photo,rank")
        assert program.stdout.readline()
        started = children(program.pid)
        assert started
        program.send_signal(number)
        status = program.wait(30)
        program.stdin.close()
    assert status == (-9 if number == signal.SIGKILL else 130)
    assert_gone(started)


def test_the_rows_of_a_run_are_the_same(drawn_photos: Path) -> None:
    words = [sys.executable, "-m", "geolocate", "-q", "-k", "2", "--csv", "-", os.fspath(drawn_photos)]
    plain = subprocess.run(words, capture_output=True, check=True)
    isolated = subprocess.run([*words, "--isolate"], capture_output=True, check=True)
    assert plain.stdout == isolated.stdout
    assert not isolated.stderr


@linux_only
def test_a_program_that_is_stopped_while_a_photo_is_decoded_loses_nothing(folder: Path) -> None:
    """Ctrl-Z: the decoder waits with its answer, which is larger than a pipe, as long as it takes."""
    settings_of = decode_processes.settings_to_json(300, DecodeOptions(time_limit_s=0.2), False)
    program = "from geolocate import decode_worker as w; w.ALARM_MARGIN_S = 0.2; w.main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, settings_of], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        decode_processes.read_greeting(process.stdout)
        write_request(process.stdin, os.fsencode(folder / "0.jpg"))
        time.sleep(1.5)  # nobody reads
        assert process.poll() is None
        item = read_answer(process.stdout, "0.jpg", 300)
        assert item.error is None
        process.stdin.close()
    assert process.returncode == 0
