"""Where trainings stand: `training/NAME/`, and which is the newest.

A training's folder holds `metrics.csv`, `state.safetensors` and, once it is finished, the checkpoint
`model/`.
`training/newest` names the training that finished last.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from geolocate.errors import BundleNotFound
from geolocate_export.training_state import STATE_NAME

TRAININGS = Path("training")
#: Checkpoint inside a training's folder.
MODEL = "model"
#: File beside the trainings, with the name of one.
NEWEST = "newest"


def default_folder(now: datetime) -> Path:
    """`training/` and the date and time."""
    return TRAININGS / f"{now:%Y-%m-%d-%H%M%S}"


def note_newest(folder: Path) -> None:
    """The training in `folder` is the newest beside its neighbours."""
    folder = folder.absolute()
    (folder.parent / NEWEST).write_text(folder.name + "\n", encoding="utf-8")


def newest_training(trainings: Path = TRAININGS) -> Path | None:
    """The folder of the newest finished training; None where there was none yet.

    Raises:
        BundleNotFound: it is noted, but its model is gone.
    """
    try:
        name = (trainings / NEWEST).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    folder = trainings / Path(name).name
    if not name or not (folder / MODEL).is_dir():
        raise BundleNotFound(f"{trainings / NEWEST} names '{name}', but {folder / MODEL} is not there")
    return folder


def newest_begun(trainings: Path = TRAININGS) -> Path | None:
    """The folder whose state was written last, finished or not; None where there is none."""
    states = sorted(trainings.glob(f"*/{STATE_NAME}"), key=lambda path: (path.stat().st_mtime_ns, path))
    return states[-1].parent if states else None
