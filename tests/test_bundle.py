"""Bundles are read with distrust: their manifest value by value, their files without leaving the folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import make_bundle

from geolocate.bundle import MANIFEST_NAME, load_bundle, read_bundle
from geolocate.bundle_source import open_source
from geolocate.errors import BundleDamaged
from geolocate.manifest import Manifest


def manifest_with(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A whole bundle but for what `change` does to its manifest."""
    folder = make_bundle(tmp_path / "b")
    raw = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    change(raw)
    (folder / MANIFEST_NAME).write_text(json.dumps(raw), encoding="utf-8")
    return folder


def test_what_a_manifest_says_is_what_is_read_back(tmp_path: Path) -> None:
    manifest = load_bundle(make_bundle(tmp_path / "b", precisions=("fp32", "int8"))).manifest
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_measurement_that_gave_no_number_is_null_and_the_bundle_still_loads(tmp_path: Path) -> None:
    measured = {"median_km": float("nan"), "by": [{"n": 0, "km": float("inf")}]}
    folder = make_bundle(tmp_path / "b", accuracy=measured)
    assert load_bundle(folder).manifest.accuracy == {"median_km": None, "by": [{"n": 0, "km": None}]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 5),
        ("name", "two\nlines"),
        ("name", "../elsewhere"),
        ("name", "\x1b[31m"),
        ("version", 1),
        ("licence", None),
        ("source", ["a"]),
        ("trained", "no"),
        ("trained", 1),
        ("image", []),
        ("feature_dim", -3),
        ("feature_dim", "8"),
        ("embedding_dim", 0),
        ("embedding_dim", 4.5),
        ("embedding_dim", True),
        ("embedding_dim", 10**12),
        ("concept_count", -1),
        ("logit_scale", 1000),
        ("logit_scale", -1000),
        ("logit_scale", 10**400),
        ("logit_scale", float("nan")),
        ("logit_scale", "2"),
        ("temperature", 0),
        ("temperature", 1e-300),
        ("temperature", float("inf")),
        ("precisions", "fp32"),
        ("precisions", ["fp32/../../x"]),
        ("precisions", [32]),
        ("parity", []),
        ("accuracy", "high"),
        ("files", []),
        ("files", {"CARD.md": 7}),
        ("files", {"CARD.md": {"size": "7", "sha256": "0" * 64}}),
        ("files", {"CARD.md": {"size": -1, "sha256": "0" * 64}}),
        ("files", {"CARD.md": {"size": 7, "sha256": "0" * 63}}),
    ],
)
def test_a_value_of_a_wrong_kind_is_refused_and_named(tmp_path: Path, key: str, value: object) -> None:
    folder = manifest_with(tmp_path, lambda raw: raw.update({key: value}))
    with pytest.raises(BundleDamaged, match=f"cannot be read: .*{key}") as caught:
        load_bundle(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 0),
        ("size", 5000),
        ("size", "224"),
        ("mean", [0.5, 0.5]),
        ("mean", "abc"),
        ("std", [0.5, 0, 0.5]),
        ("resize", "squeeze"),
    ],
)
def test_an_input_that_no_photo_can_be_brought_to_is_refused(tmp_path: Path, key: str, value: object) -> None:
    folder = manifest_with(tmp_path, lambda raw: raw["image"].update({key: value}))
    with pytest.raises(BundleDamaged, match=r"image: "):
        load_bundle(folder)


@pytest.mark.parametrize("key", ["name", "trained", "image", "feature_dim", "logit_scale", "files"])
def test_a_key_that_is_missing_is_named(tmp_path: Path, key: str) -> None:
    folder = manifest_with(tmp_path, lambda raw: raw.pop(key))
    with pytest.raises(BundleDamaged, match=f"{key} is missing"):
        load_bundle(folder)


def test_keys_of_later_versions_are_left_alone(tmp_path: Path) -> None:
    assert load_bundle(manifest_with(tmp_path, lambda raw: raw.update(colour="blue"))).manifest.name == "mine"


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"format": 2}', b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(tmp_path: Path, data: bytes) -> None:
    folder = make_bundle(tmp_path / "b")
    (folder / MANIFEST_NAME).write_bytes(data)
    with pytest.raises(BundleDamaged, match="cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../x", "outside itself"),
        ("/etc/passwd", "outside itself"),
        ("a\\..\\x", "outside itself"),
        ("c:x", "outside itself"),
        ("a//b", "shortest form"),
        ("./a", "shortest form"),
        ("two\nlines ok", "not every system"),
        ("\x1b[31mred", "not every system"),
        ("\u202eexe.gnp", "not every system"),
        ("a?b", "not every system"),
        ("NUL", "device"),
        ("com1.onnx", "device"),
        ("tokenizer/aux.json", "device"),
        ("card.", "dot"),
        ("card ", "space"),
        ("x" * 300, "too long"),
    ],
)
def test_a_file_name_that_is_another_file_elsewhere_is_refused_in_printable_words(
    tmp_path: Path, name: str, problem: str
) -> None:
    entry = {"size": 1, "sha256": "0" * 64}
    folder = manifest_with(tmp_path, lambda raw: raw["files"].update({name: entry}))
    with pytest.raises(BundleDamaged, match=problem) as caught:
        read_bundle(folder)
    assert str(caught.value).isprintable()


def test_names_that_differ_in_accents_are_two_files(tmp_path: Path) -> None:
    entry = {"size": 1, "sha256": "0" * 64}
    folder = manifest_with(tmp_path, lambda raw: raw["files"].update({"cafe": entry, "caf\u00e9": entry}))
    assert {"cafe", "caf\u00e9"} <= read_bundle(folder).manifest.files.keys()


@pytest.mark.parametrize("other", ["card.MD", "cafe\u0301/x", "STRASSE"])
def test_two_names_that_are_one_on_some_systems_are_refused(tmp_path: Path, other: str) -> None:
    entry = {"size": 1, "sha256": "0" * 64}
    more = {"caf\u00e9/x": entry, "straße": entry}
    folder = manifest_with(tmp_path, lambda raw: raw["files"].update({**more, other: entry}))
    with pytest.raises(
        BundleDamaged, match="differ in case or in Unicode form alone are one file on some systems"
    ):
        read_bundle(folder)


def test_a_manifest_of_more_files_than_any_bundle_has_is_refused(tmp_path: Path) -> None:
    entry = {"size": 0, "sha256": "0" * 64}
    folder = manifest_with(tmp_path, lambda raw: raw["files"].update({f"f{n}": entry for n in range(1001)}))
    with pytest.raises(BundleDamaged, match="at most 1,000"):
        read_bundle(folder)


def test_a_manifest_that_says_two_things_at_once_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    text = (folder / MANIFEST_NAME).read_text(encoding="utf-8")
    twice = text.replace('"trained": true', '"trained": false, "trained": true')
    assert twice != text
    (folder / MANIFEST_NAME).write_text(twice, encoding="utf-8")
    with pytest.raises(BundleDamaged, match="'trained' is there twice"):
        load_bundle(folder)


def test_a_manifest_that_is_a_link_or_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    (folder / MANIFEST_NAME).rename(tmp_path / "elsewhere")
    (folder / MANIFEST_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleDamaged, match="cannot be read"):
        load_bundle(folder)
    (folder / MANIFEST_NAME).unlink()
    os.mkfifo(folder / MANIFEST_NAME)
    with pytest.raises(BundleDamaged, match="not a regular file"):
        read_bundle(folder)
    with pytest.raises(BundleDamaged, match="not a regular file"), open_source(folder):
        pass


def test_a_part_that_becomes_a_link_after_the_bundle_was_loaded_is_not_read(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "b"))
    (tmp_path / "secret").write_bytes(b"seven..")
    (bundle.path / "CARD.md").unlink()
    (bundle.path / "CARD.md").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleDamaged, match=r"CARD\.md is not a regular file"):
        bundle.read("CARD.md", 100)


def test_a_linked_folder_in_a_bundle_is_refused_by_load_and_verify(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b")
    whole = load_bundle(folder)
    (folder / "tokenizer").rename(tmp_path / "outside")
    (folder / "tokenizer").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleDamaged, match=r"tokenizer/t\.json is not in a folder of the bundle"):
        load_bundle(folder)
    assert [name for name, problem in whole.verify() if problem] == ["tokenizer/t.json"]


def test_a_bundle_may_itself_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(make_bundle(tmp_path / "b"))
    assert load_bundle(tmp_path / "link").manifest.name == "mine"
