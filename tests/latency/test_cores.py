"""Which cores training may use beside those that are reserved for timing."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from segsearch.latency.cores import own_cores, training_cores


@pytest.mark.parametrize(
    ("timing", "rest"),
    [
        (None, (0, 1, 4)),
        ([], (0, 1, 4)),
        ([1], (0, 4)),
        ([4, 0, 4], (1,)),
        ([0, 1, 4], (0, 1, 4)),
        ([7], (0, 1, 4)),
    ],
    ids=["none", "empty", "one", "several", "all", "not ours"],
)
def test_training_has_the_rest_and_all_where_none_would_be_left(
    monkeypatch: pytest.MonkeyPatch, timing: Sequence[int] | None, rest: tuple[int, ...]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 1, 0})
    assert training_cores(timing) == rest


def test_where_nobody_knows_the_cores_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert own_cores() == training_cores([1]) == ()
