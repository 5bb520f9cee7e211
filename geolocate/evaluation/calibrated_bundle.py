"""A copy of a bundle with another temperature, complete or not there."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from geolocate.bundle import MANIFEST_NAME, Bundle, Manifest
from geolocate.errors import OutputError, UsageError
from geolocate.evaluation.calibration import TemperatureFit


def calibrated_manifest(manifest: Manifest, fit: TemperatureFit, data: str, date: str) -> Manifest:
    """The manifest with the fitted temperature, and what it was fitted on.

    Raises:
        UsageError: the temperature is out of the range that a manifest allows.
    """
    fitted = replace(
        manifest,
        temperature=manifest.temperature * fit.factor,
        calibration={**fit.record(), "data": data, "date": date},
    )
    try:
        return Manifest.from_json(fitted.to_json())
    except ValueError as error:
        raise UsageError(f"the fitted temperature cannot be used: {error}") from error


def check_vacant(folder: Path) -> None:
    """Raises OutputError where there is something already, or no folder to put it into."""
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder} exists: the calibrated copy wants a new folder")
    if not folder.absolute().parent.is_dir():
        raise OutputError(f"{folder.parent} is no folder to put the calibrated copy into")


def write_calibrated(bundle: Bundle, folder: Path, fit: TemperatureFit, *, data: str, date: str) -> Manifest:
    """Copies the files that the bundle's manifest lists to a new folder, with the fitted temperature.

    Raises:
        OutputError: the folder exists or cannot be written.
        UsageError: as :func:`calibrated_manifest`.
        BundleError: a file of the bundle is missing.
    """
    manifest = calibrated_manifest(bundle.manifest, fit, data, date)
    check_vacant(folder)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
        try:
            scratch.chmod(0o755)  # as a folder that was made by hand
            for name in manifest.files:
                copy = scratch.joinpath(*PurePosixPath(name).parts)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.file(name), copy)
            (scratch / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return manifest
