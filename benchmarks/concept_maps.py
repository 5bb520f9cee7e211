"""Concept maps on the published location encoder: do art movements live where they are at home?

    python benchmarks/concept_maps.py BUNDLE EMBEDDINGS [PICTURES]

BUNDLE is a bundle with GeoCLIP's heads and gallery, EMBEDDINGS a folder with CLIP ViT-L/14 text vectors of
the movements' bare names, and with the news photos and captions that the means of the modality gap come
from.

For each movement, the area under the ROC curve with which its map tells the gallery points of its home
country from all others. A map is the cosine of each point's location embedding with the name, pushed
through the image head, the gap closed: as it is, and less what all 200 movements have in common (what
`geolocate explain` draws). The homes are those of `art_movements.py`, listed before any map was looked
at; movements without a single home country are not among them. No weight is fitted. PICTURES is a folder
for the maps of one that is found and one that is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from art_movements import HOMES, _means
from numpy.typing import NDArray

from geolocate.bundle import IMAGE_HEAD, load_bundle
from geolocate.concept_map import map_direction
from geolocate.drawing import draw_map
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex

#: Movements at each end that are named.
NAMED = 8
#: Movements whose maps are drawn.
DRAWN = ("ukiyo-e", "futurism")


def main() -> None:
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    bundle, folder = load_bundle(Path(sys.argv[1])), Path(sys.argv[2])
    names = (folder / "art_movements.txt").read_text(encoding="utf-8").splitlines()
    vectors = np.load(folder / "art_movement_text_embeddings.npy").astype(np.float32)
    rows = [row for row, name in enumerate(names) if name in HOMES]
    head = onnxruntime.InferenceSession(str(bundle.file(IMAGE_HEAD)), providers=["CPUExecutionProvider"])
    (directions,) = head.run(["image_embedding"], {"features": _means(folder).close_gap(vectors)})
    gallery = Gallery.from_bundle(bundle)
    codes = PlaceIndex.load().country_codes
    print(f"{len(gallery):,} gallery points, {len(rows)} movements with one home country")
    for title, seen in (
        ("as it is", directions),
        ("less what is common", directions - directions.mean(axis=0)),
    ):
        found = {}
        for row in rows:
            at_home = gallery.countries == codes.index(HOMES[names[row]])
            found[names[row]] = auc(map_direction(names[row], seen[row], gallery).scores, at_home)
        _report(title, found)
    for name in DRAWN if len(sys.argv) == 4 else ():
        seen = directions[names.index(name)] - directions.mean(axis=0)
        subtitle = (
            "GeoCLIP's published location encoder · cosine with the name, less what all movements share"
        )
        picture = draw_map(map_direction(name, seen, gallery), subtitle=subtitle)
        (Path(sys.argv[3]) / f"map-{name.replace(' ', '-')}.png").write_bytes(picture)


def _report(title: str, found: dict[str, float]) -> None:
    ordered = sorted(found, key=lambda name: -found[name])
    values = np.array([found[name] for name in ordered])
    low, middle, high = np.percentile(values, (25, 50, 75))
    print(f"\n{title}: AUC of the home country, median {middle:.4f}, quartiles {low:.3f} and {high:.3f}")
    print(f"worst {values.min():.3f}; {(values >= 0.9).sum()} of {len(values)} at 0.9 or more")
    for end, chosen in (("best", ordered[:NAMED]), ("worst", ordered[-NAMED:])):
        print(f"{end}:", ", ".join(f"{name} ({HOMES[name]}) {found[name]:.3f}" for name in chosen))


def auc(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Chance that a positive (N,) has the higher score (N,), ties counted half (Mann and Whitney)."""
    _, rank_of, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[rank_of]  # (N,) from 1, ties share the middle one
    inside = int(positive.sum())
    outside = len(positive) - inside
    return float((ranks[positive].sum() - inside * (inside + 1) / 2.0) / (inside * outside))


if __name__ == "__main__":
    main()
