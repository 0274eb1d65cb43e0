"""`segsearch explain` on a study that was really run: the table, what is kept, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from segsearch.store import NO_TRIAL, open_store
from tests.commands.doors import assert_refused
from tests.conftest import Command
from tests.models import keep_times

DB = Path("runs/mine/study.db")


@pytest.fixture
def study(tiny: Path, command: Command) -> Path:
    """Trial 0 ships float, trial 1 int8."""
    keep_times()
    return DB


def artifact_of(database: Path, number: int) -> Path:
    with open_store(database, read_only=True) as store:
        row = store.study()
        return row.artifacts.path(str(store.trial(row.name, number).artifact))


def test_the_table_is_made_once_and_the_front_stays(command: Command, study: Path) -> None:
    before = command("front", study, "--json").out
    said = command("explain", study, "--trial", 1)
    assert said.code == 0, said.err
    for word in ("layer", "ms float", "ms int8", "given back", "alone", "stem.0.0", "IoU float", "sky", "Trial 1 "):
        assert word in said.out
    assert "none is left" in said.out, "the calibration takes all eight images"
    with open_store(study, read_only=True) as store:
        kept = {stage.name: stage.key for stage in store.stages("mine", NO_TRIAL)}
    assert {"layer-losses", "layer-times", "explain"} <= set(kept)
    # What was found needs no data any more.
    told = json.loads(command("explain", study, "--trial", 1, "--data", "nowhere", "--json").out)
    assert told["trial"] == 1
    assert {layer["ships"] for layer in told["layers"] if layer["operator"] == "Conv"} == {"int8"}
    assert [one["class"] for one in told["classes"]] == ["sky", "road", "box"]
    assert command("front", study, "--json").out == before


def test_a_network_that_ships_float_alone_is_refused(command: Command, study: Path) -> None:
    assert_refused(command("explain", study, "--trial", 0), "Trial 0 ships float", "--siblings")


def test_a_trial_that_is_none_is_refused(command: Command, study: Path) -> None:
    assert_refused(command("explain", study, "--trial", 9), "9 is not one", "In int8: 1.")


def test_an_altered_or_missing_file_is_refused(command: Command, study: Path) -> None:
    file = artifact_of(study, 1)
    content = file.read_bytes()
    file.write_bytes(content + b"x")
    assert_refused(command("explain", study, "--trial", 1), "must hold the bytes it is named after")
    file.unlink()
    assert_refused(command("explain", study, "--trial", 1), "is gone")


def test_a_float_file_that_is_gone_is_refused(command: Command, study: Path) -> None:
    with open_store(study, read_only=True) as store:
        row = store.study()
        for stage in store.stages(row.name, name="export"):
            row.artifacts.path(str(stage.outcome["model"])).unlink(missing_ok=True)
    assert_refused(command("explain", study, "--trial", 1), "gone: copy them back")


def test_data_that_is_gone_or_changed_is_refused(command: Command, study: Path) -> None:
    image = next(Path("my_data/images/train").iterdir())
    Image.open(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(image)
    assert_refused(command("explain", study, "--trial", 1, "--data", "my_data"), "changed", "--data")
    assert_refused(command("explain", study, "--trial", 1, "--data", "nowhere"), "nowhere")


def test_without_a_database_nothing_is_explained(command: Command, tmp_path: Path) -> None:
    assert_refused(command("explain", tmp_path / "none.db"), "none.db")
