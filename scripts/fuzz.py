"""Damages photos, EXIF, bundles, tables, geocoders' answers and journals by a seed, and reads them all.

    python scripts/fuzz.py --files 100000 --seed 1 --jobs 2
    python scripts/fuzz.py --only 1:JPEG:1234

Each file is read as the program reads it, in child processes, under limits of time and memory. A fault is an
exception that is not of geolocate.errors, a crash, a hang, or a limit exceeded; its file is kept with --keep,
and can be made again by its name, SEED:KIND:NUMBER.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hostile.fuzzing import MEMORY_LIMIT_BYTES, TIME_LIMIT_S, Report, case_file, fuzz, run_case
from hostile.targets import photo_kinds, targets


def main() -> int:
    """Returns 0 where there was no fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000, help="in all, the kinds in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after that")
    parser.add_argument("--jobs", type=int, default=1, help="child processes")
    parser.add_argument(
        "--formats",
        default="all",
        help=f"kinds, separated by commas; photos and all stand for many: {', '.join(targets())}",
    )
    parser.add_argument(
        "--only", metavar="SEED:KIND:NUMBER", help="read this one here and say what came of it"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where files with faults go")
    options = parser.parse_args()
    if options.only:
        return only(options.only, options.keep)
    kinds = {"all": [*targets()], "photos": photo_kinds()}.get(options.formats, options.formats.split(","))
    if unknown := [kind for kind in kinds if kind not in targets()]:
        parser.error(f"no kind {', '.join(unknown)}")
    begun = time.monotonic()
    report = fuzz(kinds, options.files, seed=options.seed, jobs=options.jobs, seconds=60 * options.minutes)
    show(report, time.monotonic() - begun)
    for fault in report.faults:
        print(f"\n{fault.case}: {fault.fault.strip()}")
        if options.keep:
            keep(fault.case, options.keep)
    return 1 if report.faults else 0


def only(case: str, folder: Path | None) -> int:
    """Reads one file in this process, so that a debugger sees it."""
    if folder:
        print(f"the file is {keep(case, folder)}")
    with tempfile.TemporaryDirectory() as name:
        outcome = run_case(case, Path(name))
    print(f"{case}: {outcome.word}, {outcome.seconds:.3f} s, {outcome.growth_bytes / 2**20:.1f} MiB")
    print(outcome.fault, end="")
    return 1 if outcome.fault else 0


def keep(case: str, folder: Path) -> Path:
    """Writes the damaged file of a case."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / case.replace(":", "-")
    path.write_bytes(case_file(case)[1])
    return path


def show(report: Report, seconds: float) -> None:
    """Counts by kind and outcome, the slowest and the largest."""
    print(f"{report.files:,} files in {seconds:.0f} s, {len(report.faults)} faults")
    for kind in dict.fromkeys(kind for kind, _ in report.words):
        words = Counter({word: count for (of, word), count in report.words.items() if of == kind})
        print(f"{kind:18}" + ", ".join(f"{word} {count:,}" for word, count in words.most_common()))
    print(f"slowest (limit {TIME_LIMIT_S:g} s of processor time):")
    for outcome in report.slowest:
        print(f"  {outcome.case:28} {outcome.seconds:8.3f} s  {outcome.word}")
    print(f"largest (limit {MEMORY_LIMIT_BYTES // 2**20} MiB over the baseline):")
    for outcome in report.largest:
        print(f"  {outcome.case:28} {outcome.growth_bytes / 2**20:8.1f} MiB  {outcome.word}")
    print(
        f"memory that a child has more at its end than at its beginning: {report.leak_bytes / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    raise SystemExit(main())
