"""Queries become CLIP's tokens, and text vectors come to lie where photos do."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bundles
import numpy as np
import pytest

from geolocate import text as text_module
from geolocate.bundle import IMAGE_HEAD, MODALITY_MEANS, TEXT_ENCODER, TOKENIZER, Bundle, load_bundle
from geolocate.errors import BundleDamaged
from geolocate.text import ModalityMeans, TextEncoder, Tokenizer, clean

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
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def tokenizer(content: bytes) -> Tokenizer:
    return Tokenizer(content, 77)


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


MODEL: dict[str, Any] = {"vocab": {"a": 0, "b": 1}, "merges": []}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "[" * 99999,
        '{"model": {"type": "BPE", "vocab": {}, "merges": []}}',
        '{"model": {"vocab": {}, "vocab": {}, "merges": []}}',
        json.dumps({"model": MODEL}),
        *(
            json.dumps({"model": {**MODEL, "merges": merges}})
            for merges in ([["a"]], [["a", "b", "c"]], [["a", "c"]], [7], ["ab"], [None], "ab", None)
        ),
        *(
            json.dumps({"model": {**MODEL, "vocab": vocabulary}})
            for vocabulary in ({"a": -1}, {"a": 2**32}, {"a": 0.5}, {"a": "b"}, ["a"], None, 7)
        ),
    ],
)
def test_a_broken_tokeniser_file_is_refused(content: str) -> None:
    with pytest.raises(BundleDamaged, match=r"tokenizer\.json"):
        Tokenizer(content.encode(), 77)


def test_a_tokeniser_leads_to_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "vocabulary").write_text(json.dumps({"<start_of_text>": 0, "<end_of_text>": 1}))
    (tmp_path / "merges").write_text("#version: 0.2\n")
    named = {"vocab": str(tmp_path / "vocabulary"), "merges": str(tmp_path / "merges")}
    with pytest.raises(BundleDamaged, match="is no tokeniser"):
        Tokenizer(json.dumps({"model": named}).encode(), 77)


PADDING: dict[str, Any] = {"strategy": {"Fixed": 1_000_000}, "direction": "Right", "pad_to_multiple_of": None}
PADDING |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "x"}


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": PADDING},
        {"truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 3}},
        {"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1_000_000}},
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_only_the_vocabulary_is_taken_from_a_file(
    tokenizer: Tokenizer, content: bytes, settings: dict[str, Any]
) -> None:
    changed = Tokenizer(json.dumps(json.loads(content) | settings).encode(), 77)
    assert len(changed._encode("a dog")) == 2
    np.testing.assert_array_equal(changed(ODD).ids, tokenizer(ODD).ids)


def test_a_file_of_an_older_library_is_taken(tokenizer: Tokenizer, content: bytes) -> None:
    older = json.loads(content)
    older["model"]["merges"] = [" ".join(merge) for merge in older["model"]["merges"]]
    np.testing.assert_array_equal(Tokenizer(json.dumps(older).encode(), 77)(ODD).ids, tokenizer(ODD).ids)


def panic() -> BaseException:
    """As Rust's panics come to Python: beside all exceptions."""
    kind: type[BaseException] = type("PanicException", (BaseException,), {})
    return kind("index out of bounds")


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(panic(), BundleDamaged), (ValueError("x"), BundleDamaged), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["panic", "exception", "interrupt"],
)
def test_a_panic_of_the_library_is_a_damaged_bundle_and_an_interrupt_is_none(
    content: bytes, monkeypatch: pytest.MonkeyPatch, raised: BaseException, seen: type[BaseException]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise raised

    tokenizer = Tokenizer(content, 77)
    monkeypatch.setattr(tokenizer, "_encoding", SimpleNamespace(encode=fail))
    with pytest.raises(seen):
        tokenizer(["a dog"])
    monkeypatch.setattr(text_module, "byte_pair_encoding", fail)
    with pytest.raises(seen):
        Tokenizer(content, 77)


class FakeTower:
    """A text tower in place of a graph."""

    def __init__(self, *arguments: object) -> None:
        self.session = self

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="token_ids", type="tensor(int64)", shape=[1, 77])]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="features", type="tensor(float)", shape=[1, 8])]


@pytest.mark.parametrize("swapped", [TOKENIZER, MODALITY_MEANS])
def test_a_part_that_becomes_a_link_once_it_was_judged_leads_nowhere(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    ones = np.ones((2, 8))
    ModalityMeans.of(ones, ones).save(tmp_path / "means.npz")
    parts = {TOKENIZER: content, MODALITY_MEANS: (tmp_path / "means.npz").read_bytes()}
    parts |= {TEXT_ENCODER: b"graph", IMAGE_HEAD: b"graph"}
    bundle = load_bundle(bundles.make_bundle(tmp_path / "bundle", files=parts))
    monkeypatch.setattr(text_module, "Graph", FakeTower)
    assert TextEncoder(bundle, "cpu").means is not None

    judged = Bundle.file

    def then_linked(self: Bundle, name: str) -> Path:
        path = judged(self, name)
        if name == swapped:
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        return path

    monkeypatch.setattr(Bundle, "file", then_linked)
    with pytest.raises(BundleDamaged, match="cannot be read"):
        TextEncoder(bundle, "cpu")


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
