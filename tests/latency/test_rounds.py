"""When the shortest time of a reference is believed, by a clock that stands still between two rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from segsearch.latency.kept import kept_times, slow_unit
from segsearch.latency.rounds import LEAST_ROUNDS, shortest


@dataclass
class Bench:
    """A machine on which a round of a reference takes `seconds` and gives the next of its times, the last for ever."""

    times: dict[str, Sequence[float]]
    seconds: float = 2.0
    clock: float = 0.0
    taken: list[str] = field(default_factory=list)

    def take(self, name: str) -> float:
        self.clock += self.seconds
        self.taken.append(name)
        times = self.times[name]
        return times[min(self.taken.count(name), len(times)) - 1]

    def shortest(self, most_seconds: float = 45.0) -> dict[str, float]:
        return shortest(list(self.times), self.take, most_seconds=most_seconds, now=lambda: self.clock)


def test_a_steady_machine_takes_the_fewest_rounds_of_all_in_turn() -> None:
    bench = Bench({"a": [5.0, 5.02, 5.01], "b": [9.0]})
    assert bench.shortest() == {"a": 5.0, "b": 9.0}
    assert bench.taken == ["a", "b"] * LEAST_ROUNDS


def test_it_goes_on_until_the_shortest_of_each_came_back() -> None:
    """The seven tries on a machine of uneven speed, and then as quick as the quickest."""
    tried = [6.4, 5.9, 4.7, 6.1, 5.5, 5.2, 4.9, 4.8]
    bench = Bench({"a": tried, "b": [9.0]})
    assert bench.shortest() == {"a": 4.7, "b": 9.0}
    assert bench.taken == ["a", "b"] * len(tried)
    assert Bench({"a": tried[:7], "b": [12.7, 9.2, 11.0, 10.0, 9.9, 9.8, 9.3]}).shortest() == {"a": 4.7, "b": 9.2}


def test_a_quick_round_by_accident_is_not_enough() -> None:
    bench = Bench({"a": [5.0, 5.0, 5.0, 4.0, 5.0]})
    assert bench.shortest() == {"a": 5.0}, "what came back thrice is believed"
    bench = Bench({"a": [4.0, 5.0, 5.0, 5.0, 4.1]})
    assert bench.shortest() == {"a": 4.0}
    assert len(bench.taken) == 5


@pytest.mark.parametrize(("names", "rounds"), [(1, 22), (2, 11), (3, 7)])
def test_no_round_is_begun_that_would_end_too_late(names: int, rounds: int) -> None:
    bench = Bench({str(name): [100.0 * 0.9**index for index in range(60)] for name in range(names)})
    bench.shortest()
    assert len(bench.taken) == names * rounds
    assert bench.clock <= 45.0


def test_the_fewest_rounds_are_taken_however_slow_the_machine() -> None:
    bench = Bench({"a": [9.0, 6.0, 3.0, 1.0]}, seconds=60.0)
    assert bench.shortest(most_seconds=1.0) == {"a": 3.0}
    assert len(bench.taken) == LEAST_ROUNDS


def test_nothing_is_taken_where_nothing_is_missing() -> None:
    assert Bench({}).shortest() == {}


# ---- a unit that was taken in a slow minute


@pytest.mark.parametrize("slowdown", [0.92, 1.0, 3.0])
def test_a_reference_about_as_fast_as_its_time_is_no_news(slowdown: float) -> None:
    assert slow_unit("0123456789abcdef01", slowdown) is None


def test_a_reference_that_is_much_faster_is_told_with_the_cure() -> None:
    words = slow_unit("0123456789abcdef01", 0.8)
    assert words is not None
    assert words.startswith("the reference ran 1.25 times as fast as when its time was kept, in a slow minute")
    assert words.endswith(f"delete {kept_times('0123456789abcdef01')} before the next study")
    assert kept_times("0123456789abcdef01").name == "reference-0123456789abcdef.json"
