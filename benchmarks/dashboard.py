"""The dashboard in a real browser: first useful paint, interactions and the server's memory, at 200 and 10,000 trials.

    python benchmarks/dashboard.py [TRIALS ...]

Needs Chromium and `pip install playwright`. The page is opened anew for each paint, without anything cached. A paint is
useful once the front stands with its points, its limits and its counts; when the table below holds its rows, too, is
printed beside it. An interaction lasts from the key or the click until both the plot and the words beside it show its
effect.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.browsing import CHROMIUM, SWITCHES
from tests.dashboard import many

# Trials: seconds to paint, seconds an interaction may take; the server's memory in MB.
TARGETS = {200: (1.5, 0.2), 10_000: (3.0, 0.5)}
MOST_MEMORY = 400
REPEATS = 5

PLOT = "document.querySelector('#front .js-plotly-plot')"
# Looks at every frame of the browser from the first one on.
STAMPS = f"""window.stamps = {{}};
const look = () => {{
    const plot = {PLOT}, stamps = window.stamps, now = performance.now();
    if (!stamps.front && plot && plot.calcdata && (plot.data || []).some(trace => trace.customdata)
        && document.querySelector('#left').innerText.includes('models left')
        && document.querySelector('[role=slider]')) stamps.front = now;
    if (!stamps.rows && document.querySelector('#grid .ag-center-cols-container .ag-row .ag-cell')) stamps.rows = now;
    if (!stamps.front || !stamps.rows) requestAnimationFrame(look);
}};
requestAnimationFrame(look);"""
PAINTED = "() => window.stamps && window.stamps.front && window.stamps.rows"
LATENCY_WORDS = """[id='{"name":"latency_ms","type":"limit-words"}']"""
WATCH = f"""() => {{ window.drawn = 0; {PLOT}.on('plotly_afterplot', () => {{ window.drawn += 1 }}) }}"""
# Starts a clock at the event itself and stops it in the browser, where no round trip of the driver counts.
CLOCK = """([event, words]) => {
    const before = document.querySelector(words).innerText, drawn = window.drawn;
    window.lasted = null;
    document.addEventListener(event, () => {
        const start = performance.now();
        const look = () => {
            if (window.drawn > drawn && document.querySelector(words).innerText !== before)
                requestAnimationFrame(() => { window.lasted = performance.now() - start });
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, {once: true, capture: true});
}"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        sys.exit("No Chromium on this machine: apt-get install chromium.")
    sizes = [int(text) for text in sys.argv[1:]] or list(TARGETS)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        for trials in sizes:
            with tempfile.TemporaryDirectory(prefix="segsearch-dashboard-") as folder:
                measure(browser, many.fill(Path(folder), trials), trials)
        browser.close()


def measure(browser: Any, database: Path, trials: int) -> None:
    command = [sys.executable, "-m", "segsearch", "dashboard", str(database), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        try:
            paints, tables = zip(*(paint(browser, address) for _ in range(REPEATS)), strict=True)
            limits, selections = interactions(browser, address)
            visit_all(browser, address)
            memory = psutil.Process(server.pid).memory_info().rss / 2**20
        finally:
            server.terminate()
    paint_target, act_target = TARGETS.get(trials, (float("nan"),) * 2)
    print(f"{trials} trials, median of {REPEATS} (longest)")
    for name, times, target in (
        ("first paint, nothing cached", paints, paint_target),
        ("the table's rows, too", tables, None),
        ("a limit moves", limits, act_target),
        ("a model is selected", selections, act_target),
    ):
        wanted = f"   at most {target} s wanted" if target else ""
        print(f"  {name:28s} {median(times):6.3f} s ({max(times):.3f}){wanted}")
    print(f"  {'memory of the server':28s} {memory:6.0f} MB           at most {MOST_MEMORY} MB wanted", flush=True)


def paint(browser: Any, address: str) -> tuple[float, float]:
    """Seconds until the front can be read, and until the table can."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.add_init_script(STAMPS)
    page.goto(address, wait_until="commit")
    page.wait_for_function(PAINTED, polling=100, timeout=60_000)
    stamps = page.evaluate("window.stamps")
    context.close()
    return stamps["front"] / 1000, stamps["rows"] / 1000


def interactions(browser: Any, address: str) -> tuple[list[float], list[float]]:
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    page.add_init_script(STAMPS)
    page.goto(address)
    page.wait_for_function(PAINTED, timeout=60_000)
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)
    limits, selections = [], []
    slider = page.locator("[role=slider]:visible").nth(1)
    for _ in range(REPEATS):
        slider.focus()
        page.evaluate(CLOCK, ["keydown", LATENCY_WORDS])
        page.keyboard.press("ArrowLeft")
        limits.append(lasted(page))
    for place in range(REPEATS):
        page.evaluate(CLOCK, ["click", "#chosen"])
        page.locator("#grid .ag-center-cols-container .ag-row .ag-cell[col-id=standing]").nth(place).click()
        selections.append(lasted(page))
    context.close()
    return limits, selections


def lasted(page: Any) -> float:
    page.wait_for_function("() => window.lasted !== null", polling=20, timeout=30_000)
    page.wait_for_timeout(400)
    return float(page.evaluate("window.lasted")) / 1000


def visit_all(browser: Any, address: str) -> None:
    """Look at the tabs that need no real files, so that the memory is that of a server in use."""
    context = browser.new_context()
    page = context.new_page()
    for tab in ("search", "model"):
        page.goto(f"{address}?tab={tab}&models=1,2")
        page.wait_for_selector("[role=figure] .main-svg:visible", timeout=60_000)
        page.wait_for_timeout(2000)
    context.close()


if __name__ == "__main__":
    main()
