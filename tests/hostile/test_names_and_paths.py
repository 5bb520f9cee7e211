"""Paths that lead nowhere, in circles, or to what is no file; names that are no text, or more than text."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hostile import exif_blocks, pictures
from hostile.program import PROGRAM, row_error, rows, run
from rich.console import Console

from geolocate import Geolocator
from geolocate.records import COLUMNS
from geolocate.writers.table import TableWriter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and names of POSIX")


@pytest.mark.row(1)
def test_a_missing_argument_is_named_before_any_work_and_a_missing_line_is_a_row(
    good: Path, tree: Path
) -> None:
    refused = run(good, "missing.jpg", "--csv", tree / "out.csv")
    assert (refused.exit_code, list(tree.iterdir())) == (2, [])
    assert "missing.jpg" in refused.stderr
    listed = run("-", stdin=b"missing.jpg\n" + os.fsencode(good))
    assert listed.exit_code == 3
    assert [row["error"] for row in rows(listed.stdout)] == ["no such file", ""]


@pytest.mark.row(2)
def test_an_empty_folder_is_a_note_and_a_header(tree: Path) -> None:
    done = run(tree)
    assert (done.exit_code, done.stdout) == (0, ",".join(COLUMNS) + "\n")
    assert "no photos found" in done.stderr


@pytest.mark.row(17)
def test_a_name_that_is_not_utf8_comes_back_from_csv_and_json_lines(tree: Path, good: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("this system's names are text")
    name = b"caf\xe9-\xff.jpg"
    (tree / os.fsdecode(name)).write_bytes(good.read_bytes())
    table, lines = tree / "out.csv", tree / "out.jsonl"
    assert run(tree, "--csv", table, "--jsonl", lines).exit_code == 0
    assert os.fsencode(tree) + b"/" + name in table.read_bytes()
    (line,) = map(json.loads, lines.read_text(encoding="utf-8").splitlines())
    assert base64.b64decode(line["photo_bytes"]) == os.fsencode(tree) + b"/" + name
    assert row_error(tree) == ""  # through standard output too


@pytest.mark.row(18)
@pytest.mark.parametrize("name", ["two\nlines.jpg", "tab\there.jpg", "esc\x1b]0;title\x07.jpg", "cr\r.jpg"])
def test_control_characters_in_a_name_are_quoted_in_csv_and_stripped_on_a_terminal(
    tree: Path, good: Path, name: str
) -> None:
    (tree / name).write_bytes(good.read_bytes())
    (row,) = rows(run(tree).stdout)
    assert row["photo"] == os.fspath(tree / name)
    screen = io.StringIO()
    writer = TableWriter(Console(file=screen, width=300))
    for prediction in Geolocator.load("starter", device="cpu", say=lambda text: None).locate([tree]):
        writer.write(prediction)
    writer.close()
    message = run(good, "--csv", tree / name).stderr  # which says that it is a photo
    for shown in (screen.getvalue(), message):
        assert "".join(filter(str.isprintable, name)) in shown
        assert not {"\x1b", "\x07", "\t", "\r"} & set(shown)


@pytest.mark.row(19)
@pytest.mark.parametrize("name", ["=cmd|'calc'!A1.jpg", "+1.jpg", "@SUM(1).jpg", "-1.jpg"])
def test_a_name_that_a_spreadsheet_would_run_is_written_with_a_dot(
    good: Path, name: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    Path(name).write_bytes(good.read_bytes())
    done = run("--", name)
    assert done.exit_code == 0
    (row,) = rows(done.stdout)
    assert row["photo"] == f"./{name}"
    assert (row["exif_latitude"], row["exif_longitude"]) == ("10.500000", "20.000000")


@pytest.mark.row(19)
def test_other_cells_are_neutralised_and_negative_numbers_stay_numbers(tree: Path) -> None:
    south = exif_blocks.position_block(exif_blocks.degrees(10), exif_blocks.degrees(73, 54, 0), b"S", b"W")
    (tree / "a.jpg").write_bytes(pictures.photo("JPEG", exif=south))
    (row,) = rows(run(tree).stdout)
    assert (row["exif_latitude"], row["exif_longitude"]) == ("-10.000000", "-73.900000")
    features = tree / "=1+1"
    features.mkdir()
    (row,) = rows(run("-", stdin=os.fsencode(features / "\t=2.jpg")).stdout)
    assert not row["error"].startswith(("=", "+", "-", "@"))


@pytest.mark.row(20)
@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)",
        "</script><img src=x onerror=alert(1)>",
        "`id`$(id)",
        "'\"><img src=x onerror=y>",
        "a|b[x](y)",
    ],
)
def test_markup_in_a_name_is_text_in_every_output(tree: Path, good: Path, name: str) -> None:
    folder = tree / name
    path = folder / f"{name}.jpg"  # where the name has a slash, in a folder of its own
    path.parent.mkdir(parents=True)
    path.write_bytes(good.read_bytes())
    table, lines, report, page = (tree / end for end in ("out.csv", "out.jsonl", "report.md", "map.html"))
    assert run(folder, "--csv", table, "--jsonl", lines, "--map", page).exit_code == 0
    (row,) = rows(table.read_text(encoding="utf-8"))
    (line,) = map(json.loads, lines.read_text(encoding="utf-8").splitlines())
    before, _, after = page.read_text(encoding="utf-8").partition(' id="photos">')
    data, _, after = after.partition("</script>")
    assert row["photo"] == line["photo"] == json.loads(data)[0]["photo"] == os.fspath(path)
    assert name not in before + after
    assert "<" not in data
    done = run("evaluate", folder, "--markdown", report, "-q")
    assert done.exit_code == 0, done.output
    assert name not in report.read_text(encoding="utf-8")


@pytest.mark.row(21)
def test_a_path_that_begins_with_a_dash_works_after_two_dashes_and_from_a_list(
    good: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    Path("-rf.jpg").write_bytes(good.read_bytes())
    for done in (run("--", "-rf.jpg"), run("-", stdin=b"-rf.jpg\n")):
        assert done.exit_code == 0, done.stderr
        assert [row["photo"] for row in rows(done.stdout)] == ["./-rf.jpg"]


@pytest.mark.row(22)
def test_a_link_to_a_parent_gives_each_photo_once_and_a_dangling_one_a_row(tree: Path, good: Path) -> None:
    (tree / "sub").mkdir()
    (tree / "sub" / "a.jpg").write_bytes(good.read_bytes())
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "gone.jpg").symlink_to("nowhere.jpg")
    done = run(tree)
    assert done.exit_code == 3
    found = {Path(row["photo"]).name: row["error"] for row in rows(done.stdout)}
    assert found == {"gone.jpg": "no such file", "a.jpg": ""}
    assert len(rows(done.stdout)) == 2


@pytest.mark.row(24)
def test_what_may_not_be_read_is_a_row_or_a_warning_and_the_siblings_go_on(tree: Path, good: Path) -> None:
    for name in ("a.jpg", "b.jpg", "shut/c.jpg"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(good.read_bytes())
    (tree / "a.jpg").chmod(0)
    (tree / "shut").chmod(0)
    words: list[str | Path] = [*PROGRAM, tree, "--model", "starter"]
    if os.geteuid() == 0:  # whom nothing stops, without these two capabilities
        bounds = "-dac_override,-dac_read_search"
        words = ["setpriv", f"--bounding-set={bounds}", f"--inh-caps={bounds}", "--", *words]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs setpriv, or a user other than root")
    finally:
        (tree / "shut").chmod(0o700)
    assert done.returncode == 3, done.stderr
    found = {Path(row["photo"]).name: row["error"] for row in rows(done.stdout)}
    assert found == {"a.jpg": "cannot be opened: Permission denied", "b.jpg": ""}
    assert "shut cannot be read, its photos are left out: Permission denied" in done.stderr


@pytest.mark.row(25)
@pytest.mark.timeout(60)
def test_pipes_sockets_and_devices_are_skipped_in_folders_and_refused_as_arguments(
    tree: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)  # the path of a socket is short
    Path("a.jpg").write_bytes(good.read_bytes())
    os.mkfifo("fifo.jpg")
    Path("null.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        assert [row["photo"] for row in rows(run(".").stdout)] == ["./a.jpg"]
        done = run("fifo.jpg", "null.jpg", "socket.jpg")
    assert done.exit_code == 3
    assert [row["error"] for row in rows(done.stdout)] == ["not a regular file"] * 3


@pytest.mark.row(26)
def test_a_photo_deleted_during_the_run_is_a_row(good: Path, tree: Path) -> None:
    (tree / "a.jpg").write_bytes(good.read_bytes())
    with subprocess.Popen(
        [*PROGRAM, "-", "-q", "--model", "starter"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(os.fsencode(tree / "a.jpg") + b"\n")
        program.stdin.flush()
        header, first = program.stdout.readline(), program.stdout.readline()
        (tree / "a.jpg").unlink()
        program.stdin.write(os.fsencode(tree / "a.jpg") + b"\n" + os.fsencode(good) + b"\n")
        program.stdin.close()
        rest = program.stdout.read()
    assert program.returncode == 3
    found = rows((header + first + rest).decode())
    assert [row["error"] for row in found] == ["", "no such file", ""]


@pytest.mark.row(27)
def test_outputs_inside_the_folder_are_never_photos_of_it(tree: Path, good: Path) -> None:
    (tree / "a.jpg").write_bytes(good.read_bytes())
    for _ in range(2):  # the second time, the files of the first are there
        done = run(tree, "--csv", tree / "out.jpg", "--jsonl", tree / "more.png")
        assert done.exit_code == 0, done.stderr
        assert len(rows((tree / "out.jpg").read_text(encoding="utf-8"))) == 1


@pytest.mark.row(33)
@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\n\n\r\n\n", b"\0", b"\0\0"])
def test_a_list_may_have_blank_lines_windows_line_ends_and_nul(good: Path, between: bytes) -> None:
    listed = between + os.fsencode(good) + between + os.fsencode(good) + between
    for words in (["-"], ["-0", "-"]) if b"\0" in between else (["-"],):
        done = run(*words, stdin=listed)
        assert done.exit_code == 0, done.stderr
        assert [row["photo"] for row in rows(done.stdout)] == [os.fspath(good)] * 2
