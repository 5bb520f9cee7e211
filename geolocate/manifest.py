"""The manifest of a bundle, `bundle.json`: what a bundle says of itself.

It can come from anywhere, so every value is held against its kind and range before it is used.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from geolocate.untrusted_json import (
    as_list,
    as_number,
    as_object,
    as_positive,
    as_text,
    as_truth,
    as_whole,
    parse_json,
    shown,
    take,
    wrong,
)

MANIFEST_NAME = "bundle.json"
MANIFEST_FORMAT = 1
#: Larger than any manifest; a bigger file is not one.
MANIFEST_MAX_BYTES = 4 * 2**20

#: The one rule there is: shorter side to S, bicubic, then the centre S x S.
RESIZE_RULE = "shortest-side-bicubic-centre-crop"

#: A bundle's name is a folder's name and stands in every row of the output.
NAME_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
NAME_RULE = "letters, digits, '-', '_' and '.', at most 64, no '-' or '.' in front"

#: A precision is part of a file's name.
_PRECISION = re.compile(r"[a-z0-9]{1,16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Of the input, in pixels, and of the vectors: above any encoder's.
MAX_IMAGE_SIZE = 4096
MAX_WIDTH = 2**20
#: More files than any bundle has.
MAX_FILES = 1000
#: Bytes of a part of a path that every file system takes.
MAX_NAME_BYTES = 200
#: Names that are devices on Windows, whatever stands behind a dot.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)
_FORBIDDEN = frozenset('<>:"|?*\\')
#: What a cosine can be multiplied with. CLIP clips its own factor at 100; from about 10^4 on, float32 logits
#: no longer tell neighbours of a gallery apart.
MIN_LOGIT_FACTOR, MAX_LOGIT_FACTOR = 1e-4, 1e4


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
        concept_count: how many concepts the bundle has, K.
        logit_scale: natural logarithm of the factor on the cosine (as in GeoCLIP and CLIP).
        temperature: the logits are divided by it; 1 where nothing was calibrated.
        precisions: variants of the image encoder.
        parity: by graph, what export measured between torch and ONNX.
        accuracy: measured, with n and the data named; empty where nothing was measured.
        calibration: what the temperature was fitted on, and how it did; empty where it was not fitted.
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
    calibration: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def logit_factor(self) -> float:
        """What a cosine is multiplied with to become a logit: exp(logit_scale) / temperature."""
        return math.exp(self.logit_scale) / self.temperature

    def to_json(self) -> str:
        """The text of `bundle.json`; a measurement that gave no number is null."""
        values = _without_nan({"format": MANIFEST_FORMAT, **asdict(self)})
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Reads the text of `bundle.json`; keys that this version does not know are left alone.

        Raises:
            ValueError: not JSON, another format; a key missing, of a wrong kind or out of range, named.
        """
        raw = parse_json(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        if not isinstance(raw, dict):
            raise ValueError("not a JSON object")
        if raw.get("format") != MANIFEST_FORMAT:
            raise ValueError(f"format {raw.get('format')!r}, this version reads {MANIFEST_FORMAT}")
        manifest = cls(
            name=take(raw, "name", _name),
            version=take(raw, "version", as_text),
            licence=take(raw, "licence", as_text),
            source=take(raw, "source", as_text),
            trained=take(raw, "trained", as_truth),
            image=take(raw, "image", _image),
            feature_dim=take(raw, "feature_dim", as_whole(0, MAX_WIDTH)),
            embedding_dim=take(raw, "embedding_dim", as_whole(1, MAX_WIDTH)),
            logit_scale=take(raw, "logit_scale", as_number),
            temperature=take(raw, "temperature", as_positive, 1.0),
            concept_count=take(raw, "concept_count", as_whole(0, MAX_WIDTH), 0),
            precisions=take(raw, "precisions", _precisions),
            parity=take(raw, "parity", as_object, {}),
            accuracy=take(raw, "accuracy", as_object, {}),
            calibration=take(raw, "calibration", as_object, {}),
            files=take(raw, "files", _files),
        )
        # By logarithms: the factor itself may be too large for a float.
        log_factor = manifest.logit_scale - math.log(manifest.temperature)
        if not math.log(MIN_LOGIT_FACTOR) <= log_factor <= math.log(MAX_LOGIT_FACTOR):
            raise ValueError(
                f"logit_scale {manifest.logit_scale:g}, temperature {manifest.temperature:g}: out of range, "
                f"exp(logit_scale) / temperature is between {MIN_LOGIT_FACTOR:g} and {MAX_LOGIT_FACTOR:g}"
            )
        return manifest


def _without_nan(value: Any) -> Any:
    """The same with None for every number that JSON has no word for."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def path_problem(name: str) -> str | None:
    """What keeps a "/"-separated path from naming the same file below a folder on every system, or None."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        return "a path outside itself"
    if path.as_posix() != name:
        return "a path that is not in its shortest form"
    for part in path.parts:
        if not part.isprintable() or _FORBIDDEN & set(part):
            return "a name with characters that not every system takes"
        if part != part.strip() or part.endswith("."):
            return "a name that begins or ends with a space, or ends with a dot"
        if _DEVICES.fullmatch(part):
            return "a name that is a device on Windows"
        if len(part.encode("utf-8")) > MAX_NAME_BYTES:
            return "a name that is too long"
    return None


def _name(value: object) -> str:
    if not isinstance(value, str) or not NAME_PATTERN.fullmatch(value):
        raise ValueError(f"{shown(value)} cannot be a bundle's name: {NAME_RULE}")
    return value


def _image(value: object) -> ImageInput:
    image = as_object(value)
    resize = take(image, "resize", as_text)
    if resize != RESIZE_RULE:
        raise ValueError(f"unknown resize rule {resize!r}")
    return ImageInput(
        size=take(image, "size", as_whole(1, MAX_IMAGE_SIZE)),
        mean=take(image, "mean", lambda values: _triple(values, as_number)),
        std=take(image, "std", lambda values: _triple(values, as_positive)),
        resize=resize,
    )


def _triple(values: object, read: Callable[[object], float]) -> tuple[float, float, float]:
    if len(as_list(values)) != 3:
        raise wrong(values, "a list of three")
    red, green, blue = map(read, as_list(values))
    return red, green, blue


def _precisions(value: object) -> tuple[str, ...]:
    for precision in as_list(value):
        if not isinstance(precision, str) or not _PRECISION.fullmatch(precision):
            raise wrong(precision, "the name of a precision")
    return tuple(as_list(value))


def _files(value: object) -> dict[str, FileEntry]:
    if len(as_object(value)) > MAX_FILES:
        raise ValueError(f"{len(as_object(value)):,} files; a bundle has at most {MAX_FILES:,}")
    alike = {unicodedata.normalize("NFC", name).casefold() for name in as_object(value)}
    if len(alike) != len(as_object(value)):
        raise ValueError(
            "two names that differ in case or in Unicode form alone are one file on some systems"
        )
    return {name: take(as_object(value), name, _file_entry) for name in as_object(value)}


def _file_entry(value: object) -> FileEntry:
    entry = as_object(value)
    digest = take(entry, "sha256", as_text)
    if not _SHA256.fullmatch(digest):
        raise wrong(digest, "a SHA-256 in hex")
    return FileEntry(take(entry, "size", as_whole(0)), digest)
