"""Bundles come and go whole: whatever happens in between, none is half there and none is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle, zipped

from geolocate.bundle import MANIFEST_NAME, installed_bundles, load_bundle
from geolocate.bundle_store import (
    INCOMING_PREFIX,
    LOCK_NAME,
    add_bundle,
    arriving_bundle,
    list_bundles,
    remove_bundle,
    require_space,
    user_folder,
    verify_bundle,
)
from geolocate.errors import BundleDamaged, BundleError, BundleNotFound, OutputError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of its own; returns where bundles go."""
    monkeypatch.setenv("GEOLOCATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


def content(folder: Path) -> set[str]:
    """What is in the user's folder besides the lock."""
    return {path.name for path in folder.iterdir()} - {LOCK_NAME} if folder.is_dir() else set()


def test_an_added_bundle_is_loaded_by_its_name(tmp_path: Path, home: Path) -> None:
    added = add_bundle(make_bundle(tmp_path / "b"))
    assert added.path == home / "mine" == load_bundle("mine").path
    assert all(problem is None for _, problem in verify_bundle(added))
    assert content(home) == {"mine"}


def test_an_archive_can_be_added_under_another_name(tmp_path: Path, home: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "b"), tmp_path / "b.zip", "mine/")
    assert add_bundle(archive, name="yours").path == home / "yours"
    assert content(home) == {"yours"}


def test_an_existing_bundle_is_replaced_by_force_only(tmp_path: Path) -> None:
    add_bundle(make_bundle(tmp_path / "one"))
    other = make_bundle(tmp_path / "two", files={"CARD.md": b"two"})
    with pytest.raises(OutputError, match="--force"):
        add_bundle(other)
    assert (user_folder() / "mine" / "CARD.md").read_bytes() == b"# mine\n"
    add_bundle(other, force=True)
    assert content(user_folder() / "mine") == {"CARD.md", MANIFEST_NAME}


def test_a_bundle_that_fails_its_checks_leaves_the_old_one_as_it_was(tmp_path: Path, home: Path) -> None:
    add_bundle(make_bundle(tmp_path / "one"))
    other = make_bundle(tmp_path / "two", files={"a": b"first", "b": b"second"})
    (other / "b").write_bytes(b"SECOND")
    with pytest.raises(BundleDamaged):
        add_bundle(other, force=True)
    assert content(home) == {"mine"}
    assert all(problem is None for _, problem in verify_bundle(load_bundle("mine")))


def test_force_replaces_bundles_only(tmp_path: Path, home: Path) -> None:
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(OutputError, match="no bundle's folder"):
        add_bundle(make_bundle(tmp_path / "b"), force=True)
    assert (home / "mine" / "diary.txt").exists()


def test_a_packaged_bundle_is_not_shadowed_by_accident(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", name="starter")
    packaged = installed_bundles()["starter"]
    with pytest.raises(OutputError, match="comes with the program"):
        add_bundle(bundle)
    add_bundle(bundle, force=True)
    assert installed_bundles()["starter"] == user_folder() / "starter"
    remove_bundle("starter")
    assert installed_bundles()["starter"] == packaged


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a\\b", "x" * 65, "a\nb", "c:"])
def test_a_name_cannot_lead_elsewhere(tmp_path: Path, home: Path, name: str) -> None:
    bundle = make_bundle(tmp_path / "b", name=name)
    with pytest.raises(BundleError, match="cannot be a bundle's name"):
        add_bundle(bundle)
    with pytest.raises(BundleError, match="cannot be a bundle's name"):
        add_bundle(bundle, name=name)
    assert content(home) == set()


def test_a_full_disk_is_found_out_before_anything_is_written(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"0\.0 GB free, 0\.1 GB are needed"):
        add_bundle(make_bundle(tmp_path / "b"))
    assert not home.exists()


def test_folders_of_one_disk_need_their_space_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    require_space({tmp_path / "a": 6 * 10**8})
    with pytest.raises(OutputError):
        require_space({tmp_path / "a": 6 * 10**8, tmp_path / "b" / "c": 6 * 10**8})


def build(spoil: Callable[[Path], object]) -> None:
    with arriving_bundle("mine") as built:
        make_bundle(built)
        spoil(built)


def interrupt(built: Path) -> None:
    raise KeyboardInterrupt


def test_a_failed_build_leaves_nothing(home: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(interrupt)
    with pytest.raises(BundleDamaged):
        build(lambda built: (built / "CARD.md").unlink())
    assert content(home) == set()


def test_half_a_bundle_is_never_shown(home: Path) -> None:
    with arriving_bundle("mine") as built:
        make_bundle(built)
        assert "mine" not in installed_bundles()
        assert not any(INCOMING_PREFIX in name for name in installed_bundles())
    assert "mine" in installed_bundles()


def test_two_changes_at_once_do_not_meet(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", name="other")
    with arriving_bundle("mine") as built:
        make_bundle(built)
        with pytest.raises(OutputError, match="another geolocate"):
            add_bundle(bundle)
    add_bundle(bundle)
    assert {"mine", "other"} <= installed_bundles().keys()


SLOW_ADD = """
import sys, time
from pathlib import Path
from geolocate import bundle_store
move = bundle_store._move_into_place
def slow_move(built, place, scratch):
    if sys.argv[2] == "swap":
        rename = Path.rename
        def rename_and_wait(self, target):
            if self == built:
                print("ready", flush=True)
                time.sleep(60)
            return rename(self, target)
        Path.rename = rename_and_wait
    move(built, place, scratch)
bundle_store._move_into_place = slow_move
def wait(count):
    print("ready", flush=True)
    time.sleep(60)
advance = wait if sys.argv[2] == "copy" else lambda count: None
bundle_store.add_bundle(Path(sys.argv[1]), force=True, advance=advance)
"""


@pytest.mark.parametrize("moment", ["copy", "swap"])
def test_a_killed_add_leaves_no_half_bundle_and_loses_none(tmp_path: Path, home: Path, moment: str) -> None:
    add_bundle(make_bundle(tmp_path / "one"))
    other = make_bundle(tmp_path / "two", files={"CARD.md": b"two"})
    words = [sys.executable, "-c", SLOW_ADD, str(other), moment]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
    assert not any(INCOMING_PREFIX in name for name in installed_bundles())
    third = make_bundle(tmp_path / "three", name="third")
    add_bundle(third)  # the next change clears up
    assert content(home) == {"mine", "third"}
    assert (home / "mine" / "CARD.md").read_bytes() == b"# mine\n"
    add_bundle(other, force=True)
    assert (home / "mine" / "CARD.md").read_bytes() == b"two"


def test_remove_takes_a_bundle_away_and_nothing_else(tmp_path: Path, home: Path) -> None:
    add_bundle(make_bundle(tmp_path / "b"))
    add_bundle(make_bundle(tmp_path / "c", name="other"))
    assert remove_bundle("mine") == home / "mine"
    assert content(home) == {"other"}
    with pytest.raises(BundleNotFound, match="other"):
        remove_bundle("mine")
    with pytest.raises(BundleNotFound):
        remove_bundle("../models/other")


def test_remove_takes_a_link_not_what_it_leads_to(tmp_path: Path, home: Path) -> None:
    bundle = make_bundle(tmp_path / "b")
    home.mkdir(parents=True)
    (home / "mine").symlink_to(bundle)
    remove_bundle("mine")
    assert content(home) == set()
    assert (bundle / "CARD.md").exists()


def test_what_came_with_the_program_stays() -> None:
    with pytest.raises(BundleError, match="comes with the program"):
        remove_bundle("starter")


def test_the_list_says_what_is_default_packaged_and_damaged(tmp_path: Path, home: Path) -> None:
    assert [(b.name, b.packaged, b.default, b.problem) for b in list_bundles()] == [
        ("starter", True, True, None)
    ]
    add_bundle(make_bundle(tmp_path / "b", name="geoclip-vit-l-14"))
    add_bundle(make_bundle(tmp_path / "c", name="broken"))
    (home / "broken" / "CARD.md").unlink()
    (home / "unreadable").mkdir()
    (home / "unreadable" / MANIFEST_NAME).write_text("[]")
    found = {bundle.name: bundle for bundle in list_bundles()}
    assert [name for name, bundle in found.items() if bundle.default] == ["geoclip-vit-l-14"]
    assert "CARD.md is missing" in (found["broken"].problem or "")
    assert found["broken"].manifest is not None
    assert found["unreadable"].manifest is None
    assert found["unreadable"].size == 0


def test_verify_names_each_file_with_what_is_wrong(tmp_path: Path) -> None:
    bundle = add_bundle(
        make_bundle(tmp_path / "b", files={n: n.encode() for n in ("a", "b", "c", "d", "e/f")})
    )
    (bundle.path / "b").write_bytes(b"B")
    (bundle.path / "c").write_bytes(b"longer")
    (bundle.path / "d").unlink()
    (bundle.path / "extra").touch()
    (bundle.path / "e").rename(tmp_path / "moved")
    (bundle.path / "e").symlink_to(tmp_path / "moved")
    found = dict(verify_bundle(bundle))
    assert found.pop("a") is None
    assert "SHA-256" in (found.pop("b") or "")
    assert "6 bytes instead of 1" in (found.pop("c") or "")
    assert "missing" in (found.pop("d") or "")
    assert "not listed" in (found.pop("extra") or "")
    assert "not listed" in (found.pop("e") or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path, home: Path) -> None:
    home.mkdir(parents=True)
    home.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        add_bundle(make_bundle(tmp_path / "b"))


def test_a_file_in_the_way_of_the_folder_is_a_message(tmp_path: Path, home: Path) -> None:
    home.parent.mkdir()
    home.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        add_bundle(make_bundle(tmp_path / "b"))
