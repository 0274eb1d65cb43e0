from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.errors import DataError
from segsearch.readings.choose import readings, the_reading
from segsearch.readings.types import ClassList, Reading, Seen, Tally, Wanted
from segsearch.settings.data import Rule
from tests.readings.held import Pixels, mapped, names, numbers, painted, wanted_by

BLACK, RED, GREEN, BLUE, GREY = 0x000000, 0xC82828, 0x28B43C, 0x283CDC, 0x5A5A5A
TABLE = names("ground", "thing", "void", colours=(GREY, RED, BLACK), file="class_dict.csv")


def _one(seen: Seen, *lists: ClassList, wanted: Wanted | None = None) -> Reading:
    return the_reading(seen, lists, wanted or Wanted())


def _refused(pixels: Pixels, *lists: ClassList, wanted: Wanted | None = None) -> str:
    with pytest.raises(DataError) as caught:
        _one(painted(pixels), *lists, wanted=wanted)
    return str(caught.value)


# By a table


def test_a_table_says_which_colour_is_which() -> None:
    reading = _one(painted([BLACK, RED, GREY]), TABLE)
    assert reading == Reading(
        option="--read colours",
        words="#000000 is void ('void'), #5a5a5a is ground, #c82828 is thing (2 classes)",
        classes=("ground", "thing"),
        by="colour",
        rules=(Rule(BLACK, BLACK, None), Rule(GREY, GREY, 0), Rule(RED, RED, 1)),
        plain=False,
    )
    assert _one(painted([BLACK, RED, GREY]), TABLE, wanted=Wanted(void="none")).classes == ("ground", "thing", "void")


def test_classes_that_no_mask_holds_stay_in_the_table() -> None:
    table = names("a", "b", "c", colours=(RED, GREEN, BLUE))
    assert _one(painted([RED, BLUE]), table).classes == ("a", "b", "c")
    assert "at least two classes, got #c82828" in _refused([RED], table)


def test_a_colour_that_the_table_lacks_is_told_with_its_share() -> None:
    message = _refused({BLACK: 500, RED: 380, GREY: 100, GREEN: 20}, TABLE)
    assert message == (
        "class_dict.csv: the table must have every colour of the masks, got #28b43c (2 % of the pixels, first in "
        f"masks/{GREEN}.png) without a line; add a line such as `void,40,180,60`, or correct the masks."
    )
    reading = _one(painted([BLACK, RED, GREY, GREEN]), TABLE, wanted=Wanted(void=GREEN))
    assert mapped(reading)[GREEN] is None


def test_black_that_the_table_lacks_may_be_void_or_a_background() -> None:
    table = names("a", "b", colours=(RED, GREEN))
    message = _refused([BLACK, RED, GREEN], table)
    assert "say --background first or --void 0, or correct" in message
    assert mapped(_one(painted([BLACK, RED, GREEN]), table, wanted=Wanted(void=0)))[BLACK] is None
    reading = _one(painted([BLACK, RED, GREEN]), table, wanted=Wanted(background="first"))
    assert reading.classes == ("background", "a", "b")


# Without a table


def test_equal_channels_are_grey_values() -> None:
    reading = _one(painted([0x000000, 0x010101, 0x020202]))
    assert (reading.by, reading.plain, reading.classes) == ("value", True, ("class_0", "class_1", "class_2"))
    assert mapped(_one(painted([0x000000, 0xFFFFFF]), names("road"))) == {0: "background", 255: "road"}


def test_colours_of_vocs_palette_are_its_indices() -> None:
    voc = [0x000000, 0x800000, 0x008000, 0xE0E0C0]
    reading = _one(painted(voc))
    assert reading.words == (
        "colours are VOC's palette: 0 is class_0, 1 is class_1, 2 is class_2, 255 is void (3 classes)"
    )
    assert mapped(reading) == {0x000000: "class_0", 0x800000: "class_1", 0x008000: "class_2", 0xE0E0C0: None}
    assert (reading.by, reading.plain, reading.void) == ("colour", False, 255)
    reading = _one(painted(voc), names("_background_", "cat", "dog"))
    assert mapped(reading)[0x008000] == "dog"
    valued = names("__ignore__", "_background_", "cat", "dog", values=(255, 0, 1, 2))
    assert mapped(_one(painted(voc), valued)) == mapped(reading)


def test_vocs_last_colour_is_never_a_class() -> None:
    seen = painted([0x000000, 0x008000, 0xE0E0C0])
    assert mapped(_one(seen, names("a", "b", "c"))) == {
        0x000000: "a",
        0x800000: "b",
        0x008000: "c",
        0xE0E0C0: None,
    }
    assert "2 names without colours" in _refused([0x000000, 0x008000, 0xE0E0C0], names("a", "background"))


def test_a_palette_gives_numbers_but_no_names() -> None:
    """labelme writes VOC's colours for any classes: the names go by the rules of values."""
    seen, three = painted([0x000000, 0x800000, 0x008000, 0x808000]), names("wall", "building", "sky")
    found = readings(seen, [three], Wanted())
    assert [reading.option for reading in found] == ["--void 3", "--void 0", "--background first"]
    for reading in found:
        assert the_reading(seen, [three], wanted_by(reading.option)).rules == reading.rules
    assert mapped(found[1])[0x800000] == "wall"


def test_colours_that_only_happen_to_lie_in_vocs_palette() -> None:
    """CamVid's colours are all of them, at indices far apart."""
    reading = _one(painted([0x808080, 0x800000, 0x804080, 0x40C000]))
    assert reading.classes == ("#40c000", "#800000", "#804080", "#808080")
    assert "VOC" not in reading.words


def test_colours_of_cityscapes_are_training_ids() -> None:
    reading = _one(painted([BLACK, 0x804080, 0xF423E8, 0x464646, 0x00008E]))
    assert len(reading.classes) == 19
    held = mapped(reading)
    assert (held[0x804080], held[0xF423E8], held[0x00008E], held[BLACK]) == ("road", "sidewalk", "car", None)
    assert [rule.index for rule in reading.rules if rule.low in (BLACK, 0x804080, 0x770B20)] == [None, 18, 0]
    assert "background" in _one(painted([BLACK, 0x804080, 0x00008E])).classes, "two of them prove nothing"


def test_other_colours_are_classes_black_first() -> None:
    reading = _one(painted([RED, GREEN, BLACK]))
    assert reading.words == "#000000 is background, #28b43c is #28b43c, #c82828 is #c82828 (3 classes)"
    assert [rule.index for rule in reading.rules] == [0, 1, 2]
    reading = _one(painted([RED, GREEN, BLACK]), wanted=Wanted(void=0))
    assert (reading.classes, mapped(reading)[BLACK]) == (("#28b43c", "#c82828"), None)


@pytest.mark.parametrize(
    "listed", [names("a", "b", "c"), names("background", "a", "b"), names("a", "b"), names("a", "b", "c", "d", "e")]
)
def test_names_alone_are_not_given_to_colours(listed: ClassList) -> None:
    message = _refused([BLACK, RED, GREEN], listed)
    assert "write class_dict.csv instead, with a line for each:\n  name,r,g,b\n  NAME,0,0,0\n" in message
    assert message.endswith("\n  NAME,40,180,60\n  NAME,200,40,40")


def test_one_colour_beside_black_can_be_named() -> None:
    assert mapped(_one(painted([BLACK, RED]), names("thing"))) == {BLACK: "background", RED: "thing"}
    assert mapped(_one(painted([BLACK, RED]), names("background", "thing"))) == {BLACK: "background", RED: "thing"}
    assert "2 names without colours" in _refused([BLACK, RED], names("land", "water"))
    assert "1 name without colours" in _refused([GREEN, RED], names("thing"))


def test_too_many_colours_to_be_classes() -> None:
    with pytest.raises(DataError, match="resized with interpolation, drawn antialiased or stored with loss"):
        _one(Seen(8, {}, None, {}))
    many = {0x010000 * place + 0x77: 10 for place in range(65)}
    assert "got 65 colours" in _refused(many)
    table = names(*(f"c{place}" for place in range(65)), colours=tuple(many))
    assert len(_one(painted(many), table).classes) == 65
    many = {0x000100 * place + 0x77: 10 for place in range(256)}
    table = names(*(f"c{place}" for place in range(256)), colours=tuple(many))
    assert "there may be 255 classes at most, got 256 (up to #00ff77)" in _refused(many, table)
    with pytest.raises(DataError, match=r"m.jpg: a mask must be stored without loss"):
        _one(painted([BLACK, RED], lossy=Path("m.jpg")))


def test_what_masks_do_not_hold_cannot_be_chosen() -> None:
    assert "got masks of colours" in _refused([BLACK, RED], wanted=Wanted(by="values"))
    with pytest.raises(DataError, match="got grey masks"):
        _one(numbers([0, 1]), wanted=Wanted(by="colours"))


def test_no_masks_at_all() -> None:
    held: dict[int, Tally] = {}
    assert "at least two classes" in _refused(held)
    assert readings(Seen(0, {}, None, {}), (), Wanted()) == ()
