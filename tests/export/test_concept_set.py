"""Concept sets: what comes with geolocate is whole, and a file that is none is told why."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the export extra is not installed")

from geolocate.errors import ConceptSetError
from geolocate_export.concept_set import (
    CATEGORIES,
    GENERAL,
    GEOGRAPHIC,
    SEPARATORS,
    ConceptSet,
    load_concept_set,
    parse_concept_set,
)

ROOT = Path(__file__).resolve().parents[2]

#: What arXiv 2509.01910 names ("temperate" is here "temperate climate").
NAMED_IN_THE_PAPER = (
    "windmill, theater, factory, scaffolding, promenade, drizzle, mangrove, sombrero, eucalyptus, "
    "cairn, prayer flags, grapevine, favela, temperate climate, sari, underpass, power line, crater, "
    "vending machine, chimney, dune, gondola, island, brickwork, fortress, hedge, townhouse, succulent, "
    "plantation, cobblestone, souk, woodland, oak tree, shanty town, summit, skyscraper, esplanade, "
    "advertisement, typhoon, historical civilization, tuk-tuk, incense, monorail, forest, tropical "
    "climate, mountain, cathedral"
).split(", ")


@pytest.fixture(scope="module")
def geographic() -> ConceptSet:
    return load_concept_set(GEOGRAPHIC)


def a_set(**changes: Any) -> dict[str, Any]:
    """A small valid set, its first concept changed."""
    concept = {"name": "dune", "category": "land", "prompts": ["a dune"], "why": "sand", "fact": None}
    other = {"name": "reef", "category": "land", "prompts": ["a reef"], "why": "coral", "fact": None}
    return {
        "name": "mine",
        "source": "me",
        "categories": ["land"],
        "concepts": [{**concept, **changes}, other],
    }


def test_the_geographic_set_has_300_to_500_concepts_in_eleven_categories(geographic: ConceptSet) -> None:
    assert 300 <= len(geographic) <= 500
    assert geographic.categories == CATEGORIES
    for category in CATEGORIES:
        assert sum(concept.category == category for concept in geographic) >= 25, category


def test_the_geographic_set_holds_every_concept_that_the_paper_names(geographic: ConceptSet) -> None:
    assert {*NAMED_IN_THE_PAPER} <= {concept.name for concept in geographic}


def test_every_geographic_concept_has_prompts_of_its_own_and_a_reason(geographic: ConceptSet) -> None:
    for concept in geographic:
        assert 2 <= len(concept.prompts) <= 4, concept.name
        assert concept.why, concept.name
        # More than the name in one frame of words: captions that differ from each other.
        frames = {prompt.casefold().replace(concept.name.casefold(), "") for prompt in concept.prompts}
        assert not frames <= {"a photo of a ", "a photo of ", "a place with a "}, concept.name


def test_at_least_200_geographic_concepts_have_a_fact(geographic: ConceptSet) -> None:
    assert sum(concept.fact is not None for concept in geographic) >= 200


def test_the_general_set_is_as_large_shares_no_concept_and_names_no_place(geographic: ConceptSet) -> None:
    general = load_concept_set(GENERAL)
    assert len(general) == len(geographic)
    assert not {c.name.casefold() for c in general} & {c.name.casefold() for c in geographic}
    assert all(concept.fact is None for concept in general)
    assert all(len(concept.prompts) >= 2 for concept in general)


def test_no_name_holds_what_parts_concepts_in_the_output(geographic: ConceptSet) -> None:
    for concept in (*geographic, *load_concept_set(GENERAL)):
        assert not set(concept.name) & set(SEPARATORS)


def test_a_set_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(a_set(fact={"kind": "coast", "within_km": 30})), encoding="utf-8")
    mine = load_concept_set(path)
    assert (mine.name, len(mine), mine.categories) == ("mine", 2, ("land",))
    assert mine.concepts[0].fact == {"kind": "coast", "within_km": 30}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "  "}, "the name of concept 1 is empty"),
        ({"name": "Reef"}, "concept 'reef': its name 'reef' is also one of 'Reef'"),
        ({"name": "sand; dune"}, "a name has none of : ;"),
        ({"name": "x" * 61}, "more than 60 characters"),
        ({"name": "sand\ndune"}, "control characters"),
        ({"category": "sea"}, "concept 'dune': there is no category 'sea'"),
        ({"prompts": []}, "concept 'dune' needs prompts"),
        ({"prompts": "a dune"}, "concept 'dune' needs prompts"),
        ({"prompts": ["a dune", ""]}, "concept 'dune': a prompt is empty"),
        ({"prompts": ["a dune", "A  Dune"]}, "its prompt 'A  Dune' is also one of 'dune'"),
        ({"prompts": ["a reef"]}, "concept 'reef': its prompt 'a reef' is also one of 'dune'"),
        ({"prompts": ["x" * 201]}, "more than 200 characters"),
        ({"why": ""}, "concept 'dune': why is empty"),
        ({"fact": {"kind": "nowhere"}}, "concept 'dune': there is no kind of fact 'nowhere'"),
        ({"fact": {"kind": "countries", "codes": ["ZZ"]}}, "concept 'dune': no country has the code ZZ"),
        ({"weight": 2}, "concept 'dune' has no weight"),
    ],
)
def test_a_wrong_concept_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConceptSetError) as refused:
        parse_concept_set(a_set(**changes))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("{"), "cannot be read as a concept set"),
        (lambda path: path.write_text("[" * 100_000), "cannot be read as a concept set"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "cannot be read as a concept set"),
        (lambda path: path.write_text("[]"), "a concept set is a JSON object"),
        (lambda path: path.write_text('{"concepts": []}'), "needs categories"),
        (lambda path: path.write_text('{"categories": ["a"], "concepts": []}'), "a list of 1 to 2,000"),
        (lambda path: path.write_bytes(b" " * (4 * 2**20 + 1)), "has more than 4,194,304 bytes"),
        (lambda path: path.mkdir(), "there is no concept set"),
        (lambda path: None, "there is no concept set"),
    ],
)
def test_a_file_that_is_no_set_is_told_with_its_path(
    tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "mine.json"
    write(path)
    with pytest.raises(ConceptSetError) as refused:
        load_concept_set(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_the_page_of_concepts_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "build_concept_docs.py"))
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert page == script["document"](), "run python scripts/build_concept_docs.py"


def test_the_page_tells_a_fact_in_words() -> None:
    in_words = runpy.run_path(str(ROOT / "scripts" / "build_concept_docs.py"))["in_words"]
    fact = {
        "kind": "any",
        "facts": [
            {"kind": "countries", "codes": ["IS"], "unknown": ["NO"]},
            {
                "kind": "all",
                "facts": [{"kind": "climate", "zones": ["ET"]}, {"kind": "inland", "beyond_km": 20}],
            },
            {"kind": "boxes", "boxes": [[-10, 170, 5, -170]]},
            {"kind": "regions", "regions": {"CA": ["Quebec"], "IN": ["Goa"]}, "unknown": {"CA": ["Ontario"]}},
            {"kind": "not", "fact": {"kind": "latitude", "from": 0, "to": 23.5}},
            {"kind": "population", "within_km": 15, "at_least": 1_000_000},
        ],
    }
    assert in_words(fact) == (
        "(Iceland; unknown in NO) or (climate ET and over 20 km from the sea) or "
        "in [10S to 5N, 170E to 170W] or (Canada: Quebec; India: Goa; unknown in CA Ontario) or "
        "not (latitude 0 to 23.5 north or south) or "
        "within 15 km of a place of 1,000,000 people"
    )
