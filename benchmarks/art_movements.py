"""Where the published GeoCLIP puts art movements by their bare names: a table, raw and with the gap closed.

    python benchmarks/art_movements.py BUNDLE EMBEDDINGS

BUNDLE is a bundle with GeoCLIP's heads, EMBEDDINGS a folder with CLIP ViT-L/14 text vectors of the names, and
with the news photos and captions that the means of the modality gap are taken from.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from geolocate.bundle import IMAGE_HEAD, load_bundle
from geolocate.gallery import Gallery
from geolocate.places import PlaceIndex
from geolocate.session import Retrieval
from geolocate.text import ModalityMeans

#: Mean norm of raw CLIP ViT-L/14 text vectors: the stored ones have unit norm.
TEXT_NORM = 12.7
#: Movements that are at home in one country, and that country; our own choice, by their names and histories.
HOMES = {
    "american barbizon school": "US", "american impressionism": "US", "american realism": "US",
    "american romanticism": "US", "american scene painting": "US", "antipodeans": "AU",
    "arbeitsrat für kunst": "DE", "arte povera": "IT", "ashcan school": "US",
    "australian tonalism": "AU", "barbizon school": "FR", "bauhaus": "DE", "bengal school of art": "IN",
    "berlin secession": "DE", "black arts movement": "US", "constructivism": "RU",
    "cubo-futurism": "RU", "cynical realism": "CN", "dau-al-set": "ES", "de stijl": "NL",
    "fauvism": "FR", "figuration libre": "FR", "funk art": "US", "futurism": "IT",
    "german romanticism": "DE", "gutai group": "JP", "harlem renaissance": "US",
    "heidelberg school": "AU", "hudson river school": "US", "incoherents": "FR",
    "les automatistes": "CA", "les nabis": "FR", "metaphysical painting": "IT", "mingei": "JP",
    "neoplasticism": "NL", "new objectivity": "DE", "northwest school": "US", "paris school": "FR",
    "plasticien": "CA", "pre-raphaelitism": "GB", "precisionism": "US", "qajar art": "IR",
    "quito school": "EC", "rayonism": "RU", "samikshavad": "IN", "shin hanga": "JP",
    "socialist realism": "RU", "sots art": "RU", "sōsaku hanga": "JP", "stuckism": "GB",
    "sumatraism": "RS", "superflat": "JP", "suprematism": "RU", "toyism": "NL", "ukiyo-e": "JP",
    "vancouver school": "CA", "viennese actionism": "AT", "vorticism": "GB",
}  # fmt: skip


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    bundle, folder = load_bundle(Path(sys.argv[1])), Path(sys.argv[2])
    names = (folder / "art_movements.txt").read_text(encoding="utf-8").splitlines()
    vectors = np.load(folder / "art_movement_text_embeddings.npy").astype(np.float32)
    rows = [row for row, name in enumerate(names) if name in HOMES]
    means = _means(folder)
    gallery = Gallery.from_bundle(bundle)
    countries = _countries(gallery)
    retrieval = Retrieval(bundle, gallery.embeddings, gallery.log_weights, "cpu")
    head = onnxruntime.InferenceSession(str(bundle.file(IMAGE_HEAD)), providers=["CPUExecutionProvider"])
    found = []
    for features in (TEXT_NORM * vectors[rows], means.close_gap(vectors[rows])):
        posteriors = retrieval.posteriors(head.run(None, {"features": features})[0])
        found.append([_best_country(posterior, countries) for posterior in posteriors])
    print(f"{'movement':32}{'home':6}{'raw':14}gap closed")
    for row, raw, closed in zip(rows, *found, strict=True):
        cells = (f"{code} {share:.2f}" for code, share in (raw, closed))
        print(f"{names[row]:32}{HOMES[names[row]]:6}", *(f"{cell:14}" for cell in cells), sep="")
    for label, answers in zip(("raw", "gap closed"), found, strict=True):
        right = sum(code == HOMES[names[row]] for row, (code, _) in zip(rows, answers, strict=True))
        print(f"{label}: {right} of {len(rows)} in the home country")


def _means(folder: Path) -> ModalityMeans:
    """From the news rows that have no place by hand."""
    with (folder / "news_places.csv").open(encoding="utf-8") as file:
        placed = [int(row["row"]) for row in csv.DictReader(file)]
    texts = np.load(folder / "news_caption_embeddings.npy").astype(np.float32)
    images = np.load(folder / "news_image_embeddings.npy").astype(np.float32)
    others = np.setdiff1d(np.arange(len(texts)), placed)
    return ModalityMeans.of(texts[others], images[others])


def _countries(gallery: Gallery) -> NDArray[np.str_]:
    """Country code of each gallery point, by its nearest place."""
    index = PlaceIndex.load()
    rows, _ = index.nearest(*gallery.coordinates.T)
    return np.array(index.country_codes)[index.country[rows]]


def _best_country(posterior: NDArray[Any], countries: NDArray[np.str_]) -> tuple[str, float]:
    """The country with the largest share of the posterior, and that share."""
    codes, of = np.unique(countries, return_inverse=True)
    shares = np.bincount(of, weights=posterior)
    return str(codes[shares.argmax()]), float(shares.max())


if __name__ == "__main__":
    main()
