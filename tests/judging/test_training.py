"""How a study trains, in words; and when it is said that this is too short."""

from __future__ import annotations

from typing import Any

import pytest

from segsearch.judging.training import training_words, warning_of_few_steps
from segsearch.settings.train import TrainSettings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 800, "batch_size": 4}, "800 steps of 4 images (17 epochs) on whole images"),
        (
            {"steps": 100, "batch_size": 4, "crop": 0.75},
            "100 steps of 4 images (2.1 epochs) on crops of 75 % of each side",
        ),
        ({"epochs": 1, "batch_size": 4}, "48 steps of 4 images (1 epoch) on whole images"),
        (
            {"epochs": 6, "height": 96, "width": 128},
            "144 steps of 8 images (6 epochs) on crops of 128x96 pixels of the network's own grid",
        ),
        (
            {"steps": 48, "batch_size": 4, "hold": "steps"},
            "48 steps of 4 images (1 epoch) on whole images; batches are smaller at larger input scales",
        ),
        (
            {"epochs": 12, "hold": "seconds"},
            "288 steps of 8 images (12 epochs) on whole images; trials are shorter at larger input scales",
        ),
    ],
)
def test_words(settings: dict[str, Any], words: str) -> None:
    assert training_words(TrainSettings(**settings), 192) == words


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"steps": 500}, None),
        ({"epochs": 21}, None),
        (
            {"epochs": 20},
            (
                "480 steps a trial (192 images, batches of 8, 20 epochs)"
                ".*steps = 600 in place of epochs and fine_tune_epochs, or a smaller batch_size."
            ),
        ),
        (
            {"epochs": 3, "batch_size": 2},
            "288 steps a trial .*Write steps = 600 in place of epochs and fine_tune_epochs.",
        ),
        (
            {"steps": 499},
            "499 steps a trial (192 images, batches of 8, 499 steps in all) are few: .*Write steps = 600.",
        ),
        ({"steps": 2000, "hold": "steps"}, None),
        ({"steps": 2000, "hold": "seconds"}, None),
        ({"steps": 800, "hold": "seconds"}, "200 steps a trial at input scale 1 (192 images, .*Write steps = 2400."),
    ],
)
def test_a_short_training_is_warned_of_with_the_cure(settings: dict[str, Any], warning: str | None) -> None:
    found = warning_of_few_steps(TrainSettings(**settings), 192)
    if warning is None:
        assert found is None
        return
    assert found is not None
    assert "\n" not in found
    assert found.startswith("Warning: ")
    start, _, end = warning.partition(".*")
    assert start in found
    assert found.endswith(end)
    cured = {"steps": int(end.split("steps = ")[1].split()[0].rstrip(".,"))} | {"hold": settings.get("hold", "images")}
    assert warning_of_few_steps(TrainSettings(**cured), 192) is None
