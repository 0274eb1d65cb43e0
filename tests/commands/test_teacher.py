"""A study whose teacher comes from elsewhere and speaks of images without labels, as a user has one: checked, run,
carried on where both are gone, refused where they are others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.store import open_store
from tests.commands.doors import assert_refused
from tests.conftest import Command
from tests.scenes import tiny_split

pytestmark = pytest.mark.slow

SPACE = """
from segsearch.space import Architecture, Candidate, Distill, Draw, EncoderPath, Facts, Head, Stage, Stem


def draw(choose: Draw, facts: Facts) -> Candidate:
    width = choose.suggest_int("width", 8, 32, step=8)
    taught = facts.has_teacher and choose.suggest_categorical("taught", ("no", "yes")) == "yes"
    path = EncoderPath(Stem(8), (Stage("conv", width, 1, 2),))
    return Candidate(Architecture((path,), (), Head(8)), Distill(1.0, 1.0, "channel", 0.25) if taught else None)
"""

STUDY = """
name = "taught"
trials = 2
space = "../taught_space.py"

[data]
kind = "folders"
root = "../my_data"
height = 64
width = 96
unlabelled = "more"

[train]
steps = 8
batch_size = 4

[teacher]
trial = 0
database = "../runs/mine/study.db"

[timing]
max_seconds = 0.5
warmup_runs = 1

[[search.first]]
width = 8
taught = "no"

[[search.first]]
width = 8
taught = "yes"
"""


@pytest.fixture
def study(tiny: Path) -> Path:
    (tiny / "taught_space.py").write_text(SPACE)
    (tiny / "studies/taught.toml").write_text(STUDY)
    (tiny / "my_data/more").mkdir()
    for index, pixels in enumerate(tiny_split(5, seed=9).images):
        Image.fromarray(pixels).save(tiny / f"my_data/more/{index}.png")
    shutil.copy(tiny / "my_data/images/val/00.png", tiny / "my_data/more/also_val.png")
    return Path("studies/taught.toml")


def test_it_is_checked_run_and_carried_on_where_teacher_and_images_were_known(command: Command, study: Path) -> None:
    said = command("check", study)
    assert said.code == 0, said.err
    assert "on 3 validation images; its students are not trained yet" in said.out
    assert "and 5 images without labels, without 1 that are in a split: 50% of what the taught see" in said.out
    said = command("run", study)
    assert said.code == 0, said.err
    with open_store("runs/taught/study.db") as store:
        row = store.study()
        (stage,) = store.stages(row.name, name="teacher")
        assert np.load(row.artifacts.path(stage.outcome["logits"]), mmap_mode="r").shape[0] == 8 + 5
        trials = store.trials(row.name, ["trained"])
        assert [trial.candidate.distill is not None for trial in trials] == [False, True]
        offered = store.stages(row.name, name="teaching")
    shutil.move("runs/mine", "runs/moved")
    said = command("resume", "runs/taught/study.db", "--trials", 3)  # the teacher was kept with the run
    assert said.code == 0, said.err
    with open_store("runs/taught/study.db") as store:
        assert len(store.stages("taught", name="teacher")) == 1
        assert store.stages("taught", name="teaching")[: len(offered)] == offered
    said = command("check", study)
    assert said.code == 0, said.err
    assert "the best of its students (trial 0" in said.out
    # Images without labels may lie elsewhere, and may not be others.
    Path("my_data/more").rename("elsewhere")
    assert_refused(command("run", study), "my_data/more", "data.unlabelled must be a folder of images")
    study.write_text(STUDY.replace('unlabelled = "more"', 'unlabelled = "../elsewhere"'))
    assert command("run", study, "--trials", 3).code == 0
    Path("elsewhere/0.png").unlink()
    assert_refused(command("run", study), "the images that data.unlabelled of taught names changed")


def test_a_trial_that_is_not_there_is_refused_before_anything_is_trained(command: Command, study: Path) -> None:
    study.write_text(STUDY.replace("trial = 0", "trial = 7"))
    assert_refused(command("run", study), "study mine has no trial 7")
    study.write_text(STUDY.replace("runs/mine/study.db", "runs/gone.db"))
    assert_refused(command("check", study), "gone.db")
    assert not Path("runs/taught/study.db").exists()
