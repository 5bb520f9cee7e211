"""The map page in a browser: what a reader sees and does, offline, and what hostile names do not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from browser.chromium import chromium, prefer, resize
from browser.invented import FAILED_EVERY, TOWNS, invented
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from geolocate.decoding import DecodeOptions
from geolocate.records import Candidate, Concept, NamedPosition, Place, Position, Prediction
from geolocate.sphere import great_circle_km, unit_vectors
from geolocate.writers import RunFacts, open_writers
from geolocate.writers.map.photo_json import MAX_SHOWN

pytest.importorskip("js_lib_leaflet", reason="needs the extra 'map'")

HOSTILE = "</script><img src=x onerror=alert(1)>"
MODEL = "model invented: median error 1,234 km on 5 photos"
Open = Callable[..., Chrome]


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        opened.set_page_load_timeout(60)
        opened.set_script_timeout(30)
        yield opened


@pytest.fixture
def open_page(window: Chrome, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of some predictions at 1280 x 800, light; in the end the console must be empty."""

    def opened(*predictions: Prediction, facts: RunFacts | None = None) -> Chrome:
        path = tmp_path / "map.html"
        with open_writers({"map": path}, facts=facts or RunFacts(model=(MODEL,)), overwrite=True) as writers:
            for prediction in predictions:
                writers.write(prediction)
            writers.close()
        resize(window, 1280, 800)
        prefer(window, "light")
        window.get(path.as_uri())
        settle(window)
        return window

    window.get_log("browser")
    yield opened
    assert window.get_log("browser") == []


def settle(window: Chrome) -> None:
    """Waits until the map has come to rest and is drawn."""
    window.execute_async_script(
        "const done = arguments[0], map = document.getElementById('map');"
        "const look = () => map.querySelector('.leaflet-zoom-anim, .leaflet-pan-anim,'"
        "  + 'canvas.world-tile:not(.leaflet-tile-loaded)')"
        " ? setTimeout(look, 50) : requestAnimationFrame(() => requestAnimationFrame(done));"
        "setTimeout(look, 50);"
    )


def one(window: Chrome, selector: str) -> WebElement:
    (element,) = every(window, selector)
    return element


def every(window: Chrome, selector: str) -> list[WebElement]:
    return window.find_elements("css selector", selector)


def text(window: Chrome, selector: str) -> str:
    return one(window, selector).text


def badge(window: Chrome, rank: int) -> WebElement:
    """The marker of a candidate, in view or not."""
    return next(
        marker for marker in every(window, ".badge") if marker.get_property("textContent") == str(rank)
    )


def listed(window: Chrome) -> list[str]:
    """The names in the rows that are drawn, from top to bottom."""
    rows = sorted(every(window, "#rows .row"), key=lambda row: int(row.get_attribute("aria-posinset") or 0))
    return [row.find_element("css selector", ".name b").text for row in rows]


def select(window: Chrome, field: str, value: str) -> None:
    one(window, f"#{field} option[value='{value}']").click()


def press(window: Chrome, *keys: str) -> None:
    for key in keys:
        window.switch_to.active_element.send_keys(key)
    settle(window)


def guess(name: str, *places: tuple[float, float], radius_km: float = 300.0, **more: Any) -> Prediction:
    """A photo with a candidate at each place."""
    named = NamedPosition(TOWNS[0], 1.0)
    candidates = tuple(
        Candidate(rank, Position(*place), 0.5 / rank, radius_km if rank == 1 else None, named)
        for rank, place in enumerate(places, start=1)
    )
    return Prediction(name, candidates, **more)


def test_it_opens_from_a_file_without_network_and_shows_markers_and_a_list(open_page: Open) -> None:
    window = open_page(*invented(60))
    assert text(window, "#summary").startswith(
        "60 photos · 2 failed · 19 with a known position: median error"
    )
    assert text(window, "#model") == MODEL
    assert text(window, "#caution").startswith("Hypotheses, not facts.")
    on_map = sum(
        int(marker.text or 1) for marker in every(window, "#map .leaflet-marker-pane > .dot, .group")
    )
    assert on_map == 58
    assert listed(window)[:2] == ["IMG_00000.jpg", "IMG_00001.jpg"]
    assert every(window, "#map canvas.world-tile")
    entries = window.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [entry for entry in entries if not entry.startswith("data:")] == []


def test_a_run_without_photos_and_one_with_one_photo_open_too(open_page: Open) -> None:
    window = open_page()
    assert (text(window, "#summary"), text(window, "#count")) == ("0 photos", "0 photos")
    window = open_page(guess("a.jpg", (43.4, 11.8)))
    assert (text(window, "#summary"), len(every(window, ".dot"))) == ("1 photo", 1)
    dot = one(window, ".dot").rect
    assert abs(dot["x"] + dot["width"] / 2 - (340 + 470)) < 3


def test_a_click_on_a_marker_shows_what_is_known_of_the_photo(open_page: Open, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "a.jpg")
    photo = Prediction(
        os.fspath(tmp_path / "a.jpg"),
        (
            Candidate(1, Position(43.5, 11.9), 0.25, 120.0, NamedPosition(TOWNS[0], 2.0), 312.4),
            Candidate(2, Position(51.0, 3.7), 0.1, None, NamedPosition(TOWNS[1], 2.0), 900.0),
        ),
        (Concept("tiled roofs", 0.5), Concept("fjord", 0.1)),
        Position(46.0, 13.5),
        "invented",
        ("uncertain", "album"),
    )
    window = open_page(photo, facts=RunFacts(model=(MODEL,), thumbnails=DecodeOptions(workers=1)))
    one(window, ".dot").click()
    settle(window)
    details = text(window, "#details")
    for words in (
        "Arezzo, Tuscany, Italy", "25 %", "radius 120 km", "43.5000° N, 11.9000° E", "312 km off",
        "the position by EXIF, 46.0000° N, 13.5000° E", "Ghent, Flanders, Belgium", "10 %", "900 km off",
        "tiled roofs", "0.500", "fjord", "0.100", "uncertain", "album",
    ):  # fmt: skip
        assert words in details, words
    picture = one(window, "#details img.thumbnail")
    assert (picture.get_property("naturalWidth"), picture.get_property("naturalHeight")) == (160, 160)
    strong, weak = (bar.size["width"] for bar in every(window, ".concepts .filled"))
    assert weak / strong == pytest.approx(0.2, abs=0.02)
    assert len(every(window, "#map .badge")) == 2
    assert badge(window, 1).is_displayed()
    assert len(every(window, "path.to-truth")) == len(every(window, "path.to-candidate")) == 1
    assert len(every(window, "#map .truth")) == 1
    assert every(window, "path.radius")
    window.find_element("css selector", "#details .close").click()
    settle(window)
    assert not one(window, "#details").is_displayed()
    assert not every(window, "path")


def test_a_candidate_in_the_panel_leads_to_its_place(open_page: Open) -> None:
    window = open_page(guess("a.jpg", (43.4, 11.8), (-42.9, 147.3)))
    one(window, ".row").click()
    settle(window)

    def across(rank: int) -> float:
        place = badge(window, rank).rect
        return abs(place["x"] + place["width"] / 2 - (340 + 470))

    assert across(2) > 200
    every(window, ".candidate")[1].click()
    settle(window)
    assert across(2) < 3


def test_photos_are_filtered_by_text_country_radius_error_and_failure(open_page: Open) -> None:
    photos = list(invented(200))
    window = open_page(*photos)

    def expect(wanted: list[Prediction]) -> None:
        assert text(window, "#count") == f"{len(wanted)} of 200 photos"
        assert listed(window)[:5] == [Path(photo.photo).name for photo in wanted[:5]]
        shown = sum(int(marker.text or 1) for marker in every(window, "#map .dot, #map .group"))
        assert shown == sum(bool(photo.candidates) for photo in wanted)
        one(window, "#reset").click()
        settle(window)
        assert text(window, "#count") == "200 photos"

    placed = [photo for photo in photos if photo.candidates]
    field = one(window, "#text")
    field.send_keys("FJORD img_000")
    expect([p for p in placed if "IMG_000" in p.photo and any(c.name == "fjord" for c in p.concepts)])

    def named(photo: Prediction) -> str:
        first = photo.candidates[0].named
        return first.place.country if first and first.place else ""

    select(window, "country", "Fiji")
    expect([photo for photo in placed if named(photo) == "Fiji"])
    select(window, "radius", "within")
    expect([photo for photo in placed if (photo.candidates[0].radius_km or 0) <= 200])
    select(window, "radius", "over")
    one(window, "#radius-km").clear()
    one(window, "#radius-km").send_keys("5000")
    expect([photo for photo in placed if (photo.candidates[0].radius_km or 0) > 5000])
    known = [photo for photo in placed if photo.exif]
    select(window, "error", "over")
    expect([photo for photo in known if (photo.candidates[0].error_km or 0) > 200])
    select(window, "error", "known")
    expect(known)
    select(window, "error", "unknown")
    expect([photo for photo in placed if not photo.exif])
    select(window, "error", "failed")
    expect([photo for photo in photos if photo.error])


def test_a_distance_without_a_number_asks_for_nothing(open_page: Open) -> None:
    window = open_page(guess("near.jpg", (1.0, 2.0)), guess("far.jpg", (3.0, 4.0), radius_km=5000.0))
    select(window, "radius", "within")
    one(window, "#radius-km").send_keys(Keys.CONTROL + "a", Keys.DELETE)
    assert text(window, "#count") == "2 photos"
    assert listed(window) == ["near.jpg", "far.jpg"]


def test_what_is_not_known_is_no_number(open_page: Open) -> None:
    nothing = Candidate(1, Position(1.0, 2.0), float("nan"), float("inf"), None, float("nan"))
    window = open_page(Prediction("a.jpg", (nothing,), (Concept("fjord", float("nan")),)))
    one(window, ".row").click()
    settle(window)
    for words in (text(window, "#list"), text(window, "#details")):
        assert "not known" in words
        assert not re.search("NaN|Infinity|undefined|null", words)
    assert one(window, ".candidate .filled").size["width"] == 0


def test_of_very_many_candidates_the_page_says_how_many_it_leaves_out(open_page: Open) -> None:
    everywhere = [(number / 20 - 80, number % 360 - 180.0) for number in range(3000)]
    window = open_page(guess("a.jpg", *everywhere))
    one(window, ".row").click()
    settle(window)
    assert len(every(window, ".candidate")) == len(every(window, ".badge")) == MAX_SHOWN
    assert text(window, ".left-out") == "and 2,900 more, not shown"


def test_photos_are_sorted_and_what_has_no_number_comes_last(open_page: Open) -> None:
    photos = list(invented(40))
    window = open_page(*photos)

    def order(key: Callable[[Prediction], float | None], sign: int) -> list[str]:
        numbered = [(key(photo), photo.photo) for photo in photos]
        known = sorted(
            ((value, name) for value, name in numbered if value is not None), key=lambda one: sign * one[0]
        )
        return [Path(name).name for _, name in known]

    for value, key, sign in (
        ("radius", lambda p: p.candidates[0].radius_km if p.candidates else None, 1),
        ("radius-down", lambda p: p.candidates[0].radius_km if p.candidates else None, -1),
        ("error-down", lambda p: p.candidates[0].error_km if p.candidates else None, -1),
        ("probability-down", lambda p: p.candidates[0].probability if p.candidates else None, -1),
    ):
        select(window, "sort", value)
        assert listed(window)[:6] == order(key, sign)[:6], value
    press(window, Keys.TAB)
    one(window, "#list").send_keys(Keys.END)
    settle(window)
    assert listed(window)[-1] == Path(photos[FAILED_EVERY - 1].photo).name


def test_the_keyboard_is_enough(open_page: Open) -> None:
    window = open_page(*invented(30))
    press(window, Keys.ESCAPE, "/")
    assert window.switch_to.active_element.get_attribute("id") == "text"
    press(window, "IMG_0000", Keys.ARROW_DOWN)
    assert text(window, "#count") == "10 of 30 photos"
    assert window.switch_to.active_element.get_attribute("id") == "list"
    press(window, Keys.ARROW_DOWN)
    assert one(window, "#list").get_attribute("aria-activedescendant") == "row-1"
    assert one(window, "[aria-selected=true]").get_attribute("id") == "row-1"
    assert "IMG_00001.jpg" in text(window, "#details h2")
    outline = window.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press(window, Keys.END, Keys.ARROW_DOWN, Keys.HOME, Keys.ARROW_UP)
    assert "IMG_00000.jpg" in text(window, "#details h2")
    press(window, Keys.ENTER)
    assert "candidate" in (window.switch_to.active_element.get_attribute("class") or "")
    press(window, Keys.TAB, Keys.ENTER)
    press(window, Keys.ESCAPE)
    assert not one(window, "#details").is_displayed()
    assert window.switch_to.active_element.get_attribute("id") == "list"
    press(window, Keys.ESCAPE)
    assert text(window, "#count") == "30 photos"
    roles = {one(window, f"#{name}").get_attribute("role") for name in ("list", "filters", "count")}
    assert roles == {"listbox", "search", "status"}
    option = every(window, "#rows .row")[0]
    assert (option.get_attribute("role"), option.get_attribute("aria-setsize")) == ("option", "30")


def test_it_is_dark_where_the_system_is_and_where_the_reader_wants(open_page: Open) -> None:
    window = open_page(*invented(5))

    def brightness() -> int:
        colour = one(window, "body").value_of_css_property("background-color")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    def sea() -> int:
        return int(window.execute_script(
            "const tile = document.querySelector('canvas.world-tile');"
            "return tile.getContext('2d').getImageData(1, tile.height - 2, 1, 1).data[0]"
        ))  # fmt: skip

    assert brightness() > 700
    light = sea()
    one(window, "#theme").click()
    settle(window)
    assert brightness() < 100
    assert sea() < light
    assert one(window, "#theme").get_attribute("aria-pressed") == "true"
    one(window, "#theme").click()
    prefer(window, "dark")
    settle(window)
    assert brightness() < 100


def test_hostile_names_places_concepts_and_errors_are_text(open_page: Open) -> None:
    place = Place(HOSTILE, HOSTILE, HOSTILE, "XX", Position(1.0, 2.0))
    first = Candidate(1, Position(1.0, 2.0), 0.5, 100.0, NamedPosition(place, 1.0))
    window = open_page(
        Prediction(f"{HOSTILE}.jpg", (first,), (Concept(HOSTILE, 0.5),), None, HOSTILE, (HOSTILE,)),
        Prediction(f"javascript:alert(1)//{HOSTILE}", error=HOSTILE),
        facts=RunFacts(model=(HOSTILE,)),
    )
    window.execute_script("window.alert = () => { window.ran = true; }")
    for row in every(window, ".row"):
        row.click()
        settle(window)
        assert HOSTILE in text(window, "#details")
        assert HOSTILE in row.text
    one(window, ".dot").click()
    one(window, "#about-button").click()
    assert HOSTILE in text(window, "#about-panel")
    assert re.search(r"Leaflet 1\.[0-9.]+, ©", text(window, "#about-panel"))
    assert HOSTILE in text(window, "#model")
    select(window, "country", HOSTILE)
    assert text(window, "#count") == "1 of 2 photos"
    settle(window)
    assert window.execute_script("return window.ran") is None
    assert every(window, "img") == []
    assert len(every(window, "script")) == 5
    links = [link.get_attribute("href") or "" for link in every(window, "#details a")]
    assert all(link.startswith("https://www.openstreetmap.org/") for link in links)


def test_the_policy_stops_what_should_never_be_there(open_page: Open) -> None:
    window = open_page(guess("a.jpg", (1.0, 2.0)))
    blocked = window.execute_async_script(
        "const done = arguments[0], found = [];"
        "document.addEventListener('securitypolicyviolation', (one) => found.push(one.effectiveDirective));"
        "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        "document.body.append(script);"
        "const style = document.createElement('style'); style.textContent = 'body { color: red }';"
        "document.body.append(style);"
        "const image = new Image(); image.src = 'https://example.org/a.png'; document.body.append(image);"
        "fetch('https://example.org/').catch(() => 0);"
        "setTimeout(() => done(found), 500);"
    )
    assert sorted(set(blocked)) == ["connect-src", "img-src", "script-src-elem", "style-src-elem"]
    assert window.execute_script("return window.ran") is None
    assert all("Content Security Policy" in entry["message"] for entry in window.get_log("browser"))


def test_a_server_is_asked_only_when_the_reader_says_so(open_page: Open) -> None:
    window = open_page(guess("a.jpg", (1.0, 2.0)))
    assert every(window, "img") == []
    one(window, "#tiles").click()
    settle(window)
    assert one(window, "#tiles").get_attribute("aria-pressed") == "true"
    assert "openstreetmap" in (one(window, "#tiles").get_attribute("title") or "")
    sources = {image.get_attribute("src") or "" for image in every(window, "#map img")}
    assert sources
    assert all(source.startswith("https://tile.openstreetmap.org/") for source in sources)
    assert "OpenStreetMap contributors" in text(window, ".leaflet-control-attribution")
    window.execute_async_script("setTimeout(arguments[0], 300)")
    assert text(window, "#notice") == "The tile server gives no pictures."
    one(window, "#tiles").click()
    assert every(window, "#map img") == []
    failures = [entry["message"] for entry in window.get_log("browser")]
    assert all("tile.openstreetmap.org" in failure and "net::ERR" in failure for failure in failures)


def test_ten_thousand_photos_can_be_looked_through(open_page: Open) -> None:
    window = open_page(*invented(10_000))
    assert text(window, "#count") == "10,000 photos"
    assert len(every(window, ".row")) < 40
    assert 0 < len(every(window, "#map .dot, #map .group")) < 200
    one(window, "#text").send_keys("img_0999")
    settle(window)
    assert text(window, "#count") == "10 of 10,000 photos"
    one(window, "#reset").click()
    one(window, "#list").send_keys(Keys.END)
    settle(window)
    assert listed(window)[-1] == "IMG_09999.jpg"
    assert one(window, "[aria-selected=true]").get_attribute("aria-posinset") == "10000"
    group = max(every(window, "#map .group"), key=lambda marker: int(marker.text.replace(",", "")))
    before = group.text
    window.execute_script("arguments[0].click()", group)
    settle(window)
    assert before not in [marker.text for marker in every(window, "#map .group")]


def test_photos_at_one_point_are_listed(open_page: Open) -> None:
    here = [guess(f"{number}.jpg", (43.4, 11.8)) for number in range(7)]
    window = open_page(*here, guess("far.jpg", (-20.0, 30.0)))
    group = one(window, "#map .group")
    assert group.text == "7"
    group.click()
    settle(window)
    assert text(window, "#count") == "7 of 8 photos at one point"
    assert listed(window) == [f"{number}.jpg" for number in range(7)]
    one(window, "#reset").click()
    assert text(window, "#count") == "8 photos"


@pytest.mark.parametrize("dark", [False, True])
def test_at_400_pixels_nothing_is_cut_off(open_page: Open, dark: bool) -> None:
    long = "a_very_long_name_without_any_room_to_break_it_" * 4
    window = open_page(*invented(30), guess(f"{long}.jpg", (43.4, 11.8), exif=Position(43.0, 11.0)))
    resize(window, 400, 800)
    settle(window)
    if dark:
        one(window, "#theme").click()

    def width() -> int:
        return int(window.execute_script("return document.documentElement.scrollWidth"))

    assert width() == 400
    assert one(window, "#map").size["height"] > 200
    assert one(window, "#list").size["height"] > 150
    one(window, "#text").send_keys("a_very")
    one(window, ".row").click()
    settle(window)
    details = one(window, "#details")
    assert details.rect["x"] >= 0
    assert details.rect["x"] + details.rect["width"] <= 400
    assert window.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", details)
    assert width() == 400
    assert one(window, ".badge.best").rect["y"] < details.rect["y"]


def test_a_long_error_is_broken_into_lines(open_page: Open) -> None:
    window = open_page(Prediction("a.jpg", error="cannot be read: " + "e" * 300))
    one(window, ".row").click()
    details = one(window, "#details")
    assert window.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", details)


def test_the_map_jumps_where_the_system_asks_for_less_motion(open_page: Open) -> None:
    window = open_page(guess("a.jpg", (10.0, 20.0), (12.0, 24.0)))
    calm = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": calm})
    window.refresh()
    settle(window)
    one(window, ".row").click()
    moves = window.execute_script(
        "const map = document.getElementById('map'), seen = [];"
        "for (const button of ['.candidate:last-child', '.leaflet-control-zoom-in']) {"
        "  map.parentElement.querySelector(button).click();"
        "  seen.push(map.querySelector('.leaflet-zoom-anim') !== null);"
        "  seen.push(map.querySelector('.leaflet-pan-anim') !== null);"
        "}"
        "return seen;"
    )
    assert moves == [False] * 4


def test_on_paper_there_is_what_was_on_the_screen_and_no_button(open_page: Open) -> None:
    window = open_page(guess("a.jpg", (10.0, 20.0)))
    one(window, ".row").click()
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = {
            id: one(window, id).is_displayed()
            for id in ("#map", "#details", "#caution", "#tools", "#filters")
        }
    finally:
        window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert shown == {"#map": True, "#details": True, "#caution": True, "#tools": False, "#filters": False}


SHAPES = (
    ((43.0, 11.0), 300.0),
    ((-18.0, 179.0), 900.0),  # over the line where days begin
    ((78.0, 15.0), 2000.0),  # over a pole
    ((-80.0, -170.0), 3000.0),
    ((10.0, 0.0), 9_900.0),  # almost half of the globe
    ((40.0, 100.0), 14_000.0),  # over both poles
    ((0.0, 0.0), 20_015.0),  # all of it
)


@pytest.mark.parametrize(("place", "km"), SHAPES, ids=str)
def test_circles_hold_what_is_within_their_radius_and_nothing_else(
    open_page: Open, place: tuple[float, float], km: float
) -> None:
    window = open_page(guess("a.jpg", place, radius_km=km))
    one(window, ".row").click()
    settle(window)
    globe = (files("geolocate") / "data" / "map" / "globe.js").read_text(encoding="utf-8")
    samples = [[latitude, longitude] for latitude in range(-84, 85, 12) for longitude in range(-180, 181, 15)]
    inside = window.execute_script(
        f"{globe}\nconst [place, km, samples] = arguments;"
        "const within = ([y, x], ring) => { let odd = false;"
        " for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {"
        "  const [a, b] = [ring[i], ring[j]];"
        "  if (a[0] > y !== b[0] > y && x < (b[1] - a[1]) * (y - a[0]) / (b[0] - a[0]) + a[1]) odd = !odd;"
        " } return odd; };"
        "const polygons = circle(...place, km);"
        "return samples.map((point) => polygons.some("
        " (rings) => rings.filter((ring) => within(point, ring)).length % 2 === 1));",
        list(place), km, samples,
    )  # fmt: skip
    latitudes, longitudes = zip(*samples, strict=True)
    distances = great_circle_km(unit_vectors(latitudes, longitudes), unit_vectors(*place)[0])
    for (latitude, longitude), distance, found in zip(samples, distances, inside, strict=True):
        if abs(distance - km) > 60:
            assert found == (distance < km), (latitude, longitude, distance)
    (marker,) = every(window, ".badge")
    assert marker.is_displayed()


def test_what_lies_on_both_sides_of_180_degrees_is_drawn_in_one_piece(open_page: Open) -> None:
    window = open_page(
        guess("a.jpg", (-18.0, 179.0), (-14.0, -171.7), radius_km=400.0, exif=Position(-10.0, -178.0))
    )
    one(window, ".row").click()
    settle(window)
    first, second = badge(window, 1).rect["x"], badge(window, 2).rect["x"]
    truth = one(window, "#map .truth").rect["x"]
    assert first < truth < second < first + 940
