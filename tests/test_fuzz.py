"""A short run of `scripts/fuzz.py`: whatever a damaged file holds, its reader refuses it or reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hostile.fuzzing import case_file, fuzz
from hostile.targets import photo_kinds, targets

SEED = 20_261_125
#: Files of each kind.
PHOTOS, OTHERS = 150, 150

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memory by file is seen on Linux")


def test_damaged_photos_are_pictures_or_row_errors() -> None:
    kinds = photo_kinds()
    report = fuzz(kinds, PHOTOS * len(kinds), seed=SEED)
    assert not report.faults, "\n".join(f"{fault.case}: {fault.fault}" for fault in report.faults)
    assert report.files == PHOTOS * len(kinds)
    for kind in kinds:
        assert report.words[kind, "picture"], f"no {kind} is read any more: the damage is too large"
        assert report.words[kind, "PhotoDamaged"], f"no {kind} is refused: the damage is too small"


def test_damaged_metadata_bundles_tables_answers_and_journals_are_read_or_refused() -> None:
    kinds = [kind for kind in targets() if kind not in photo_kinds()]
    report = fuzz(kinds, OTHERS * len(kinds), seed=SEED)
    assert not report.faults, "\n".join(f"{fault.case}: {fault.fault}" for fault in report.faults)
    assert report.files == OTHERS * len(kinds)
    for kind in kinds:
        words = {word for of, word in report.words if of == kind}
        assert len(words) > 1, f"of {kind} all files have one outcome: {words}"


def test_a_case_is_the_same_file_each_time() -> None:
    for kind in targets():
        assert case_file(f"1:{kind}:7")[1] == case_file(f"1:{kind}:7")[1]


@linux_only
@pytest.mark.parametrize(
    ("kind", "fault"),
    [("slow", "took 2"), ("large", "took 51"), ("wrong", "KeyError"), ("crash", "ended with status -6")],
)
def test_a_reader_with_a_fault_is_found(kind: str, fault: str) -> None:
    report = fuzz([kind, "EXIF"], 8, seed=SEED)
    assert report.files == 8
    assert {outcome.case.split(":")[1] for outcome in report.faults} == {kind}
    assert all(fault in outcome.fault for outcome in report.faults)


def test_the_script_reads_one_case_by_its_name(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parent.parent / "scripts" / "fuzz.py"
    words = [sys.executable, str(script), "--only", f"{SEED}:gallery:3", "--keep", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "GalleryError" in done.stdout
    assert (tmp_path / f"{SEED}-gallery-3").read_bytes() == case_file(f"{SEED}:gallery:3")[1]
