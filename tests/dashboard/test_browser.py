"""The page in a real browser: what a person does, and what the database holds afterwards."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from segsearch.dashboard.limits import STEPS
from segsearch.dashboard.reading import Reader
from segsearch.figures import as_page
from segsearch.store import open_store
from tests.browsing import Page
from tests.dashboard import many
from tests.dashboard.acts import PLOT, POINTS, ROWS, changes, click_a_point, hover, opened, says, until
from tests.dashboard.conftest import served

pytestmark = pytest.mark.slow


def test_it_opens_filters_and_selects_both_ways(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, address)
        before = page.inner_text("#left")
        # a limit, by keyboard alone
        page.locator("[role=slider]:visible").nth(1).focus()
        for _ in range(STEPS * 3 // 5):
            page.keyboard.press("ArrowLeft")
        until(page, "location.search.includes('latency_ms')")
        changes(page, "#left", before)
        assert "under your limits" in page.inner_text("#left")
        page.click("#clear")
        until(page, "!location.search.includes('limit')")
        # the plot
        trial = page.evaluate(
            "document.querySelector('#front .js-plotly-plot').data.find(t => t.customdata).customdata[0]"
        )
        click_a_point(page, trial)
        until(page, f"location.search === '?models={trial}'")
        page.wait_for_selector(f"#grid .chosen-row[row-id='{trial}']")
        page.wait_for_selector(f"#chosen:has-text('Trial {trial}')")
        # the table, by mouse and by keyboard
        row = page.locator(f"{ROWS}:not(.chosen-row)").first
        other = row.get_attribute("row-id")
        row.locator("[col-id=standing]").click()
        until(page, f"location.search === '?models={trial},{other}'")
        page.keyboard.press("Space")
        until(page, f"location.search === '?models={trial}'")


def test_a_view_can_be_shared_and_taken_back(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, f"{address}?x=size_bytes&y=latency_ms&log=x&limit=latency_ms<=9&models=3,5")
        assert "under your limits" in page.inner_text("#left")
        assert page.evaluate(f"{PLOT}.layout.xaxis.type") == "log"
        page.get_by_role("tab", name="The search").click()
        until(page, "location.search.includes('tab=search')")
        page.wait_for_selector("#outcomes .main-svg:visible")
        page.go_back()
        until(page, "!location.search.includes('tab=')")
        page.wait_for_selector(POINTS)
        page.reload()
        page.wait_for_selector("#left:has-text('under your limits')")


def test_zoom_and_selection_stay_while_the_study_grows(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, f"{address}?models=3&limit=latency_ms<=30")
        before = page.inner_text("#left")
        page.evaluate("window.stayed = true")
        box = page.locator("#front .nsewdrag").first.bounding_box()
        page.mouse.move(box["x"] + 60, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + 250, steps=5)
        page.mouse.up()
        # An answer with a figure takes the zoom back that the page's store does not hold yet.
        until(page, "(dash_component_api.getLayout('zoom').props.data || {}).xaxis")
        zoom = page.evaluate(f"{PLOT}.layout.xaxis.range")
        with open_store(small) as store:
            many.grow(store, store.study(), range(40, 70))
        changes(page, "#left", before)
        until(page, f"{PLOT}.data.some(trace => (trace.customdata || []).some(trial => trial >= 40))")
        page.wait_for_timeout(500)
        assert page.evaluate("window.stayed"), "the page was not loaded again"
        assert page.evaluate(f"{PLOT}.layout.xaxis.range") == zoom
        assert "models=3" in page.url
        page.wait_for_selector("#chosen:has-text('Trial 3')")


def test_references_say_their_names_and_stay_switched_off_while_the_study_grows(tab: Page, small: Path) -> None:
    many.compare(small)
    reference = f"{PLOT}.data.find(trace => trace.uid === 'reference, int8')"
    with served(small) as address:
        page = opened(tab, address)
        place = hover(page, says("mobile"), uid="reference, int8", index=0)
        page.mouse.click(*place)
        page.wait_for_timeout(500)
        assert "models=" not in page.url, "it is no model of the study"
        entry = page.locator("#front .legend .traces", has_text="reference, int8")
        entry.locator(".legendtoggle").click()
        until(page, f"{reference}.visible === 'legendonly'")
        before = page.inner_text("#left")
        with open_store(small) as store:
            many.grow(store, store.study(), range(40, 60))
        changes(page, "#left", before)
        page.wait_for_timeout(500)
        assert page.evaluate(f"{PLOT}._fullData.find(trace => trace.uid === 'reference, int8').visible") == "legendonly"
        assert page.evaluate(f"{PLOT}._fullData.find(trace => trace.uid === 'reference, fp32').visible") is True


def test_two_actions_before_an_answer_both_count(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, address)
        slow = iter((0.8, 0.0, 0.0, 0.0, 0.0, 0.0))

        def late(route: Any) -> None:  # the server has both in their order; the first answer waits
            if "cellClicked" not in (route.request.post_data or ""):
                route.continue_()
                return
            answer = route.fetch()
            time.sleep(next(slow, 0.0))
            route.fulfill(response=answer)

        page.route("**/_dash-update-component*", late)
        rows = page.locator(ROWS)
        trials = [rows.nth(place).get_attribute("row-id") for place in (0, 1)]
        page.evaluate(
            """() => [0, 1].forEach(place => setTimeout(() => document.querySelectorAll(
                '#grid .ag-center-cols-container .ag-row .ag-cell[col-id=standing]')[place].click(), 250 * place))"""
        )
        until(page, f"location.search === '?models={','.join(trials)}'")
        page.wait_for_selector(f"#chosen:has-text('Trial {trials[0]}')")
        page.wait_for_selector(f"#chosen:has-text('Trial {trials[1]}')")


def test_a_page_that_does_not_say_where_it_is_keeps_its_address(tab: Page, small: Path) -> None:
    with served(small) as address:

        def silent(route: Any) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, headers=answer.headers | {"referrer-policy": "no-referrer"})

        tab.page.route("**/?models=*", silent)
        page = tab.open(f"{address}?models=3&limit=latency_ms<=9")
        page.wait_for_selector("#left:has-text('under your limits')")
        page.wait_for_selector("#chosen:has-text('Trial 3')")
        assert "models=3" in page.url


def test_three_axes_take_another_page_and_come_back(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, f"{address}?models=3&limit=latency_ms<=30")
        page.click("#depth")
        page.get_by_role("option", name="file size", exact=False).first.click()
        until(page, "location.search.includes('z=size_bytes')")
        page.wait_for_selector("#front .gl-container canvas")
        until(page, f"{PLOT} && {PLOT}.data.every(trace => trace.type === 'scatter3d')")
        page.wait_for_selector("#chosen:has-text('Trial 3')")
        page.wait_for_timeout(500)
        if picture := os.environ.get("SEGSEARCH_PICTURES"):
            page.screenshot(path=f"{picture}/space.png")
        page.click("#depth")
        page.get_by_role("option", name="none (flat)").click()
        until(page, "!location.search.includes('z=')")
        page.wait_for_selector(POINTS)
        assert "limit=latency_ms" in page.url


def test_thousands_of_points_are_drawn_and_told(tab: Page, tmp_path: Path) -> None:
    with served(many.fill(tmp_path, 3000)) as address:
        page = tab.open(f"{address}?limit=latency_ms<=20")
        until(page, f"{PLOT} && ({PLOT}.data || []).some(trace => trace.type === 'scattergl' && trace.customdata)")
        told = page.evaluate(f"{PLOT}.data.flatMap(trace => trace.customdata || []).length")
        left = page.inner_text("#left")
        assert f"of {told} models left" in left
        page.get_by_role("tab", name="The search").click()
        page.wait_for_selector("#coordinates .gl-canvas-context", state="attached")
        page.wait_for_selector("#coordinates .axis-title:visible")


def test_a_brush_stays_while_the_study_grows(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = tab.open(f"{address}?tab=search")
        page.wait_for_selector("#coordinates .axis-title:visible")
        page.evaluate("document.querySelector('#coordinates').scrollIntoView({block: 'center'})")
        brush = page.locator("#coordinates .axis-brush .background").first.bounding_box()
        page.mouse.move(brush["x"] + brush["width"] / 2, brush["y"] + brush["height"] * 0.3)
        page.mouse.down()
        page.mouse.move(brush["x"] + brush["width"] / 2, brush["y"] + brush["height"] * 0.7, steps=6)
        page.mouse.up()
        lines = "document.querySelector('#coordinates .js-plotly-plot')"
        ranged = f"{lines}.data[0].dimensions.map(one => one.constraintrange || null)"
        until(page, f"{ranged}.some(Boolean)")
        before, shown = page.evaluate(ranged), page.inner_text("#search-panel .pace")
        with open_store(small) as store:
            many.grow(store, store.study(), range(40, 50))
        changes(page, "#search-panel .pace", shown)
        page.wait_for_timeout(500)
        assert page.evaluate(ranged) == before


def test_a_pick_is_recorded_shown_and_undone(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, f"{address}?models=3")
        page.click("#chosen button:has-text('Pick')")
        page.fill("#pick-reason", "fits <b>the</b> camera")
        page.click("#pick-record")
        page.wait_for_selector("#picked:has-text('Picked: trial 3')")
        with open_store(small, read_only=True) as store:
            (found,) = store.picks(store.study().name)
        assert found.pick.trial == 3
        assert found.pick.reason.startswith("fits <b>the</b> camera (chosen by hand, ")
        assert "fits <b>the</b> camera" in page.inner_text("#picked")
        assert page.locator("#picked b").count() == 0
        page.wait_for_selector("#grid .picked")
        page.click("#picked button:has-text('Undo')")
        page.wait_for_selector("#picked:has-text('Picked')", state="detached")
        with open_store(small, read_only=True) as store:
            assert store.picks(store.study().name) == ()


def test_one_model_is_drawn_with_its_numbers_and_its_files(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = tab.open(f"{address}?models=3&tab=model")
        page.wait_for_selector("#model-panel h2:has-text('Trial 3')")
        page.wait_for_selector("#model-panel [aria-label='Confusion matrix'] .main-svg")
        words = page.inner_text("#model-panel")
        assert "pooled over all pixels" in words
        assert "segsearch measure" in words
        with page.expect_download() as download:
            page.click("#model-panel a:has-text('JSON')")
        assert '"trial": 3' in Path(download.value.path()).read_text()


def test_light_and_dark(browser: Any, small: Path) -> None:
    with served(small) as address:
        context = browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 844})
        tab = Page(context.new_page())
        page = opened(tab, address)
        until(page, f"{PLOT}.layout.font.color === '#e6e8ea'")
        page.click("#scheme")
        until(page, f"{PLOT}.layout.font.color === '#1f2328'")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"the page scrolls sideways on a phone: {wide}"
        context.close()
        assert tab.wrong == []


def test_what_cannot_be_shown_is_said_and_comes_back(tab: Page, small: Path) -> None:
    away = small.with_suffix(".away")
    small.rename(away)
    with served(small) as address:
        page = tab.open(address)
        page.wait_for_selector("#trouble:has-text('no such database')")
        assert page.locator("#content").is_hidden()
        shutil.copyfile(away, small)
        page.wait_for_selector("#left:has-text('models left')")
        assert page.inner_text("#trouble") == ""
        connection = sqlite3.connect(small)
        connection.execute("insert into segsearch_migrations values (99, 0)")
        connection.commit()
        connection.close()
        page.wait_for_selector("#trouble:has-text('its schema is 99')")
        assert page.locator("#content").is_visible(), "what was read last still stands"


def test_a_machine_is_asked_for(tab: Page, small: Path) -> None:
    many.time_elsewhere(small, range(20))
    with served(small) as address:
        page = tab.open(address)
        page.click(f"#trouble button:has-text('{many.OTHER.short}')")
        page.wait_for_selector("#left:has-text('models left')")
        assert f"machine={many.OTHER.short}" in page.url


def test_a_study_without_a_model(tab: Page, tmp_path: Path) -> None:
    with served(many.fill(tmp_path, 0)) as address:
        page = tab.open(address)
        page.wait_for_selector("#trouble:has-text('No trial was begun yet')")


def test_names_from_the_database_are_text(tab: Page, small: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    connection = sqlite3.connect(small)
    connection.execute("update segsearch_trials set params = json_set(params, '$.block', ?)", (evil,))
    connection.execute(
        "insert into segsearch_picks(study, trial, reason, created) values ('streets', 3, ?, 0)", (evil,)
    )
    connection.commit()
    connection.close()
    with served(small) as address:
        page = opened(tab, f"{address}?models=3")
        page.wait_for_selector("#picked:has-text('onerror')")
        page.get_by_role("tab", name="The search").click()
        page.wait_for_selector("#coordinates .main-svg")
        assert page.locator("img[src=x]").count() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a run needs a quiet room")
def test_the_page_of_a_front_is_drawn_without_any_other_file(browser: Any, small: Path, tmp_path: Path) -> None:
    seen = Reader(str(small)).look().seen
    assert seen is not None
    path = tmp_path / "front.html"
    path.write_text(as_page(Reader(str(small)).report(seen)), encoding="utf-8")
    wrong: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(path.as_uri())
    page.wait_for_selector("#front .scatterlayer .trace .points path")
    page.close()
    assert wrong == []


def test_masks_of_real_files_stand_side_by_side(tab: Page, tmp_path: Path) -> None:
    database = many.with_real_files(tmp_path)
    with served(database) as address:
        page = tab.open(f"{address}?models=0,1&tab=masks")
        page.wait_for_selector("#masks .strip", timeout=60_000)
        until(
            page,
            "[...document.querySelectorAll('#masks img')].every(image => image.complete && image.naturalWidth > 0)",
        )
        assert "Trial 0 · IoU" in page.inner_text("#masks")
        assert "Trial 1 · IoU" in page.inner_text("#masks")
        assert page.locator("#masks .over.errors").first.is_hidden()
        page.get_by_text("Errors", exact=True).click()
        page.wait_for_selector("#masks .over.errors:visible")
        page.locator("[role=slider][aria-label='Opacity of the masks']").focus()
        page.keyboard.press("Home")
        until(page, "getComputedStyle(document.querySelector('#masks .over.errors')).opacity === '0'")


def test_the_table_says_a_miou_with_its_interval(tab: Page, small: Path) -> None:
    with served(small) as address:
        page = opened(tab, address)
        cells = page.locator(f"{ROWS} .ag-cell[col-id=miou]").all_inner_texts()
        assert any(re.fullmatch(r"0\.\d{3} ±0\.\d+", cell) for cell in cells), cells
        bars = page.evaluate(f"{PLOT}.data.filter(trace => trace.error_y && trace.error_y.array).length")
        assert bars > 0
