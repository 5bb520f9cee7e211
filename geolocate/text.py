"""Text to embeddings: CLIP's tokens, the bundle's text encoder, the modality gap, the image head.

References: CLIP (Radford et al. 2021), https://arxiv.org/abs/2103.00020; the modality gap (Liang et al.
2022), https://arxiv.org/abs/2203.02053. N texts, T tokens of the context, c width of the features, d of
the embeddings.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from geolocate.bundle import IMAGE_HEAD, MODALITY_MEANS, TEXT_ENCODER, TOKENIZER, Bundle
from geolocate.errors import BundleDamaged
from geolocate.graph import Graph
from geolocate.text_safety import first_line
from geolocate.untrusted_arrays import read_arrays
from geolocate.untrusted_json import parse_json

if TYPE_CHECKING:
    import tokenizers

#: What CLIP puts before and after a text.
START_TOKEN, END_TOKEN = "<start_of_text>", "<end_of_text>"
#: CLIP's words: English contractions, letters, single digits, anything else that is not white space.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
END_OF_WORD = "</w>"
#: What fills the rest of the context; open_clip's padding.
PADDING_ID = 0
#: Larger than any tokeniser's file.
TOKENIZER_MAX_BYTES = 16 * 2**20
#: Types of what `modality_means.npz` holds, and the most bytes that it may inflate to.
MEANS_TYPES: Mapping[str, tuple[str, ...]] = {
    "text": ("float32", "float64"),
    "image": ("float32", "float64"),
    "image_norm": ("float32", "float64"),
    "n": ("int64", "int32"),
}
MEANS_MAX_BYTES = 16 * 2**20
#: Longest context of a text tower; CLIP's is 77.
MAX_CONTEXT = 4096

FloatArray = NDArray[np.float32]


def clean(text: str) -> str:
    """As CLIP cleans: mojibake and odd quotes mended, entities resolved, white space joined, lower case."""
    import ftfy  # takes 30 ms, and most runs have no text

    mended = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(mended.split()).lower()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Texts as token ids.

    Attributes:
        ids: int64 (N, T), start and end included, padded.
        truncated: (N,) bool, the text was longer than the context and lost its end.
    """

    ids: NDArray[np.int64]
    truncated: NDArray[np.bool_]


def byte_pair_encoding(
    vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]
) -> tokenizers.Tokenizer:
    """CLIP's encoding of text that :func:`clean` cleaned; it makes no special tokens."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers  # only where there is text

    encoding = Tokenizer(models.BPE(dict(vocabulary), list(merges), end_of_word_suffix=END_OF_WORD))
    encoding.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return encoding


class Tokenizer:
    """CLIP's byte-pair encoding, by the vocabulary and merges of a bundle's `tokenizer.json`.

    Equal to open_clip's tokeniser, but for the names of the special tokens: written out in a text, they are
    text. What else the file says is left alone: its patterns, replacements and padding could take any time
    and memory, and some make the library panic.

    Args:
        content: of the file.
        context_length: T.

    Raises:
        BundleDamaged: the file describes no CLIP tokeniser.
    """

    def __init__(self, content: bytes, context_length: int) -> None:
        try:
            model = parse_json(content)["model"]
            vocabulary, merges = model["vocab"], model["merges"]
            if not isinstance(vocabulary, dict) or not isinstance(merges, list):  # a text would name a file
                raise ValueError("its vocabulary or its merges are no list")
            self._encoding = byte_pair_encoding(vocabulary, [_pair(merge) for merge in merges])
        except BaseException as error:
            if not _is_the_librarys(error):
                raise
            reason = first_line(error)
            raise BundleDamaged(f"{TOKENIZER} is no tokeniser: {reason}") from error
        start, end = (self._encoding.token_to_id(token) for token in (START_TOKEN, END_TOKEN))
        if start is None or end is None:
            raise BundleDamaged(f"{TOKENIZER} lacks {START_TOKEN} or {END_TOKEN}")
        self._start, self._end = start, end
        self.context_length = context_length

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokenises texts (N).

        Raises:
            BundleDamaged: the vocabulary cannot take them.
        """
        ids = np.full((len(texts), self.context_length), PADDING_ID, dtype=np.int64)  # (N, T)
        truncated = np.zeros(len(texts), dtype=np.bool_)  # (N,)
        room = self.context_length - 2
        for row, text in enumerate(texts):
            words = self._encode(clean(text))
            truncated[row] = len(words) > room
            tokens = [self._start, *words[:room], self._end]
            ids[row, : len(tokens)] = tokens
        return Tokens(ids, truncated)

    def _encode(self, text: str) -> list[int]:
        try:
            words: list[int] = self._encoding.encode(text, add_special_tokens=False).ids
        except BaseException as error:
            if not _is_the_librarys(error):
                raise
            raise BundleDamaged(f"{TOKENIZER} cannot take a text: {error}") from error
        return words


def _pair(merge: Any) -> tuple[str, str]:
    """A merge as the library writes it today, or as older ones did: with a space between."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _is_the_librarys(error: BaseException) -> bool:
    """Whether it comes from the library, which raises bare exceptions, or panics beside all of them."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


@dataclass(frozen=True, slots=True)
class ModalityMeans:
    """Where a backbone's text and image vectors lie, and how long image vectors are.

    Attributes:
        text, image: float32 (c,), means of the L2-normalised features.
        image_norm: mean norm of raw image features; about 18 for OpenAI's ViT-L/14.
        n_text, n_image: how many vectors each mean is over.
    """

    text: FloatArray
    image: FloatArray
    image_norm: float
    n_text: int
    n_image: int

    @classmethod
    def of(cls, text_features: NDArray[Any], image_features: NDArray[Any]) -> ModalityMeans:
        """Measures them on raw features (N, c) of texts and (M, c) of photos; they need not be pairs.

        Raises:
            ValueError: no rows, unlike widths, or a row that is zero or not finite.
        """
        text, image = np.asarray(text_features, np.float64), np.asarray(image_features, np.float64)
        if (
            text.ndim != 2
            or image.ndim != 2
            or not text.size
            or not image.size
            or text.shape[1] != image.shape[1]
        ):
            raise ValueError(f"features of the shapes {text.shape} and {image.shape} have no common means")
        text_norms, image_norms = np.linalg.norm(text, axis=1), np.linalg.norm(image, axis=1)  # (N,), (M,)
        norms = np.concatenate((text_norms, image_norms))
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise ValueError("a feature vector is zero or not finite")
        return cls(
            (text / text_norms[:, None]).mean(axis=0).astype(np.float32),
            (image / image_norms[:, None]).mean(axis=0).astype(np.float32),
            float(image_norms.mean()),
            len(text),
            len(image),
        )

    def close_gap(self, text_features: NDArray[Any]) -> FloatArray:
        """Raw text features (N, c) to the place and length of image features (N, c).

        t -> image_norm * unit(unit(t) - mean text + mean image): the image head was trained on photos only.
        """
        raw = np.asarray(text_features, np.float64)  # (N, c)
        moved = raw / np.linalg.norm(raw, axis=1, keepdims=True) - self.text + self.image  # (N, c)
        closed = self.image_norm * moved / np.linalg.norm(moved, axis=1, keepdims=True)  # (N, c)
        result: FloatArray = closed.astype(np.float32)
        return result

    def save(self, path: Path) -> None:
        """Writes `modality_means.npz`."""
        np.savez(
            path,
            text=self.text,
            image=self.image,
            image_norm=np.float64(self.image_norm),
            n=np.array([self.n_text, self.n_image]),
        )

    @classmethod
    def load(cls, file: Path | BinaryIO) -> ModalityMeans:
        """Reads `modality_means.npz`.

        Raises:
            BundleDamaged: it is not one.
        """
        try:
            stored = read_arrays(file, MEANS_TYPES, MEANS_MAX_BYTES)
            text, image = stored["text"].astype(np.float32), stored["image"].astype(np.float32)
            norm = float(stored["image_norm"])
            n_text, n_image = (int(count) for count in stored["n"])
        except (OSError, TypeError, ValueError) as error:
            raise BundleDamaged(f"{MODALITY_MEANS} cannot be read: {error}") from error
        finite = np.isfinite(text).all() and np.isfinite(image).all()
        if text.ndim != 1 or text.shape != image.shape or not finite or not (0 < norm < np.inf):
            raise BundleDamaged(f"{MODALITY_MEANS} holds no means")
        return cls(text, image, norm, n_text, n_image)


class TextEncoder:
    """Text to the space of image embeddings, by the graphs of a bundle.

    Without `modality_means.npz` the raw text features go into the head as they are.

    Raises:
        BundlePartMissing: the bundle has no text encoder.
        BundleDamaged, DeviceError: a part cannot be used.
    """

    def __init__(self, bundle: Bundle, device: Literal["cuda", "cpu"], threads: int = 0) -> None:
        self._tower = Graph(bundle.file(TEXT_ENCODER), device, threads)
        self._head = Graph(bundle.file(IMAGE_HEAD), device, threads)
        inputs, outputs = self._tower.session.get_inputs(), self._tower.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleDamaged(f"{TEXT_ENCODER} has not one input and one output")
        (tokens,), (features,) = inputs, outputs
        width = bundle.manifest.feature_dim
        length = tokens.shape[1] if len(tokens.shape) == 2 else None
        if tokens.type != "tensor(int64)" or not isinstance(length, int) or not 2 < length <= MAX_CONTEXT:
            raise BundleDamaged(f"{TEXT_ENCODER} does not take token ids of a fixed length")
        if features.type != "tensor(float)" or features.shape[1:] != [width]:
            raise BundleDamaged(f"{TEXT_ENCODER} does not give features of width {width}")
        self.tokenizer = Tokenizer(bundle.read(TOKENIZER, TOKENIZER_MAX_BYTES), length)
        self._input, self._output = tokens.name, features.name
        self.means = _means_of(bundle)
        if self.means is not None and len(self.means.text) != width:
            raise BundleDamaged(
                f"{MODALITY_MEANS} has width {len(self.means.text)}, the manifest says {width}"
            )

    def features(self, tokens: Tokens) -> FloatArray:
        """Tokens (N, T) to the tower's raw features (N, c)."""
        rows = [self._tower([self._output], {self._input: row[None]})[0] for row in tokens.ids]
        result: FloatArray = np.concatenate(rows)
        return result

    def __call__(self, tokens: Tokens) -> FloatArray:
        """Tokens (N, T) to L2-normalised embeddings (N, d) beside those of photos."""
        features = self.features(tokens)  # (N, c)
        if self.means is not None:
            features = self.means.close_gap(features)  # (N, c)
        rows = [self._head(["image_embedding"], {"features": row[None]})[0] for row in features]
        result: FloatArray = np.concatenate(rows)
        return result


def _means_of(bundle: Bundle) -> ModalityMeans | None:
    if not bundle.has(MODALITY_MEANS):
        return None
    with bundle.open(MODALITY_MEANS) as file:
        return ModalityMeans.load(file)
