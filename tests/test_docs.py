"""The pages lead to each other, to files that are there, and say what the program says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md"])
#: A link or a picture; not within code.
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
MAX_PICTURE_BYTES = 300_000


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    return [found["target"] for found in LINK.finditer(CODE.sub("", page.read_text(encoding="utf-8")))]


def anchors(page: Path) -> set[str]:
    """What a heading is called in a link, as on GitHub."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_link_is_dead(page: Path) -> None:
    for target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{name(page)} links to {target}"
        assert file.resolve().is_relative_to(ROOT), f"{name(page)} links out of the repository: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{name(page)} links to {target}"


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "README.md"
    led_to = {(DOCS / target.partition("#")[0]).resolve() for target in links(index)}
    orphans = [name(page) for page in sorted(DOCS.rglob("*.md")) if page != index and page not in led_to]
    assert orphans == []
    assert "docs/README.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_pictures_are_small_and_each_has_a_page_that_shows_it() -> None:
    shown = {(page.parent / target).resolve() for page in PAGES for target in links(page)}
    for picture in sorted((DOCS / "pictures").iterdir()):
        assert picture.stat().st_size <= MAX_PICTURE_BYTES, name(picture)
        assert picture in shown, f"no page shows {name(picture)}"


def test_pictures_fetch_nothing() -> None:
    for picture in (DOCS / "pictures").glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert not re.search(r"url\(\W*http|@import|<script|<image|href", text), name(picture)


@pytest.mark.parametrize(("script", "page"), [("build_model_docs.py", "models.md")])
def test_a_page_that_a_script_writes_is_up_to_date(script: str, page: str) -> None:
    document = runpy.run_path(str(ROOT / "scripts" / script))["document"]()
    assert (DOCS / page).read_text(encoding="utf-8") == document, f"run python scripts/{script}"
