"""The losses that steps are shown: the same each time, of the batches that training begins with."""

from __future__ import annotations

from dataclasses import replace

import torch

from segsearch.networks import build
from segsearch.training.batches import augmented_batches
from segsearch.training.losses import class_weights, total_loss
from segsearch.training.sample import SAMPLED_BATCHES, losses_over
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL


def test_there_are_as_many_however_short_the_schedule_and_they_are_the_same_each_time() -> None:
    data, found = tiny_dataset(), []
    network = build(SMALL, len(data.classes)).eval()
    for epochs in (1, 30):
        schedule = replace(SCHEDULE, epochs=epochs, small_start=0.5)
        losses = losses_over(data.train, schedule, classes=len(data.classes), device=CPU)
        for _ in range(2):
            torch.manual_seed(epochs)  # nobody asks
            with torch.no_grad():
                found.append([float(loss) for loss in losses(network)])
    assert [len(each) for each in found] == [SAMPLED_BATCHES] * 4
    assert found[0] == found[1] == found[2] == found[3]
    assert len(set(found[0])) == SAMPLED_BATCHES


def test_the_first_is_that_of_trainings_first_batch() -> None:
    data = tiny_dataset()
    classes, network = len(data.classes), build(SMALL, len(data.classes)).eval()
    losses = losses_over(data.train, SCHEDULE, classes=classes, device=CPU)
    batch = next(augmented_batches(network, data.train, SCHEDULE, classes, CPU))
    weights = class_weights(data.train.masks, classes, kind=SCHEDULE.class_weights)
    scores, extra = network.scores_and_auxiliary(batch.images)
    expected = total_loss(network, scores, extra, batch.masks, weights, jaccard_weight=SCHEDULE.jaccard_weight)
    found = next(losses(network))
    if SCHEDULE.recipe == 1:  # recipe 2 draws which pixels count
        assert float(found.detach()) == float(expected.detach())
    found.backward()  # type: ignore[no-untyped-call]
    assert all(value.grad is not None for value in network.parameters())
