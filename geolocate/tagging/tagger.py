"""What is done with each photo of the results, or would be, and what becomes of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from geolocate.errors import ExiftoolError, PhotoError
from geolocate.records import Prediction
from geolocate.tagging.change_log import ChangeLog
from geolocate.tagging.estimate import Estimate, Limits, estimate_of
from geolocate.tagging.photo_file import PhotoFile, existing_position, open_photo
from geolocate.tagging.sidecar import Write


class Ending(Enum):
    """What became of a photo."""

    WRITTEN = "written"
    #: In a dry run.
    POSSIBLE = "possible"
    #: Not meant to be written: no estimate, one that is not sure enough, or a position that is there.
    SKIPPED = "skipped"
    #: Could not be written; the files are as they were.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo.

    Attributes:
        target: the path that was written, or would be.
        reason: why it was skipped or failed.
    """

    ending: Ending
    target: str
    estimate: Estimate | None = None
    reason: str = ""


class Way(Protocol):
    """A way to write estimates: beside photos or into them."""

    def target(self, photo: str) -> str:
        """What is written for a photo, as its path."""

    def prepare(self, photo: PhotoFile, estimate: Estimate) -> Write | None:
        """What is to be done; None where there is nothing. Raises PhotoError."""


@dataclass(frozen=True, slots=True)
class Tagger:
    """Writes estimates, one photo at a time.

    Attributes:
        root: where relative paths begin; photos elsewhere are refused.
        way: how they are written.
        limits: which are sure enough.
        overwrite: also for photos that have a position.
        newest_ns: photos that changed after this time are refused.
        log: of the changes; None in a dry run, which looks at everything and writes nothing.
    """

    root: Path
    way: Way
    limits: Limits
    overwrite: bool
    newest_ns: int | None = None
    log: ChangeLog | None = None

    def tag(self, prediction: Prediction) -> Outcome:
        """Writes the estimate of one photo.

        Raises:
            OutputError: the log cannot be written, so nothing else may be.
            ExiftoolError: exiftool cannot be run any more.
        """
        target = self.way.target(prediction.photo)
        if prediction.error is not None:
            return Outcome(Ending.SKIPPED, target, reason="failed in the results")
        if not prediction.candidates:
            return Outcome(Ending.SKIPPED, target, reason="no estimate")
        estimate = estimate_of(prediction)
        if estimate is None:
            return Outcome(Ending.FAILED, target, reason="its position in the results is none on the globe")
        if reason := self.limits.reason_against(estimate):
            return Outcome(Ending.SKIPPED, target, estimate, reason)
        try:
            return self._tag(prediction.photo, target, estimate)
        except ExiftoolError:
            raise
        except PhotoError as error:
            return Outcome(Ending.FAILED, target, estimate, str(error))
        except OSError as error:
            return Outcome(Ending.FAILED, target, estimate, error.strerror or str(error))

    def _tag(self, path: str, target: str, estimate: Estimate) -> Outcome:
        with open_photo(self.root, path, self.newest_ns) as photo:
            existing = existing_position(photo)
            if existing is not None and not self.overwrite:
                what = "an estimate" if existing.is_estimate else "a position"
                return Outcome(Ending.SKIPPED, target, estimate, f"has {what} in {existing.place}")
            write = self.way.prepare(photo, estimate)
            if write is None:
                return Outcome(Ending.SKIPPED, target, estimate, "has this estimate")
            if self.log is None:
                if not os.access(photo.folder.path, os.W_OK):
                    return Outcome(Ending.FAILED, target, estimate, "its folder is read-only")
                return Outcome(Ending.POSSIBLE, target, estimate)
            write(self.log)
        return Outcome(Ending.WRITTEN, target, estimate)
