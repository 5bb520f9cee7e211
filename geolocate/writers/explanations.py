"""Explanations, contrasts and concept maps as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from geolocate.bottleneck import Bottleneck
from geolocate.concept_map import Area, ConceptMap
from geolocate.contrast import Difference
from geolocate.drawing import ENDS, ends
from geolocate.explanation import Explanation, Intervention
from geolocate.records import Candidate, Concept
from geolocate.text_safety import printable, to_unicode
from geolocate.writers.table import percent, place

#: Countries and regions of a map that are listed.
AREAS_SHOWN = 15
#: Farther than this the first guess has moved; nearer, it is the same place.
MOVED_KM = 1.0


class TextPage:
    """Builds text of the terminal's width; :meth:`take` gives it away."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, emoji=False, markup=False)
        self._console.begin_capture()

    def take(self) -> str:
        """What was written since the last call."""
        text = self._console.end_capture()
        self._console.begin_capture()
        return text

    def explanation(self, one: Explanation, bottleneck: Bottleneck | None = None) -> None:
        """One photo."""
        self._line(one.photo, "bold")
        if one.candidate is None:
            self._line(f"  failed: {one.error}", "red")
            return
        candidate = one.candidate
        radius = f", radius {candidate.radius_km:,.0f} km" if candidate.radius_km is not None else ""
        position = f"{candidate.position.latitude:.4f}, {candidate.position.longitude:.4f}"
        share = percent(candidate.probability)
        self._line(f"  placed at {place(candidate) or position} ({position}), {share}{radius}")
        self._line("")
        self._concepts(one)
        if one.interventions:
            self._interventions(one.interventions)
        if bottleneck is not None:
            self._countries(one, bottleneck)

    def contrast(self, differences: Sequence[Difference], first: str, second: str) -> None:
        """Both ends of a contrast."""
        table = self._table("concept", f">{first}", f">{second}", ">difference", ">95 % interval", ">effect")
        chosen = ends(differences, ENDS)
        for row, one in enumerate(chosen):
            if row and chosen[row - 1].difference > 0 > one.difference:
                table.add_row()
            interval = "" if one.low is None else f"{one.low:+.3f} to {one.high:+.3f}"
            effect = "" if one.effect is None else f"{one.effect:+.2f}"
            table.add_row(
                *map(
                    self._text,
                    (
                        one.concept,
                        f"{one.first:.3f}",
                        f"{one.second:.3f}",
                        f"{one.difference:+.3f}",
                        interval,
                        effect,
                    ),
                ),
                style="" if one.is_clear else "dim",
            )
        self._console.print(table)
        self._line(
            f"more of {first} above, more of {second} below; effect: Cohen's d. "
            f"{sum(one.is_clear for one in differences)} of {len(differences)} intervals leave out zero",
            "dim",
        )

    def map(self, concept_map: ConceptMap) -> None:
        """Where the concept is strongest, by country and by region."""
        self._line(f"where “{concept_map.concept}” lives", "bold")
        countries, regions = concept_map.countries()[:AREAS_SHOWN], concept_map.regions()[:AREAS_SHOWN]
        table = self._table("country", ">score", ">points", "  region", ">score", ">points")
        for row in range(max(len(countries), len(regions))):
            left = _area_cells(countries[row]) if row < len(countries) else ("", "", "")
            right = _area_cells(regions[row]) if row < len(regions) else ("", "", "")
            table.add_row(*map(self._text, (*left, "  " + right[0], *right[1:])))
        self._console.print(table)
        self._line("score: mean of the points, in standard deviations above the gallery's mean", "dim")

    def _concepts(self, one: Explanation) -> None:
        table = self._table("the photo shows", ">score", "  the place stands for", ">score")
        for row in range(max(len(one.concepts), len(one.place_concepts))):
            cells = []
            for concepts, indent in ((one.concepts, ""), (one.place_concepts, "  ")):
                there = row < len(concepts)
                cells += [indent + concepts[row].name, f"{concepts[row].score:.3f}"] if there else ["", ""]
            table.add_row(*map(self._text, cells))
        self._console.print(table)
        words = f"both: {', '.join(one.shared)}" if one.shared else "none of these concepts is in both lists"
        if not one.concepts:
            words = "no concept stands out above what the average photo shows"
        if one.agreement is not None:
            # Never "more than 100 %": the place itself is one of the points.
            above = f"{100 * min(one.agreement.above, 0.999):.1f} %"
            correlation = f"{one.agreement.correlation:+.2f}"
            words += f"; agreement {correlation}, more than {above} of the gallery's points have"
        self._line("  " + words, "dim")
        self._line("")

    def _interventions(self, interventions: Sequence[Intervention]) -> None:
        removed = interventions[0].action == "remove"
        table = self._table("without" if removed else "more of", ">guess moves", "to", ">first place has")
        for one in interventions:
            moved = one.moved_km >= MOVED_KM
            table.add_row(
                *map(
                    self._text,
                    (
                        one.concept.name,
                        f"{one.moved_km:,.0f} km" if moved else "stays",
                        f"{place(one.candidate)} ({percent(one.candidate.probability)})" if moved else "",
                        f"{percent(one.probability_before)} -> {percent(one.probability_after)}",
                    ),
                )
            )
        self._console.print(table)
        self._line("")

    def _countries(self, one: Explanation, bottleneck: Bottleneck) -> None:
        table = self._table("concepts speak for", "because of")
        for country in one.countries:
            parts = (f"{part.concept} {100 * part.share:+.0f} %" for part in country.contributions)
            table.add_row(self._text(country.country), self._text(", ".join(parts)))
        self._console.print(table)
        right, majority = percent(bottleneck.held_out_accuracy), percent(bottleneck.held_out_majority)
        self._line(
            f"  the sparse layer behind this has {bottleneck.concepts_per_country:.0f} concepts a country; "
            f"it is right for {right} of {bottleneck.held_out_points:,} gallery points held out (always "
            f"the commonest country: {majority})",
            "dim",
        )
        self._line("")

    def _table(self, *titles: str) -> Table:
        """A table without lines; a title that begins with > has its column to the right."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
        for title in titles:
            right = title.startswith(">")
            table.add_column(
                self._text(title.removeprefix(">")), justify="right" if right else "left", no_wrap=right
            )
        return table

    def _text(self, text: str) -> Text:
        return Text(printable(text, encoding=self._console.encoding or "ascii"))

    def _line(self, text: str, style: str = "") -> None:
        words = Text(self._text(text).plain, style=style)
        self._console.print(words, soft_wrap=not self._console.is_terminal)


def explanation_json(one: Explanation, model: str, bottleneck: Bottleneck | None = None) -> dict[str, Any]:
    """One photo as a JSON object; without a position where it failed."""
    if one.candidate is None:
        return {"photo": to_unicode(one.photo), "model": model, "error": one.error}
    found: dict[str, Any] = {
        "photo": to_unicode(one.photo),
        "model": model,
        "place": _candidate_json(one.candidate),
        "concepts": _concepts_json(one.concepts),
        "place_concepts": _concepts_json(one.place_concepts),
        "shared": list(one.shared),
        "agreement": None
        if one.agreement is None
        else {
            "correlation": round(one.agreement.correlation, 4),
            "above": round(one.agreement.above, 4),
        },
        "interventions": [
            {
                "concept": each.concept.name,
                "action": each.action,
                "moved_km": round(each.moved_km, 3),
                "place": _candidate_json(each.candidate),
                "probability_before": float(f"{each.probability_before:.6g}"),
                "probability_after": float(f"{each.probability_after:.6g}"),
            }
            for each in one.interventions
        ],
        "notes": list(one.notes),
    }
    if bottleneck is not None:
        found["bottleneck"] = {
            "held_out_accuracy": round(bottleneck.held_out_accuracy, 4),
            "held_out_majority": round(bottleneck.held_out_majority, 4),
            "held_out_points": bottleneck.held_out_points,
            "concepts_per_country": round(bottleneck.concepts_per_country, 2),
            "countries": [
                {
                    "country_code": country.country_code,
                    "country": country.country,
                    "score": round(country.score, 4),
                    "contributions": {part.concept: round(part.share, 4) for part in country.contributions},
                }
                for country in one.countries
            ],
        }
    return found


def contrast_json(
    differences: Sequence[Difference], first: str, second: str, counts: tuple[int, int], model: str
) -> dict[str, Any]:
    """A contrast as a JSON object: every concept, most typical of the first group first."""
    return {
        "first": to_unicode(first),
        "second": to_unicode(second),
        "members": list(counts),
        "model": model,
        "concepts": [
            {
                "concept": one.concept,
                "first": round(one.first, 6),
                "second": round(one.second, 6),
                "difference": round(one.difference, 6),
                "low": None if one.low is None else round(one.low, 6),
                "high": None if one.high is None else round(one.high, 6),
                "effect": None if one.effect is None else round(one.effect, 4),
            }
            for one in differences
        ],
    }


def map_json(concept_map: ConceptMap, model: str) -> dict[str, Any]:
    """A concept map as a JSON object: means of all countries and regions; the points are in its GeoJSON."""
    return {
        "concept": to_unicode(concept_map.concept),
        "model": model,
        "countries": [_area_json(area) for area in concept_map.countries()],
        "regions": [_area_json(area) for area in concept_map.regions()],
    }


def _area_cells(area: Area) -> tuple[str, str, str]:
    name = f"{area.region}, {area.country_code}" if area.region else area.country
    return name, f"{area.score:+.2f}", f"{area.points:,}"


def _area_json(area: Area) -> dict[str, Any]:
    region = {"region": area.region} if area.region else {}
    return {
        "country_code": area.country_code,
        "country": area.country,
        **region,
        "score": round(area.score, 4),
        "points": area.points,
    }


def _concepts_json(concepts: Sequence[Concept]) -> list[dict[str, Any]]:
    return [{"name": concept.name, "score": round(concept.score, 6)} for concept in concepts]


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    named = candidate.named.place if candidate.named else None
    radius = {} if candidate.radius_km is None else {"radius_km": round(candidate.radius_km, 3)}
    return {
        "latitude": round(candidate.position.latitude, 6),
        "longitude": round(candidate.position.longitude, 6),
        "probability": float(f"{candidate.probability:.6g}"),
        **radius,
        "place": named.name if named else None,
        "region": named.region if named else None,
        "country": named.country if named else None,
        "country_code": named.country_code if named else None,
    }
