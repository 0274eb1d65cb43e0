"""A training that is kept on its way goes on to the very weights that it would have had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segsearch.networks import Network, build
from segsearch.training.checkpoint import Keep, Look
from segsearch.training.loop import Judge, Learned, train
from segsearch.training.schedule import Schedule
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL

LONG = replace(SCHEDULE, height=None, width=None, crop=1.0, epochs=4)
FULL = replace(LONG, ema=0.9, small_start=0.5, balanced=True)


class Killed(Exception):
    """The process is gone."""


def learned(
    schedule: Schedule, keep: Keep | None = None, *, killed_at: int | None = None, judge: Judge | None = None
) -> tuple[Network, Learned]:
    def progress(stage: str, done: int, total: int, /) -> None:
        if stage == "train" and done == killed_at:
            raise Killed

    data = tiny_dataset()
    network = build(replace(SMALL, head=replace(SMALL.head, dropout=0.3)), 3, seed=schedule.seed)
    found = train(network, data.train, schedule, classes=3, device=CPU, keep=keep, judge=judge, progress=progress)
    return network, found


def bias_of(network: Network) -> float:
    return float(network.head.scores.bias.detach().sum())


def same(one: Network, two: Network) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.mark.parametrize("schedule", [LONG, FULL], ids=["plain", "averaged, small and balanced"])
def test_a_training_killed_at_any_step_ends_with_the_same_weights(schedule: Schedule, tmp_path: Path) -> None:
    whole, first = learned(schedule)
    total = schedule.steps_for(12)
    for killed_at in (1, 5, 7, total):
        keep = Keep(tmp_path / f"{killed_at}.safetensors", "mine", seconds=0.0)
        for at in sorted({killed_at, min(total, killed_at + 2)}):
            with pytest.raises(Killed):
                learned(schedule, keep, killed_at=at)
        network, found = learned(schedule, keep)
        assert same(network, whole), killed_at
        assert found == first


def test_looks_change_nothing_and_survive_the_kill(tmp_path: Path) -> None:
    told: list[Look] = []
    judge = Judge(
        5, lambda network: float(network.head.scores.bias.detach().sum()), lambda look, total: told.append(look)
    )
    unseen, _ = learned(FULL)
    whole, first = learned(FULL, judge=judge)
    assert same(unseen, whole)
    assert [look.step for look in first.looks] == [5, 10, 12] == [look.step for look in told]
    keep = Keep(tmp_path / "kept.safetensors", "mine", seconds=0.0)
    with pytest.raises(Killed):
        learned(FULL, keep, killed_at=7, judge=judge)
    again, second = learned(FULL, keep, judge=judge)
    assert same(again, whole)
    assert second.looks == first.looks


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_begun_anew(tmp_path: Path) -> None:
    keep = Keep(tmp_path / "kept.safetensors", "mine", seconds=0.0)
    with pytest.raises(Killed):
        learned(LONG, keep, killed_at=6)
    whole, _ = learned(LONG)
    assert same(learned(LONG, replace(keep, key="another's"))[0], whole)
    with pytest.raises(Killed):
        learned(LONG, keep, killed_at=6)
    content = keep.path.read_bytes()
    keep.path.write_bytes(content[: len(content) // 2])
    assert same(learned(LONG, keep)[0], whole)
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_save_that_takes_long_is_made_less_often(tmp_path: Path) -> None:
    keep = Keep(tmp_path / "kept.safetensors", "mine", seconds=15.0)
    assert keep.due(15.0, took=0.1)
    assert not keep.due(14.9, took=0.1)
    assert not keep.due(60.0, took=2.0)  # a large network on a slow disk: a hundredth of the time at most
    assert keep.due(200.0, took=2.0)
    assert replace(keep, seconds=0.0).due(0.0, took=2.0)
