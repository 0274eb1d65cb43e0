"""Progress: lines where nobody looks on, bars on a terminal, and an honest estimate."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from segsearch.progress import BarWatch, Lines, Pace, watching
from segsearch.search import Event
from segsearch.store import Failure
from tests.judging.reports import numbers, trial

TRAINED = replace(trial(7, numbers(0.512, 4.31)), started=100.0, finished=141.0)


def test_a_line_for_each_trial_that_ends() -> None:
    said = io.StringIO()
    watch = Lines(Console(file=said, width=160))
    rejected = trial(8, {}, state="rejected")
    failed = replace(trial(9, {}, state="failed"), failure=Failure("diverged", "the loss\nbecame NaN"))
    watch.event(Event("started", trial(7, {}), 2, 8))
    watch.event(Event("trained", TRAINED, 3, 8))
    watch.event(Event("rejected", rejected, 3, 8))
    watch.event(Event("failed", failed, 3, 8))
    watch.event(Event("duplicate", replace(trial(10, {}), twin=7), 3, 8))
    watch.event(Event("put_back", trial(11, {}), 3, 8))
    watch.event(Event("taught", trial(12, {}), 3, 8, teacher_miou=0.5231))
    watch.event(Event("begun", trial(12, {}), 3, 8, start="EfficientNet-Lite0, 9 of 9 convolutions inherit"))
    lines = said.getvalue().splitlines()
    assert len(lines) == 7
    assert lines[6] == "start: EfficientNet-Lite0, 9 of 9 convolutions inherit"
    assert lines[5] == "teacher: mIoU 0.523"
    assert lines[0].startswith(
        "trial 7    trained    miou 0.512, latency_ms 4.31, size_bytes 1 kB   41 s   (3 of 8, about"
    )
    assert "latency_ms<=9 broken by 30" in lines[1]
    assert "diverged: the loss became NaN" in lines[2]
    assert "the same as trial 7" in lines[3]
    assert "put back" in lines[4]


def test_many_looks_are_told_with_the_training_that_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1.0]
    monkeypatch.setattr("segsearch.progress.time.monotonic", lambda: now[0])
    said, seen = io.StringIO(), io.StringIO()
    bars = Console(file=seen, width=160, force_terminal=True)
    latency = {"latency_ms": 8.3}
    with watching(bars) as other:
        watches = (Lines(Console(file=said, width=160)), other)
        for number in range(40):
            looked = replace(trial(number, latency, state="screened"), gate_only=True)
            rejected = replace(trial(number, latency, state="rejected"), gate_only=True)
            now[0] += 2.0
            for watch in watches:
                watch.event(Event("started", replace(looked, state="running"), 3, 8))
                watch.event(Event("rejected", rejected, 3, 8) if number % 2 else Event("screened", looked, 3, 8))
        for watch in watches:
            watch.event(Event("fell_back", trial(12, latency), 3, 8, why="too few trials to learn from"))
            watch.event(Event("promoted", trial(12, latency), 3, 8, best_of=20))
    lines = said.getvalue().splitlines()
    assert len(lines) == 4, "two signs of life in 80 seconds"
    assert lines[0].startswith("trial 14   looked at  latency_ms 8.3   (3 of 8")
    assert lines[2:] == [
        "screening: too few trials to learn from",
        "trial 12   promoted   the best of 20 looked at: latency_ms 8.3   (3 of 8)",
    ]
    assert "looked at  " not in seen.getvalue()
    assert "the best of 20 looked at" in seen.getvalue()


def test_a_long_stage_gives_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("segsearch.progress.time.monotonic", lambda: now[0])
    said = io.StringIO()
    watch = Lines(Console(file=said, width=160))
    for step in range(100):
        now[0] = step
        watch.progress("train", step, 100)
    assert said.getvalue().splitlines() == [
        "  train: 30 of 100, about 1 min left",
        "  train: 60 of 100, about 40 s left",
        "  train: 90 of 100, about 10 s left",
    ]


def test_a_training_that_goes_on_is_not_as_quick_as_its_steps_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """900 steps of an earlier process cost this one nothing."""
    now = [0.0]
    monkeypatch.setattr("segsearch.progress.time.monotonic", lambda: now[0])
    for terminal in (False, True):
        said = io.StringIO()
        with watching(Console(file=said, force_terminal=terminal, width=140)) as watch:
            watch.progress("train", 0, 1)
            for step in range(901, 921):
                now[0] += 2.0
                watch.progress("train", step, 1000)
            if isinstance(watch, BarWatch):
                watch.bars.refresh()
        assert "about 3 min left" in said.getvalue()


def test_bars_on_a_terminal_name_the_trial_and_its_stage() -> None:
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=140)
    with watching(console) as watch:
        assert isinstance(watch, BarWatch)
        watch.event(Event("started", trial(7, {}), 2, 8))
        watch.progress("train [1]", 3, 40)
        watch.bars.refresh()
        shown = said.getvalue()
        watch.event(Event("trained", TRAINED, 3, 8))
    assert "trial 7: train [1]" in shown
    assert "3/40" in shown
    assert "2/8" in shown
    assert "trained    miou 0.512" in said.getvalue()


def test_the_pace_is_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("segsearch.progress.time.monotonic", lambda: now[0])
    pace = Pace()
    assert pace.left(5, 10) is None
    now[0] = 160.0
    assert pace.left(7, 10) == pytest.approx(90.0)


def test_other_work_is_counted_in_lines_and_on_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("segsearch.progress.time.monotonic", lambda: now[0])
    for terminal in (False, True):
        said = io.StringIO()
        with watching(Console(file=said, force_terminal=terminal, width=140)) as watch:
            watch.counted("trained again", 1, 4, "", running="trial 7, seed 1")
            watch.progress("train", 3, 40)
            if isinstance(watch, BarWatch):
                watch.bars.refresh()
            now[0] += 60.0
            watch.counted("trained again", 2, 4, "trial 7, seed 1 miou 0.5", running="trial 7, seed 2")
        assert "trial 7, seed 1 miou 0.5   (2 of 4, about 2 min left)" in said.getvalue()
        assert ("trial 7, seed 1: train" in said.getvalue()) == terminal
