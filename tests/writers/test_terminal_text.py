"""Names of strangers in the cells of a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from rich.cells import cell_len

from geolocate.writers.terminal_text import TerminalText

TEXT = TerminalText("utf-8")


@pytest.mark.parametrize("keep_end", [False, True])
@pytest.mark.parametrize(
    "words", ["a" * 50, "写真" * 30, "e\u0301" * 50, "a写" * 30, "👨\u200d👩\u200d👧🇫🇷" * 9]
)
def test_a_long_text_is_cut_to_its_cells(words: str, keep_end: bool) -> None:
    for width in range(1, 12):
        assert width - 2 <= cell_len(TEXT.fitted(words, width, keep_end=keep_end)) <= width


@pytest.mark.parametrize("keep_end", [False, True])
def test_no_letter_is_parted_from_its_accent(keep_end: bool) -> None:
    cut = TEXT.fitted("e\u0301" * 50, 10, keep_end=keep_end)
    assert cut == ("…" + "e\u0301" * 9 if keep_end else "e\u0301" * 9 + "…")


def test_what_terminals_measure_differently_is_left_out() -> None:
    assert TEXT.shown("🏖\ufe0f 👋\U0001f3fd") == "🏖 👋"


def test_marks_do_not_pile_up_into_other_lines() -> None:
    assert TEXT.shown("Z" + "\u0334\u0321\u0318" * 40 + "a") == "Z\u0334\u0321\u0318\u0334a"
    assert TEXT.shown("o\u0302\u0301") == "o\u0302\u0301"
    for mark in ("\u0489", "\u064b", "\u0e49", "\ufe20", "\u3099"):
        assert TEXT.shown(f"a{mark * 500}b") == f"a{mark * 8}b"


@pytest.mark.parametrize(
    "hidden", ["\u061c", "\xad", "\u180e", "\u206a", "\ufffb", "\U000e0041", "\u202e", "\u200b"], ids=ascii
)
def test_what_reorders_or_hides_is_left_out(hidden: str) -> None:
    assert TEXT.shown(f"a{hidden}b") == "ab"


@pytest.mark.parametrize("words", ["القاهرة", "תמונה.jpg", "a/תמונה", "٢٠٢٤"])
def test_numbers_after_a_name_from_right_to_left_stay_in_their_columns(words: str) -> None:
    isolated = TEXT.isolated(TEXT.shown(words))
    assert isolated == f"\u200e{words}\u200e"
    assert cell_len(isolated) == cell_len(words)
    assert (
        unicodedata.bidirectional(isolated[-1]) == "L"
    )  # numbers take the side of the last letter (UAX #9, W7)


def test_other_names_get_no_marks() -> None:
    for words in ("a.jpg", "写真", "Żółć", "👨"):
        assert TEXT.isolated(words) == words
    hebrew = TerminalText("iso-8859-8")  # has letters from right to left, and not the mark
    assert hebrew.isolated(hebrew.shown("תמונה")).encode("iso-8859-8")
