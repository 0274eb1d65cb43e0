"""Schedules: any number of steps, their zoom, the device and its precision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segsearch.errors import UserError
from segsearch.networks import build
from segsearch.space.keys import content_key, to_json
from segsearch.training.loop import train
from segsearch.training.schedule import around_pruning, at_epochs, for_scale, pick_device, trains_in_bfloat16
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL, trained


@pytest.mark.parametrize("epochs", range(1, 13))
def test_a_schedule_may_have_any_number_of_steps(epochs: int) -> None:
    """torch's one-cycle divides by zero where the rise is exactly one step of five."""
    data = tiny_dataset()
    network = build(SMALL, len(data.classes))
    losses = train(network, data.train, replace(SCHEDULE, epochs=epochs, batch_size=12), classes=3, device=CPU).losses
    assert len(losses) == epochs


def test_zoom_is_the_schedules() -> None:
    settings = replace(SCHEDULE, smallest_zoom=0.75, largest_zoom=1.5).augment
    assert (settings.smallest, settings.largest) == (0.75, 1.5)
    assert trained(replace(SCHEDULE, smallest_zoom=1.0, largest_zoom=1.0))[1] != trained(SCHEDULE)[1]


def test_bfloat16_only_where_it_is_quicker() -> None:
    assert trains_in_bfloat16(torch.device("cuda"))
    assert trains_in_bfloat16(CPU) == bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def test_device() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in {"cpu", "cuda"}
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r'no CUDA device. Use device = "auto"'):
            pick_device("cuda")


# ---- what earlier studies have stored


def test_a_schedule_of_recipe_1_keeps_the_key_that_it_had() -> None:
    """What came later is not written where it says what was always done, or no stored stage would be found again."""
    assert to_json(SCHEDULE) == (
        '{"batch_size":4,"class_weights":"log","epochs":2,"height":32,"jaccard_weight":1.0,"largest_zoom":2.0,'
        '"learning_rate":0.003,"seed":0,"smallest_zoom":0.5,"weight_decay":0.01,"width":48}'
    )
    assert content_key(SCHEDULE) == "15f891b44ba5ee20c0650e91030167a1a6ad98f87699bbbe36fc6fe0e5d0f1cd"
    assert for_scale(SCHEDULE, 1.0, 12) == SCHEDULE
    changes = ({"recipe": 2}, {"crop": 1.0}, {"steps": 6}, {"hold": "steps"}, {"start_rate": 0.3})
    assert len({content_key(replace(SCHEDULE, **change)) for change in changes} | {content_key(SCHEDULE)}) == 6


# ---- what is held equal

SHARE = replace(SCHEDULE, height=None, width=None, crop=1.0, epochs=12, batch_size=8, recipe=2)
IMAGES = 100  # 12 steps an epoch, 144 in all


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0])
def test_equal_images_change_nothing(scale: float) -> None:
    assert for_scale(SHARE, scale, IMAGES) == SHARE


@pytest.mark.parametrize(("scale", "batch"), [(0.5, 8), (0.75, 4), (1.0, 2), (2.0, 2), (0.25, 32), (0.1, 100)])
def test_equal_steps_shrink_the_batch_with_the_pixels(scale: float, batch: int) -> None:
    """At input scale 0.75 a view has 2.25 times the pixels of one at 0.5: 8 / 2.25 = 3.6 images."""
    settled = for_scale(replace(SHARE, hold="steps"), scale, IMAGES)
    assert (settled.batch_size, settled.steps_for(IMAGES)) == (batch, 144)
    assert settled.epochs >= 144 / settled.steps_of_epoch(IMAGES)
    assert settled.hold == "images"


@pytest.mark.parametrize(("scale", "epochs"), [(0.5, 12), (0.75, 5), (1.0, 3), (4.0, 1), (0.25, 48)])
def test_equal_seconds_shrink_the_epochs_with_the_pixels(scale: float, epochs: int) -> None:
    settled = for_scale(replace(SHARE, hold="seconds"), scale, IMAGES)
    assert (settled.batch_size, settled.epochs, settled.steps) == (8, epochs, None)
    counted = for_scale(replace(SHARE, hold="seconds").of_steps(300, IMAGES), scale, IMAGES)
    assert counted.steps == max(1, round(300 / (4 * scale**2)))
    assert counted.epochs == -(-counted.steps // 12)


def test_settled_is_settled_and_equal_trainings_have_equal_keys() -> None:
    for hold in ("images", "steps", "seconds"):
        once = for_scale(replace(SHARE, hold=hold), 1.0, IMAGES)
        assert for_scale(once, 1.0, IMAGES) == once
        assert content_key(for_scale(replace(SHARE, hold=hold), 0.5, IMAGES)) == content_key(SHARE)


def test_fixed_crops_cost_the_same_at_every_scale() -> None:
    assert for_scale(replace(SCHEDULE, hold="seconds"), 1.0, IMAGES) == SCHEDULE


# ---- before and after pruning


@pytest.mark.parametrize(
    ("epochs", "share", "before", "after"), [(6, 2 / 6, 4, 2), (15, 4 / 15, 11, 4), (1, 2.0, 1, 0), (2, 0.01, 1, 1)]
)
def test_a_pruned_network_spends_the_same_epochs(epochs: int, share: float, before: int, after: int) -> None:
    parts = around_pruning(replace(SCHEDULE, epochs=epochs), share, 12)
    assert [part.epochs for part in parts] == [before, after]
    assert [part.learning_rate for part in parts] == [3e-3, 1e-3]
    assert parts[0] == replace(SCHEDULE, epochs=before)


def test_a_pruned_network_spends_the_same_steps_and_keeps_its_share_where_they_shrink() -> None:
    counted = replace(SHARE, hold="seconds").of_steps(101, IMAGES)
    assert [part.steps for part in around_pruning(counted, 0.25, IMAGES)] == [76, 25]
    small = for_scale(counted, 1.0, IMAGES)
    assert [part.steps for part in around_pruning(small, 0.25, IMAGES)] == [19, 6]
    assert [part.steps for part in around_pruning(SHARE.of_steps(1, IMAGES), 0.25, IMAGES)] == [1, 0]


def test_on_top_a_pruned_network_trains_as_its_twin_does_and_then_some_more() -> None:
    counted = SHARE.of_steps(101, IMAGES)
    for schedule, share, after in ((counted, 0.25, 25), (counted, 0.001, 1), (SHARE.of_steps(1, IMAGES), 0.25, 1)):
        first, second = around_pruning(schedule, share, IMAGES, on_top=True)
        assert first == schedule, "to the last setting: the weights are the twin's"
        assert (second.steps, second.learning_rate) == (after, schedule.learning_rate / 3)
    first, second = around_pruning(SCHEDULE, 1.5, IMAGES, on_top=True)
    assert (first, second.epochs) == (SCHEDULE, round(1.5 * SCHEDULE.epochs)), "longer than the whole, where asked"


@pytest.mark.parametrize("count", range(2, 60))
@pytest.mark.parametrize("given", [1, 2, 3, 7])
def test_a_share_is_the_epochs_that_it_was_made_of(count: int, given: int) -> None:
    if given < count:
        assert around_pruning(replace(SCHEDULE, epochs=count), given / count, 12)[1].epochs == given


# ---- steps


def test_steps_are_counted_exactly_and_the_last_epoch_is_cut() -> None:
    """12 images in batches of 4 are 3 steps an epoch."""
    losses = trained(replace(SCHEDULE, batch_size=4).of_steps(7, 12))[1]
    assert len(losses) == 3
    whole = trained(replace(SCHEDULE, batch_size=4).of_steps(6, 12))[1]
    assert whole == trained(replace(SCHEDULE, epochs=2))[1]


def test_more_epochs_are_more_steps() -> None:
    counted = SCHEDULE.of_steps(7, 12)
    assert at_epochs(counted, 3) == counted
    assert at_epochs(counted, 6).steps == 14
    assert at_epochs(SCHEDULE, 5) == replace(SCHEDULE, epochs=5)


def test_a_schedule_without_a_crop_is_told() -> None:
    with pytest.raises(ValueError, match="needs a crop, or height and width"):
        replace(SCHEDULE, width=None).crop_of((64, 96), 1.0)
    assert SCHEDULE.crop_of((64, 96), 0.5) == (32, 48)
    assert replace(SHARE, crop=0.5).crop_of((64, 96), 0.75) == (24, 36)
