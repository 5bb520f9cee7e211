"""CLIP's tokeniser as one `tokenizer.json`, so that inference needs neither open_clip nor torch.

The vocabulary is the one that open_clip ships (from https://github.com/openai/CLIP, MIT): 256 bytes, the
same at the end of a word, 48,894 merges, and the two special tokens.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import open_clip.tokenizer
import tokenizers

from geolocate.text import END_OF_WORD, END_TOKEN, START_TOKEN, byte_pair_encoding

#: Merges that CLIP uses of its file; the first line is a comment, the rest was never trained with.
MERGES = 49_152 - 256 - 2


def build_tokenizer() -> tokenizers.Tokenizer:
    """CLIP's, by the vocabulary and merges of open_clip."""
    bytes_to_text = list(open_clip.tokenizer.bytes_to_unicode().values())  # 256
    lines = gzip.decompress(Path(open_clip.tokenizer.default_bpe()).read_bytes()).decode("utf-8").split("\n")
    merges = [(first, second) for first, second in (line.split() for line in lines[1 : MERGES + 1])]
    names = [
        *bytes_to_text,
        *(text + END_OF_WORD for text in bytes_to_text),
        *(first + second for first, second in merges),
        START_TOKEN,
        END_TOKEN,
    ]
    return byte_pair_encoding({name: index for index, name in enumerate(names)}, merges)


def write_tokenizer(path: Path) -> None:
    """Writes `tokenizer.json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(build_tokenizer().to_str(), encoding="utf-8")
