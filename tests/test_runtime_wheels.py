"""The wheels of ONNX Runtime, by the metadata that pip leaves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from geolocate.runtime_wheels import installed_wheels, proper_wheel, reinstall_line, wheel_clash


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of installed packages, the only one."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def install(site: Path, name: str, version: str | None) -> None:
    """Leaves the metadata of a wheel; without a version, such as a broken removal leaves."""
    folder = site / f"{name.replace('-', '_')}-{version or '1'}.dist-info"
    folder.mkdir()
    lines = [f"Name: {name}", *([f"Version: {version}"] if version else [])]
    (folder / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n\n")


def test_one_wheel_is_no_clash_whichever_it_is(site: Path) -> None:
    assert installed_wheels() == {}
    assert wheel_clash() is None
    install(site, "onnxruntime-directml", "1.24.0")
    assert installed_wheels() == {"onnxruntime-directml": "1.24.0"}
    assert wheel_clash() is None


def test_two_wheels_clash_and_the_line_leaves_the_proper_one_with_all_its_files(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "onnxruntime", "1.32.0")
    install(site, "onnxruntime-gpu", "1.31.1")
    for exists, wheel, other in (
        (True, "onnxruntime-gpu", "onnxruntime"),
        (False, "onnxruntime", "onnxruntime-gpu"),
    ):
        monkeypatch.setattr("geolocate.runtime_wheels.gpu_wheel_exists", lambda exists=exists: exists)
        assert proper_wheel() == wheel
        assert wheel_clash() == (
            "both onnxruntime and onnxruntime-gpu are installed and overwrite each other; mend it with: "
            f"pip uninstall -y {other} {wheel} && pip install {wheel}"
        )


def test_three_wheels_and_one_without_a_version_are_named(site: Path) -> None:
    install(site, "onnxruntime", "1.32.0")
    install(site, "onnxruntime-gpu", "1.31.1")
    install(site, "ort-nightly", None)
    assert installed_wheels()["ort-nightly"] == "?"
    message = wheel_clash()
    assert message is not None
    assert message.startswith("onnxruntime and onnxruntime-gpu and ort-nightly are installed")
    assert "ort-nightly" in reinstall_line()
