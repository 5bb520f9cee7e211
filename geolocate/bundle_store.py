"""The bundles on this machine: which there are, and how one comes, goes and is checked.

A bundle comes into being in a hidden folder beside its place and is moved there once it is complete; so at no
moment, not even when the program is killed, is there half a bundle under a name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from geolocate.bundle import (
    DEFAULT_NAMES,
    MANIFEST_NAME,
    Bundle,
    Manifest,
    bundle_folders,
    installed_bundles,
    load_bundle,
    read_bundle,
)
from geolocate.bundle_source import open_source
from geolocate.confined_open import walk
from geolocate.errors import BundleError, BundleNotFound, OutputError
from geolocate.file_lock import lock
from geolocate.manifest import NAME_PATTERN, NAME_RULE

#: Begins the names of folders in which a bundle is being made or taken apart; what a killed run left of them
#: is cleared by the next change.
INCOMING_PREFIX = ".incoming-"
#: Held by who changes the bundles of a folder: one at a time.
LOCK_NAME = ".lock"
#: Inside such a folder: the new bundle, and the one that it replaces.
_NEW, _OLD = "new", "old"
#: Left free on the disk besides what a bundle needs.
SPACE_MARGIN_BYTES = 50 * 10**6


@dataclass(frozen=True, slots=True)
class InstalledBundle:
    """A bundle that can be had by name.

    Attributes:
        packaged: it came with the program.
        default: predict takes it where no model is named.
        manifest: None where it cannot be read; then `problem` says why.
        problem: what keeps it from being loaded; None where nothing does.
    """

    name: str
    path: Path
    packaged: bool
    default: bool
    manifest: Manifest | None
    problem: str | None

    @property
    def size(self) -> int:
        """Bytes of its files by the manifest; 0 where that cannot be read."""
        return sum(entry.size for entry in self.manifest.files.values()) if self.manifest else 0


def user_folder() -> Path:
    """Where bundles are added: the first folder that is searched."""
    return next(bundle_folders())


def list_bundles() -> list[InstalledBundle]:
    """Every bundle that is found by name, damaged ones included, by name."""
    installed = installed_bundles()
    default = next((name for name in DEFAULT_NAMES if name in installed), None)
    return [describe_bundle(name, path, name == default) for name, path in sorted(installed.items())]


def describe_bundle(name: str, path: Path, default: bool = False) -> InstalledBundle:
    """Looks at one bundle without reading its files."""
    manifest = problem = None
    try:
        manifest = read_bundle(path).manifest
        load_bundle(path)
    except BundleError as error:
        problem = str(error)
    return InstalledBundle(name, path, path.parent != user_folder(), default, manifest, problem)


def verify_bundle(bundle: Bundle) -> Iterator[tuple[str, str | None]]:
    """Yields each file's name with what is wrong with it, or None; reads every byte.

    A file that the manifest does not list is wrong, and so is a link.
    """
    yield from bundle.verify()
    for name, _ in walk(bundle.path):
        if name != MANIFEST_NAME and name not in bundle.manifest.files:
            yield name, "is not listed in the manifest"


def add_bundle(
    source: Path,
    *,
    name: str | None = None,
    force: bool = False,
    start: Callable[[str, int], None] = lambda name, size: None,
    advance: Callable[[int], object] = lambda count: None,
) -> Bundle:
    """Installs the bundle in a folder or ZIP archive, every file's SHA-256 checked on the way.

    Args:
        name: to install it under; the manifest's name by default.
        force: replace what is installed under that name.
        start: is told name and size in bytes before the first byte is copied.
        advance: is told how many bytes were copied since it was last called.

    Raises:
        BundleNotFound, BundleDamaged: as :func:`geolocate.bundle_source.open_source`.
        BundleError: the name cannot be one.
        OutputError: the name is taken, the disk too full or not writable, or another run is at work.
    """
    with open_source(source) as incoming:
        name = checked_name(str(incoming.manifest.name) if name is None else name)
        refuse_taken(name, force)
        require_space({user_folder(): incoming.size})
        start(name, incoming.size)
        with arriving_bundle(name, force=force) as built:
            built.mkdir()
            incoming.copy_to(built, advance)
    return load_bundle(user_folder() / name)


def remove_bundle(name: str) -> Path:
    """Removes a bundle of the user's folder at one stroke; returns where it was.

    Raises:
        BundleNotFound: none is installed under that name.
        BundleError: it came with the program.
        OutputError: the folder cannot be changed, or another run is at work.
    """
    path = removable(name)
    with _locked_folder() as folder, _scratch(folder) as scratch:
        path.rename(scratch / _NEW)  # where it is a link, the link alone goes
    return path


def removable(name: str) -> Path:
    """The folder of a bundle that :func:`remove_bundle` may take away; raises as that does."""
    path = installed_bundles().get(name)
    if path is None:
        known = ", ".join(sorted(installed_bundles())) or "none"
        raise BundleNotFound(f"no bundle '{name}'; installed: {known}")
    if path.parent != user_folder():
        raise BundleError(f"'{name}' comes with the program and stays")
    return path


@contextmanager
def arriving_bundle(name: str, *, force: bool = False) -> Iterator[Path]:
    """Gives a path where nothing stands yet, to build a bundle at; installs it when the block ends well.

    Raises:
        BundleDamaged: what was built is no complete bundle.
        BundleError: the name cannot be one.
        OutputError: as :func:`refuse_taken`; the folder cannot be written, or another run is at work.
    """
    checked_name(name)
    with _locked_folder() as folder, _scratch(folder) as scratch:
        refuse_taken(name, force)  # under the lock: nobody takes it meanwhile
        built = scratch / _NEW
        yield built
        load_bundle(built)
        _move_into_place(built, folder / name, scratch)


def checked_name(name: str) -> str:
    """The name, if it can be a bundle's; else raises BundleError."""
    if not NAME_PATTERN.fullmatch(name):
        raise BundleError(f"{name!r} cannot be a bundle's name: {NAME_RULE}")
    return name


def refuse_taken(name: str, force: bool) -> None:
    """Raises OutputError where the name is taken: at all without `force`, and with it by no bundle."""
    path = user_folder() / name
    if os.path.lexists(path):
        if not force:
            raise OutputError(f"'{name}' is installed at {path}; --force replaces it")
        if path.is_symlink() or not (path / MANIFEST_NAME).is_file():
            raise OutputError(f"{path} is no bundle's folder; --force replaces only those")
    elif not force and name in installed_bundles():
        raise OutputError(f"'{name}' comes with the program; --force puts this one before it")


def require_space(needed: dict[Path, int]) -> None:
    """Raises OutputError unless each folder's disk has so many bytes free; folders of one disk add up."""
    disks: dict[int, tuple[int, Path]] = {}
    for folder, size in needed.items():
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        device = place.stat().st_dev
        disks[device] = (disks.get(device, (0, place))[0] + size, place)
    for size, place in disks.values():
        free, wanted = shutil.disk_usage(place).free, size + SPACE_MARGIN_BYTES
        if wanted > free:
            raise OutputError(
                f"the disk of {place} has {free / 1e9:.1f} GB free, {wanted / 1e9:.1f} GB are needed"
            )


@contextmanager
def _locked_folder() -> Iterator[Path]:
    """The user's folder, for one run at a time, cleared of what a killed one left."""
    folder = user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK_NAME).open("ab") as held:
            if not lock(held.fileno()):
                raise OutputError(
                    f"another geolocate is changing the bundles in {folder}; try again when it is done"
                )
            _clear_leftovers(folder)
            yield folder
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix=INCOMING_PREFIX, dir=folder))
    try:
        yield scratch
    finally:
        _discard(scratch, folder)


def _move_into_place(built: Path, place: Path, scratch: Path) -> None:
    """Swaps the new bundle in; where the program is killed in between, the old one is in `scratch`."""
    if os.path.lexists(place):
        aside = scratch / _OLD / place.name
        aside.parent.mkdir()
        place.rename(aside)
    built.rename(place)


def _clear_leftovers(folder: Path) -> None:
    for scratch in folder.glob(f"{INCOMING_PREFIX}*"):
        _discard(scratch, folder)


def _discard(scratch: Path, folder: Path) -> None:
    """Removes such a folder; a bundle that was to be replaced and has no successor goes back to its place."""
    for old in scratch.glob(f"{_OLD}/*"):
        if not os.path.lexists(folder / old.name):
            old.rename(folder / old.name)
    shutil.rmtree(scratch, ignore_errors=True)
