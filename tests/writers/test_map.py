"""The map page as a file: what is in it, what may run in it, and what it does not keep."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hostile import exif_blocks, pictures
from PIL import Image

from geolocate.cli import cli
from geolocate.decoding import DecodeOptions
from geolocate.errors import ExtraMissing, OutputError
from geolocate.records import Concept, Prediction
from geolocate.writers import RunFacts, open_writers
from geolocate.writers.map import page as map_page
from geolocate.writers.map import thumbnails as map_thumbnails

pytest.importorskip("js_lib_leaflet", reason="needs the extra 'map'")

DATA = files("geolocate") / "data" / "map"
HOSTILE = "</script><script>alert(1)</script><!-- \u2028 & \udcff \x1b[31m \u202egpj.exe"


def block(page: str, name: str) -> Any:
    """The JSON of a block of the page."""
    (text,) = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def pictures_of(page: str) -> dict[int, bytes]:
    """The thumbnails of the page by the numbers of their photos."""
    found = re.findall(r'<script type="text/plain" id="thumbnail-(\d+)">([A-Za-z0-9+/=]*)</script>', page)
    return {int(number): base64.b64decode(data) for number, data in found}


def run(*words: str | Path, **more: Any) -> Result:
    return CliRunner().invoke(cli, [*map(os.fspath, words), "--model", "starter", "-q"], **more)


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[..., str]:
    """Writes predictions as a page; returns its text."""

    def write(*predictions: Prediction, facts: RunFacts | None = None) -> str:
        path = tmp_path / "map.html"
        with open_writers({"map": path}, facts=facts, overwrite=True) as writers:
            for prediction in predictions:
                writers.write(prediction)
            writers.close()
        return path.read_text(encoding="utf-8")

    return write


def test_the_page_holds_what_the_tables_hold(page_of: Callable[..., str], located: Prediction) -> None:
    (photo,) = block(page_of(located), "photos")
    assert photo["photo"] == "photos/a.jpg"
    assert [candidate["probability"] for candidate in photo["candidates"]] == [0.123457, 0.0617284]
    first = photo["candidates"][0]
    assert (first["latitude"], first["longitude"], first["radius_km"]) == (43.467448, -73.9, 12.346)
    assert (first["place"], first["region"], first["country"]) == ("Arezzo", "Tuscany", "Italy")
    assert (first["error_km"], photo["exif_latitude"], photo["exif_longitude"]) == (1.0, 43.467448, 0.0)
    assert photo["concepts"] == [["souk", 0.512], ["tuk-tuk", 0.25]]
    assert photo["notes"] == "uncertain"


def test_a_photo_that_failed_is_there_with_its_error(page_of: Callable[..., str], failed: Prediction) -> None:
    (photo,) = block(page_of(failed), "photos")
    assert (photo["error"], photo["candidates"]) == ('truncated, "really"', [])


def test_a_run_without_photos_gives_a_page_without_photos(page_of: Callable[..., str]) -> None:
    assert block(page_of(), "photos") == []


def test_the_page_names_the_model_and_how_good_it_is(page_of: Callable[..., str]) -> None:
    facts = RunFacts("texts")
    page = page_of(facts=facts)
    assert block(page, "about")["what"] == "texts"
    assert block(page, "about")["model"] == []
    facts.model = ("model starter (fp32): no better than a guess",)
    assert block(page_of(facts=facts), "about")["model"] == list(facts.model)


def test_the_terms_of_the_map_library_go_with_its_script(page_of: Callable[..., str]) -> None:
    page = page_of()
    assert "BSD 2-Clause License" in block(page, "about")["licence"]
    assert "Volodymyr Agafonkin" in block(page, "about")["licence"]
    assert "@preserve" in page


def test_the_policy_lets_the_pages_own_scripts_and_styles_run_and_nothing_else(
    page_of: Callable[..., str], located: Prediction
) -> None:
    page = page_of(located)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data: https://tile.openstreetmap.org"
    for kind, rule in (("script", "script-src"), ("style", "style-src")):
        texts = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert rules[rule] == " ".join(f"'sha256-{each}'" for each in hashes)
        assert len(texts) == 2
    assert "unsafe" not in policy
    assert set(rules) == {"default-src", "base-uri", "form-action", "img-src", "script-src", "style-src"}


def test_the_page_loads_nothing(page_of: Callable[..., str], located: Prediction) -> None:
    page = page_of(located)
    markup = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(src|href|srcset|action|poster|data)\s*=", markup)
    assert "@import" not in page


@pytest.mark.parametrize("name", map_page.SCRIPTS)
def test_no_script_of_the_page_parses_markup_or_runs_text(name: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "</"):
        assert way not in text, way
    assert not re.search(r"\bFunction\(|setTimeout\(\s*[\"'`]|createContextualFragment|srcdoc", text)


def test_hostile_text_stays_inside_its_block(page_of: Callable[..., str], located: Prediction) -> None:
    hostile = replace(
        located, photo=HOSTILE, notes=(HOSTILE,), concepts=(Concept(HOSTILE, 0.5),), model=HOSTILE
    )
    page = page_of(hostile, Prediction(HOSTILE, error=HOSTILE), facts=RunFacts(model=(HOSTILE,)))
    assert page.count("<script") == page.count("</script>") == page_of(located).count("</script>")
    first, second = block(page, "photos")
    shown = "</script><script>alert(1)</script><!--  & \ufffd [31m gpj.exe"
    assert first["photo"] == first["notes"] == first["concepts"][0][0] == second["error"] == shown
    assert block(page, "about")["model"] == [shown]


def test_thumbnails_are_small_upright_and_without_metadata(tmp_path: Path) -> None:
    block_of_place = exif_blocks.position_block(exif_blocks.degrees(10), exif_blocks.degrees(20))
    (tmp_path / "a.jpg").write_bytes(pictures.photo("JPEG", exif=block_of_place))
    halves = Image.new("RGB", (600, 400), "red")
    halves.paste("blue", (0, 200, 600, 400))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    exif[0x010E] = "secret words"
    halves.save(tmp_path / "b.jpg", exif=exif)
    (tmp_path / "c.jpg").write_bytes(b"no photo")
    out = tmp_path / "map.html"
    assert run(tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.jpg", "--map", out).exit_code == 3
    page = out.read_text(encoding="utf-8")
    found = pictures_of(page)
    assert set(found) == {0, 1}
    for data in found.values():
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (160, 160))
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
            assert not picture.getexif()
        assert b"secret" not in data
        assert b"Exif" not in data
    with Image.open(io.BytesIO(found[1])) as picture:
        red, _, blue = picture.getpixel((80, 20))  # type: ignore[misc]
        assert blue > 200 > 60 > red
    assert "error" in block(page, "photos")[2]


def test_no_thumbnails_where_there_are_to_be_none(drawn_photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    assert run(drawn_photos, "--map", out, "--no-thumbnails").exit_code == 0
    page = out.read_text(encoding="utf-8")
    assert pictures_of(page) == {}
    assert len(block(page, "photos")) == 5


def test_thumbnails_end_where_the_page_would_grow_too_large(
    drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_thumbnails, "MAX_THUMBNAIL_BYTES", 6000)
    out = tmp_path / "map.html"
    assert run(drawn_photos, "--map", out).exit_code == 0
    page = out.read_text(encoding="utf-8")
    found = pictures_of(page)
    assert 0 < len(found) < 5
    assert sum(map(len, found.values())) <= 6000
    assert len(block(page, "photos")) == 5


def test_isolation_and_bounds_hold_for_thumbnails(
    drawn_photos: Path, page_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [Prediction(os.fspath(path)) for path in sorted(drawn_photos.iterdir())]
    here = RunFacts(thumbnails=DecodeOptions(workers=1))
    assert len(pictures_of(page_of(*photos, facts=here))) == len(photos)
    small = RunFacts(thumbnails=DecodeOptions(max_pixels=10))
    assert pictures_of(page_of(*photos, facts=small)) == {}

    def refuse(*arguments: object) -> None:
        raise AssertionError("a photo was decoded in this process")

    monkeypatch.setattr("geolocate.decoding.decode_item", refuse)
    apart = RunFacts(thumbnails=DecodeOptions(workers=1, isolate=True))
    assert len(pictures_of(page_of(*photos, facts=apart))) == len(photos)


def test_the_making_of_thumbnails_can_be_watched(drawn_photos: Path, page_of: Callable[..., str]) -> None:
    told: list[int] = []

    @contextmanager
    def watch(total: int) -> Iterator[Callable[[], None]]:
        told.append(total)
        yield lambda: told.append(1)

    photos = [Prediction(os.fspath(path)) for path in sorted(drawn_photos.iterdir())]
    page_of(*photos, facts=RunFacts(thumbnails=DecodeOptions(workers=1), watch=watch))
    assert told == [5, 1, 1, 1, 1, 1]


def test_texts_that_look_like_paths_are_never_opened(
    drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = next(iter(drawn_photos.iterdir()))
    page = tmp_path / "map.html"
    facts = RunFacts("texts", None)
    with open_writers({"map": page}, facts=facts) as writers:
        writers.write(Prediction(os.fspath(photo)))
        writers.close()
    assert pictures_of(page.read_text(encoding="utf-8")) == {}


def test_photos_at_urls_are_not_fetched_again(page_of: Callable[..., str]) -> None:
    facts = RunFacts(thumbnails=DecodeOptions(workers=1))
    page = page_of(Prediction("https://192.0.2.1/a.jpg"), Prediction("zip://a.jpg::b.zip"), facts=facts)
    assert pictures_of(page) == {}
    assert len(block(page, "photos")) == 2


def test_a_name_that_is_not_utf8_is_shown_and_its_photo_found(drawn_photos: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        (tmp_path / name).write_bytes(next(iter(drawn_photos.iterdir())).read_bytes())
    except OSError:
        pytest.skip("this system's names are text")
    out = tmp_path / "map.html"
    assert run(tmp_path / name, "--map", out).exit_code == 0
    page = out.read_text(encoding="utf-8")
    assert block(page, "photos")[0]["photo"].endswith("caf\ufffd.jpg")
    assert set(pictures_of(page)) == {0}


def test_standard_output_gets_the_bytes_that_a_file_gets(drawn_photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    assert run(drawn_photos, "--map", out).exit_code == 0
    assert run(drawn_photos, "--map", "-").stdout_bytes == out.read_bytes()


def test_a_run_that_goes_on_ends_with_the_same_page(
    located: Prediction, failed: Prediction, tmp_path: Path, page_of: Callable[..., str]
) -> None:
    whole = page_of(located, failed)
    out = tmp_path / "resumed.html"
    with open_writers({"map": out}) as writers:
        writers.begin({"inputs": []})
        writers.write(located)
    assert not out.exists()
    with open_writers({"map": out}, resume=True) as writers:
        writers.begin({"inputs": []})
        assert [prediction.photo for prediction in writers.earlier()] == [located.photo]
        writers.write(failed)
        writers.close()
    assert out.read_text(encoding="utf-8") == whole


def test_without_the_extra_it_is_refused_before_any_work(
    drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "js_lib_leaflet", None)
    done = run(drawn_photos, "--map", tmp_path / "map.html")
    assert done.exit_code == 1
    assert "--map needs the 'map' extra: pip install 'geolocate[map]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_gone_or_there_in_part_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "js_lib_leaflet.py"
    empty.touch()
    for found in (None, spec_from_file_location("js_lib_leaflet", empty)):
        monkeypatch.setattr(map_page, "find_spec", lambda name, found=found: found)
        with pytest.raises(ExtraMissing, match=r"geolocate\[map\]"):
            map_page.page_pieces()


def test_without_room_for_temporary_files_it_says_so(
    page_of: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path / "missing"))
    with pytest.raises(OutputError, match="the map needs room for temporary files"):
        page_of()
    assert not list(tmp_path.glob("map.html*"))


def test_an_interrupted_page_leaves_the_old_one(
    drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "map.html"
    out.write_text("the old page", encoding="utf-8")

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("geolocate.writers.map.writer.thumbnails", interrupt)
    assert run(drawn_photos, "--map", out).exit_code == 130
    assert out.read_text(encoding="utf-8") == "the old page"
    monkeypatch.undo()
    assert run(drawn_photos, "--map", out, "--resume").exit_code == 0
    assert len(pictures_of(out.read_text(encoding="utf-8"))) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"map.html", "map.html.manifest.json"}


def test_the_land_is_whole() -> None:
    world = json.loads((DATA / "world.json").read_text(encoding="utf-8"))
    assert len((DATA / "world.json").read_bytes()) < 300_000
    arcs = world["arcs"]
    assert all(len(arc) >= 4 and len(arc) % 2 == 0 for arc in arcs)
    ends = []
    for arc in arcs:
        x, y = sum(arc[::2]), sum(arc[1::2])
        ends.append(((arc[0], arc[1]), (x, y)))
    for country in world["countries"]:
        for ring in country["rings"]:
            pairs = [ends[i] if i >= 0 else ends[~i][::-1] for i in ring]
            for (_, end), (start, _) in zip(pairs, [*pairs[1:], pairs[0]], strict=True):
                assert (end[0] - start[0]) % 36_000 == 0, country["name"]
                assert end[1] == start[1], country["name"]
    named = {country["name"] for country in world["countries"]}
    assert {"Italy", "Fiji", "Antarctica", "Vatican"} <= named


#: What is written (4.5 : 1) or drawn to be found (3 : 1) on what, by the page's names of colours (WCAG 2.2).
CONTRASTS = (
    [
        (front, back, 4.5)
        for front, backs in {
            "text": ("page", "panel", "hover", "accent-soft"),
            "soft": ("page", "panel", "hover", "accent-soft"),
            "warn": ("page", "panel", "hover", "accent-soft"),
            "accent": ("panel", "accent-soft"),
            "truth": ("panel", "hover", "accent-soft"),
            "ring": ("accent",),
            "label": ("land", "sea"),
        }.items()
        for back in backs
    ]
    + [
        (front, back, 3.0)
        for front in ("focus", "accent", "truth")
        for back in ("page", "panel", "land", "sea")
    ]
    + [("field", "page", 3.0), ("field", "panel", 3.0)]
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_written_can_be_read(theme: str) -> None:
    light, dark = (DATA / "frame.css").read_text(encoding="utf-8").split(':root[data-theme="dark"]', 1)
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", light if theme == "light" else dark))

    def luminance(name: str) -> float:
        red, green, blue = (int(colours[name][at : at + 2], 16) / 255 for at in (0, 2, 4))
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (red, green, blue)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for front, back, least in CONTRASTS:
        brighter, darker = sorted((luminance(front), luminance(back)), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) >= least, (front, back)


def test_a_merge_decodes_in_processes_of_their_own(
    drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "a.csv"
    assert run(drawn_photos, "--csv", found).exit_code == 0

    def refuse(*arguments: object) -> None:
        raise AssertionError("a photo was decoded in this process")

    monkeypatch.setattr("geolocate.decoding.decode_item", refuse)
    for number, by_path in enumerate(([], ["--by-path"])):
        out = tmp_path / f"{number}.html"
        words = ["merge", os.fspath(found), "--map", os.fspath(out), "-q", *by_path]
        assert CliRunner().invoke(cli, words).exit_code == 0
        assert len(pictures_of(out.read_text(encoding="utf-8"))) == 5
