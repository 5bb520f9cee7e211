"""What `geolocate` refuses before any work, and what it says of the values it was given."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from geolocate.bundle import load_bundle
from geolocate.cli import cli
from geolocate.cli.predict import command as predict
from geolocate.photos import DEFAULT_MAX_PIXELS
from geolocate.writers import open_writers

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str | os.PathLike[str], **environment: str) -> Result:
    result = CliRunner(env=environment).invoke(cli, [os.fspath(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def photos(drawn_photos: Path, tmp_path: Path) -> Path:
    """Copies of the drawn photos, to be lost."""
    return Path(shutil.copytree(drawn_photos, tmp_path / "photos"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("option", ["--csv", "--jsonl"])
def test_a_glob_after_an_output_option_loses_no_photo(photos: Path, option: str) -> None:
    before = contents(photos)
    done = run(option, *sorted(photos.glob("*.jpg")))
    assert done.exit_code == 2
    assert f"{option} would replace" in done.stderr
    assert contents(photos) == before


def test_an_argument_is_never_an_output(photos: Path, tmp_path: Path) -> None:
    before = contents(photos)
    photo = min(photos.iterdir())
    assert run(photo, "--csv", photo, "--overwrite").exit_code == 2
    listed = tmp_path / "listed.jpg"
    listed.write_text("no picture", encoding="utf-8")
    done = run(listed, "--csv", tmp_path / "photos" / ".." / "listed.jpg")
    assert (done.exit_code, "which this run reads" in done.stderr) == (2, True)
    assert contents(photos) == before


def test_neither_the_gallery_nor_the_features_are_ever_an_output(photos: Path, tmp_path: Path) -> None:
    gallery, features = tmp_path / "g.csv", tmp_path / "f.npy"
    gallery.write_text("LAT,LON\n1,2\n", encoding="utf-8")
    np.save(features, np.ones((2, load_bundle("starter").manifest.feature_dim), np.float32))
    for words in (
        (photos, "--gallery", gallery, "--csv", gallery),
        ("--features", features, "--csv", features),
    ):
        done = run(*words)
        assert (done.exit_code, "which this run reads" in done.stderr) == (2, True)
    assert gallery.read_text(encoding="utf-8") == "LAT,LON\n1,2\n"


def test_empty_paths_are_usage_errors(photos: Path) -> None:
    for words in (
        [""],
        [photos, ""],
        [photos, "--csv", ""],
        [photos, "--jsonl="],
        [photos, "--gallery", ""],
        [photos, "--model", ""],
        ["--features", ""],
        ["models", "info", ""],
        ["models", "add", ""],
    ):
        done = run(*words)
        assert done.exit_code == 2, words
        assert "an empty path" in done.stderr, words


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Three rows as long as a backbone's."""
    path = tmp_path / "features.npy"
    rows = np.random.default_rng(1).normal(size=(3, load_bundle("starter").manifest.feature_dim))
    np.save(path, (rows * 18 / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["-0"],
        ["--exif"],
        ["--no-exif"],
        ["--precision", "fp32"],
        ["--batch-size", "4"],
        ["--workers", "1"],
        ["--max-pixels", "178956970"],
        ["--allow-truncated"],
        ["--exact-decode"],
    ],
)
def test_features_refuse_options_that_mean_nothing_to_them(features: Path, words: list[str]) -> None:
    done = run("--features", features, *words)
    assert done.exit_code == 2
    assert "which --features has none of" in done.stderr


def test_what_features_refuse_is_said_at_once_and_the_environment_may_speak_of_photos(features: Path) -> None:
    done = run("--features", features, "--workers", "2", "--precision", "fp32")
    assert "--precision, --workers: about photos" in done.stderr
    assert run("--features", features, GEOLOCATE_WORKERS="2", GEOLOCATE_EXIF="0").exit_code == 0


def test_what_are_no_features_is_said_in_words_of_our_own(
    features: Path, photos: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "several.npz", a=np.ones(3))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes(features.read_bytes()[:-8])
    (tmp_path / "empty.npy").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.npy")
    for path, words in (
        (min(photos.iterdir()), "is no NPY file"),
        (tmp_path / "missing.npy", "No such file or directory"),
        (photos, "is no file"),
        (tmp_path / "pipe.npy", "is no file"),
        (tmp_path / "several.npz", "archive of several arrays (NPZ)"),
        (tmp_path / "pickle.npy", "is no NPY file"),
        (tmp_path / "objects.npy", "is no NPY array of numbers"),
        (tmp_path / "cut.npy", "is cut off"),
        (tmp_path / "empty.npy", "is no NPY file"),
    ):
        done = run("--features", path)
        assert done.exit_code == 2, path
        assert words in done.stderr
        assert path.name in done.stderr
        assert "pickle=" not in done.stderr


def test_features_that_seem_normalised_are_remarked_on(features: Path, tmp_path: Path) -> None:
    rows = np.load(features)
    np.save(tmp_path / "unit.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))
    done = run("--features", tmp_path / "unit.npy")
    assert done.exit_code == 0
    assert "seem to be normalised (mean norm 1.000)" in done.stderr
    assert "normalised" not in run("--features", features).stderr
    np.save(tmp_path / "none.npy", rows[:0])
    assert run("--features", tmp_path / "none.npy").exit_code == 0


def test_the_help_names_the_variable_of_every_option_that_has_one() -> None:
    page = " ".join(run("--help").stdout.split())
    for parameter in predict.params:
        if isinstance(parameter, click.Option) and parameter.envvar:
            assert f"env var: {parameter.envvar}" in page


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GEOLOCATE_TOP_K", "many"),
        ("GEOLOCATE_DEVICE", "tpu"),
        ("GEOLOCATE_EXIF", "perhaps"),
        ("GEOLOCATE_MODEL", "gpt"),
        ("GEOLOCATE_GEOCODER", "nominatin"),
        ("GEOLOCATE_GALLERY", "missing.csv"),
    ],
)
def test_a_bad_value_of_the_environment_names_its_variable(photos: Path, variable: str, value: str) -> None:
    done = run(photos, **{variable: value})
    assert done.exit_code in (1, 2)
    assert f"(from {variable})" in done.stderr
    option = "--" + variable.removeprefix("GEOLOCATE_").lower().replace("_", "-")
    if variable != "GEOLOCATE_EXIF":
        typed = run(photos, option, value)
        assert typed.exit_code == done.exit_code
        assert "GEOLOCATE" not in typed.stderr


def test_the_manifest_tells_what_changes_rows_and_no_secret(photos: Path, tmp_path: Path) -> None:
    run(
        photos,
        *("--csv", tmp_path / "o.csv", "--allow-truncated", "--geocoder-ranks", "2"),
        *("--geocoder-domain", "me:secret@example.org", "--geocoder-key", "secret"),
    )
    text = (tmp_path / "o.csv.manifest.json").read_text(encoding="utf-8")
    options = json.loads(text)["options"]
    assert options["allow_truncated"] is True
    assert options["geocoder_ranks"] == 2
    assert options["geocoder_domain"] == "example.org"
    assert "secret" not in text


def test_one_point_is_no_points(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    gallery = tmp_path / "one.csv"
    gallery.write_text("LAT,LON\n1,2\n", encoding="utf-8")
    said = run(photos, "--gallery", gallery).stderr
    assert f"gallery {gallery}: 1 point\n" in said


def test_the_limit_of_pixels_is_the_decoders_own() -> None:
    # Starting the program must not import the decoders, so the number is written twice.
    option = next(p for p in predict.params if p.name == "max_pixels")
    assert option.default == DEFAULT_MAX_PIXELS


def test_the_readmes_first_command_leaves_no_file_that_git_would_ask_about(tmp_path: Path) -> None:
    with open_writers({"csv": tmp_path / "out.csv"}) as writers:
        names = {path.name for path in writers.paths}
    names.remove("out.csv.manifest.json.partial")  # there for a moment only
    assert len(names) == 4
    done = subprocess.run(
        ["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 128:
        pytest.skip("not a git checkout")
    assert set(done.stdout.split()) == names


def test_every_path_option_refuses_the_empty_path() -> None:
    for path in (ROOT / "geolocate" / "cli").glob("*.py"):
        if path.name != "parameters.py":
            assert "click.Path(" not in path.read_text(encoding="utf-8"), path
