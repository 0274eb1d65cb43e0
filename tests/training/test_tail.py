"""The tail in int8: it learns what the rounding took away, of whole images, and goes on where it was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch

from segsearch.compression.graph_module import GraphModule, float_module
from segsearch.compression.quantize import quantize
from segsearch.errors import TrialFailed
from segsearch.space.steps import Quantize
from segsearch.training.checkpoint import Keep
from segsearch.training.loop import Learned
from segsearch.training.schedule import Schedule
from segsearch.training.tail import Aim, tail_schedule, train_tail
from segsearch.trial.export import export
from segsearch.trial.files import spread_over
from tests.scenes import HEIGHT, WIDTH, tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, trained

TAIL = tail_schedule(replace(SCHEDULE, epochs=10), 0.2, 12)


class Killed(Exception):
    """The process is gone."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network that was trained for a moment: its float file and its int8 file."""
    folder = tmp_path_factory.mktemp("files")
    network, _ = trained(replace(SCHEDULE, epochs=6))
    export(network, (HEIGHT, WIDTH), folder / "float.onnx", output="mask")
    images = spread_over(tiny_dataset().train.images, 4)
    quantize(folder / "float.onnx", folder / "int8.onnx", Quantize(), images=images)
    return folder / "float.onnx", folder / "int8.onnx"


def learned(
    files: tuple[Path, Path],
    schedule: Schedule = TAIL,
    *,
    aim: Aim = "both",
    keep: Keep | None = None,
    killed_at: int | None = None,
) -> tuple[GraphModule, Learned]:
    def progress(stage: str, done: int, total: int, /) -> None:
        assert (stage, total) == ("quantize-train", schedule.steps_for(12))
        if done == killed_at:
            raise Killed

    plain, rounded = files
    module = GraphModule(onnx.load(rounded), source=onnx.load(plain))
    found = train_tail(
        module,
        tiny_dataset().train,
        schedule,
        classes=3,
        device=CPU,
        original=float_module(plain),
        aim=aim,
        keep=keep,
        progress=progress,
    )
    return module, found


def test_a_tail_is_a_share_of_the_steps_and_sees_whole_images() -> None:
    long = replace(SCHEDULE, epochs=10, hold="seconds", ema=0.9, small_start=0.5)
    for share, steps in ((0.1, 3), (0.01, 1), (0.5, 15)):
        assert tail_schedule(long, share, 12).steps_for(12) == steps
    tail = tail_schedule(long, 0.1, 12)
    assert tail.crop_of((HEIGHT, WIDTH), GraphModule.input_scale) == (HEIGHT, WIDTH)
    assert (tail.ema, tail.small_start, tail.weight_decay, tail.seed) == (None, 0.0, 0.0, SCHEDULE.seed)
    assert tail.learning_rate < SCHEDULE.learning_rate


@pytest.mark.parametrize("aim", get_args(Aim))
def test_the_weights_learn_what_they_are_asked_for(files: tuple[Path, Path], aim: Aim) -> None:
    _, found = learned(files, tail_schedule(replace(SCHEDULE, epochs=10), 0.9, 12), aim=aim)
    assert len(found.losses) == 9
    assert np.mean(found.losses[-3:]) < found.losses[0]


def test_a_tail_that_was_killed_goes_on_to_the_same_weights(files: tuple[Path, Path], tmp_path: Path) -> None:
    whole, first = learned(files)
    keep = Keep(tmp_path / "kept.safetensors", "mine", seconds=0.0)
    for at in (1, 4):
        with pytest.raises(Killed):
            learned(files, keep=keep, killed_at=at)
    again, second = learned(files, keep=keep)
    assert second == first
    states = zip(whole.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in states)


def test_a_loss_that_is_not_finite_fails_the_trial(files: tuple[Path, Path]) -> None:
    with pytest.raises(TrialFailed, match="The loss became") as caught:
        learned(files, replace(TAIL, jaccard_weight=float("nan")))
    assert caught.value.kind == "diverged"
