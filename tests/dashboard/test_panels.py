"""The panels of one model, of the masks and of the search: what they show again, and what they leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from dash import no_update

from segsearch.dashboard import table
from segsearch.dashboard.detail import Profiles, _scores, model_of
from segsearch.dashboard.explore import Drawings, front_of
from segsearch.dashboard.masks_tab import Galleries, masks_of
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, set_scene
from segsearch.figures.importance import importances, on_machine
from segsearch.judging.words import with_interval
from segsearch.masks import MaskCache
from segsearch.runtimes import Operation
from segsearch.space.candidate import Candidate
from segsearch.space.keys import to_json
from segsearch.space.own import OwnNetwork
from segsearch.space.steps import Quantize
from segsearch.store import NO_TRIAL, open_store
from tests import fakes
from tests.dashboard import many
from tests.judging.test_explained import FOUND


def scene_of(reader: Reader, address: str) -> Scene:
    scene, _ = set_scene(reader, address)
    assert scene is not None
    return scene


def test_a_model_is_drawn_again_when_its_numbers_change(small: Path) -> None:
    reader, profiles = Reader(str(small)), Profiles()
    scene = scene_of(reader, "?models=3")
    _, version = model_of(scene, reader, profiles, ground="light", shown=None)
    assert model_of(scene, reader, profiles, ground="light", shown=version) == (no_update, no_update)
    rows = tuple(replace(row, values=row.values | {"latency_ms": 99.0}) for row in scene.report.rows)
    slower = replace(scene, report=replace(scene.report, rows=rows))
    panel, other = model_of(slower, reader, profiles, ground="light", shown=version)
    assert other != version
    assert "99" in str(panel)


@pytest.mark.parametrize("step", [Quantize(), Quantize(tail=0.1)])
def test_what_is_not_trained_is_not_said_to_be_nor_asked_to_be(small: Path, step: Quantize) -> None:
    """`retrain` and `confirm` refuse a network that somebody brought and that learned nothing."""
    reader = Reader(str(small))
    scene = scene_of(reader, "?models=3")
    own = Candidate(OwnNetwork(f"{'0' * 64}.onnx"), after_export=(step,))
    rows = tuple(replace(row, candidate=own) for row in scene.report.rows)
    shown = str(
        model_of(
            replace(scene, report=replace(scene.report, rows=rows)), reader, Profiles(), ground="light", shown=None
        )[0]
    )
    learned = step.tail > 0
    assert [f"segsearch {what} " in shown for what in ("export", "confirm", "retrain")] == [True, learned, learned]
    bare = str(_scores(fakes.evidence(), (), ("road", "bus"), learns=learned, dark=False))
    assert ("Nothing was trained" in bare, "shares another's training" in bare) == (not learned, learned)


def test_a_model_that_cannot_be_read_is_read_again(small: Path) -> None:
    reader, profiles = Reader(str(small)), Profiles()
    scene = scene_of(reader, "?models=3")
    small.rename(small.with_suffix(".away"))
    panel, version = model_of(scene, reader, profiles, ground="light", shown=None)
    assert "cannot be read just now" in str(panel)
    assert version is None
    small.with_suffix(".away").rename(small)
    _, version = model_of(scene, reader, profiles, ground="light", shown=version)
    assert version


def test_a_profile_stays_while_the_panel_is_drawn_again(tmp_path: Path) -> None:
    reader, profiles = Reader(str(many.with_real_files(tmp_path))), Profiles()
    scene = scene_of(reader, "?models=1")
    row = scene.selected[-1]
    before, _ = model_of(scene, reader, profiles, ground="light", shown=None)
    assert "while the profiler looks on" not in str(before)
    operations = profiles.measure(scene, row)
    assert all(isinstance(one, Operation) for one in operations)
    after, _ = model_of(scene, reader, profiles, ground="dark", shown=None)
    assert "while the profiler looks on" in str(after)


def test_masks_come_back_after_an_error(tmp_path: Path) -> None:
    reader = Reader(str(many.with_real_files(tmp_path)))
    galleries = Galleries(cache=MaskCache(max_bytes=1, max_sessions=1))  # it remembers next to nothing
    here, gone = scene_of(reader, "?models=0"), scene_of(reader, "?models=1")
    _, version = masks_of(here, galleries, others=0, shown=None)
    file = gone.selected[-1].artifact
    file.rename(file.with_suffix(".away"))
    told, wrong = masks_of(gone, galleries, others=0, shown=version)
    assert "cannot be compared" in str(told)
    assert wrong is None
    shown, again = masks_of(here, galleries, others=0, shown=wrong)
    assert again == version
    assert "masks/classes/" in str(shown)


@pytest.mark.parametrize("machine", [many.MACHINE, many.OTHER])
def test_the_search_is_judged_by_the_machine_in_view(small: Path, machine: many.Machine) -> None:
    many.time_elsewhere(small, range(40))
    reader = Reader(str(small))
    scene = scene_of(reader, f"?machine={machine.short}")
    trials = on_machine(scene.report, scene.seen.trials)
    latencies = {row.trial: row.values["latency_ms"] for row in scene.report.rows}
    assert latencies
    assert {trial.number: trial.values["latency_ms"] for trial in trials if trial.number in latencies} == latencies
    assert {trial.machine for trial in trials if "latency_ms" in trial.values} == {machine.key}
    assert importances(trials, "latency_ms")


def test_a_miou_has_its_interval_or_says_why_not(small: Path) -> None:
    reader, profiles = Reader(str(small)), Profiles()
    kinds = {"95 % over its images": 0, "no interval: class 'bus' lies in one validation image only": 0}
    for row in scene_of(reader, "").report.rows:
        scene = scene_of(reader, f"?models={row.trial}")
        shown = str(model_of(scene, reader, profiles, ground="light", shown=None)[0])
        (found,) = [words for words in kinds if words in shown]
        assert (found == "95 % over its images") == ("miou" in row.intervals)
        kinds[found] += 1
    assert all(kinds.values())


def test_other_seeds_are_shown_once_there_are_any(small: Path) -> None:
    reader, profiles = Reader(str(small)), Profiles()
    (trial, first), *_ = ((row.trial, row.values["miou"]) for row in scene_of(reader, "").report.front)
    before, version = model_of(scene_of(reader, f"?models={trial}"), reader, profiles, ground="light", shown=None)
    assert "over seeds" not in str(before)
    with open_store(small) as store:
        for seed in (1, 2):
            store.keep_confirmation(store.study().name, trial, seed, artifact="0.onnx", miou=0.25, images=None)
    reader.forget()
    scene = scene_of(reader, f"?models={trial}")
    after, _ = model_of(scene, reader, profiles, ground="light", shown=version)
    assert "mIoU over seeds" in str(after)
    ends = f"{min(0.25, first):.3f} to {max(0.25, first):.3f}"
    assert f"{(first + 0.5) / 3:.3f}, standard deviation " in str(after)
    assert f"over 3 seeds, the first one included: {ends}" in str(after)


def test_references_are_drawn_with_the_front_and_are_none_of_its_models(small: Path) -> None:
    reader, drawings = Reader(str(small)), Drawings()

    def drawn(scene: Scene) -> dict[str, list[float]]:
        traces = front_of(scene, drawings, dark=False)["data"]
        return {trace["uid"]: trace["x"] for trace in traces if trace["uid"].startswith("reference")}

    before = scene_of(reader, "")
    assert drawn(before) == {}
    many.compare(small)
    many.compare(small, machine=many.OTHER)
    reader.forget()
    after = scene_of(reader, "")
    assert [len(places) for places in drawn(after).values()] == [3, 3]
    assert drawn(scene_of(reader, "?limit=latency_ms<=0.001")) == drawn(after), "no limit is theirs"
    assert after.report.rows == before.report.rows
    assert after.seen.trials == before.seen.trials
    assert table.rows(after.seen, after.report, {})["rowCount"] == len(before.report.rows)


def test_the_table_shows_intervals_and_sorts_by_the_values(small: Path) -> None:
    scene = scene_of(Reader(str(small)), "")
    shown = table.rows(scene.seen, scene.report, {"sortModel": [{"colId": "miou", "sort": "desc"}], "endRow": 100})
    found = [row["miou"] for row in shown["rowData"]]
    assert found == sorted(found, reverse=True)
    for row in shown["rowData"]:
        (of_report,) = [one for one in scene.report.rows if one.trial == row["trial"]]
        assert row.get("shown:miou") == (with_interval(of_report, "miou") if "miou" in of_report.intervals else None)
        assert row["shown:latency_ms"] == with_interval(of_report, "latency_ms")
    (column,) = [one for one in table.columns(scene.seen, scene.report) if one["field"] == "miou"]
    assert "shown:miou" in column["valueFormatter"]["function"]


def test_what_int8_costs_is_shown_once_it_was_explained_and_before_that_how_to(small: Path) -> None:
    reader, profiles = Reader(str(small)), Profiles()
    seen = reader.look().seen
    assert seen is not None
    trial = next(one for one in seen.trials if one.state == "trained" and one.candidate.after_export)
    scene = scene_of(reader, f"?models={trial.number}")
    before, version = model_of(scene, reader, profiles, ground="light", shown=None)
    assert f"segsearch explain {small} --trial {trial.number}" in str(before)
    with open_store(small, read_only=True) as store:
        evidence = store.evidence(seen.study.name, trial.number)
    assert evidence is not None
    assert evidence.confusion is not None
    # Of the study's own classes: what ships is compared with it class by class.
    found = replace(FOUND, shipped=str(trial.artifact), confusion=evidence.confusion)
    with open_store(small) as store:
        outcome = {"shipped": found.shipped, "machine": "elsewhere", "explained": to_json(found)}
        store.workshop(seen.study.name, NO_TRIAL).once("explain", "key", lambda: outcome)
    reader.forget()
    after, _ = model_of(scene_of(reader, f"?models={trial.number}"), reader, profiles, ground="light", shown=version)
    for word in ("given back", "stem.0.0", "IoU float", "16 training images"):
        assert word in str(after)
