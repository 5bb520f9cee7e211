"""Every command that the guides show is run here, and no page shows an option that there is not."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from geolocate.cli import cli

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "guide_commands.py"))
Block, Picture = SCRIPT["Block"], SCRIPT["Picture"]
parts, calls, unknown_options, surroundings = (
    SCRIPT[name] for name in ("parts", "calls", "unknown_options", "surroundings")
)
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
#: Blocks of ```sh, and of no language.
SHELL_BLOCK = re.compile(r"^```(?:sh)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: Programs that a guide may call and a machine may lack.
TOOLS = ("bash", "ogr2ogr", "ogrinfo")


def stem(path: Path) -> str:
    return path.stem


def shell_text(block: str) -> str:
    """What is typed: all of a block, or the lines behind a prompt where their output stands in it too."""
    typed = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return "\n".join(typed) if typed else block


@pytest.mark.parametrize("page", PAGES, ids=stem)
def test_every_option_of_a_page_exists(page: Path) -> None:
    for block in SHELL_BLOCK.findall(page.read_text(encoding="utf-8")):
        for words in calls(shell_text(block)):
            assert unknown_options(words, cli) == [], " ".join(words)


@pytest.mark.parametrize("guide", GUIDES, ids=stem)
def test_the_commands_of_a_guide_run(guide: Path, drawn_photos: Path, tmp_path: Path) -> None:
    page = guide.read_text(encoding="utf-8")
    for tool in TOOLS:
        if shutil.which(tool) is None and (tool == "bash" or tool in page):
            pytest.skip(f"needs {tool}")
    environment = surroundings(tmp_path / "home")
    folder = tmp_path / "work"
    shutil.copytree(drawn_photos, folder / "photos")
    before = {path: path.read_bytes() for path in (folder / "photos").iterdir()}
    for part in parts(page):
        if isinstance(part, Block) and part.not_run is None:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", part.text],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{part.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert before == {path: path.read_bytes() for path in (folder / "photos").iterdir()}


@pytest.mark.parametrize("guide", GUIDES, ids=stem)
def test_a_guide_shows_the_pictures_that_are_made_for_it(guide: Path) -> None:
    page = guide.read_text(encoding="utf-8")
    for part in parts(page):
        if isinstance(part, Picture):
            assert f"](../pictures/{part.name})" in page, part.name


def test_calls_are_found_in_what_a_shell_runs() -> None:
    text = (
        "GEOLOCATE_TOP_K=2 geolocate a.jpg | head && geolocate models list; echo geolocate x\n"
        "geolocate b.jpg \\\n  --csv out.csv > log 2>&1 &  # geolocate c.jpg\n"
        "python - <<'END'\ngeolocate d.jpg\nEND\n"
        "for i in 1; do geolocate e.jpg; done\n"
    )
    found = list(calls(text))
    assert [words[:2] for words in found] == [["a.jpg"], ["models", "list"], ["b.jpg", "--csv"], ["e.jpg"]]


def test_an_option_that_does_not_exist_is_noticed() -> None:
    assert unknown_options(["photos/", "--cvs", "a", "-k", "5"], cli) == ["--cvs"]
    assert unknown_options(["models", "pull", "x", "--yes", "--loud=1"], cli) == ["--loud"]
    assert unknown_options(["evaluate", "t.csv", "--json", "-"], cli) == []
    assert unknown_options(["--", "-odd-name.jpg"], cli) == []
