"""Every exception that geolocate raises on purpose.

GeolocateError                     something the user can act on; its text is the message
├── UsageError                     the call asks for something impossible (exit status 2)
├── PhotoError                     one photo failed; the run goes on (a row with `error`)
│   ├── PhotoNotFound              no such file, or it went away
│   ├── PhotoNotReadable           the system refuses to open it, or it is no regular file
│   ├── PhotoFormatRefused         the content is no format of the allowlist
│   ├── PhotoExtraMissing          a format whose decoder is an optional dependency (also ExtraMissing)
│   ├── PhotoTooLarge              more pixels than --max-pixels
│   ├── PhotoDamaged               truncated or corrupt
│   └── TagRefused                 what `tag` cannot write to this photo, or not without a loss
│       └── SidecarRefused         an XMP file that nothing can be added to
├── BundleError                    a bundle cannot be used
│   ├── BundleNotFound             no bundle of that name or in that folder
│   ├── BundlePartMissing          the bundle lacks the part that the command needs
│   └── BundleDamaged              a file is missing, changed, or not what the manifest says
├── WeightsError                   weights that cannot be taken: unknown keys, code in a pickle
├── DeviceError                    the device that was asked for does not work; says why
├── DecoderError                   with --isolate: no decoder process can be started
├── GalleryError                   coordinates that cannot be a gallery
├── TableError                     a table of photos and positions that cannot be read as one
├── ConceptSetError                a file of concepts that cannot be taken; names the concept
├── OutputError                    results cannot be written where asked
├── ExiftoolError                  exiftool is not there, too old, or does not work
├── ClusterError                   a Ray cluster cannot be reached, or its machines differ
├── TrainingError                  a training cannot begin or go on
├── ExtraMissing                   an optional dependency is not installed; names the extra
└── ParityError                    an exported graph disagrees with the torch encoder
"""

from __future__ import annotations


class GeolocateError(Exception):
    """Something the user can act on; ``str(error)`` is a complete message."""


class UsageError(GeolocateError):
    """The call asks for something impossible."""


class PhotoError(GeolocateError):
    """One photo failed; the others go on."""


class PhotoNotFound(PhotoError):
    """No such file, or it went away during the run."""


class PhotoNotReadable(PhotoError):
    """The system refuses to open the file, or it is not a regular file."""


class PhotoFormatRefused(PhotoError):
    """The content is none of the formats that are decoded."""


class PhotoTooLarge(PhotoError):
    """The photo has more pixels than the limit."""


class PhotoDamaged(PhotoError):
    """The file is truncated or corrupt."""


class TagRefused(PhotoError):
    """An estimate is not written to this photo, because something would be lost, or is not what it seems."""


class SidecarRefused(TagRefused):
    """An XMP file is there that nothing can be added to."""


class BundleError(GeolocateError):
    """A bundle cannot be used."""


class BundleNotFound(BundleError):
    """There is no bundle of that name, or in that folder."""


class BundlePartMissing(BundleError):
    """The bundle lacks the part that the command needs."""


class BundleDamaged(BundleError):
    """A file of the bundle is missing, changed, or not what the manifest says."""


class WeightsError(GeolocateError):
    """Weights that cannot be taken: unknown or missing keys, code in a pickle, or not the pinned file."""


class DeviceError(GeolocateError):
    """The device that was asked for does not work."""


class DecoderError(GeolocateError):
    """A process that decodes photos cannot be started."""


class GalleryError(GeolocateError):
    """Coordinates that cannot be a gallery."""


class ConceptSetError(GeolocateError):
    """A file of concepts that cannot be taken: doubled names, empty prompts, facts that are none."""


class TableError(GeolocateError):
    """A table of photos and positions cannot be read, or lacks a column."""


class OutputError(GeolocateError):
    """Results cannot be written where asked."""


class ExiftoolError(GeolocateError):
    """exiftool is not installed, too old, or does not work."""


class ClusterError(GeolocateError):
    """A Ray cluster cannot be reached or does not work, or its machines differ in what has to be alike."""


class TrainingError(GeolocateError):
    """A training cannot begin or go on: nothing to learn from, another training's folder, no finite loss."""


class ExtraMissing(GeolocateError):
    """An optional dependency is not installed.

    Args:
        purpose: what needs it, as the start of a sentence ("HEIC photos need").
        extra: the name of the extra in ``geolocate[extra]``.
    """

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} the '{extra}' extra: pip install 'geolocate[{extra}]'")
        self.extra = extra


class PhotoExtraMissing(PhotoError, ExtraMissing):
    """A photo whose decoder is an optional dependency that is not installed; names the extra."""


class ParityError(GeolocateError):
    """An exported graph disagrees with the torch encoder by more than the limit."""
