"""Bundles: the folders that hold everything inference needs, their manifest and their integrity.

A bundle is read, never executed: graphs are ONNX, arrays are NPY without pickles, texts are JSON. Size and
header of each file are checked at load, the full SHA-256 at install and by :meth:`Bundle.verify`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import platformdirs

from geolocate.errors import BundleDamaged, BundleNotFound, BundlePartMissing

MANIFEST_NAME = "bundle.json"
MANIFEST_FORMAT = 1
#: Larger than any manifest; a bigger file is not one.
MANIFEST_MAX_BYTES = 4 * 2**20

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

#: The one rule there is: shorter side to S, bicubic, then the centre S x S.
RESIZE_RULE = "shortest-side-bicubic-centre-crop"

#: Taken when no model is named: the first that is installed.
DEFAULT_NAMES = ("geoclip-vit-l-14", "starter")


def image_encoder_name(precision: str) -> str:
    """File name of the image encoder in a precision ("fp32", "int8", "fp16")."""
    return f"image_encoder.{precision}.onnx"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and SHA-256 (hex) of one file of a bundle."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ImageInput:
    """How a photo becomes the image encoder's input.

    Attributes:
        size: side S of the square input, in pixels.
        resize: always RESIZE_RULE so far.
        mean, std: per channel, on the scale 0 to 1; applied inside the graph, recorded here.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str = RESIZE_RULE


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `bundle.json` says.

    Attributes:
        trained: False where the weights are random; said at each run.
        feature_dim: width c of the backbone's raw features.
        embedding_dim: width d of the space that images and locations share.
        concept_count: width K of the concept scores; 0 where the bundle has no concepts.
        logit_scale: natural logarithm of the factor on the cosine (as in GeoCLIP and CLIP).
        temperature: the logits are divided by it; 1 where nothing was calibrated.
        precisions: variants of the image encoder.
        parity: by graph, what export measured between torch and ONNX.
        accuracy: measured, with n and the data named; empty where nothing was measured.
        files: every file but the manifest, by path relative to the bundle, "/"-separated.
    """

    name: str
    version: str
    licence: str
    source: str
    trained: bool
    image: ImageInput
    feature_dim: int
    embedding_dim: int
    logit_scale: float
    temperature: float = 1.0
    concept_count: int = 0
    precisions: tuple[str, ...] = ("fp32",)
    parity: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def logit_factor(self) -> float:
        """What a cosine is multiplied with to become a logit: exp(logit_scale) / temperature."""
        return math.exp(self.logit_scale) / self.temperature

    def to_json(self) -> str:
        """The text of `bundle.json`."""
        return json.dumps({"format": MANIFEST_FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads the text of `bundle.json`.

        Raises:
            ValueError: not JSON, another format, a key missing or of a wrong kind.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("not a JSON object")
        if raw.get("format") != MANIFEST_FORMAT:
            raise ValueError(f"format {raw.get('format')!r}, this version reads {MANIFEST_FORMAT}")
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in raw.items() if key in known}
        try:
            image = dict(values["image"])
            values["image"] = ImageInput(
                size=int(image["size"]),
                mean=_triple(image["mean"]),
                std=_triple(image["std"]),
                resize=str(image["resize"]),
            )
            values["precisions"] = tuple(str(precision) for precision in values["precisions"])
            values["files"] = {
                str(name): FileEntry(int(entry["size"]), str(entry["sha256"]))
                for name, entry in dict(values["files"]).items()
            }
            for key in ("feature_dim", "embedding_dim", "concept_count"):
                values[key] = int(values.get(key, 0))
            for key in ("logit_scale", "temperature"):
                values[key] = float(values.get(key, 1.0))
            manifest = cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"key missing or of a wrong kind: {error}") from error
        if manifest.image.resize != RESIZE_RULE:
            raise ValueError(f"unknown resize rule {manifest.image.resize!r}")
        if not 1 <= manifest.image.size <= 4096 or manifest.embedding_dim < 1:
            raise ValueError("sizes out of range")
        if not (math.isfinite(manifest.logit_scale) and manifest.temperature > 0):
            raise ValueError("logit_scale or temperature out of range")
        return manifest


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


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
        path = self.path.joinpath(*PurePosixPath(name).parts)
        problem = _size_problem(path, entry)
        if problem:
            raise BundleDamaged(f"bundle '{self.manifest.name}': {name} {problem}")
        return path

    def array(self, name: str, ndim: int) -> np.ndarray[Any, Any]:
        """A memory-mapped array of the bundle.

        Raises:
            BundlePartMissing, BundleDamaged: as :meth:`file`; also where it is no plain NPY array of `ndim`.
        """
        path = self.file(name)
        try:
            array: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BundleDamaged(f"bundle '{self.manifest.name}': {name} is no NPY array: {error}") from error
        if not isinstance(array, np.ndarray) or array.ndim != ndim:
            raise BundleDamaged(f"bundle '{self.manifest.name}': {name} is not an array of {ndim} dimensions")
        return array

    def verify(self) -> Iterator[tuple[str, str | None]]:
        """Yields each file's name with what is wrong with it, or None; reads every byte."""
        for name, entry in self.manifest.files.items():
            path = self.path.joinpath(*PurePosixPath(name).parts)
            problem = _size_problem(path, entry)
            if problem is None and sha256_of(path) != entry.sha256:
                problem = "has another SHA-256 than the manifest says"
            yield name, problem


def _size_problem(path: Path, entry: FileEntry) -> str | None:
    try:
        status = path.lstat()
    except OSError:
        return "is missing"
    if path.is_symlink() or not path.is_file():
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
        if manifest_path.is_symlink() or manifest_path.stat().st_size > MANIFEST_MAX_BYTES:
            raise BundleDamaged(f"{manifest_path} is a link or too large for a manifest")
        data = manifest_path.read_bytes()
    except OSError as error:
        raise BundleDamaged(f"{manifest_path} cannot be read: {error}") from error
    return Bundle(path, parse_manifest(data, str(manifest_path)))


def parse_manifest(data: bytes, origin: str) -> Manifest:
    """Reads the bytes of `bundle.json`, which come from `origin`.

    Raises:
        BundleDamaged: they are no manifest, or name a path outside the bundle.
    """
    try:
        manifest = Manifest.from_json(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleDamaged(f"{origin} cannot be read: {error}") from error
    for name in manifest.files:
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name or ":" in name:
            raise BundleDamaged(f"bundle '{manifest.name}' lists a path outside itself: {name!r}")
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
