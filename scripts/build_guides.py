"""Runs the commands of docs/guides and makes their pictures, in docs/pictures.

    python scripts/build_guides.py [GUIDE...]

Needs the extras map, parquet, plots, and chromium with chromedriver for pictures of pages. The photos are
those of examples/draw_photos.py.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from guide_commands import GUIDES, ROOT, Block, Picture, parts, surroundings
from PIL import Image
from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.text import Text

PICTURES = ROOT / "docs" / "pictures"
#: Cells of the terminal in the pictures.
COLUMNS, ROWS = 100, 60
#: Larger pictures make a page slow.
MAX_PICTURE_BYTES = 300_000
#: Of what lies between a guess and the truth.
ERROR_COLOUR = "#b2182b"


def main() -> None:
    """Makes the pictures of all guides, or of those named."""
    names = sys.argv[1:] or sorted(path.stem for path in GUIDES.glob("*.md"))
    for name in names:
        page = (GUIDES / f"{Path(name).stem}.md").read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as scratch:
            build(page, Path(scratch))


def build(page: str, scratch: Path) -> None:
    """Runs one guide in an empty folder."""
    environment = surroundings(scratch / "home")
    folder = scratch / "work"
    draw = [sys.executable, ROOT / "examples" / "draw_photos.py", folder / "photos"]
    subprocess.run(draw, check=True, capture_output=True)
    last, shown = Block(""), ""
    for part in parts(page):
        if isinstance(part, Picture):
            picture(part, folder, last, shown)
        elif part.not_run is None:
            last, shown = part, in_terminal(part.text, folder, environment)


def in_terminal(commands: str, folder: Path, environment: dict[str, str]) -> str:
    """What a terminal shows of commands, colours included. Raises SystemExit where one of them fails."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    settings = {"TERM": "xterm-256color", "GEOLOCATE_HYPERLINKS": "never", "GEOLOCATE_PROGRESS": "0"}
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={name: value for name, value in environment.items() if name != "COLUMNS"} | settings,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    got = bytearray()
    while chunk := _read(ours):
        got += chunk
    os.close(ours)
    shown = got.decode("utf-8", "replace").replace("\r\n", "\n")
    if shell.wait():
        raise SystemExit(f"{commands}\nstatus {shell.returncode}\n{shown}")
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so when the other end is closed
        return b""


def picture(wanted: Picture, folder: Path, block: Block, shown: str) -> None:
    """Makes one picture."""
    path = PICTURES / wanted.name
    match wanted.kind, wanted.words:
        case "terminal", ():
            terminal_picture(path, block.text, shown)
        case "browser", (page, size, *keys):
            width, _, height = size.partition("x")
            browser_picture(path, folder / page, int(width), int(height), keys)
        case "positions", (file,):
            positions_picture(path, folder / file)
        case _:
            raise SystemExit(f"{wanted.name}: no such kind of picture: {wanted.kind}")
    if path.stat().st_size > MAX_PICTURE_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes")
    print(path.relative_to(ROOT), f"{path.stat().st_size:,} bytes")


def terminal_picture(path: Path, commands: str, shown: str) -> None:
    """An SVG of a terminal with the commands and what they gave. Its font is the reader's own."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False)
    for line in commands.splitlines():
        console.print(Text.assemble(("$ ", "dim"), (line, "bold")))
    console.print(Text.from_ansi(shown.rstrip()))
    form = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    assert "http" not in form.replace("http://www.w3.org", "").replace("https://www.textualize.io", "")
    svg = console.export_svg(title="geolocate", code_format=form, unique_id=path.stem)
    path.write_text(svg, encoding="utf-8")


def browser_picture(path: Path, page: Path, width: int, height: int, keys: list[str]) -> None:
    """A page as chromium shows it, after some keys were pressed (named as in selenium's Keys, or letters)."""
    from selenium import webdriver
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(page.as_uri())
        for key in keys:
            ActionChains(driver).send_keys(getattr(Keys, key, key)).pause(0.6).perform()
        ActionChains(driver).pause(1.0).perform()
        shot = driver.get_screenshot_as_png()
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image.save(path, optimize=True)


def positions_picture(path: Path, file: Path) -> None:
    """Guesses of a GeoJSON file over land, as a GIS draws them: colour by radius, lines to EXIF positions."""
    import geopandas
    from matplotlib.figure import Figure

    from geolocate.land_outline import draw_land

    rows = geopandas.read_file(file)
    best = rows[(rows["rank"] == 1) & rows.geometry.notna()]
    figure = Figure(figsize=(10, 5.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    draw_land(axes)
    for row in best.itertuples():
        truth = row.exif_longitude, row.exif_latitude
        axes.plot(
            *zip(truth, (row.geometry.x, row.geometry.y), strict=True), "--", color=ERROR_COLOUR, lw=0.8
        )
        side, offset = ("right", -5) if truth[0] > 120 else ("left", 5)
        axes.annotate(
            Path(row.photo).name,
            truth,
            (offset, -9),
            textcoords="offset points",
            fontsize=8,
            ha=side,
            zorder=5,
        )
    axes.scatter(best.exif_longitude, best.exif_latitude, marker="+", color=ERROR_COLOUR, zorder=3)
    points = axes.scatter(best.geometry.x, best.geometry.y, c=best.radius_km, cmap="viridis", s=45, zorder=4)
    figure.colorbar(points, label="radius_km", orientation="horizontal", shrink=0.5, aspect=40)
    figure.savefig(path, metadata={"Software": "geolocate"})


if __name__ == "__main__":
    main()
