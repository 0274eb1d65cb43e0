"""What a person does on the page in a real browser, and what is waited for before the next thing is done."""

from __future__ import annotations

import itertools
import time
from typing import Any

from tests.browsing import Page

PLOT = "document.querySelector('#front .js-plotly-plot')"
POINTS = "#front .scatterlayer .trace .points path"
ROWS = "#grid .ag-center-cols-container .ag-row"
# Where a point of a trace is on the screen, by the trace's name or by the trial that the point is; null if nowhere.
PLACE = """({uid, index, trial}) => {
    const plot = document.querySelector('#front .js-plotly-plot'), box = plot.getBoundingClientRect();
    for (const trace of plot.data) {
        const at = uid === undefined ? (trace.customdata || []).indexOf(trial) : trace.uid === uid ? index : -1;
        if (at < 0) continue;
        const {xaxis, yaxis} = plot._fullLayout;
        return [
            box.x + xaxis._offset + xaxis.d2p(trace.x[at]), box.y + yaxis._offset + yaxis.d2p(trace.y[at])
        ];
    }
    return null;
}"""


def opened(tab: Page, address: str) -> Any:
    page = tab.open(address)
    page.wait_for_selector("#left:has-text('models left')")
    page.wait_for_selector(f"{ROWS} .ag-cell[col-id=miou]:not(:empty)")  # rows are there before what they hold
    page.wait_for_selector(POINTS)
    return page


def until(page: Any, holds: str, **named: Any) -> None:
    """Wait until an expression of JavaScript holds."""
    page.wait_for_function(f"() => {holds}", **named)


def changes(page: Any, place: str, before: str) -> None:
    """Wait until what a place says is not what it said before."""
    page.wait_for_function("([at, before]) => document.querySelector(at).innerText !== before", arg=[place, before])


def hover(page: Any, shows: str, **point: Any) -> list[float]:
    """Move onto a point until an expression of JavaScript holds, and where it is: a redraw takes a hover away."""
    deadline = time.monotonic() + 30
    for beside in itertools.cycle((1, 2)):
        spot: list[float] | None = page.evaluate(PLACE, point)
        if spot is not None:
            page.mouse.move(spot[0] + beside, spot[1])
        for _ in range(10):
            if spot is not None and page.evaluate(shows):
                return spot
            page.wait_for_timeout(50)
        assert time.monotonic() < deadline, f"no hover at {point}: {spot}"
    raise AssertionError


def says(words: str) -> str:
    """Whether what hovers in the plot has these words, as an expression of JavaScript."""
    return f"[...document.querySelectorAll('#front .hovertext')].some(one => one.textContent.includes('{words}'))"


def click_a_point(page: Any, trial: int) -> None:
    """Press the mouse on a model's point in the plot, which counts once the plot hovers there."""
    on_it = f"({PLOT}._hoverdata || []).some(point => [point.customdata].flat()[0] === {trial})"
    page.mouse.click(*hover(page, on_it, trial=trial))
