"""The panels of one model, of the masks and of the search: what they show again, and what they leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from dash import no_update

from segsearch.dashboard.detail import Profiles, model_of
from segsearch.dashboard.masks_tab import Galleries, masks_of
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, set_scene
from segsearch.figures.importance import importances, on_machine
from segsearch.masks import MaskCache
from segsearch.runtimes import Operation
from tests.dashboard import many


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
