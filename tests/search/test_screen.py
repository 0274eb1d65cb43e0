"""What to gate next and what to train next: functions of rows and a seed, and of nothing else."""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from segsearch.search.gain import volume
from segsearch.search.screen import MIX, Ranking, choose, propose
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.draws import Dice, DrawCandidate, Noting
from segsearch.space.load import drawing
from segsearch.space.steps import Prune, Quantize
from segsearch.store.rows import Failure, State, TrialRow
from segsearch.study import Study
from tests import fakes


@pytest.fixture(autouse=True)
def either() -> None:
    """Nothing here asks a database."""


STUDY = fakes.make_study(limits=["latency_ms<=12"])


def row(
    number: int, state: State, params: Mapping[str, Any], *, miou: float | None = None, **values: float
) -> TrialRow:
    """A trial of the fake space."""
    candidate = fakes.draw(Named(params))
    return row_of(
        number, state, candidate, params, costs(candidate) | values | ({} if miou is None else {"miou": miou})
    )


def row_of(
    number: int, state: State, candidate: Candidate, params: Mapping[str, Any], values: Mapping[str, float]
) -> TrialRow:
    return TrialRow(
        number, state, candidate, candidate.key, params, values, None, "m", None, None, 0, 1, None, 0.0, None
    )


def costs(candidate: Candidate) -> dict[str, float]:
    stage = candidate.architecture.paths[0].stages[0]
    macs = float(stage.channels**2 * stage.depth)
    return {"latency_ms": fakes.latency_of(candidate), "macs": macs, "params": macs / 2, "size_bytes": 100 + macs}


def miou_of(candidate: Candidate) -> float:
    """Grows with the latency; a separable block and few channels for the depth are better than they look."""
    stage, latency = candidate.architecture.paths[0].stages[0], fakes.latency_of(candidate)
    return latency / (latency + 5) - 0.2 * (stage.block == "conv") - 0.05 * bool(candidate.after_export)


def drawn(seed: int, draw: DrawCandidate = fakes.draw) -> tuple[dict[str, Any], Candidate]:
    noted = Noting(Dice(random.Random(seed)))
    candidate = draw(noted)
    return noted.noted, candidate


def history(trained: int, screened: int, *, study: Study = STUDY) -> list[TrialRow]:
    """Random trials: those that break a limit rejected, the first of the others trained, then screened ones."""
    rows: list[TrialRow] = []
    left = {"trained": trained, "screened": screened}
    for seed in range(10_000):
        params, candidate = drawn(seed)
        found = costs(candidate)
        state: State = "trained" if left["trained"] else "screened"
        if any(limit.excess(found[limit.objective]) > 0 for limit in study.bounds):
            state = "rejected"
        else:
            left[state] -= 1
        if state == "trained":
            found["miou"] = miou_of(candidate)
        rows.append(row_of(len(rows), state, candidate, params, found))
        if not any(left.values()):
            return rows
    raise AssertionError("the fake space is not that narrow")


# ---- what to gate next


KINDS = ("mutate", "guess", "dice")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_proposal_is_a_legal_point_that_no_row_is(kind: str) -> None:
    rows = history(8, 8)
    known = {trial.key for trial in rows}
    for seed in range(8):
        found = propose(fakes.draw, rows, STUDY, seed=seed, mix={kind: 1})
        assert found is not None
        params, candidate = found
        assert fakes.draw(Named(params)) == candidate
        assert set(params) == {"channels", "depth", "block", "expansion", "precision"} | (
            {"kernel"} if params["block"] == "conv" else set()
        )
        assert candidate.key not in known


@pytest.mark.parametrize("kind", [*KINDS, "mix"])
def test_the_same_rows_and_seed_say_the_same_in_whatever_order(kind: str) -> None:
    rows = history(8, 8)
    mix = MIX if kind == "mix" else {kind: 1}
    mixed = [replace(trial, params=dict(reversed(list(trial.params.items())))) for trial in rows]
    random.Random(1).shuffle(mixed)
    for seed in range(4):
        assert propose(fakes.draw, rows, STUDY, seed=seed, mix=mix) == propose(
            fakes.draw, mixed, STUDY, seed=seed, mix=mix
        )
    said = [propose(fakes.draw, rows, STUDY, seed=seed, mix=mix) for seed in range(4)]
    assert any(one != said[0] for one in said)


def test_a_space_without_a_new_candidate_proposes_none() -> None:
    rows: list[TrialRow] = []
    for depth in (1, 2):
        candidate = fakes.draw_from_two(Named({"depth": depth}))
        assert propose(fakes.draw_from_two, rows, STUDY, seed=depth) is not None
        rows.append(row_of(depth, "trained", candidate, {"depth": depth}, {**costs(candidate), "miou": 0.1 * depth}))
    for seed in range(5):
        assert propose(fakes.draw_from_two, rows, STUDY, seed=seed) is None


def test_the_last_new_candidate_is_found() -> None:
    candidate = fakes.draw_from_two(Named({"depth": 1}))
    rows = [row_of(0, "rejected", candidate, {"depth": 1}, costs(candidate))]
    for seed in range(5):
        found = propose(fakes.draw_from_two, rows, STUDY, seed=seed)
        assert found is not None
        assert found[0] == {"depth": 2}


def test_what_is_known_to_take_nothing_is_not_looked_at_by_another_name() -> None:
    """Its other precisions and teachers would fail at the gate, too."""

    def draw(choose: Draw) -> Candidate:
        steps = (Prune(0.25),) if choose.suggest_categorical("pruned", ["no", "yes"]) == "yes" else ()
        precision = choose.suggest_categorical("precision", ["float", "int8", "mixed"])
        rounds = {"float": (), "int8": (Quantize(),), "mixed": (Quantize(float_convolutions=1),)}
        return replace(fakes.candidate(8, 1), before_export=steps, after_export=rounds[precision])

    def tried(number: int, params: dict[str, str]) -> TrialRow:
        return row_of(number, "failed", draw(Named(params)), params, {})

    first = tried(0, {"pruned": "yes", "precision": "float"})
    idle = replace(first, failure=Failure("no effect", "A step must take something."))
    plain = [tried(number, {"pruned": "no", "precision": one}) for number, one in enumerate(("float", "int8"), 1)]
    for seed in range(5):
        found = propose(draw, [idle, *plain], STUDY, seed=seed)
        assert found is not None
        assert found[0] == {"pruned": "no", "precision": "mixed"}
    other = replace(first, failure=Failure("diverged", "the loss became NaN"))
    pruned = [propose(draw, [other, *plain], STUDY, seed=seed) for seed in range(9)]
    assert any(one is not None and one[0]["pruned"] == "yes" for one in pruned)


def test_a_mutation_differs_from_a_member_of_the_front_in_little() -> None:
    best = {"channels": 64, "depth": 4, "block": "separable", "expansion": 2.0, "precision": "float"}
    other = {**best, "channels": 72, "depth": 6, "expansion": 3.0}
    rows = [row(0, "trained", best, miou=0.8), row(1, "trained", other, miou=0.2), row(2, "screened", other)]
    rows.append(row(3, "trained", {**best, "channels": 256, "depth": 12}, miou=0.9))  # over the limit
    opened = False
    for seed in range(30):
        found = propose(fakes.draw, rows, STUDY, seed=seed, mix={"mutate": 1})
        assert found is not None
        changed = {name for name in best if found[0][name] != best[name]}
        assert 1 <= len(changed) <= 2, "never the dominated one, nor the one over the limit"
        opened |= "kernel" in found[0]
    assert opened, "a branch that a change opens is answered, too"


def test_rejected_ones_teach_where_not_to_look() -> None:
    rows = [replace(one, origin=0 if one.state == "trained" and one.number else None) for one in history(12, 0)]
    assert sum(trial.state == "rejected" for trial in rows) >= 4

    def over(kind: str) -> int:
        made = [propose(fakes.draw, rows, STUDY, seed=seed, mix={kind: 1}) for seed in range(30)]
        return sum(one is not None and fakes.latency_of(one[1]) > 12 for one in made)

    assert over("guess") < 0.7 * over("dice")


def test_parameters_that_a_space_no_longer_asks_for_teach_nothing() -> None:
    rows = history(6, 0)
    strange = replace(rows[0], number=99, key="x", params={"unknown": 1})
    for draw in (fakes.draw, drawing(lambda choose: fakes.draw(choose), "space.py")):
        assert propose(draw, [*rows, strange], STUDY, seed=3, mix={"guess": 1}) is not None


def test_what_the_space_raises_passes_through() -> None:
    def draw(choose: Draw) -> Candidate:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        propose(draw, [], STUDY, seed=0)


# ---- what to train next


def test_the_surrogate_finds_what_is_better_at_the_same_cost() -> None:
    rows = history(25, 0)
    base = {"channels": 80, "depth": 6, "expansion": 2.0, "precision": "float"}
    rows.append(row(900, "screened", {**base, "block": "conv", "kernel": 3}))
    rows.append(row(901, "screened", {**base, "block": "separable"}))
    rows.append(row(902, "screened", {**base, "block": "conv", "kernel": 5}))
    found = choose(rows, STUDY, seed=0)
    assert found.fell_back is None
    assert found.numbers[0] == 901


def test_ranking_is_settled_by_rows_and_seed_alone() -> None:
    rows = history(15, 20)
    found = choose(rows, STUDY, seed=0)
    assert found.fell_back is None
    assert sorted(found.numbers) == [trial.number for trial in rows if trial.state == "screened"]
    mixed = [replace(trial, params=dict(reversed(list(trial.params.items())))) for trial in rows]
    random.Random(1).shuffle(mixed)
    assert choose(mixed, STUDY, seed=0) == found


_ANEW = """
import json
from tests.search import test_screen as mine
print(json.dumps(mine.said_of_twelve()))
"""


def said_of_twelve() -> list[Any]:
    rows = history(12, 12)
    found = propose(fakes.draw, rows, STUDY, seed=5)
    assert found is not None
    return [found[0], list(choose(rows, STUDY, seed=5).numbers)]


@pytest.mark.slow
def test_another_process_with_another_hash_seed_says_the_same() -> None:
    command = [sys.executable, "-c", _ANEW]
    other = {**os.environ, "PYTHONHASHSEED": "1"}  # this process has one by chance
    said = subprocess.run(command, env=other, check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == said_of_twelve()


def test_what_breaks_a_limit_or_lacks_an_objective_comes_last() -> None:
    rows = history(12, 4)
    params, candidate = drawn(3)
    slow = row_of(900, "screened", candidate, params, {**costs(candidate), "latency_ms": 12.5})
    blind = row_of(901, "screened", candidate, params, {"macs": 5.0})
    assert choose([slow, blind, *rows], STUDY, seed=0).numbers[-2:] == (900, 901)


def test_a_running_twin_leaves_nothing_to_gain() -> None:
    rows = history(20, 10)
    first, second = choose(rows, STUDY, seed=0).numbers[:2]
    begun = [replace(trial, state="running") if trial.number == first else trial for trial in rows]
    twin = replace(next(trial for trial in rows if trial.number == first), number=950, key="twin")
    found = choose([*begun, twin], STUDY, seed=0)
    assert found.fell_back is None
    assert first not in found.numbers
    assert found.numbers[0] not in (first, 950)
    asleep = replace(begun[first], values={})
    assert choose([*begun[:first], asleep, *begun[first + 1 :]], STUDY, seed=0).numbers, "it is not past its gate"
    assert second in found.numbers


@pytest.mark.parametrize(
    ("rows", "study", "why"),
    [
        (history(0, 6), STUDY, "nothing is trained"),
        (history(2, 6), STUDY, "2 trained so far, 4 are needed"),
        (
            [replace(one, values={**one.values, "miou": 0.5}) for one in history(8, 6)],
            STUDY,
            "alike",
        ),
        (history(8, 6), fakes.make_study(objectives=["latency_ms", "size_bytes"]), "no objective of the study is miou"),
    ],
)
def test_without_a_surrogate_all_are_ranked_and_it_says_why(rows: list[TrialRow], study: Study, why: str) -> None:
    found = choose(rows, study, seed=4)
    assert found.fell_back is not None
    assert why in found.fell_back
    assert sorted(found.numbers) == [trial.number for trial in rows if trial.state == "screened"]
    assert choose(rows[::-1], study, seed=4) == found


def test_nothing_screened_ranks_nothing() -> None:
    assert choose([], STUDY, seed=0).numbers == ()
    assert choose(history(8, 0), STUDY, seed=0).numbers == ()


@pytest.mark.parametrize("objectives", [["miou"], ["miou", "latency_ms", "size_bytes"], ["latency_ms", "miou", "macs"]])
def test_any_number_of_objectives_in_any_order(objectives: list[str]) -> None:
    study = fakes.make_study(objectives=objectives, limits=["latency_ms<=12", "miou>=0.1", "macs>=100"])
    rows = history(15, 12)
    found = choose(rows, study, seed=0)
    assert found.fell_back is None
    assert len(found.numbers) == 12
    assert propose(fakes.draw, rows, study, seed=0) is not None


def test_a_diverged_training_does_not_blind_it() -> None:
    rows = history(20, 12)
    sane = choose(rows, STUDY, seed=0)
    number = max((trial for trial in rows if trial.state == "trained"), key=lambda one: one.values["miou"]).number
    params, candidate = drawn(12_345)
    wild = row_of(970, "trained", candidate, params, {**costs(candidate), "latency_ms": 3.0, "miou": 0.001})
    assert number < 970
    assert set(choose([*rows, wild], STUDY, seed=0).numbers[:4]) & set(sane.numbers[:2])


def searched(looked: int, trainings: int, seed: int) -> float:
    """The hypervolume after so many trainings; `looked` pass the gate for each, after a random start."""
    rows: list[TrialRow] = []

    def enter(state: State, params: Mapping[str, Any], candidate: Candidate) -> None:
        found = costs(candidate)
        if state == "trained":
            found["miou"] = miou_of(candidate)
        rows.append(row_of(len(rows), "rejected" if found["latency_ms"] > 12 else state, candidate, params, found))

    def count(state: State) -> int:
        return sum(trial.state == state for trial in rows)

    while count("trained") < trainings:
        goal = count("screened") + looked
        random_start = not looked or count("trained") < 5
        while not random_start and count("screened") < goal:
            found = propose(fakes.draw, rows, STUDY, seed=1000 * seed + len(rows), mix={"mutate": 1, "dice": 1})
            assert found is not None
            enter("screened", *found)
        if random_start:
            enter("trained", *drawn(1000 * seed + len(rows)))
            continue
        best = rows[choose(rows, STUDY, seed=seed).numbers[0]]
        rows[best.number] = replace(best, state="trained", values={**best.values, "miou": miou_of(best.candidate)})
    ended = [trial.values for trial in rows if trial.state == "trained"]
    points = [[1 - found["miou"], math.log(found["latency_ms"])] for found in ended]
    return volume(np.array(points), np.array([1.0, math.log(12)]))


@pytest.mark.slow
def test_screening_finds_in_few_trainings_what_chance_does_not() -> None:
    chance: Sequence[float] = [searched(0, 14, seed) for seed in range(4)]
    screened: Sequence[float] = [searched(6, 14, seed) for seed in range(4)]
    assert statistics.mean(screened) > statistics.mean(chance) + 0.05


def test_a_ranking_is_a_plain_value() -> None:
    assert Ranking((1, 2)) == Ranking((1, 2), None)
