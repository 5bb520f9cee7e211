"""Writes docs/starter_report.md: the starter on real photos that nothing of it was trained on.

    python scripts/build_starter_report.py PHOTOS

PHOTOS is the folder of real photos with train/labels.csv and landmarks/labels.csv. Of train/ only the places
count that training holds out.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

from geolocate.cli import cli
from geolocate_export.starter_photos import read_starter_photos

PATH = Path(__file__).resolve().parent.parent / "docs" / "starter_report.md"
HEAD = """\
<!-- Written by `python scripts/build_starter_report.py PHOTOS`. -->

"""


def known_photos(folder: Path) -> list[tuple[str, float, float]]:
    """Path below `folder`, latitude and longitude of each photo."""
    photos = read_starter_photos(folder / "train")
    rows = zip(photos.names, photos.coordinates.tolist(), photos.held_out, strict=True)
    found = [(f"train/{name}", latitude, longitude) for name, (latitude, longitude), held in rows if held]
    with (folder / "landmarks" / "labels.csv").open(encoding="utf-8", newline="") as file:
        found += [
            (f"landmarks/{row['file']}", float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file)
        ]
    return found


def main() -> None:
    """Runs `geolocate evaluate` on those photos."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/build_starter_report.py PHOTOS")
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        table, report = Path(scratch, "held-out photos and landmarks"), Path(scratch, "report.md")
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("image", "latitude", "longitude"), *known_photos(folder)])
        words = ["evaluate", str(table), "--images", str(folder), "--model", "starter", "--device", "cpu"]
        cli.main([*words, "--markdown", str(report)], standalone_mode=False)
        PATH.write_text(HEAD + report.read_text(encoding="utf-8"), encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
