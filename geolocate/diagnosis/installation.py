"""The installation: versions, optional extras, settings of the environment, and the folders it keeps."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from geolocate.confined_open import walk
from geolocate.diagnosis.findings import Finding
from geolocate.private_files import cache_root
from geolocate.runtime_wheels import version_of

DISTRIBUTION = "geolocate"
#: Extras that are not told of here: of developers, and of CUDA, which has findings of its own.
LEFT_OUT_EXTRAS = ("test", "cuda")
#: What each extra is for, in the user's words.
PURPOSES = {
    "export": "building, pulling and training models",
    "heic": "HEIC photos",
    "map": "pages with a map",
    "parquet": "Parquet files of rows and embeddings",
    "remote": "photos at s3:// addresses",
    "gcs": "photos at gs:// addresses",
    "ray": "runs over several machines",
    "plots": "concept maps and charts",
    "explain": "the sparse layer from concepts to countries",
}

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*).*extra == [\"'](?P<extra>[\w-]+)[\"']")


def describe_program() -> list[Finding]:
    """Which program this is, and where it runs."""
    versions = {"geolocate": version_of(DISTRIBUTION) or "?", "python": platform.python_version()}
    where = f"{platform.system()} {platform.machine()}"
    text = f"geolocate {versions['geolocate']}, Python {versions['python']}, {where}"
    findings = [Finding("program", "ok", text, facts={**versions, "platform": where})]
    # Names alone: a value may be a key.
    if names := sorted(name for name in os.environ if name.startswith("GEOLOCATE_")):
        told = f"set by the environment: {', '.join(names)}"
        findings.append(Finding("environment", "info", told, facts={"names": names}))
    return findings


def extras() -> dict[str, list[str]]:
    """The distributions that each extra brings, from the program's own metadata."""
    found: dict[str, list[str]] = {}
    with suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires(DISTRIBUTION) or []:
            if match := _REQUIREMENT.match(requirement):
                found.setdefault(match["extra"], []).append(match["name"])
    return {extra: names for extra, names in found.items() if extra not in LEFT_OUT_EXTRAS}


def describe_extras() -> Iterator[Finding]:
    """Which extras are installed; imports none of them."""
    for extra, names in extras().items():
        versions = {name: version_of(name) for name in names}
        missing = [name for name, version in versions.items() if version is None]
        purpose = PURPOSES.get(extra, "")
        label = f"{extra} ({purpose})" if purpose else extra
        if missing:
            without = "" if len(missing) == len(names) else f" without {', '.join(missing)}"
            state = f"installed{without}" if without else "not installed"
            fix = f"pip install 'geolocate[{extra}]'"
            yield Finding(extra, "info", f"{label}: {state}", fix, versions)
        else:
            told = ", ".join(f"{name} {version}" for name, version in versions.items())
            yield Finding(extra, "ok", f"{label}: {told}", facts=versions)


def describe_folders(bundles: Path) -> Iterator[Finding]:
    """The folders that geolocate writes to: how large, and whether it can.

    Args:
        bundles: where bundles are added.
    """
    for subject, folder, without in (
        ("cache", cache_root(), "results are right, but embeddings and names are not kept between runs"),
        ("models", bundles, "no bundle can be pulled or added"),
    ):
        size, there = folder_size(folder), folder.is_dir()
        facts = {"bytes": size, "exists": there, "writable": is_writable(folder)}
        content = f"{size / 1e6:,.1f} MB" if there else "not there yet"
        text = f"{subject} folder {shown(folder)}: {content}"
        if facts["writable"]:
            yield Finding(f"{subject} folder", "ok", text, facts=facts)
        else:
            told = f"{text}, cannot be written; {without}"
            yield Finding(f"{subject} folder", "warning", told, f"make {shown(folder)} writable", facts)


def folder_size(folder: Path) -> int:
    """Bytes of the files below a folder; what cannot be read counts nothing."""
    return sum(status.st_size for _, status in walk(folder))


def is_writable(folder: Path) -> bool:
    """Whether files can be made there, or the folder itself in the nearest one that exists."""
    for place in (folder, *folder.absolute().parents):
        if os.path.lexists(place):
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False


def shown(path: Path) -> str:
    """A path as told to others: the user's own folder as ~."""
    with suppress(ValueError, RuntimeError):
        return f"~{os.sep}{path.relative_to(Path.home())}"
    return str(path)
