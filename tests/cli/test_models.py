"""What a user of `geolocate models` sees."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from bundles import make_bundle, zipped
from click.testing import CliRunner

from geolocate import published
from geolocate.bundle import installed_bundles
from geolocate.bundle_store import INCOMING_PREFIX, LOCK_NAME, user_folder
from geolocate.cli import cli, pull
from geolocate.published import CLIP_REPOSITORY, GEOCLIP, HUB_ENDPOINT_VARIABLE

NAME = GEOCLIP.name
#: Nobody listens there.
NO_NETWORK = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder and cache of their own, and no network; returns where bundles go."""
    monkeypatch.setenv("GEOLOCATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(HUB_ENDPOINT_VARIABLE, NO_NETWORK)
    monkeypatch.setenv(pull.NO_TELEMETRY, "0")
    return tmp_path / "home" / "models"


@pytest.fixture
def quick_build(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path | None]]:
    """A build that takes no time, in place of the torch side; returns what it was given."""
    given = []

    def build(output: Path, weights: Path, heads: Path | None, **options: object) -> None:
        given.append((weights, heads))
        make_bundle(output, name=NAME)

    module = ModuleType("stand-in")
    module.build_geoclip = build  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "geolocate_export.published_geoclip", module)
    return given


def run(*words: str | Path, answer: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["models", *map(str, words)], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def content(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LOCK_NAME} if folder.is_dir() else set()


def test_list_shows_what_is_installed_and_what_can_be_pulled() -> None:
    status, output, _ = run("list")
    assert status == 0
    row = next(line for line in output.splitlines() if "starter" in line)
    assert row.startswith("*  starter")
    for word in ("MB", "fp32", "(packaged)", str(installed_bundles()["starter"])):
        assert word in row
    assert f"geolocate models pull {NAME}" in output
    assert "fetches 1.7 GB and takes about 2.3 GB" in output


def test_list_marks_what_predict_takes_and_names_what_is_damaged(tmp_path: Path) -> None:
    run("add", make_bundle(tmp_path / "a", name=NAME))
    run("add", make_bundle(tmp_path / "b", name="broken"))
    (user_folder() / "broken" / "CARD.md").unlink()
    status, output, _ = run("list")
    assert status == 0
    assert [line.split()[1] for line in output.splitlines() if line.startswith("* ")] == [NAME, "predict"]
    assert "CARD.md is missing" in output
    assert "Can be pulled" not in output


def test_list_speaks_json(tmp_path: Path) -> None:
    listed = json.loads(run("list", "--json")[1])
    (starter,) = listed["installed"]
    assert starter["default"]
    assert starter["packaged"]
    assert starter["bytes"] > 1e6
    (pullable,) = listed["pullable"]
    assert pullable["download_bytes"] == GEOCLIP.download_bytes


def test_info_shows_facts_parity_and_card_by_name_and_by_folder(tmp_path: Path) -> None:
    folder = make_bundle(
        tmp_path / "b", parity={"image_encoder": {"max_abs": 1.5e-7}}, accuracy={"n": 60, "25 km": "21.7 %"}
    )
    status, output, _ = run("info", folder)
    assert status == 0
    for word in ("made up", "MIT", "image_encoder.max_abs  1.5e-07", "21.7 %", str(folder / "CARD.md")):
        assert word in output
    untrained = make_bundle(tmp_path / "c", trained=False)
    assert "no: its places are chance" in run("info", untrained)[1]
    values = json.loads(run("info", folder, "--json")[1])
    assert values["accuracy"]["n"] == 60
    assert values["card"] == str(folder / "CARD.md")


def test_a_manifest_cannot_steer_the_terminal(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b", name="x\x1b[31m\x07", accuracy={"\x1b]0;": "\x9b1m"})
    for output in (run("info", folder)[1], run("info", folder, "--json")[1]):
        assert not {"\x1b", "\x07", "\x9b"} & set(output)


def test_neither_a_manifest_nor_a_file_name_can_make_lines_of_its_own(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b", accuracy={"a": "1\nlicence  MIT"})
    (folder / "x: ok\n  CARD.md").touch()
    assert run("info", folder)[1].count("\nlicence") == 1
    lines = run("verify", folder)[1].splitlines()
    assert len(lines) == 1 + 4
    assert lines[-1].endswith("is not listed in the manifest")


def test_verify_names_each_file_and_ends_with_1_if_anything_is_wrong(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    status, output, message = run("verify", folder)
    assert (status, message) == (0, "")
    assert output.count(": ok") == 3
    (folder / "CARD.md").write_bytes(b"# tine\n")
    (folder / "extra.pkl").touch()
    status, output, message = run("verify", folder)
    assert status == 1
    assert "CARD.md: has another SHA-256" in output
    assert "extra.pkl: is not listed in the manifest" in output
    assert output.count(": ok") == 2
    assert message == "geolocate: 2 files are not as they should be\n"


def test_verify_without_a_name_checks_every_installed_bundle(tmp_path: Path, home: Path) -> None:
    run("add", make_bundle(tmp_path / "b"))
    status, output, _ = run("verify")
    assert status == 0
    assert f"{home / 'mine'}:" in output
    assert "starter:" in output
    (home / "mine" / "bundle.json").write_text("{}")
    assert run("verify")[0] == 1


def test_a_bundle_is_added_from_an_archive_and_removed_when_asked_twice(tmp_path: Path, home: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "b"), tmp_path / "b.zip", "mine/")
    status, output, message = run("add", archive)
    assert (status, output) == (0, "")
    warning, added = message.splitlines()
    assert warning == "geolocate: a bundle is like a program: add only those of people whom you trust"
    assert added == f"geolocate: added mine (5.0 kB) to {home}"
    status, _, message = run("add", archive)
    assert status == 1
    assert "--force" in message
    assert run("add", archive, "--force")[0] == 0
    assert run("add", archive, "--name", "yours")[0] == 0
    status, _, message = run("remove", "mine", answer="n\n")
    assert status == 1
    assert "Remove" in message
    assert content(home) == {"mine", "yours"}
    assert run("remove", "mine", answer="y\n")[0] == 0
    assert run("remove", "yours", "--yes")[0] == 0
    assert content(home) == set()


def test_what_cannot_be_removed_or_found_is_one_line() -> None:
    for words in (
        ("remove", "starter"),
        ("remove", "no", "-y"),
        ("info", "no"),
        ("verify", "no"),
    ):
        status, output, message = run(*words)
        assert (status, output) == (1, "")
        assert message.startswith("geolocate: ")
        assert message.count("\n") == 1


def test_what_cannot_be_added_is_one_line_after_the_warning() -> None:
    status, output, message = run("add", "no")
    assert (status, output) == (1, "")
    assert message.splitlines()[1:] == ["geolocate: no does not exist"]


def test_pull_says_what_it_takes_and_asks(tmp_path: Path, home: Path, quick_build: list[Path]) -> None:
    status, output, message = run("pull", NAME, answer="n\n")
    assert (status, output) == (1, "")
    for word in ("1.7 GB", CLIP_REPOSITORY, "127.0.0.1", "MIT, OpenAI", "GeoCLIP: MIT", "2.3 GB", "Go on?"):
        assert word in message
    assert quick_build == []
    assert content(home) == set()


def test_pull_without_network_is_one_line_that_says_what_to_do(home: Path, quick_build: list[Path]) -> None:
    status, _, message = run("pull", NAME, "--yes")
    assert status == 1
    last = message.splitlines()[-1]
    assert last.startswith("geolocate: ")
    assert "--clip-weights" in last
    assert "Connection refused" in last
    assert message.count("Connection refused") == 1
    assert content(home) == set()
    assert quick_build == []


def test_pull_builds_from_local_weights_without_network(
    tmp_path: Path, home: Path, quick_build: list[tuple[Path, Path | None]]
) -> None:
    (tmp_path / "clip").mkdir()
    status, _, message = run("pull", NAME, "--clip-weights", tmp_path / "clip", "--yes")
    assert status == 0
    assert "nothing is fetched" in message
    assert quick_build == [(tmp_path / "clip", None)]
    assert content(home) == {NAME}
    assert os.environ[pull.NO_TELEMETRY] == "1"


def test_pull_again_does_nothing_unless_forced(
    tmp_path: Path, home: Path, quick_build: list[tuple[Path, Path | None]]
) -> None:
    words = ("pull", NAME, "--clip-weights", tmp_path, "--yes")
    assert run(*words)[0] == 0
    status, _, message = run(*words)
    assert status == 0
    assert "is installed" in message
    assert "--force" in message
    assert len(quick_build) == 1
    assert run(*words, "--force")[0] == 0
    assert len(quick_build) == 2
    (home / NAME / "CARD.md").unlink()
    assert run(*words)[0] == 1
    assert run(*words, "--force")[0] == 0


def test_pull_takes_weights_that_an_earlier_run_fetched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick_build: list[tuple[Path, Path | None]],
) -> None:
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of "hello"
    monkeypatch.setattr(published, "CLIP_FILES", (("model.safetensors", 5, digest),))
    folder = pull.weights_folder()
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("hello")
    status, _, message = run("pull", NAME, "--yes")
    assert status == 0
    assert quick_build == [(folder, None)]
    assert f"the fetched weights are in {folder}" in message


def test_pull_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, message = run("pull", NAME, "--yes", "--clip-weights", tmp_path)
    assert status == 1
    assert message == (
        "geolocate: geolocate models pull needs the 'export' extra: pip install 'geolocate[export]'\n"
    )


def test_pull_looks_at_the_disk_before_it_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5 * 10**9))
    status, _, message = run("pull", NAME)
    assert status == 1
    assert "5.0 GB free, 6.0 GB are needed" in message


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of two layers under features as wide as GeoCLIP's heads want them, in Hugging Face's layout."""
    pytest.importorskip("geoclip", reason="needs the 'export' extra")
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    tower = {"num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 768}
    config = transformers.CLIPConfig(
        projection_dim=768,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "image_size": 28,
            "patch_size": 14,
            **tower,
        },
        text_config={"hidden_size": 32, "intermediate_size": 64, **tower},
    )
    folder = tmp_path_factory.mktemp("clip")
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


PREDICT = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "geolocate_export"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, NoTorch())
from geolocate.cli import main
main()
"""


def test_a_killed_pull_run_again_ends_right_and_its_bundle_needs_no_torch(
    small_clip: Path, home: Path, tmp_path: Path, drawn_photos: Path
) -> None:
    words = [
        sys.executable,
        "-m",
        "geolocate",
        "models",
        "pull",
        NAME,
        "--yes",
        "--clip-weights",
        str(small_clip),
    ]
    words[1:3] = ["-c", "from geolocate.cli import main; main()"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "gallery of" in line:
                process.send_signal(signal.SIGKILL)
                break
    assert any(name.startswith(INCOMING_PREFIX) for name in content(home))
    assert NAME not in installed_bundles()
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert content(home) == {NAME}
    assert run("verify", NAME)[0] == 0
    archive = zipped(home / NAME, tmp_path / "built.zip", method=0)
    run("remove", NAME, "--yes")
    photo = str(next(iter(sorted(drawn_photos.iterdir()))))
    for arguments in (["models", "add", str(archive)], ["-q", photo, "--csv", "-"]):
        done = subprocess.run(
            [sys.executable, "-c", PREDICT, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert NAME in done.stdout
