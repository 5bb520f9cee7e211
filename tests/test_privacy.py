"""Nobody is told: no connection that was not asked for, no word of photos in logs, no key in any file."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from geolocate.cli import COMMANDS, cli
from geolocate.writers.journal import Journal

ROOT = Path(__file__).resolve().parent.parent
SECRETS = ("k3y-of-the-user", "pa55word")
#: Commands that are for training and building; they are called with what ends them early.
TORCH_COMMANDS = {"train", "export"}


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))
    monkeypatch.setenv("GEOLOCATE_HOME", os.fspath(tmp_path / "home"))


def calls(photos: Path, folder: Path) -> list[list[str]]:
    """Every command that needs no torch, and as much of its work as goes without a service."""
    photo = os.fspath(next(iter(sorted(photos.iterdir()))))
    truth = folder / "truth.csv"
    truth.write_text(f"IMG_ID,LAT,LON\n{Path(photo).name},45.9,7.6\n", encoding="utf-8")
    points = folder / "points.csv"
    points.write_text("LAT,LON\n48.85,2.35\n-33.9,18.4\n", encoding="utf-8")
    out = os.fspath(folder / "out")
    everything = ["--album", "--reference", os.fspath(photos), "--gallery", os.fspath(points)]
    return [
        ["predict", os.fspath(photos), *everything, "--csv", out + ".csv", "--jsonl", out + ".jsonl"],
        ["predict", photo, "--by", "country"],
        ["query", "a souk in the desert"],
        ["embed", photo, "-o", out + ".npy"],
        ["explain", photo],
        ["evaluate", os.fspath(truth), "--images", os.fspath(photos)],
        ["models", "list"],
        ["models", "info", "starter"],
        ["models", "verify", "starter"],
        ["cache", "info"],
        ["cache", "clear", "--yes"],
        ["doctor", "--seconds", "0.1"],
        ["train", os.fspath(folder / "none")],
        ["export", os.fspath(folder / "none")],
    ]


WATCHED = """
import sys, logging
told = []
def watch(event, args):
    if event.startswith("socket.") and event != "socket.__new__":
        told.append((event, args))
sys.addaudithook(watch)
import geolocate.cli as program
for words in {calls!r}:
    told.clear()
    try:
        program.cli.main(words)
    except SystemExit as ending:
        print("ENDED", words[0], ending.code, told, file=sys.stderr)
"""


def test_no_command_opens_a_connection_unless_a_service_is_named(tmp_path: Path, drawn_photos: Path) -> None:
    asked = calls(drawn_photos, tmp_path)
    assert {words[0] for words in asked} >= COMMANDS.keys() - {"tag", "merge", "distributed"}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(calls=asked)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    ended = [line.split(maxsplit=3)[1:] for line in done.stderr.splitlines() if line.startswith("ENDED")]
    assert [end[0] for end in ended] == [words[0] for words in asked], done.stderr
    assert [end for end in ended if end[2] != "[]"] == []
    failed = {name for name, status, _ in ended if status not in ("0", "None")}
    assert failed <= {"query", "train", "export", "doctor"}, done.stderr  # the starter reads no text


class Listener(logging.Handler):
    """Keeps every message."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"{record.name} {record.levelname}: {record.getMessage()}")


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Hears all loggers from INFO on, as an application would that logs everything."""
    root, found = logging.getLogger(), Listener()
    before = root.level
    root.addHandler(found)
    root.setLevel(logging.INFO)
    yield found
    root.removeHandler(found)
    root.setLevel(before)


def test_logs_say_nothing_of_photos(tmp_path: Path, drawn_photos: Path, listener: Listener) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in drawn_photos.iterdir():
        data = photo.read_bytes()
        (folder / f"secret-{photo.name}").write_bytes(data)
        (folder / f"secret-cut-{photo.name}").write_bytes(data[: len(data) // 3])
        at = data.find(b"Exif") + 30
        (folder / f"secret-exif-{photo.name}").write_bytes(data[:at] + b"\xff" * 40 + data[at + 40 :])
    result = CliRunner().invoke(cli, ["predict", os.fspath(folder), "--album", "--csv", "-"])
    assert result.exit_code == 3, result.output
    assert result.stdout.count("secret-") > 10
    assert listener.heard == []


def test_keys_and_passwords_stand_in_no_file_and_no_message(
    tmp_path: Path, drawn_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, password = SECRETS
    monkeypatch.setenv("GEOLOCATE_GEOCODER_KEY", key)
    monkeypatch.setattr(Journal, "discard", Journal.close)  # so that it can be looked into
    kept: list[Path] = []
    monkeypatch.setattr(Journal, "_remove", lambda journal: kept.append(journal.path))
    words = [
        "predict",
        os.fspath(drawn_photos),
        "--csv",
        os.fspath(tmp_path / "out.csv"),
        "--geocoder-ranks",
        "1",
    ]
    service = ["--geocoder", "opencage", "--geocoder-domain", f"http://user:{password}@127.0.0.1:9"]
    result = CliRunner().invoke(cli, [*words, *service])
    assert result.exit_code == 0, result.output
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"out.csv", "out.csv.manifest.json", "out.csv.journal", "geocoding-1.sqlite3"} <= {
        p.name for p in files
    }
    for secret in SECRETS:
        assert secret not in result.output
        assert [path.name for path in files if secret.encode() in path.read_bytes()] == []


def test_a_service_that_cannot_be_opened_does_not_print_the_key(
    tmp_path: Path, drawn_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOLOCATE_GEOCODER_KEY", SECRETS[0])
    for service in ("nominatim", "nonsense", "opencage"):
        domain = ["--geocoder-domain", "http://[bad"] if service == "opencage" else []
        result = CliRunner().invoke(
            cli, ["predict", os.fspath(drawn_photos), "--csv", "-", "--geocoder", service, *domain]
        )
        assert SECRETS[0] not in result.output
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)


def test_every_test_that_the_security_page_names_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[^`]+)`", page))
    assert len(named) > 20
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []


def test_the_hub_client_is_told_not_to_report_before_it_is_imported() -> None:
    pytest.importorskip("torch", reason="the torch side: the 'export' extra")
    code = (
        "import sys, geolocate_export, os; assert 'huggingface_hub' not in sys.modules\n"
        "print(os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    )
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=surroundings
    )
    assert done.stdout.strip() == "1"
