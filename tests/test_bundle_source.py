"""Bundles that somebody else made: only what the manifest lists, as it lists it, comes in."""

from __future__ import annotations

import json
import os
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle, zipped

from geolocate.bundle import MANIFEST_NAME
from geolocate.bundle_source import open_source
from geolocate.errors import BundleDamaged, BundleNotFound


def copy(source: Path, target: Path) -> set[str]:
    target.mkdir()
    with open_source(source) as incoming:
        incoming.copy_to(target)
    return {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}


def edit_manifest(folder: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    manifest = folder / MANIFEST_NAME
    values = json.loads(manifest.read_text())
    change(values["files"])
    manifest.write_text(json.dumps(values))


NAMES = {"CARD.md", "image_encoder.fp32.onnx", "tokenizer/t.json", MANIFEST_NAME}


def test_a_folder_is_copied_whole(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    assert copy(bundle, tmp_path / "copy") == NAMES
    for name in NAMES:
        assert (tmp_path / "copy" / name).read_bytes() == (bundle / name).read_bytes()


@pytest.mark.parametrize("prefix", ["", "mine/", "deep/er/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_an_archive_may_hold_the_bundle_in_a_folder(tmp_path: Path, prefix: str, method: int) -> None:
    archive = zipped(make_bundle(tmp_path / "bundle"), tmp_path / "b.zip", prefix, method)
    assert copy(archive, tmp_path / "copy") == NAMES


def test_the_size_and_every_copied_byte_are_told(tmp_path: Path) -> None:
    told: list[int] = []
    with open_source(make_bundle(tmp_path / "bundle", files={"a": b"x" * 3_000_000})) as incoming:
        (tmp_path / "copy").mkdir()
        incoming.copy_to(tmp_path / "copy", told.append)
        assert incoming.size == 3_000_000 + len(incoming.manifest_bytes)
    assert sum(told) == 3_000_000
    assert len(told) > 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "CARD.md").unlink(), "lacks CARD.md"),
        (lambda folder: (folder / "run.py").touch(), "does not list: run.py"),
        (lambda folder: (folder / "__init__.py").touch(), "does not list: __init__.py"),
        (lambda folder: (folder / "CARD.md").write_bytes(b"# mine, longer\n"), "another size .* CARD.md"),
        (lambda folder: (folder / "CARD.md").write_bytes(b"# tine\n"), "CARD.md has another SHA-256"),
        (lambda folder: (folder / MANIFEST_NAME).write_text("{"), "cannot be read"),
        (lambda folder: (folder / MANIFEST_NAME).write_bytes(b" " * (5 * 2**20)), "too large for a manifest"),
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_what_is_not_as_the_manifest_says_is_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str, pack: bool
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    change(bundle)
    source = zipped(bundle, tmp_path / "b.zip", "mine/") if pack else bundle
    with pytest.raises(BundleDamaged, match=message):
        copy(source, tmp_path / "copy")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "c:x"])
def test_a_manifest_that_lists_a_path_outside_is_refused(tmp_path: Path, name: str) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    edit_manifest(bundle, lambda files: files.update({name: files["CARD.md"]}))
    with pytest.raises(BundleDamaged, match="outside itself"):
        copy(bundle, tmp_path / "copy")


def test_a_manifest_that_lists_itself_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    edit_manifest(bundle, lambda files: files.update({MANIFEST_NAME: files["CARD.md"]}))
    with pytest.raises(BundleDamaged, match="lists itself"):
        copy(bundle, tmp_path / "copy")


def link_file(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    (folder / "CARD.md").symlink_to("/etc/hostname")


def link_folder(folder: Path) -> None:
    (folder / "tokenizer").rename(folder.parent / "elsewhere")
    (folder / "tokenizer").symlink_to(folder.parent / "elsewhere")


def pipe(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    os.mkfifo(folder / "CARD.md")


@pytest.mark.parametrize("change", [link_file, link_folder, pipe])
def test_a_folder_with_anything_but_regular_files_is_refused(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    change(bundle)
    with pytest.raises(BundleDamaged, match="not a regular file"):
        copy(bundle, tmp_path / "copy")


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "bundle"), tmp_path / "b.zip")
    with zipfile.ZipFile(archive, "a") as file:
        link = zipfile.ZipInfo("passwords")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(BundleDamaged, match="passwords is not a regular file"):
        copy(archive, tmp_path / "copy")


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "mine/../../escaped", "CARD.md"])
def test_an_archive_with_a_member_elsewhere_or_twice_is_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(make_bundle(tmp_path / "bundle"), tmp_path / "b.zip")
    with zipfile.ZipFile(archive, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second CARD.md
        file.writestr(name, b"# mine\n")
    with pytest.raises(BundleDamaged):
        copy(archive, tmp_path / "copy")
    assert not any(tmp_path.rglob("escaped"))


def test_a_method_that_could_fill_the_memory_is_refused(tmp_path: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "bundle"), tmp_path / "b.zip", method=zipfile.ZIP_BZIP2)
    with pytest.raises(BundleDamaged, match="neither stored nor deflated"):
        copy(archive, tmp_path / "copy")


def lie_about_size(archive: Path, true: int, said: int) -> None:
    """Overwrites a member's inflated size in the archive's headers."""
    data = archive.read_bytes()
    changed = data.replace(true.to_bytes(4, "little"), said.to_bytes(4, "little"))
    assert changed != data
    archive.write_bytes(changed)


def test_an_archive_never_inflates_past_the_sizes_of_the_manifest(tmp_path: Path) -> None:
    bomb = b"\0" * 50_000_003
    bundle = make_bundle(tmp_path / "bundle", files={"bomb": bomb})
    archive = zipped(bundle, tmp_path / "b.zip")
    edited = make_bundle(tmp_path / "small", files={"bomb": bomb[:1003]})
    with pytest.raises(BundleDamaged, match="another size"):
        copy(zipped_with_manifest(archive, edited, tmp_path / "c.zip"), tmp_path / "copy")
    lying = zipped_with_manifest(archive, edited, tmp_path / "d.zip")
    lie_about_size(lying, len(bomb), 1003)
    with pytest.raises(BundleDamaged):
        copy(lying, tmp_path / "copied")
    assert sum(path.stat().st_size for path in (tmp_path / "copied").rglob("*")) < 2000


def zipped_with_manifest(archive: Path, bundle: Path, target: Path) -> Path:
    """The members of an archive under another bundle's manifest."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            manifest = member.filename == MANIFEST_NAME
            data = (bundle / MANIFEST_NAME).read_bytes() if manifest else old.read(member)
            new.writestr(member.filename, data)
    return target


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "bundle"), tmp_path / "b.zip")
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(BundleDamaged, match="neither a folder nor a ZIP archive"):
        copy(archive, tmp_path / "copy")


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "bundle"), tmp_path / "b.zip", method=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"graphgraph", b"graphgrapf", 1))
    with pytest.raises(BundleDamaged, match=r"image_encoder\.fp32\.onnx"):
        copy(archive, tmp_path / "copy")


def test_what_holds_no_bundle_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    zipped(tmp_path / "empty", tmp_path / "empty.zip")
    for source in (tmp_path / "empty", tmp_path / "empty.zip", tmp_path / "nothing"):
        with pytest.raises(BundleNotFound, match=source.name), open_source(source):
            pass
