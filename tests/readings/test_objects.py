from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from segsearch.errors import DataError
from segsearch.readings.choose import the_reading
from segsearch.readings.objects import numbered_objects
from segsearch.readings.tables import voc_colour
from segsearch.readings.types import Seen, Tally, Wanted
from tests.readings.held import names

# Twelve masks, with up to twelve objects.
FALLING = {0: 12, **{value: 13 - value for value in range(1, 13)}}


def _held(masks: Mapping[int, int]) -> dict[int, Tally]:
    return {stored: Tally(1000, count, Path(f"masks/{stored}.png")) for stored, count in masks.items()}


def _numbers(masks: Mapping[int, int]) -> Seen:
    return Seen(12, _held(masks), None, {})


def _colours(masks: Mapping[int, int]) -> Seen:
    return Seen(12, {}, _held(masks), {})


def _refused(seen: Seen) -> str:
    with pytest.raises(DataError) as caught:
        the_reading(seen, (), Wanted())
    return str(caught.value)


def test_numbers_of_objects_are_no_classes_in_silence() -> None:
    assert _refused(_numbers(FALLING)) == (
        "masks/12.png: masks must hold classes, got 13 different values that look like numbers of single objects "
        "(12 is in 1 mask only); take masks of classes, or say --read values where each is a class."
    )
    assert "numbers of single objects" in _refused(_numbers({**FALLING, 255: 5}))
    assert len(the_reading(_numbers(FALLING), (), Wanted(by="values")).classes) == 13
    listed = names(*(f"n{value}" for value in range(13)))
    assert len(the_reading(_numbers(FALLING), [listed], Wanted()).classes) == 13, "a list says what classes are"


@pytest.mark.parametrize(
    "masks",
    [
        {value: count for value, count in FALLING.items() if value < 9},
        {**FALLING, 5: 2},
        {value: max(count, 3) for value, count in FALLING.items()},
        dict.fromkeys(range(20), 3),
        {value: count for value, count in FALLING.items() if value != 1},
    ],
    ids=["few values", "a rare one amid", "the last in a quarter", "all alike", "from 2 on"],
)
def test_classes_that_are_no_numbers_of_objects(masks: dict[int, int]) -> None:
    assert not numbered_objects(_held(masks))
    the_reading(_numbers(masks), (), Wanted())


def test_colours_of_objects_are_no_classes_in_silence() -> None:
    seen = _colours({0: 12, **{0x102030 * step: 1 for step in range(1, 10)}})
    assert _refused(seen) == (
        "masks/9511344.png: masks must hold classes, got 10 different colours that look like colours of single objects "
        "(#9121b0 is in 1 mask only); take masks of classes, or say --read colours where each is a class."
    )
    assert len(the_reading(seen, (), Wanted(by="colours")).classes) == 10
    assert the_reading(replace(seen, masks=3), (), Wanted()).classes, "of three masks each may hold classes of its own"
    held = dict(seen.colours or {})
    shared = {colour: replace(tally, masks=1 if colour > 0x500000 else 2) for colour, tally in held.items()}
    assert the_reading(replace(seen, colours=shared), (), Wanted()).classes


def test_vocs_colours_of_objects() -> None:
    seen = _colours({voc_colour(value): count for value, count in FALLING.items()})
    assert "13 different colours that look like colours of single objects" in _refused(seen)
    assert len(the_reading(seen, (), Wanted(by="colours")).classes) == 13
