"""Schedules: any number of steps, their zoom, the device and its precision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segsearch.errors import UserError
from segsearch.networks import build
from segsearch.training.loop import train
from segsearch.training.schedule import pick_device, trains_in_bfloat16
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL, trained


@pytest.mark.parametrize("epochs", range(1, 13))
def test_a_schedule_may_have_any_number_of_steps(epochs: int) -> None:
    """torch's one-cycle divides by zero where the rise is exactly one step of five."""
    data = tiny_dataset()
    network = build(SMALL, len(data.classes))
    losses = train(network, data.train, replace(SCHEDULE, epochs=epochs, batch_size=12), classes=3, device=CPU)
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
