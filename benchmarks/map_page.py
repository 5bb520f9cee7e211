"""The map of 10,000 photos in a browser: how long it takes to open, and how long it keeps the reader waiting.

    python benchmarks/map_page.py [PHOTOS [RUNS [FOLDER]]]

Needs chromium and chromedriver. The predictions are invented (tests/browser/invented.py); the photos are
links to those of FOLDER, by default to the five example photos, so each has a thumbnail. The page is
opened from its file, without network, RUNS times in a fresh browser each. Printed: the time to write the
page, its size, and per action the median over the runs, with the worst in brackets: of opening, until
the list and the markers are there and until all of the page is; of the rest, the longest task of the
page's thread, which is how long a key or a click may wait.
"""

from __future__ import annotations

import runpy
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser.chromium import chromium, resize  # noqa: E402
from browser.invented import invented  # noqa: E402
from selenium.webdriver import Chrome  # noqa: E402

from geolocate.decoding import DecodeOptions  # noqa: E402
from geolocate.writers import RunFacts, open_writers  # noqa: E402

PHOTOS, RUNS = 10_000, 5
#: How long the page is left alone after an action.
PAUSE_S = 0.7
#: Keeps the length of every task above 50 ms, which browsers call long, and of every step that is timed here.
WATCH = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) window.tasks.push(duration);
}).observe({ type: "longtask" });
"""
TIMED = "const begun = performance.now(); {action}; window.tasks.push(performance.now() - begun);"
TYPE = (
    'const field = document.getElementById("text"); field.value = "{text}"; '
    'field.dispatchEvent(new Event("input", {{ bubbles: true }}))'
)
KEY = 'document.getElementById("list").dispatchEvent(new KeyboardEvent("keydown", {{ key: "{key}" }}))'
ACTIONS = {
    "filter by one letter": TYPE.format(text="a"),
    "filter by two words": TYPE.format(text="arezzo tiled"),
    "no filter again": TYPE.format(text=""),
    "sort by name": 'const order = document.getElementById("sort"); order.value = "name"; '
    'order.dispatchEvent(new Event("change", { bubbles: true }))',
    "next photo by key": KEY.format(key="ArrowDown"),
    "last photo by key": KEY.format(key="End"),
    "scroll the list": 'document.getElementById("list").scrollTop = 200000',
    "zoom in": 'document.querySelector(".leaflet-control-zoom-in").click()',
    "pan by key": 'document.getElementById("map").focus(); document.dispatchEvent('
    'new KeyboardEvent("keydown", { keyCode: 39, bubbles: true }))',
    "show all": 'document.getElementById("everything").click()',
    "dark": 'document.getElementById("theme").click()',
}


def drawn_photos(folder: Path) -> Path:
    """The folder with the example photos."""
    argv, sys.argv = sys.argv, ["draw_photos.py", str(folder)]
    try:
        runpy.run_path(str(ROOT / "examples" / "draw_photos.py"), run_name="__main__")
    finally:
        sys.argv = argv
    return folder


def write_page(folder: Path, count: int, originals: Path) -> Path:
    """The page of so many photos."""
    found = sorted(path for path in originals.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    photos = folder / "photos"
    photos.mkdir()
    names = []
    for number in range(count):
        link = photos / f"IMG_{number:05}.jpg"
        link.symlink_to(found[number % len(found)].resolve())
        names.append(str(link))
    page = folder / "map.html"
    facts = RunFacts("photos", DecodeOptions(), ("model invented",))
    with open_writers({"map": page}, facts=facts) as writers:
        for prediction in invented(count, iter(names)):
            writers.write(prediction)
        writers.close()
    return page


def open_page(window: Chrome, page: Path) -> dict[str, float]:
    """Milliseconds of the steps of opening, and of the longest task of each action after it."""
    window.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    resize(window, 1280, 800)
    window.get(page.as_uri())
    window.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    times = {
        "list and markers": window.execute_script(
            'return performance.getEntriesByName("photos are shown")[0].startTime'
        ),
        "all of the page": window.execute_script(
            'return performance.getEntriesByType("navigation")[0].loadEventEnd'
        ),
    }
    for name, action in ACTIONS.items():
        window.execute_script("window.tasks.length = 0")
        window.execute_script(TIMED.replace("{action}", action))
        time.sleep(PAUSE_S)
        times[name] = window.execute_script("return Math.max(...window.tasks)")
    if problems := window.get_log("browser"):
        raise SystemExit(f"the page complains: {problems}")
    return times


def main() -> None:
    """Prints the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else RUNS
    times: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        originals = Path(sys.argv[3]) if len(sys.argv) > 3 else drawn_photos(folder / "drawn")
        begun = time.perf_counter()
        page = write_page(folder, count, originals)
        taken = time.perf_counter() - begun
        print(f"{count:,} photos: {page.stat().st_size / 1e6:.1f} MB, written in {taken:.1f} s")
        for run in range(runs):
            with chromium(folder / f"profile-{run}") as window:
                for name, value in open_page(window, page).items():
                    times[name].append(value)
    for name, values in times.items():
        print(f"{name:24} {statistics.median(values):7.0f} ms  ({max(values):.0f})")


if __name__ == "__main__":
    main()
