"""Sets of concepts: what photos show, in words, and where on Earth each is known to live.

Two come with geolocate (`geolocate_models/concepts`): "geographic", chosen to tell places apart, and
"general", as large, which names no place, to measure what the choice is worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from geolocate.errors import ConceptSetError
from geolocate_export import concept_facts
from geolocate_export.concept_facts import Fact

#: Sets that come with geolocate, files NAME.json of `geolocate_models/concepts`.
GEOGRAPHIC, GENERAL = "geographic", "general"
#: Categories of the geographic set.
CATEGORIES = (
    "climate",
    "landform",
    "water",
    "vegetation and crops",
    "architecture",
    "settlement",
    "transport and road furniture",
    "language and script",
    "culture and dress",
    "food and trade",
    "landmarks",
)
#: Limits of a file, so that a wrong one is told at once: bytes, concepts, characters of a text, prompts.
MAX_BYTES = 4 * 2**20
MAX_CONCEPTS = 2000
MAX_NAME, MAX_TEXT = 60, 200
MAX_PROMPTS = 8
#: Characters that part concepts in a cell of the output (`name:score; ...`).
SEPARATORS = ":;"


@dataclass(frozen=True)
class Concept:
    """One concept.

    Attributes:
        name: what it is called in the output.
        category: one of the set's.
        prompts: what a caption of a photo of it would say; at least one.
        why: one clause, why it tells places apart (or, in a general set, what it is).
        fact: where it is known to live, see `concept_facts`; None where nobody knows.
    """

    name: str
    category: str
    prompts: tuple[str, ...]
    why: str
    fact: Fact | None = None


@dataclass(frozen=True)
class ConceptSet:
    """K concepts of named categories; `source` says where they come from."""

    name: str
    source: str
    categories: tuple[str, ...]
    concepts: tuple[Concept, ...]

    def __len__(self) -> int:
        return len(self.concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self.concepts)


def load_concept_set(name_or_path: str | Path) -> ConceptSet:
    """The set "geographic" or "general", or that of a JSON file of the same form.

    Raises:
        ConceptSetError: no such set or file, or what it holds is none; names the concept.
    """
    if name_or_path in (GEOGRAPHIC, GENERAL):
        packaged = resources.files("geolocate_models") / "concepts" / f"{name_or_path}.json"
        return parse_concept_set(json.loads(packaged.read_text(encoding="utf-8")))
    path = Path(name_or_path)
    if not path.is_file():
        raise ConceptSetError(
            f"there is no concept set '{path}': give {GEOGRAPHIC}, {GENERAL} or a JSON file"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConceptSetError(f"{path} has more than {MAX_BYTES:,} bytes")
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConceptSetError(f"{path} cannot be read as a concept set: {error}") from error
    try:
        return parse_concept_set(listed)
    except ConceptSetError as error:
        raise ConceptSetError(f"{path}: {error}") from error


def parse_concept_set(listed: Any) -> ConceptSet:
    """A concept set from its JSON object: `name`, `source`, `categories`, `concepts`.

    Raises:
        ConceptSetError: it is none; names the concept.
    """
    if not isinstance(listed, Mapping):
        raise ConceptSetError("a concept set is a JSON object")
    categories, concepts = listed.get("categories"), listed.get("concepts")
    if not isinstance(categories, list) or not categories:
        raise ConceptSetError("a concept set needs categories, a list of texts")
    if not isinstance(concepts, list) or not 1 <= len(concepts) <= MAX_CONCEPTS:
        raise ConceptSetError(f"a concept set needs concepts, a list of 1 to {MAX_CONCEPTS:,}")
    known = tuple(_text(category, MAX_NAME, "a category") for category in categories)
    name = _text(listed.get("name"), MAX_NAME, "the set's name")
    source = _text(listed.get("source"), 10 * MAX_TEXT, "the set's source")
    parsed = tuple(_concept(entry, number, known) for number, entry in enumerate(concepts, 1))
    _refuse_doubles([(concept.name, concept.name) for concept in parsed], "name")
    _refuse_doubles([(prompt, concept.name) for concept in parsed for prompt in concept.prompts], "prompt")
    return ConceptSet(name, source, known, parsed)


def _concept(entry: Any, number: int, categories: tuple[str, ...]) -> Concept:
    if not isinstance(entry, Mapping):
        raise ConceptSetError(f"concept {number} is not an object")
    name = _text(entry.get("name"), MAX_NAME, f"the name of concept {number}")
    owner = f"concept '{name}'"
    if any(mark in name for mark in SEPARATORS):
        raise ConceptSetError(f"{owner}: a name has none of {' '.join(SEPARATORS)}")
    if surplus := set(entry) - {"name", "category", "prompts", "why", "fact"}:
        raise ConceptSetError(f"{owner} has no {', '.join(sorted(map(str, surplus)))}")
    if entry.get("category") not in categories:
        raise ConceptSetError(
            f"{owner}: there is no category {entry.get('category')!r}; categories: {', '.join(categories)}"
        )
    prompts = entry.get("prompts")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= MAX_PROMPTS:
        raise ConceptSetError(f"{owner} needs prompts, a list of 1 to {MAX_PROMPTS}")
    fact = entry.get("fact")
    if fact is not None:
        concept_facts.check_fact(fact, owner)
    return Concept(
        name=name,
        category=entry["category"],
        prompts=tuple(_text(prompt, MAX_TEXT, f"{owner}: a prompt") for prompt in prompts),
        why=_text(entry.get("why"), MAX_TEXT, f"{owner}: why"),
        fact=fact,
    )


def _text(value: Any, limit: int, what: str) -> str:
    """A text of 1 to `limit` printable characters without blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise ConceptSetError(f"{what} is empty or no text")
    if value != value.strip() or not value.isprintable():
        raise ConceptSetError(f"{what} has blanks around it or control characters: {value[:60]!r}")
    if len(value) > limit:
        raise ConceptSetError(f"{what} has more than {limit} characters: {value[:60]!r}")
    return value


def _refuse_doubles(owned: list[tuple[str, str]], what: str) -> None:
    """Refuses texts that differ only in case and blanks; pairs of text and concept's name."""
    seen: dict[str, str] = {}
    for text, owner in owned:
        folded = " ".join(text.casefold().split())
        if folded in seen:
            raise ConceptSetError(f"concept '{owner}': its {what} '{text}' is also one of '{seen[folded]}'")
        seen[folded] = owner
