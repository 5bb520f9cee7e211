"""Text in the cells of a terminal: stripped, measured, cut, and kept from disturbing what stands beside it.

Names of files and places are anybody's. Terminals disagree on some of what Unicode allows, so what they
disagree on is left out, and every column begins where it should in each of them.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, get_character_cell_size

from geolocate.text_safety import printable

#: One cell wide for some terminals and two for others: variation selectors and tones of skin.
_WIDTH_CHANGERS = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
#: Marks that pile up on one letter and reach into other lines. Four are more than any script takes.
_MARKS = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_PILED_MARKS = re.compile(f"({_MARKS}{{4}}){_MARKS}+")
#: Nor does any script pile up more than so many of other marks.
_MAX_MARKS = 8
#: Letters and digits that are written from right to left (Unicode's bidirectional classes R, AL and AN).
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_LEFT_TO_RIGHT_MARK = "\u200e"


class TerminalText:
    """Fits text into cells.

    Args:
        encoding: of the terminal.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._unicode = encoding.lower().replace("-", "").startswith("utf")
        self.ellipsis = "…" if self._unicode else "..."

    def shown(self, words: str) -> str:
        """What a terminal may get of `words`."""
        words = printable(words, encoding=self._encoding)
        if words.isascii():
            return words
        words = _PILED_MARKS.sub(r"\1", _WIDTH_CHANGERS.sub("", words))
        return "".join(letter[: 1 + _MAX_MARKS] for letter in _letters(words))

    def fitted(self, words: str, width: int, *, keep_end: bool = False) -> str:
        """`words` as shown, in at most `width` cells; of a longer text the beginning, or the end.

        No letter is parted from its accents.
        """
        words = self.shown(words)
        if cell_len(words) <= width:
            return words
        room = max(width - len(self.ellipsis), 0)
        letters = _letters(words)
        kept = []
        for letter in reversed(letters) if keep_end else letters:
            room -= cell_len(letter)
            if room < 0:
                break
            kept.append(letter)
        return self.ellipsis + "".join(reversed(kept)) if keep_end else "".join(kept) + self.ellipsis

    def isolated(self, shown: str) -> str:
        """Text that was shown or fitted, such that its direction ends with it.

        In a terminal that reorders, numbers after an Arabic or Hebrew name would join it and change places:
        latitude and longitude too. A mark of no width on either side keeps them where they are (UAX #9).
        """
        if shown.isascii() or not self._unicode or not _RIGHT_TO_LEFT.search(shown):
            return shown
        return f"{_LEFT_TO_RIGHT_MARK}{shown}{_LEFT_TO_RIGHT_MARK}"


def _letters(shown: str) -> list[str]:
    """Each character with the marks of no width that follow it."""
    letters: list[str] = []
    for character in shown:
        if letters and not get_character_cell_size(character):
            letters[-1] += character
        else:
            letters.append(character)
    return letters
