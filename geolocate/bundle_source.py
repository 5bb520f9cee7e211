"""Where a bundle comes from: a folder or a ZIP archive that somebody else made, judged before it is copied.

Only regular files that the manifest lists, of the sizes that it says, under names that stay inside: so what
is read from an archive is bounded by its manifest, whatever it would inflate to.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from geolocate.bundle import MANIFEST_MAX_BYTES, MANIFEST_NAME, Manifest, parse_manifest
from geolocate.confined_open import open_beneath, walk
from geolocate.errors import BundleDamaged, BundleNotFound
from geolocate.manifest import MAX_FILES
from geolocate.untrusted_arrays import ZIP_METHODS

CHUNK_BYTES = 2**20
#: Names that a message lists before it says "and N more".
NAMES_SHOWN = 3
#: Bit of an archive member's flags that says "encrypted".
ZIP_ENCRYPTED = 0x1

Found = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BundleSource:
    """A bundle that can be copied, its list of files already held against its manifest.

    Attributes:
        origin: what the user called it.
        manifest_bytes: `bundle.json` as it is.
        open: opens a listed file by its name.
    """

    origin: str
    manifest: Manifest
    manifest_bytes: bytes
    open: Callable[[str], BinaryIO]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return len(self.manifest_bytes) + sum(entry.size for entry in self.manifest.files.values())

    def copy_to(self, folder: Path, advance: Callable[[int], object] = lambda count: None) -> None:
        """Copies the bundle into an empty folder, every byte hashed on its way.

        Args:
            advance: is told how many bytes were copied since it was last called.

        Raises:
            BundleDamaged: a file is not what the manifest says.
            OSError: the folder cannot be written.
        """
        for name, entry in self.manifest.files.items():
            target = folder.joinpath(*PurePosixPath(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                copied = target.open("xb")
            except FileExistsError:
                raise BundleDamaged(f"{self.origin}: {name} is there under two names") from None
            digest, left = hashlib.sha256(), entry.size
            with copied, self._opened(name) as original:
                while left and (chunk := self._read(original, name, min(left, CHUNK_BYTES))):
                    digest.update(chunk)
                    copied.write(chunk)
                    left -= len(chunk)
                    advance(len(chunk))
                longer = not left and self._read(original, name, 1) != b""
            if left or longer:
                raise BundleDamaged(f"{self.origin}: {name} has not the {entry.size} bytes of the manifest")
            if digest.hexdigest() != entry.sha256:
                raise BundleDamaged(f"{self.origin}: {name} has another SHA-256 than the manifest says")
        (folder / MANIFEST_NAME).write_bytes(self.manifest_bytes)

    def _opened(self, name: str) -> BinaryIO:
        try:
            return self.open(name)
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise BundleDamaged(f"{self.origin}: {name} cannot be read: {error}") from error

    def _read(self, file: BinaryIO, name: str, count: int) -> bytes:
        try:
            return file.read(count)
        except Exception as error:  # zlib, zipfile and the system each have their own
            raise BundleDamaged(f"{self.origin}: {name} cannot be read: {error}") from error


@contextmanager
def open_source(path: Path) -> Iterator[BundleSource]:
    """Opens a folder or a ZIP archive that holds one bundle, in the archive perhaps in a folder of its own.

    Raises:
        BundleNotFound: there is nothing there, or no manifest in it.
        BundleDamaged: a file is missing, not listed, a link, of another size, or would land outside.
    """
    if path.is_dir():
        yield _folder_source(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BundleNotFound(f"{path} does not exist") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BundleDamaged(
            f"{path} is neither a folder nor a ZIP archive that can be read: {error}"
        ) from error
    with archive:
        yield _zip_source(path, archive)


def _folder_source(folder: Path) -> BundleSource:
    found: dict[str, int] = {}
    try:
        for name, status in walk(folder):
            if not stat.S_ISREG(status.st_mode):
                raise BundleDamaged(f"{folder}: {name} is not a regular file")
            if len(found) > MAX_FILES:
                raise BundleDamaged(f"{folder} has more than {MAX_FILES:,} files: it is no bundle")
            found[name] = status.st_size
        with open_beneath(folder, MANIFEST_NAME) as file:
            data = file.read(MANIFEST_MAX_BYTES + 1)
    except FileNotFoundError:
        raise BundleNotFound(f"{folder} is not a bundle: it has no {MANIFEST_NAME}") from None
    except OSError as error:
        raise BundleDamaged(f"{folder} cannot be read: {error}") from error
    return _checked(str(folder), data, found, lambda name: open_beneath(folder, name))


def _zip_source(path: Path, archive: zipfile.ZipFile) -> BundleSource:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MAX_FILES + 1:
        raise BundleDamaged(f"{path} has more than {MAX_FILES:,} files: it is no bundle")
    manifests = [member for member in members if PurePosixPath(member.filename).name == MANIFEST_NAME]
    if not manifests:
        raise BundleNotFound(f"{path} holds no bundle: it has no {MANIFEST_NAME}")
    top = min(manifests, key=lambda member: member.filename.count("/"))
    prefix = top.filename.removesuffix(MANIFEST_NAME)
    by_name: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BundleDamaged(f"{path}: {member.filename} is not a regular file")
        if member.flag_bits & ZIP_ENCRYPTED:
            raise BundleDamaged(f"{path}: {member.filename} is encrypted")
        if member.compress_type not in ZIP_METHODS:
            raise BundleDamaged(f"{path}: {member.filename} is neither stored nor deflated")
        name = member.filename.removeprefix(prefix)
        if not member.filename.startswith(prefix) or name in by_name:
            raise BundleDamaged(f"{path}: {member.filename} is not in the bundle's folder, or is there twice")
        by_name[name] = member
    try:
        with archive.open(top) as file:
            data = file.read(MANIFEST_MAX_BYTES + 1)
    except Exception as error:  # zlib and zipfile each have their own
        raise BundleDamaged(f"{path}: {top.filename} cannot be read: {error}") from error
    sizes = {name: member.file_size for name, member in by_name.items()}
    return _checked(str(path), data, sizes, lambda name: _member(archive, by_name[name]))


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    file = archive.open(member)
    assert isinstance(file, zipfile.ZipExtFile)
    return file  # type: ignore[return-value]  # all of BinaryIO that is used


def _checked(origin: str, data: bytes, found: Found, opener: Callable[[str], BinaryIO]) -> BundleSource:
    """Holds the files that are there against the manifest; nothing of them is read yet."""
    if len(data) > MANIFEST_MAX_BYTES:
        raise BundleDamaged(f"{origin}: {MANIFEST_NAME} is too large for a manifest")
    manifest = parse_manifest(data, f"{origin}: {MANIFEST_NAME}")
    sizes = {name: entry.size for name, entry in manifest.files.items()}
    if MANIFEST_NAME in sizes:
        raise BundleDamaged(f"{origin}: the manifest lists itself")
    names = found.keys() - {MANIFEST_NAME}
    _refuse(origin, "lacks", sizes.keys() - names)
    _refuse(origin, "has files that its manifest does not list:", names - sizes.keys())
    _refuse(origin, "has another size than its manifest says for", {n for n in names if found[n] != sizes[n]})
    return BundleSource(origin, manifest, data, opener)


def _refuse(origin: str, what: str, names: Iterable[str]) -> None:
    ordered = sorted(names)
    if ordered:
        more = f" and {len(ordered) - NAMES_SHOWN} more" if len(ordered) > NAMES_SHOWN else ""
        raise BundleDamaged(f"{origin} {what} {', '.join(ordered[:NAMES_SHOWN])}{more}")
