"""`geolocate PATH...` as a user runs it: the real command, the shipped starter, real files."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from geopy.distance import geodesic

from geolocate.cli import cli
from geolocate.records import COLUMNS

Rows = list[dict[str, str]]
PROGRAM = [sys.executable, "-c", "import geolocate.cli as program; program.main()"]


def run(*words: str | os.PathLike[str], stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, [os.fspath(word) for word in words], input=stdin)


def rows(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_jsonl_and_pipe_say_the_same(drawn_photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    both = run(drawn_photos, "-k", "5", "--jsonl", "-", "--csv", target)
    assert both.exit_code == 0, both.stderr
    piped = run(drawn_photos, "-k", "5")
    assert target.read_text(encoding="utf-8") == piped.stdout
    table = rows(piped.stdout)
    lines = [json.loads(line) for line in both.stdout.splitlines()]
    assert len(table) == len(lines) == 5 * len(list(drawn_photos.iterdir()))
    for row, line in zip(table, lines, strict=True):
        assert tuple(row) == tuple(line) == COLUMNS
        for column in COLUMNS:
            expected = "" if line[column] is None else line[column]
            if isinstance(expected, int | float):
                assert float(row[column]) == expected
            else:
                assert row[column] == expected


def test_every_row_is_a_place_on_the_globe_with_a_name(drawn_photos: Path) -> None:
    table = rows(run(drawn_photos, "-k", "5").stdout)
    for row in table:
        assert abs(float(row["latitude"])) <= 90
        assert abs(float(row["longitude"])) <= 180
        assert row["place"]
        assert row["country"]
        assert len(row["country_code"]) == 2
        assert bool(row["radius_km"]) == (row["rank"] == "1")
    by_photo = {(row["photo"], row["concepts"]) for row in table}
    assert len(by_photo) == 5, "what a photo shows is the same at each rank"
    assert [row["rank"] for row in table] == ["1", "2", "3", "4", "5"] * 5


def test_the_real_folders_finish_with_every_photo_placed(real_photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif", reason="needs the extra: pip install 'geolocate[heic]'")
    target = tmp_path / "out.csv"
    done = run(real_photos / "landmarks", real_photos / "exif", "--top-k", "5", "--csv", target)
    assert done.exit_code == 0, done.stderr
    table = rows(target.read_text(encoding="utf-8"))
    photos = {row["photo"] for row in table}
    assert len(photos) == 25 + 14
    assert len(table) == 5 * len(photos)
    first = next(row for row in table if row["photo"].endswith("DSCN0010.jpg"))
    truth = (float(first["exif_latitude"]), float(first["exif_longitude"]))
    assert truth == pytest.approx((43.467448, 11.885127), abs=1e-5)
    guess = (float(first["latitude"]), float(first["longitude"]))
    # The cell has metres, and six decimals of a degree are 0.1 m.
    assert float(first["error_km"]) == pytest.approx(geodesic(guess, truth).km, rel=1e-6)


def test_without_the_heic_extra_one_row_names_it_and_the_status_is_3(
    real_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pillow_heif'] = None\n")
    environment = {**os.environ, "PYTHONPATH": os.fspath(tmp_path)}
    done = subprocess.run(
        [*PROGRAM, real_photos / "exif", "-q"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 3, done.stderr
    failed = [row for row in rows(done.stdout) if row["error"]]
    assert [Path(row["photo"]).name for row in failed] == ["IMG_5195.HEIC"]
    assert "geolocate[heic]" in failed[0]["error"]
    assert len(rows(done.stdout)) == 14


def test_a_missing_argument_is_refused_before_any_work(tmp_path: Path) -> None:
    done = run("missing.jpg", "--csv", tmp_path / "out.csv")
    assert done.exit_code == 2
    assert "missing.jpg" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_path_from_standard_input_is_a_row(drawn_photos: Path) -> None:
    photo = next(drawn_photos.iterdir())
    listed = f"\n{photo}\r\nmissing.jpg\n\n".encode()
    done = run("-", stdin=listed)
    assert done.exit_code == 3
    assert [bool(row["error"]) for row in rows(done.stdout)] == [False, True]
    separated = run("-0", "-", stdin=os.fsencode(photo) + b"\0missing.jpg\0")
    assert separated.stdout == done.stdout


def test_null_without_standard_input_is_a_usage_error(drawn_photos: Path) -> None:
    assert run("-0", drawn_photos).exit_code == 2


def test_an_empty_folder_gives_a_header_and_a_note(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 0
    assert done.stdout == ",".join(COLUMNS) + "\n"
    assert "no photos" in done.stderr


@pytest.mark.parametrize("count", ["0", "-1", "five"])
def test_top_k_of_nothing_is_a_usage_error(drawn_photos: Path, count: str) -> None:
    assert run(drawn_photos, f"--top-k={count}").exit_code == 2


def test_top_k_above_the_gallery_is_clamped_with_a_note(drawn_photos: Path) -> None:
    photo = next(drawn_photos.iterdir())
    done = run(photo, "-k", "999999", "--ranking", "points", "--geocoder", "none")
    assert done.exit_code == 0
    assert "--top-k 999999" in done.stderr
    assert len(rows(done.stdout)) > 10_000


def test_the_environment_sets_options_and_the_command_line_wins(drawn_photos: Path) -> None:
    photo = next(drawn_photos.iterdir())
    runner = CliRunner(env={"GEOLOCATE_TOP_K": "3", "GEOLOCATE_GEOCODER": "none"})
    from_environment = runner.invoke(cli, [os.fspath(photo)])
    assert len(rows(from_environment.stdout)) == 3
    assert {row["place"] for row in rows(from_environment.stdout)} == {""}
    assert len(rows(runner.invoke(cli, [os.fspath(photo), "-k", "2"]).stdout)) == 2


def test_quiet_says_nothing_and_the_starter_otherwise_says_what_it_is(drawn_photos: Path) -> None:
    assert run(drawn_photos, "-q").stderr == ""
    assert "than one constant guess on" in run(drawn_photos).stderr


def test_an_output_inside_the_folder_is_never_read_as_a_photo(drawn_photos: Path, tmp_path: Path) -> None:
    photo = next(drawn_photos.iterdir())
    (tmp_path / "a.jpg").write_bytes(photo.read_bytes())
    target = tmp_path / "out.jpg"
    for _ in range(2):
        done = run(tmp_path, "--csv", target)
        assert done.exit_code == 0
        assert len(rows(target.read_text(encoding="utf-8"))) == 1


def test_the_manifest_beside_an_output_says_what_made_it(drawn_photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    run(drawn_photos, "--csv", target, "-k", "2")
    manifest = json.loads((tmp_path / "out.csv.manifest.json").read_text(encoding="utf-8"))
    assert manifest["photos"] == 5
    assert manifest["failed"] == 0
    assert manifest["options"]["top_k"] == 2
    assert len(manifest["bundle"]["sha256"]) == 64


def test_a_folder_that_is_not_there_fails_before_the_model_is_loaded(
    drawn_photos: Path, tmp_path: Path
) -> None:
    done = run(drawn_photos, "--csv", tmp_path / "missing" / "out.csv", "--model", "no-such-model")
    assert done.exit_code == 1
    assert "missing" in done.stderr
    assert "no-such-model" not in done.stderr


def test_an_unknown_model_names_those_that_are_installed(drawn_photos: Path) -> None:
    done = run(drawn_photos, "--model", "gpt")
    assert done.exit_code == 1
    assert "starter" in done.stderr


def test_an_unknown_geocoder_is_a_usage_error(drawn_photos: Path) -> None:
    done = run(drawn_photos, "--geocoder", "nominatin")
    assert done.exit_code == 2
    assert "nominatim" in done.stderr


def test_a_service_is_not_asked_for_an_unknown_number_of_places_unasked(drawn_photos: Path) -> None:
    done = run("-", "--geocoder", "nominatim", stdin=b"")
    assert done.exit_code == 2
    assert "--yes" in done.stderr


def test_head_ends_the_program_without_a_traceback(drawn_photos: Path) -> None:
    program = subprocess.Popen(
        [*PROGRAM, drawn_photos, "-k", "3000", "--ranking", "points"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    assert program.stdout.readline().startswith(b"photo,")
    program.stdout.close()
    errors = program.stderr.read()
    program.stderr.close()
    assert program.wait() == 141
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_keeps_what_is_done_and_says_where(drawn_photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    program = subprocess.Popen(
        [*PROGRAM, "-", "--csv", target, "--batch-size", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stderr is not None
    photo = os.fsencode(next(drawn_photos.iterdir()))
    program.stdin.write((photo + b"\n") * 40)
    program.stdin.flush()
    partial = tmp_path / "out.csv.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 1000) and time.monotonic() < deadline:
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    errors = program.stderr.read().decode()
    program.stdin.close()
    program.stderr.close()
    assert program.wait() == 130
    assert "Traceback" not in errors
    assert os.fspath(partial) in errors
    assert not target.exists()
    kept = rows(partial.read_text(encoding="utf-8"))
    assert kept
    assert all(row["error"] == "" for row in kept)
    again = run(drawn_photos, "--csv", target)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run(drawn_photos, "--csv", target, "--overwrite").exit_code == 0
    assert len(rows(target.read_text(encoding="utf-8"))) == 5
