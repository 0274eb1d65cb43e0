"""Models trained to the end on the page, and what it opens with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch.dashboard import table
from segsearch.dashboard.detail import Profiles, model_of
from segsearch.dashboard.explore import Drawings, front_of, selection
from segsearch.dashboard.finals import ended_card
from segsearch.dashboard.masks_tab import compared
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, set_scene
from segsearch.evidence.types import Evidence
from segsearch.judging.fronts import knee_of
from tests import fakes
from tests.dashboard import many

ON_ALL = replace(fakes.RECIPE, epochs=80, train_on="train+val")


def scene_of(reader: Reader, address: str = "") -> Scene:
    reader.forget()
    scene, _ = set_scene(reader, address)
    assert scene is not None
    return scene


def members_of(database: Path) -> list[int]:
    return [row.trial for row in scene_of(Reader(str(database))).report.front]


def miou_of(found: Evidence) -> str:
    assert found.confusion is not None
    return f"{found.confusion.miou:.3f}"


def panel_of(reader: Reader, address: str) -> str:
    return str(model_of(scene_of(reader, address), reader, Profiles(), ground="light", shown=None)[0])


# ---- what became of a trial


def test_a_running_page_hears_of_a_model_and_draws_it(small: Path) -> None:
    reader, drawings = Reader(str(small)), Drawings()
    before = scene_of(reader)
    first, second, *_ = members_of(small)
    assert ended_card(before) == []
    many.finish(small, first, 0.7)
    one = scene_of(reader)
    assert one.seen.mark != before.seen.mark
    assert one.report.rows == before.report.rows, "no front is made of it"
    (card,) = ended_card(one)
    assert "1 model was trained to the end" in str(card)
    assert "Kendall" not in str(card)
    assert "beaten in the end" not in str(card)
    many.finish(small, second, 0.75)
    both = scene_of(reader)
    assert "that no other of them beats as proxies" in str(ended_card(both))
    shown = front_of(both, drawings, dark=False)["data"]
    told = [trial for trace in shown if trace["uid"].startswith("trained to") for trial in trace["customdata"]]
    assert sorted(told) == sorted([first, second])


def test_its_page_says_all_that_is_known(small: Path) -> None:
    reader = Reader(str(small))
    trial = members_of(small)[0]
    before = panel_of(reader, f"?models={trial}")
    assert "Trained to the end" not in before
    found = miou_of(many.finish(small, trial, 0.7, test=0.6))
    panel = panel_of(reader, f"?models={trial}")
    assert f"'{found} ±" in panel
    assert " on the validation images (95 % over its images); as a proxy " in panel
    assert "mIoU on test images" in panel
    assert "1 file was judged on this study's test images so far" in panel
    assert "40 epochs, average of the weights 0.999, auxiliary loss 0.4" in panel
    assert "mIoU over the epochs" in panel
    assert "trained for 2 min" in panel
    many.finish(small, trial, 0.72, seed=1)
    many.finish(small, trial, None, recipe=ON_ALL, test=0.8)
    panel = panel_of(reader, f"?models={trial}")
    assert "(2) on the validation images (mean, standard deviation and number of seeds)" in panel
    assert f"0 ({found}, test " in panel
    assert "none on the validation images: it learned from them, too" in panel
    assert panel.index("80 epochs") < panel.index("40 epochs"), "the newest recipe first"


def test_its_page_is_drawn_again_when_another_look_at_the_test_images_was_taken(small: Path) -> None:
    reader, profiles = Reader(str(small)), Profiles()
    first, second, *_ = members_of(small)
    many.finish(small, first, 0.7, test=0.6)
    address = f"?models={first}"
    _, version = model_of(scene_of(reader, address), reader, profiles, ground="light", shown=None)
    _, same = model_of(scene_of(reader, address), reader, profiles, ground="light", shown=version)
    assert same != version, "nothing is sent again"
    many.finish(small, second, 0.7, test=0.6)
    panel, after = model_of(scene_of(reader, address), reader, profiles, ground="light", shown=version)
    assert after != version
    assert "2 files were judged" in str(panel)


def test_a_model_of_another_machine_is_not_shown_here(small: Path) -> None:
    trial = members_of(small)[0]
    many.finish(small, trial, 0.7, machine=many.OTHER.key)
    reader = Reader(str(small))
    assert ended_card(scene_of(reader)) == []
    assert "Trained to the end" not in panel_of(reader, f"?models={trial}")


def test_its_file_can_be_fetched(small: Path, client: Callable[..., Any]) -> None:
    trial = members_of(small)[0]
    found = many.finish(small, trial, 0.7)
    with client(small).get(f"/model/{found.artifact}") as answer:
        assert answer.status_code == 200
        assert answer.data.startswith(f"{trial} 0 ".encode())
        assert found.artifact in answer.headers["Content-Disposition"]
    about = json.loads(client(small).get(f"/trial/{trial}.json").data)
    assert about["final"]["trainings"][0]["artifact"]["sha256"] == found.artifact.split(".")[0]


def test_the_table_sorts_by_the_final_miou(small: Path) -> None:
    first, second, *_ = members_of(small)
    plain = scene_of(Reader(str(small)))
    assert table.FINAL not in [column["field"] for column in table.columns(plain.seen, plain.report)]
    many.finish(small, first, 0.6)
    best = miou_of(many.finish(small, second, 0.7))
    scene = scene_of(Reader(str(small)))
    assert table.FINAL in [column["field"] for column in table.columns(scene.seen, scene.report)]
    request = {"sortModel": [{"colId": table.FINAL, "sort": "desc"}], "endRow": 3}
    lines = table.rows(scene.seen, scene.report, request)["rowData"]
    assert [line["trial"] for line in lines[:2]] == [second, first]
    assert lines[0][f"shown:{table.FINAL}"].startswith(f"{best} ±")
    assert table.FINAL not in lines[2]


@pytest.mark.parametrize("named", [False, True])
def test_commands_to_make_a_product_of_it_can_be_copied(small: Path, named: bool) -> None:
    trial = members_of(small)[0]
    panel = panel_of(Reader(str(small), "streets" if named else None), f"?models={trial}")
    more = " --study streets" if named else ""
    assert f"segsearch retrain {small} --trial {trial}{more}'" in panel
    assert f"segsearch export {small} --trial {trial} --out streets-{trial}{more}'" in panel
    assert "PGPASSWORD" not in panel


def test_no_command_holds_a_password(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(str(small))
    scene = scene_of(reader)
    secret = Reader("postgresql://me:hush@host/studies")
    monkeypatch.setattr(secret, "open", reader.open)
    panel = str(model_of(scene, secret, Profiles(), ground="light", shown=None)[0])
    assert "segsearch retrain postgresql://me@host/studies --trial" in panel
    assert "hush" not in panel
    assert "PGPASSWORD" in panel


# ---- what the page opens with


def test_it_opens_with_the_knee_selected(small: Path) -> None:
    reader = Reader(str(small))
    scene = scene_of(reader)
    knee = knee_of(scene.report)
    assert (scene.selected, scene.chosen, scene.suggested) == ((knee,), (knee.trial,), True)
    assert f"Trial {knee.trial}" in panel_of(reader, "")
    cards = str(selection(scene))
    assert "the knee, suggested" in cards
    assert "Deselect" not in cards, "nothing was selected that could be taken back"
    assert "Deselect" in str(selection(scene_of(reader, f"?models={knee.trial}")))
    shown = {trace["uid"]: trace for trace in front_of(scene, Drawings(), dark=False)["data"]}
    assert shown["selected"]["text"] == [str(knee.trial)]
    lines = table.rows(scene.seen, scene.report, {"endRow": 100}, scene.chosen)["rowData"]
    assert [line["trial"] for line in lines if line["chosen"]] == [knee.trial]


def test_the_suggestion_is_the_knee_under_the_limits_and_none_where_nothing_meets_them(small: Path) -> None:
    reader = Reader(str(small))
    costs = sorted(row.values["latency_ms"] for row in scene_of(reader).report.front)
    tight = scene_of(reader, f"?limit=latency_ms<={costs[1]}")
    assert tight.chosen == (knee_of(tight.report).trial,)
    assert tight.selected[0].values["latency_ms"] <= costs[1]
    nothing = scene_of(reader, "?limit=latency_ms<=0.0001")
    assert nothing.selected == ()
    assert "No model selected" in panel_of(reader, "?limit=latency_ms<=0.0001")


def test_masks_compare_models_from_end_to_end_until_one_is_selected(small: Path) -> None:
    reader = Reader(str(small))
    scene = scene_of(reader)
    assert len(compared(scene)) == 3
    assert [row.trial for row in compared(scene_of(reader, f"?models={scene.chosen[0]}"))] == list(scene.chosen)


def test_a_chosen_model_that_is_gone_is_not_replaced_by_the_knee(small: Path) -> None:
    scene = scene_of(Reader(str(small)), "?models=99999")
    assert (scene.selected, scene.suggested) == ((), False)
