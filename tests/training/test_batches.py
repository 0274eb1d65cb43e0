"""Batches: every candidate sees the same ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch

from segsearch.networks import build
from segsearch.space.architecture import Head
from segsearch.training.batches import More, augmented_batches
from segsearch.training.loop import train
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL


def test_candidates_are_paired_whatever_their_size() -> None:
    """Two networks of different widths see the same images in the same order, though torch's own generator moved on."""
    data = tiny_dataset()
    seen: list[list[torch.Tensor]] = []
    for width in (8, 16):
        batches: list[torch.Tensor] = []
        network = build(replace(SMALL, head=Head(width)), len(data.classes))
        network.encoders[0].stem.register_forward_pre_hook(lambda _, args, into=batches: into.append(args[0].clone()))
        torch.rand(width)
        train(network, data.train, replace(SCHEDULE, epochs=1), classes=len(data.classes), device=CPU)
        seen.append(batches)
    assert len(seen[0]) == len(seen[1]) > 2
    assert all(torch.equal(one, two) for one, two in zip(*seen, strict=True))


def test_no_recipe_changes_the_order_or_the_crops() -> None:
    data = tiny_dataset()
    network = build(SMALL, len(data.classes))
    one, two = (
        list(augmented_batches(network, data.train, replace(SCHEDULE, recipe=recipe), 3, CPU)) for recipe in (1, 2)
    )
    assert len(one) == len(two) == 6
    assert all(torch.equal(a.images, b.images) and torch.equal(a.masks, b.masks) for a, b in zip(one, two, strict=True))


def test_crops_that_are_a_share_follow_the_input_scale_and_hold_no_padding() -> None:
    data = tiny_dataset()
    schedule = replace(SCHEDULE, height=None, width=None, crop=1.0)
    for scale, size in ((0.5, (32, 48)), (0.75, (48, 72)), (1.0, (64, 96))):
        network = build(replace(SMALL, input_scale=scale), len(data.classes))
        for batch in augmented_batches(network, data.train, schedule, 3, CPU):
            assert batch.images.shape == (4, 3, *size)
            # What is void in these pictures is a border of two columns, nothing else.
            assert int((batch.masks == -100).any(dim=1).sum(dim=1).max()) <= round(2 * 2 * scale * 1.01) + 1


def test_batches_end_with_the_schedules_steps() -> None:
    data = tiny_dataset()
    network = build(SMALL, len(data.classes))
    assert len(list(augmented_batches(network, data.train, SCHEDULE.of_steps(4, 12), 3, CPU))) == 4


def test_images_without_labels_come_on_top_and_change_nothing_of_the_others() -> None:
    data = tiny_dataset()
    network, schedule = build(SMALL, len(data.classes)), replace(SCHEDULE, epochs=3)
    more = More(data.validation.images, 3)
    plain = list(augmented_batches(network, data.train, schedule, 3, CPU))
    mixed = list(augmented_batches(network, data.train, schedule, 3, CPU, more=more, more_from=2))
    assert [len(batch.images) for batch in mixed] == [4, 4, *[7] * 7]
    shown: list[int] = []
    for one, both in zip(plain, mixed, strict=True):
        assert torch.equal(one.images, both.images[:4])
        assert torch.equal(one.masks, both.masks[:4])
        assert (both.masks[4:] == -100).all()
        assert list(both.chosen[:4]) == list(one.chosen)
        shown += [int(index) - len(data.train) for index in both.chosen[4:]]
    assert sorted(Counter(shown).values()) == [5, 5, 5, 6], "each before one comes again"
    late = list(augmented_batches(network, data.train, schedule, 3, CPU, first=5, more=more, more_from=2))
    assert all(torch.equal(a.images, b.images) for a, b in zip(late, mixed[5:], strict=True)), "whoever goes on, too"
