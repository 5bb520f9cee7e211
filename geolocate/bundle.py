"""Bundles: the folders that hold everything inference needs, found, opened and held against their manifest.

A bundle is read, never executed: graphs are ONNX, arrays are NPY without pickles, texts are JSON. Size and
header of each file are checked at load, the full SHA-256 at install and by :meth:`Bundle.verify`. SECURITY.md
says what that is worth with a bundle from a stranger.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

import platformdirs
from numpy.typing import NDArray

from geolocate.confined_open import open_beneath, read_beneath
from geolocate.errors import BundleDamaged, BundleNotFound, BundlePartMissing
from geolocate.manifest import MANIFEST_MAX_BYTES as MANIFEST_MAX_BYTES
from geolocate.manifest import MANIFEST_NAME as MANIFEST_NAME
from geolocate.manifest import FileEntry as FileEntry
from geolocate.manifest import ImageInput as ImageInput
from geolocate.manifest import Manifest as Manifest
from geolocate.manifest import path_problem
from geolocate.untrusted_arrays import map_array

#: Names of the parts; which of them a bundle has, its manifest says.
IMAGE_HEAD = "image_head.onnx"
LOCATION_ENCODER = "location_encoder.onnx"
RETRIEVAL = "retrieval.onnx"
GALLERY_COORDINATES = "gallery_coordinates.npy"
GALLERY_WEIGHTS = "gallery_weights.npy"
GALLERY_EMBEDDINGS = "gallery_embeddings.npy"
GALLERY_PLACES = "gallery_places.npy"
TEXT_ENCODER = "text_encoder.onnx"
TOKENIZER = "tokenizer/tokenizer.json"
MODALITY_MEANS = "modality_means.npz"
CONCEPTS = "concepts.json"
CONCEPT_BASIS = "concept_basis.npy"
CARD = "CARD.md"

#: Types that the arrays may have.
ARRAY_TYPES: Mapping[str, tuple[str, ...]] = {
    GALLERY_COORDINATES: ("float64",),
    GALLERY_WEIGHTS: ("float32",),
    GALLERY_EMBEDDINGS: ("float32", "float16"),
    GALLERY_PLACES: ("int64",),
    CONCEPT_BASIS: ("float32",),
}

#: Taken when no model is named: the first that is installed.
DEFAULT_NAMES = ("geoclip-vit-l-14", "starter")


def image_encoder_name(precision: str) -> str:
    """File name of the image encoder in a precision ("fp32", "int8", "fp16")."""
    return f"image_encoder.{precision}.onnx"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk, opened by :func:`load_bundle`."""

    path: Path
    manifest: Manifest

    @property
    def sha256(self) -> str:
        """What tells this bundle from any other: the hash of its manifest, which holds those of its files."""
        return sha256_of(self.path / MANIFEST_NAME)

    def has(self, name: str) -> bool:
        """Whether the bundle has this part."""
        return name in self.manifest.files

    def file(self, name: str) -> Path:
        """Path of a part.

        Raises:
            BundlePartMissing: the manifest does not list it.
            BundleDamaged: it is gone, a link, or of another size than the manifest says.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundlePartMissing(f"bundle '{self.manifest.name}' has no {name}")
        problem = _problem(self.path, name, entry)
        if problem:
            raise self._damaged(name, problem)
        return self.path.joinpath(*PurePosixPath(name).parts)

    def open(self, name: str) -> BufferedReader:
        """Opens a part for reading; what was judged is what is open.

        Raises:
            BundlePartMissing, BundleDamaged: as :meth:`file`.
        """
        self.file(name)
        try:
            file = open_beneath(self.path, name)
        except OSError as error:
            raise self._damaged(name, f"cannot be read: {error.strerror}") from error
        if os.fstat(file.fileno()).st_size != self.manifest.files[name].size:
            file.close()
            raise self._damaged(name, "has another size than the manifest says")
        return file

    def read(self, name: str, limit: int) -> bytes:
        """The content of a small part.

        Raises:
            BundlePartMissing, BundleDamaged: as :meth:`file`, or it is larger than `limit` bytes.
        """
        with self.open(name) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise self._damaged(name, f"is larger than {limit:,} bytes")
        return content

    def array(self, name: str, ndim: int) -> NDArray[Any]:
        """A memory-mapped array of the bundle, one of :data:`ARRAY_TYPES`.

        Raises:
            BundlePartMissing, BundleDamaged: as :meth:`file`; also where it is no plain NPY array of `ndim`
                dimensions and of its type, exactly as long as its header says.
        """
        with self.open(name) as file:
            try:
                array = map_array(file, ARRAY_TYPES[name])
            except (OSError, ValueError) as error:
                raise self._damaged(name, f"cannot be taken: {error}") from error
        if array.ndim != ndim:
            raise self._damaged(name, f"is not an array of {ndim} dimensions")
        return array

    def _damaged(self, name: str, problem: str) -> BundleDamaged:
        return BundleDamaged(f"bundle '{self.manifest.name}': {name} {problem}")

    def verify(self) -> Iterator[tuple[str, str | None]]:
        """Yields each file's name with what is wrong with it, or None; reads every byte."""
        for name, entry in self.manifest.files.items():
            problem = _problem(self.path, name, entry)
            if problem is None:
                try:
                    with open_beneath(self.path, name) as file:
                        if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                            problem = "has another SHA-256 than the manifest says"
                except OSError as error:
                    problem = f"cannot be read: {error.strerror}"
            yield name, problem


def _problem(folder: Path, name: str, entry: FileEntry) -> str | None:
    """What keeps a file from being the one that the manifest lists, as far as can be said without reading it.

    Every component below the bundle's folder is looked at: a link to a folder would lead outside as well.
    """
    path = folder
    parts = PurePosixPath(name).parts
    for part in parts[:-1]:
        path /= part
        try:
            if not stat.S_ISDIR(path.lstat().st_mode):
                return f"is not in a folder of the bundle: {part} is a link or a file"
        except OSError:
            return "is missing"
    try:
        status = path.joinpath(*parts[-1:]).lstat()
    except OSError:
        return "is missing"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size != entry.size:
        return f"has {status.st_size} bytes instead of {entry.size}"
    return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Writes `bundle.json` for all files under `folder`, with their sizes and hashes; returns it."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (MANIFEST_NAME, "__init__.py")
    )
    entries = {name: FileEntry((folder / name).stat().st_size, sha256_of(folder / name)) for name in names}
    complete = replace(manifest, files=entries)
    (folder / MANIFEST_NAME).write_text(complete.to_json(), encoding="utf-8")
    return complete


def bundle_folders() -> Iterator[Path]:
    """Where bundles are looked for by name: the user's folder, then the installed package data."""
    home = os.environ.get("GEOLOCATE_HOME")
    yield (Path(home) if home else platformdirs.user_data_path("geolocate", appauthor=False)) / "models"
    yield Path(str(resources.files("geolocate_models")))


def installed_bundles() -> dict[str, Path]:
    """Name and folder of every bundle that can be loaded by name; the first of a name wins."""
    found: dict[str, Path] = {}
    for folder in bundle_folders():
        for manifest in sorted(folder.glob(f"*/{MANIFEST_NAME}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return found


def load_bundle(model: str | os.PathLike[str] | None = None) -> Bundle:
    """Opens a bundle by name or folder; None takes the best one that is installed.

    A name holds no path separator; a folder does, or exists while no bundle has that name.

    Raises:
        BundleNotFound: there is none of that name or in that folder.
        BundleDamaged: its manifest cannot be read, names a path outside it, or a listed file is missing, a
            link, or of another size.
    """
    bundle = read_bundle(find_bundle(model))
    for name in bundle.manifest.files:
        bundle.file(name)
    return bundle


def read_bundle(path: Path) -> Bundle:
    """Opens the bundle in a folder by its manifest alone: whether its files are there is not looked at.

    Raises:
        BundleDamaged: the manifest cannot be read, or names a path outside the folder.
    """
    manifest_path = path / MANIFEST_NAME
    try:
        data = read_beneath(path, MANIFEST_NAME, MANIFEST_MAX_BYTES)
    except OSError as error:
        raise BundleDamaged(f"{manifest_path} cannot be read: {error.strerror}") from error
    return Bundle(path, parse_manifest(data, str(manifest_path)))


def parse_manifest(data: bytes, origin: str) -> Manifest:
    """Reads the bytes of `bundle.json`, which come from `origin`.

    Raises:
        BundleDamaged: they are no manifest, or name a path outside the bundle.
    """
    try:
        manifest = Manifest.from_json(data)
    except ValueError as error:
        raise BundleDamaged(f"{origin} cannot be read: {error}") from error
    for name in manifest.files:
        if problem := path_problem(name):
            raise BundleDamaged(f"bundle '{manifest.name}' lists {ascii(name)[:80]}: {problem}")
    return manifest


def find_bundle(model: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a bundle, by the rules of :func:`load_bundle`.

    Raises:
        BundleNotFound: there is none of that name or in that folder.
    """
    installed = installed_bundles()
    if model is None:
        for name in DEFAULT_NAMES:
            if name in installed:
                return installed[name]
        raise BundleNotFound("no bundle is installed; reinstall geolocate to get the starter back")
    if isinstance(model, str) and model in installed:
        return installed[model]
    path = Path(model)
    if (path / MANIFEST_NAME).is_file():
        return path
    if path.is_dir():
        raise BundleNotFound(f"{path} is not a bundle: it has no {MANIFEST_NAME}")
    known = ", ".join(sorted(installed)) or "none"
    raise BundleNotFound(f"no bundle '{os.fspath(model)}'; installed: {known}")
