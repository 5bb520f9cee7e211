"""Queries become CLIP's tokens, and text vectors come to lie where photos do."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from geolocate.errors import BundleDamaged
from geolocate.text import ModalityMeans, Tokenizer, clean

open_clip = pytest.importorskip(
    "open_clip", reason="the tokeniser is compared with open_clip's: the 'export' extra"
)

from geolocate_export.tokenizer import write_tokenizer  # noqa: E402

ODD = [
    "a souk in the desert",
    "",
    " \t\n ",
    "It's the cat's; they're WE'LL I'd I'M've",
    "Ünïcödé ÉCOLE naïve café—dash–en",
    "日本語 東京タワー ｆｕｌｌ　ｗｉｄｔｈ",
    "😀😀 👨‍👩‍👧 🇫🇷",
    "1234567890 12.5km ½ ² ① Ⅷ",
    "&amp;amp; &lt;b&gt; <b>html</b>",
    "\u201cquoted\u201d \u2018x\u2019 ﬁne ligature mojibake Ã©tÃ©",
    "İstanbul ΣΊΣΥΦΟΣ Straße",
    "line\r\nbreak\x00\x01\x1b[31m \u00a0nbsp\u2003em \ufeffbom",
    "x" * 500,
    "word " * 200,
    "a_b__c --- !!! ...",
    "العربية עברית हिन्दी ไทย 한국어",
    "e\u0301 combining",
]
LETTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789 .,;:'\"!?-_&()[]äöüßéèñçøåœ" + "абвгд漢字かなカナ한글😀🏔"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path, 77)


def test_tokens_equal_open_clips_on_odd_strings(tokenizer: Tokenizer) -> None:
    generator = random.Random(0)
    texts = ODD + ["".join(generator.choices(LETTERS, k=generator.randrange(1, 60))) for _ in range(500)]
    expected = open_clip.get_tokenizer("ViT-L-14-quickgelu")(texts).numpy()
    found = tokenizer(texts).ids
    different = [text for text, a, b in zip(texts, expected, found, strict=True) if not np.array_equal(a, b)]
    assert different == []


def test_a_text_longer_than_the_context_is_said_to_lose_its_end(tokenizer: Tokenizer) -> None:
    tokens = tokenizer(["word " * 75, "word " * 76])
    assert tokens.truncated.tolist() == [False, True]
    assert tokens.ids[:, -1].tolist() == [49407, 49407]


def test_special_tokens_written_out_are_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer(["before <end_of_text> after"]).ids[0]
    assert (ids == 49407).sum() == 1
    assert ids[np.flatnonzero(ids)[-1]] == 49407


def test_cleaning_joins_white_space_and_lowers() -> None:
    assert clean("  A\u00a0Souk \n in&nbsp;the Desert ") == "a souk in the desert"


@pytest.mark.parametrize("content", ["", "{}", '{"model": {"type": "BPE", "vocab": {}, "merges": []}}'])
def test_a_broken_tokeniser_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(BundleDamaged, match=r"tokenizer\.json"):
        Tokenizer(path, 77)


def test_closing_the_gap_moves_texts_to_the_mean_and_length_of_photos(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    texts = generator.normal(size=(400, 16)) + 5.0 * np.eye(16)[0]
    photos = 3.0 * generator.normal(size=(300, 16)) + 15.0 * np.eye(16)[1]
    means = ModalityMeans.of(texts, photos)
    means.save(tmp_path / "means.npz")
    loaded = ModalityMeans.load(tmp_path / "means.npz")
    closed = loaded.close_gap(texts)
    norms = np.linalg.norm(closed, axis=1)
    assert norms == pytest.approx(np.linalg.norm(photos, axis=1).mean(), rel=1e-5)
    assert (loaded.n_text, loaded.n_image) == (400, 300)
    unit = closed / norms[:, None]
    gap_before = np.linalg.norm((texts / np.linalg.norm(texts, axis=1, keepdims=True)).mean(0) - means.image)
    assert np.linalg.norm(unit.mean(0) - means.image) < 0.2 * gap_before


def test_means_of_nothing_or_of_broken_vectors_are_refused(tmp_path: Path) -> None:
    rows = np.ones((3, 4))
    for texts, photos in ((np.ones((0, 4)), rows), (rows, np.ones((3, 5))), (rows, np.zeros((3, 4)))):
        with pytest.raises(ValueError, match=r"features|vector"):
            ModalityMeans.of(texts, photos)
    (tmp_path / "means.npz").write_bytes(b"PK broken")
    with pytest.raises(BundleDamaged):
        ModalityMeans.load(tmp_path / "means.npz")
