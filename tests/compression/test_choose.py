"""Which layers go back to float: the most mIoU for a millisecond, until enough is back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from segsearch.compression.choose import choose, moves_of, spent_ms
from segsearch.compression.layers import Pair
from segsearch.evidence.layers import Drawn, LayerTime, Times
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from tests.compression.graph_files import of_architecture

CHAIN = Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 2, stride=2),)),), (), Head(16))
DRAWN = Drawn(4, unseen=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A chain of convolutions."""
    return Pair(*map(onnx.load, of_architecture(CHAIN, tmp_path_factory.mktemp("chain"))))


def names_of(pair: Pair) -> list[str]:
    return [layer.name for layer in pair.convolutions]


def times_of(pair: Pair, float_ms: Mapping[str, float] = {}, *, million_ms: float = 0.0) -> Times:
    layers = tuple(
        LayerTime(layer.name, float_ms.get(layer.name, 2.0), 1.0, 0.0, "QLinearConv") for layer in pair.layers
    )
    count = len(layers)
    return Times("m", sum(layer.float_ms for layer in layers), float(count), million_ms, layers, ())


def losing(amounts: Mapping[str, float]) -> Callable[[Collection[str]], float]:
    """Each layer loses its own while it is in int8."""
    return lambda in_float: sum(lost for name, lost in amounts.items() if name not in in_float)


def test_the_layer_that_gains_most_for_its_time_comes_first_and_it_ends_within_the_tolerance(pair: Pair) -> None:
    first, second, third, *_ = names_of(pair)
    lost = losing({first: 0.004, second: 0.006, third: 0.0001})
    found = choose(pair, times_of(pair, {second: 9.0}), 0.002, drawn=DRAWN, lost=lost)
    assert [step.layers for step in found.steps] == [(), (first,), (second,)]
    assert [round(step.lost, 6) for step in found.steps] == [0.0101, 0.0061, 0.0001]
    assert found.ended == "within the tolerance"
    assert found.in_float == (first, second)
    assert found.steps[-1].spent_ms == pytest.approx(9.0)


def test_a_map_that_only_two_layers_can_free_is_found(pair: Pair) -> None:
    """Its rounding stays until what makes and what reads it are both in float: each alone gains nothing."""
    first, second, *_ = names_of(pair)
    lost = lambda in_float: 0.0 if {first, second} <= set(in_float) else 0.01  # noqa: E731
    found = choose(pair, times_of(pair), 0.002, drawn=DRAWN, lost=lost)
    assert set(found.in_float) == {first, second}


def test_what_is_quicker_in_float_goes_back_though_little_is_lost(pair: Pair) -> None:
    first, second, *_ = names_of(pair)
    found = choose(pair, times_of(pair, {second: 0.5}), 0.5, drawn=DRAWN, lost=losing({first: 0.01, second: 0.001}))
    assert found.in_float == (second,)
    assert found.ended == "within the tolerance"


def test_nothing_is_given_back_for_nothing(pair: Pair) -> None:
    assert choose(pair, times_of(pair), 0.002, drawn=DRAWN, lost=lambda in_float: 0.01).ended == "nothing more gains"
    assert choose(pair, times_of(pair), 0.002, drawn=DRAWN, lost=lambda in_float: -0.01).in_float == ()


def test_it_ends_where_float_would_be_as_quick(pair: Pair) -> None:
    times = replace(times_of(pair), float_ms=times_of(pair).int8_ms + 2.5)
    found = choose(pair, times, 1e-9, drawn=DRAWN, lost=losing(dict.fromkeys(names_of(pair), 0.01)))
    assert found.ended == "no quicker than float"
    assert len(found.in_float) == 2


def test_a_gain_that_another_step_took_is_not_taken_again(pair: Pair) -> None:
    """The last of these layers gains only while the first is in int8: what was known of it is old by then."""
    first, *_, last = names_of(pair)
    lost = lambda in_float: 0.004 if {first, last}.intersection(in_float) else 0.01  # noqa: E731
    found = choose(pair, times_of(pair), 0.001, drawn=DRAWN, lost=lost)
    assert len({first, last}.intersection(found.in_float)) == 1
    assert found.ended == "nothing more gains"


def test_the_same_times_and_losses_give_the_same_choice(pair: Pair) -> None:
    lost = losing(dict.fromkeys(names_of(pair), 0.001))
    one, other = (choose(pair, times_of(pair), 0.001, drawn=DRAWN, lost=lost) for _ in range(2))
    assert one == other


def test_conversions_cost_where_the_forms_meet(pair: Pair) -> None:
    lone = names_of(pair)[1]
    free, dear = (spent_ms(pair, times_of(pair, million_ms=ms), pair.settled({lone})) for ms in (0.0, 1000.0))
    assert free == pytest.approx(1.0)
    assert dear > free


def test_moves_are_single_layers_and_those_around_one_map(pair: Pair) -> None:
    names = names_of(pair)
    found = moves_of(pair)
    assert {frozenset({name}) for name in names} <= set(found)
    assert frozenset(names[:2]) in found
    assert len(found) == len(set(found))


def test_progress_is_told_and_ends(pair: Pair, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    choose(
        pair,
        times_of(pair),
        0.002,
        drawn=DRAWN,
        lost=losing({names_of(pair)[0]: 0.01}),
        progress=lambda stage, done, total: told.append((done, total)),
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert len({total for _, total in told}) == 1
