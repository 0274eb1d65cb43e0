"""In a real browser: what the page opens with, models trained to the end, and limits far away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from segsearch.dashboard.reading import Reader
from segsearch.figures import as_page
from segsearch.judging.fronts import Report, knee_of
from tests.browsing import Page
from tests.dashboard import many
from tests.dashboard.acts import PLOT, changes, click_a_point, hover, opened, says, until
from tests.dashboard.conftest import served

pytestmark = pytest.mark.slow


def report_of(database: Path) -> Report:
    reader = Reader(str(database))
    seen = reader.look().seen
    assert seen is not None
    return reader.report(seen)


def pictured(page: Any, name: str) -> None:
    """Keep a picture of the page where somebody asks for it."""
    if folder := os.environ.get("SEGSEARCH_PICTURES"):
        page.wait_for_timeout(500)
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_it_opens_with_the_knee_which_gives_way_to_the_first_choice(tab: Page, small: Path) -> None:
    report = report_of(small)
    knee = knee_of(report).trial
    other = next(row.trial for row in report.front if row.trial != knee)
    with served(small) as address:
        page = opened(tab, address)
        page.wait_for_selector(f"#chosen:has-text('Trial {knee}')")
        assert page.evaluate("location.search") == ""
        page.get_by_role("tab", name="One model").click()
        page.wait_for_selector(f"#model-panel h2:has-text('Trial {knee}')")
        page.get_by_role("tab", name="Explore").click()
        click_a_point(page, other)
        until(page, f"location.search === '?models={other}'")
        page.wait_for_selector(f"#chosen:has-text('Trial {other}')")
        assert f"Trial {knee}" not in page.inner_text("#chosen").replace(f"trial {knee}", "")
        page.click("#chosen button:has-text('Deselect')")
        until(page, "location.search === ''")
        page.wait_for_selector("#chosen:has-text('the knee, suggested')")


def test_final_models_are_drawn_told_and_switched_off(tab: Page, small: Path) -> None:
    members = report_of(small).front
    with served(small) as address:
        page = opened(tab, address)
        assert page.locator("#ended").is_hidden()
        for place, row in enumerate(members[1:6]):
            many.finish(small, row.trial, min(0.95, row.values["miou"] + 0.1 + 0.02 * (place % 2)), test=0.6)
        page.wait_for_selector("#ended:has-text('Kendall')")
        # A tick may come between two of them: the figure with all five is the last one, and keeps its axes.
        ended = f"{PLOT}.data.filter(trace => (trace.uid || '').startsWith('trained to'))"
        until(page, f"{ended}.flatMap(trace => trace.customdata).length === 5")
        uid = page.evaluate(f"{ended}[0].uid")
        ships = uid.rpartition(" ")[2]
        trial = page.evaluate(f"{ended}[0].customdata[0]")
        spot = hover(page, says("trained to the end"), uid=uid, index=0)
        pictured(page, "final-front")
        page.mouse.click(*spot)
        until(page, f"location.search === '?models={trial}'")
        page.wait_for_selector(f"#chosen:has-text('Trial {trial}')")
        entry = page.locator("#front .legend .traces", has_text=uid)
        entry.locator(".legendtoggle").click()
        for name in (uid, f"way, {ships}"):
            until(page, f"{PLOT}._fullData.find(trace => trace.uid === '{name}').visible === 'legendonly'")
        page.get_by_role("tab", name="One model").click()
        page.wait_for_selector("#model-panel [aria-label='mIoU over the epochs'] .main-svg")
        words = page.inner_text("#model-panel")
        assert "segsearch retrain" in words
        assert "segsearch export" in words
        assert "5 files were judged on this study's test images so far" in words
        pictured(page, "final-model")
        with page.expect_download() as download:
            page.locator("#model-panel a[download]", has_text="ONNX").nth(1).click()
        assert Path(download.value.path()).read_bytes().startswith(f"{trial} 0 ".encode())


def test_a_limit_far_away_is_an_arrow_and_the_models_keep_the_axis(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, address)
        plain = page.evaluate(f"{PLOT}._fullLayout.xaxis.range")
        before = page.inner_text("#left")
        page.goto(f"{address}?limit=latency_ms<=4000&limit=miou>=-5")
        page.wait_for_selector("#front .annotation:has-text('latency_ms<=4000')")
        assert page.evaluate(f"{PLOT}._fullLayout.xaxis.range") == plain
        box, text = (
            page.locator("#front .nsewdrag").first.bounding_box(),
            page.locator("#front .annotation", has_text="latency_ms<=4000").first.bounding_box(),
        )
        assert box["x"] < text["x"] < text["x"] + text["width"] <= box["x"] + box["width"] + 2
        assert page.locator("#front .annotation-arrow-g").count() == 2
        changes(page, "#left", before)
        pictured(page, "far-limit")


def test_a_page_of_a_front_shows_them_without_any_other_file(browser: Any, small: Path, tmp_path: Path) -> None:
    for row in report_of(small).front[:3]:
        many.finish(small, row.trial, 0.8)
    path, wrong = tmp_path / "front.html", list[str]()
    path.write_text(as_page(report_of(small)), encoding="utf-8")
    page = browser.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("#front .legend .traces:has-text('trained to the end')")
    pictured(page, "final-page")
    page.close()
    assert wrong == []
