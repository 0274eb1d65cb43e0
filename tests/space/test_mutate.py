"""Points near a stored one: legal ones, whole ones, and those that one training makes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.draws import Dice, DrawCandidate, Facts, Noting, settled
from segsearch.space.load import load_space
from segsearch.space.mutate import Mutation, Params, Replay, neighbours, siblings
from segsearch.space.steps import Distill, Factorize, Prune, Quantize
from segsearch.study import read_study
from tests import fakes

QUICKSTART = Path(__file__).parents[2] / "studies" / "quickstart.toml"
SPACES = ["mobile", "efficientnet_lite", "deeplab", "all"]


def drawn(name: str, seed: int, facts: Facts = Facts()):  # type: ignore[no-untyped-def]
    draw = settled(load_space(name).draw, facts)
    noting = Noting(Dice(random.Random(seed)))
    candidate = draw(noting)
    return draw, noting.noted, candidate


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_replay_without_a_change_is_the_very_candidate(name: str, seed: int) -> None:
    draw, params, candidate = drawn(name, seed)
    replay = Replay(params)
    assert draw(replay) == candidate
    assert replay.params == params


@pytest.mark.parametrize("name", SPACES)
def test_every_neighbour_is_a_whole_point_that_the_space_draws_again(name: str) -> None:
    draw, params, _ = drawn(name, 3)
    found = list(neighbours(draw, params))
    assert len(found) > 10
    for point, candidate in found[::5]:
        assert draw(Named(point)) == candidate
        assert sum(point.get(key) != params.get(key) for key in {*point, *params}) >= 1


def test_a_branch_that_opens_is_answered_and_one_that_closes_leaves_no_parameter() -> None:
    opened = {"channels": 8, "depth": 2, "block": "separable", "expansion": 2.5, "precision": "float"}
    points = [point for point, _ in neighbours(fakes.draw, opened)]
    assert {point["kernel"] for point in points if point["block"] == "conv"} == {3}
    closed = opened | {"block": "conv", "kernel": 5}
    assert all("kernel" not in point for point, _ in neighbours(fakes.draw, closed) if point["block"] == "separable")


def test_a_float_without_steps_keeps_its_value() -> None:
    points = [point for point, _ in neighbours(fakes.draw, {**POINT, "expansion": 2.5})]
    assert {point["expansion"] for point in points} == {2.5}


POINT = {"channels": 8, "depth": 2, "block": "separable", "expansion": 1.0, "precision": "float"}


def test_siblings_differ_in_what_follows_the_training_alone() -> None:
    draw, params, candidate = drawn("efficientnet_lite", 5)
    found = siblings(draw, params, most=32)
    assert len(found) >= 5
    keys = {candidate.key}
    for point, sibling in found:
        assert sibling.learnt == candidate.learnt
        assert sibling.key not in keys, "none twice, and not itself"
        keys.add(sibling.key)
        assert draw(Named(point)) == sibling
    assert {one.bits for _, one in found} == {8, 32}
    assert {one.architecture.answer_scale for _, one in found} == {0.25, 0.5, 1.0}


def test_siblings_are_the_nearest_first_and_no_more_than_asked() -> None:
    draw, params, _ = drawn("efficientnet_lite", 5)
    assert siblings(draw, params, most=0) == []
    few, many = siblings(draw, params, most=3), siblings(draw, params, most=32)
    assert few == many[:3]
    assert sum(point[key] != params[key] for point, _ in few for key in point if key in params) == 3


def test_a_file_of_scores_has_no_siblings_by_where_classes_are_chosen() -> None:
    draw, params, candidate = drawn("efficientnet_lite", 5, Facts(output="scores"))
    found = [one for _, one in siblings(draw, params, most=32)]
    assert candidate.tail > 0
    assert len(found) == 3, "the other precisions: what it was before it learned on in int8 is none of its own training"
    assert {one.architecture for one in found} == {candidate.architecture}


def test_a_sibling_has_no_tail_of_training_of_its_own() -> None:
    def draw(choose: Draw) -> Candidate:
        tail = choose.suggest_float("tail", 0.0, 0.5, step=0.25)
        return replace(fakes.candidate(8, 1), after_export=(Quantize(tail=tail),))

    assert [point["tail"] for point, _ in siblings(draw, {"tail": 0.5}, most=9)] == [0.0]
    assert siblings(draw, {"tail": 0.0}, most=9) == []


def pruned_draw(seeds: int = 40) -> tuple[DrawCandidate, Params, Candidate]:
    for seed in range(seeds):
        draw, params, candidate = drawn("mobile", seed)
        if candidate.before_export:
            return draw, params, candidate
    pytest.fail("no draw was pruned")


def test_the_first_network_of_dense_blocks_that_learns_on_before_its_export_is_of_a_lower_rank() -> None:
    """It loses least of those that shrink it; the one that learns on in int8 comes before it."""
    params = read_study(QUICKSTART).search.first[3]
    assert {params[f"stage{number}_block"] for number in range(1, 5)} == {"residual"}
    found = siblings(settled(load_space("mobile").draw, Facts(output="mask")), params, most=0, tails=3)
    assert [(one.before_export, one.tail > 0) for _, one in found] == [
        ((), True),
        ((Factorize(0.5),), False),
        ((Prune(0.25, round_to=16),), False),
    ]


def test_where_the_part_after_a_pruning_is_taken_from_the_training_an_unpruned_form_is_no_sibling() -> None:
    draw, params, candidate = pruned_draw()
    found = siblings(draw, params, most=32, tails=4, pruned=False)
    assert found
    assert all(one.before_export == candidate.before_export for _, one in found)


def test_the_network_that_a_pruned_one_was_is_a_file_of_the_same_training() -> None:
    draw, params, candidate = pruned_draw()
    found = [one for _, one in siblings(draw, params, most=2)]
    assert [one.before_export == () for one in found] == [False, False, True, True, True]
    assert all(one.parent == candidate.parent for one in found)


def test_tails_are_further_networks_with_as_many_files_after_those_that_need_no_training() -> None:
    draw, params, candidate = drawn("efficientnet_lite", 5)
    assert not candidate.before_export
    plain = siblings(draw, params, most=3)
    found = siblings(draw, params, most=3, tails=3)
    assert found[:3] == plain
    trained, *rest = [one for _, one in found[3:]]
    assert (trained.tail, trained.learnt) == (0.07, candidate.learnt), "int8 first: a single file"
    networks = list(dict.fromkeys(one.learnt for one in rest))
    assert (len(networks), len(rest)) == (2, 8), "each as it is, and three more files"
    assert [one.learnt for one in rest] == [one for one in networks for _ in range(4)], "one network after the other"
    for one in rest:
        assert one.before_export
        assert one.parent == candidate.parent
    assert all(draw(Named(point)) == one for point, one in found)
    assert len({one.key for _, one in found} | {candidate.key}) == 13


def test_a_file_that_learns_on_in_int8_is_a_tail_by_itself() -> None:
    def draw(choose: Draw) -> Candidate:
        tail = choose.suggest_float("tail", 0.0, 0.5, step=0.25)
        return replace(fakes.candidate(8, 1), after_export=(Quantize(tail=tail),))

    for pruned in (True, False):
        found = siblings(draw, {"tail": 0.0}, most=9, tails=1, pruned=pruned)
        assert [point["tail"] for point, _ in found] == [0.25]
        assert len(siblings(draw, {"tail": 0.0}, most=0, tails=9, pruned=pruned)) == 2


def test_steps_that_are_known_to_take_nothing_are_no_sibling_and_the_next_larger_has_their_place() -> None:
    """A quarter of a narrow network's channels may be no multiple of eight, and half of them one."""

    def draw(choose: Draw) -> Candidate:
        steps: tuple[Prune, ...] = ()
        if choose.suggest_categorical("prune", ["no", "yes"]) == "yes":
            steps = (Prune(choose.suggest_float("prune_ratio", 0.125, 0.5, step=0.125)),)
        rounds = choose.suggest_categorical("precision", ["float", "int8"]) == "int8"
        return replace(fakes.candidate(8, 1), before_export=steps, after_export=(Quantize(),) if rounds else ())

    plain = {"prune": "no", "precision": "float"}
    learns = replace(fakes.candidate(8, 1), distill=Distill(0.5))
    idle = {replace(learns, before_export=(Prune(ratio),)).shape for ratio in (0.125, 0.25)}
    for most, files in ((0, 0), (3, 1)):
        found = [one for _, one in siblings(draw, plain, most=most, tails=1, idle=idle)]
        assert [one.before_export for one in found] == [()] * files + [(Prune(0.375),)] * (files + 1)
    assert not any(one.before_export for _, one in siblings(draw, plain, most=3, idle=idle))


def test_a_mutation_keeps_what_is_not_changed_and_throws_what_a_change_opens() -> None:
    def draw(choose: Draw) -> Candidate:
        branch = choose.suggest_categorical("branch", ["plain", "wide"])
        width = choose.suggest_int("width", 8, 16 if branch == "plain" else 64, step=8)
        depth = choose.suggest_int("depth", 1, 3) if branch == "wide" else 1
        assert choose.suggest_float("free", 0.0, 1.0) == 0.37
        return fakes.candidate(width, depth)

    stored = {"branch": "wide", "width": 64, "depth": 2, "free": 0.37}
    same = Mutation(stored, frozenset(), Dice(random.Random(0)))
    assert draw(same) == fakes.candidate(64, 2)
    thrown = [draw(Mutation(stored, frozenset({"branch"}), Dice(random.Random(seed)))) for seed in range(20)]
    widths = {one.architecture.paths[0].stages[0].channels for one in thrown}
    assert widths == {8, 16, 64}, "64 is beyond the range of the plain branch"
    opened = {**stored, "branch": "plain", "width": 8}
    del opened["depth"]
    thrown = [draw(Mutation(opened, frozenset({"branch"}), Dice(random.Random(seed)))) for seed in range(20)]
    assert {one.architecture.paths[0].stages[0].depth for one in thrown} == {1, 2, 3}
