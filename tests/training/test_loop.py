"""The loop: it learns, the same each time, and its failures have a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from segsearch.compression.distill import Teaching
from segsearch.errors import TrialFailed
from segsearch.networks import build
from segsearch.space.architecture import Head
from segsearch.training.loop import out_of_memory_fails, parameter_groups, train
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL, trained


def test_training_learns_and_reports_each_epoch() -> None:
    network, losses = trained(replace(SCHEDULE, epochs=12))
    assert len(losses) == 12
    assert losses[-1] < 0.7 * losses[0]
    assert not network.training


def test_recipe_1_trains_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of three steps as they were before there was another recipe; the last digits are a processor's own."""
    monkeypatch.setattr("segsearch.training.loop.trains_in_bfloat16", lambda device: False)
    steps = replace(SCHEDULE, epochs=3, batch_size=12)
    before = (1.9134831428527832, 1.7579400539398193, 1.7178630828857422)
    assert trained(steps)[1] == pytest.approx(before, rel=1e-5)
    assert trained(replace(steps, recipe=2))[1] != pytest.approx(before, rel=1e-4)
    said = np.random.default_rng(0).normal(size=(12, 3, 16, 24)).astype(np.float16)
    before = (1.0669262409210205, 0.9934084415435791, 0.9716104865074158)
    assert trained(steps, teaching=Teaching(said, 0.5, 2.0))[1] == pytest.approx(before, rel=1e-5)


def test_same_seed_same_weights_and_another_seed_others() -> None:
    first, second = trained(SCHEDULE), trained(SCHEDULE)
    assert first[1] == second[1]
    for one, two in zip(first[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, two)
    assert trained(replace(SCHEDULE, seed=1))[1] != first[1]


def test_without_a_start_all_parameters_learn_at_one_rate() -> None:
    """As before there was a start: one group, in the network's order, whatever rate a start would have had."""
    network = build(SMALL, 3)
    for schedule in (SCHEDULE, replace(SCHEDULE, start_rate=0.1)):
        (group,) = parameter_groups(network, schedule, ())
        assert group["lr"] == schedule.learning_rate
        assert [id(one) for one in group["params"]] == [id(one) for one in network.parameters()]


def test_inherited_layers_learn_at_their_share_of_the_rate() -> None:
    """A step of Adam is as long as its rate, whatever the gradient is."""
    data, still = tiny_dataset(), replace(SCHEDULE, weight_decay=0.0, learning_rate=1e-2, start_rate=0.1)
    network = build(SMALL, 3)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    inherited = {name for name in before if name.startswith("encoders.0.s")}
    train(network, data.train, still.of_steps(2, len(data.train)), classes=3, device=CPU, inherited=inherited)
    moved = {name: float((value.detach() - before[name]).abs().max()) for name, value in network.named_parameters()}
    slow, quick = ([moved[name] for name in moved if (name in inherited) == which] for which in (True, False))
    assert len(slow) > 5
    assert len(quick) > 5
    assert min(quick) > 5 * max(slow) > 0


def test_a_network_that_inherits_as_a_whole_learns_at_that_rate_alone() -> None:
    network = build(SMALL, 3)
    names = [name for name, _ in network.named_parameters()]
    (group,) = parameter_groups(network, replace(SCHEDULE, start_rate=0.5), names)
    assert group["lr"] == 0.5 * SCHEDULE.learning_rate


def test_dropout_is_seeded_and_torchs_own_generator_is_left_alone() -> None:
    data = tiny_dataset()
    losses = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        before = torch.get_rng_state()
        network = build(replace(SMALL, head=Head(16, dropout=0.5)), len(data.classes))
        losses.append(train(network, data.train, SCHEDULE, classes=3, device=CPU).losses)
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]


def test_a_loss_that_is_not_finite_fails_the_trial_with_the_step() -> None:
    with pytest.raises(TrialFailed, match=r"The loss became (nan|inf) at step \d+ of \d+") as failure:
        trained(replace(SCHEDULE, learning_rate=1e18, epochs=4))
    assert failure.value.kind == "diverged"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_memory_that_runs_out_fails_the_trial(error: BaseException) -> None:
    with pytest.raises(TrialFailed, match="Memory ran out") as failure, out_of_memory_fails():
        raise error
    assert failure.value.kind == "memory"


def test_real_memory_exhaustion_fails_the_trial() -> None:
    with pytest.raises(TrialFailed) as failure, out_of_memory_fails():
        torch.empty(2**52)
    assert failure.value.kind == "memory"


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_fails():
        raise RuntimeError("shapes do not fit")
