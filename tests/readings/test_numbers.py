from __future__ import annotations

import pytest

from segsearch.errors import DataError
from segsearch.readings.choose import readings, the_reading
from segsearch.readings.types import ClassList, Reading, Wanted
from segsearch.settings.data import Rule
from tests.readings.held import Pixels, mapped, names, numbers, wanted_by

ABC = names("wall", "building", "sky")
GROUNDED = names("_background_", "cat", "dog")


def _one(pixels: Pixels, *lists: ClassList, wanted: Wanted | None = None) -> Reading:
    return the_reading(numbers(pixels), lists, wanted or Wanted())


def _refused(pixels: Pixels, *lists: ClassList, wanted: Wanted | None = None) -> str:
    with pytest.raises(DataError) as caught:
        _one(pixels, *lists, wanted=wanted)
    return str(caught.value)


def _options(pixels: Pixels, *lists: ClassList) -> dict[str, dict[int, str | None]]:
    """The readings that the refusal shows, each of them checked: its option chooses it and no other."""
    seen = numbers(pixels)
    found = readings(seen, lists, Wanted())
    assert len(found) > 1
    message = _refused(pixels, *lists)
    for reading in found:
        assert f"  {reading.option}  " in message
        assert reading.words in message
        assert the_reading(seen, lists, wanted_by(reading.option)).rules == reading.rules
    return {reading.option: mapped(reading) for reading in found}


# Without names


def test_counted_values_are_classes_as_they_stand() -> None:
    reading = _one([0, 1, 2, 255])
    assert reading == Reading(
        option="--void 255",
        words="0 is class_0, 1 is class_1, 2 is class_2, 255 is void (3 classes)",
        classes=("class_0", "class_1", "class_2"),
        by="value",
        rules=(Rule(0, 0, 0), Rule(1, 1, 1), Rule(2, 2, 2), Rule(255, 255, None)),
        plain=True,
        void=255,
    )
    assert _one([0, 1]).plain
    assert _one([0, 1]).void == 255


def test_a_few_missing_numbers_are_empty_classes() -> None:
    reading = _one([0, 1, 3, 255])
    assert reading.plain
    assert reading.classes == ("class_0", "class_1", "class_2", "class_3")
    assert _one([1, 2]).classes == ("class_0", "class_1", "class_2")


@pytest.mark.parametrize("high", [255, 65535, 2, 100])
def test_two_values_are_binary(high: int) -> None:
    reading = _one([0, high])
    assert mapped(reading) == {0: "value_0", high: f"value_{high}"}
    assert [rule.index for rule in reading.rules] == [0, 1]
    assert not reading.plain


def test_scattered_values_are_classes_in_their_order() -> None:
    reading = _one([0, 85, 170])
    assert reading.words == "0 is value_0, 85 is value_85, 170 is value_170 (3 classes)"
    assert not reading.plain
    assert mapped(_one([0, 128, 255])) == {0: "value_0", 128: "value_128", 255: "value_255"}
    assert mapped(_one([0, 85, 170, 255]))[255] == "value_255"


def test_255_beside_scattered_values_is_void_or_a_class() -> None:
    assert _options([0, 50, 120, 255]) == {
        "--void 255": {0: "value_0", 50: "value_50", 120: "value_120", 255: None},
        "--void none": {0: "value_0", 50: "value_50", 120: "value_120", 255: "value_255"},
    }


def test_void_as_said_leaves_the_classes() -> None:
    reading = _one([0, 1, 2, 3], wanted=Wanted(void=0))
    assert mapped(reading) == {0: None, 1: "class_1", 2: "class_2", 3: "class_3"}
    assert [rule.index for rule in reading.rules] == [None, 0, 1, 2]
    assert not reading.plain
    reading = _one([0, 1, 2, 3], wanted=Wanted(void=3))
    assert (reading.plain, reading.void, reading.classes) == (True, 3, ("class_0", "class_1", "class_2"))
    assert mapped(_one([0, 1, 3], wanted=Wanted(void=1))) == dict(enumerate(("class_0", None, "class_2", "class_3")))
    assert mapped(_one([0, 3, 255], wanted=Wanted(void=255))) == mapped(_one([0, 3, 255]))
    assert mapped(_one([0, 1, 255], wanted=Wanted(void="none")))[255] == "value_255"
    assert mapped(_one([0, 50, 120, 255], wanted=Wanted(void=0)))[255] == "value_255", "one value is void"


@pytest.mark.parametrize("pixels", [[0], [255], [1, 255], [3]])
def test_one_class_is_no_data_set(pixels: list[int]) -> None:
    assert "masks must hold at least two classes" in _refused(pixels)


def test_a_class_that_was_taken_for_void_can_be_had() -> None:
    assert "where 255 is a class, say --void none" in _refused([1, 255])
    assert mapped(_one([1, 255], wanted=Wanted(void="none"))) == {1: "value_1", 255: "value_255"}


def test_values_beyond_a_byte_are_never_plain() -> None:
    reading = _one([0, 1, 2, 65535])
    assert mapped(reading) == {0: "class_0", 1: "class_1", 2: "class_2", 65535: None}
    assert not reading.plain


def test_a_picture_is_no_mask() -> None:
    assert "got 256 different values up to 255, as pictures, masks of single objects" in _refused(range(256))
    assert "got 40 different values" in _refused(range(0, 400, 10))
    assert len(_one(range(256), wanted=Wanted(by="values")).classes) == 255


def test_numbers_of_objects_are_no_classes() -> None:
    assert "got 4 different values up to 26001" in _refused([1000, 7000, 24000, 26001])
    assert "there may be 255 classes at most, got 300 (up to 299)" in _refused(range(300), wanted=Wanted(by="values"))


# With names in their order


@pytest.mark.parametrize("pixels", [[0, 1, 2], [0, 1, 2, 255], [0, 2], [1, 2, 255]])
def test_values_within_the_names_are_their_numbers(pixels: list[int]) -> None:
    reading = _one(pixels, ABC)
    assert reading.classes == ("wall", "building", "sky")
    assert (reading.plain, reading.void) == (True, 255)
    assert {value: name for value, name in mapped(reading).items() if name} == {0: "wall", 1: "building", 2: "sky"}


def test_one_value_too_many_can_be_read_in_three_ways() -> None:
    assert _options([0, 1, 2, 3], ABC) == {
        "--void 3": {0: "wall", 1: "building", 2: "sky", 3: None},
        "--void 0": {0: None, 1: "wall", 2: "building", 3: "sky"},
        "--background first": {0: "background", 1: "wall", 2: "building", 3: "sky"},
    }
    message = _refused([0, 1, 2, 3], ABC)
    assert message.startswith("The masks may be read in 3 ways with classes.txt; say which one is right:\n")
    assert "  --void 0            0 is void, 1 is wall, 2 is building, 3 is sky (3 classes)" in message
    assert [reading.plain for reading in readings(numbers([0, 1, 2, 3]), [ABC], Wanted())] == [True, False, True]


def test_255_beside_one_value_too_many_is_void_already() -> None:
    assert set(_options([0, 1, 2, 3, 255], ABC)) == {"--void 0", "--background first"}
    reading = _one([0, 1, 2, 3, 255], ABC, wanted=Wanted(void=0))
    assert mapped(reading) == {0: None, 1: "wall", 2: "building", 3: "sky", 255: None}
    assert mapped(_one([0, 1, 2, 3, 255], ABC, wanted=Wanted(void=255)))[0] == "background"


def test_a_background_within_the_names_leaves_none_before_them() -> None:
    assert set(_options([0, 1, 2, 3], names("cat", "background", "dog"))) == {"--void 3", "--void 0"}


def test_a_background_at_the_head_is_0() -> None:
    reading = _one([0, 1, 2, 3], GROUNDED)
    assert (reading.plain, reading.void, reading.classes) == (True, 3, ("_background_", "cat", "dog"))
    assert mapped(_one([0, 1, 2], GROUNDED, wanted=Wanted(void=0))) == {0: None, 1: "cat", 2: "dog"}


def test_values_from_one_on_are_the_names() -> None:
    reading = _one([1, 2, 3], ABC)
    assert mapped(reading) == {1: "wall", 2: "building", 3: "sky"}
    assert not reading.plain
    assert mapped(_one([1, 3, 255], ABC)) == {1: "wall", 2: "building", 3: "sky", 255: None}


def test_zero_that_is_said_to_be_void_moves_the_names_even_where_the_last_is_absent() -> None:
    assert mapped(_one([0, 1, 2], ABC, wanted=Wanted(void=0))) == {0: None, 1: "wall", 2: "building", 3: "sky"}
    reading = _one([0, 1], ABC, wanted=Wanted(background="first"))
    assert mapped(reading) == {0: "background", 1: "wall", 2: "building", 3: "sky"}
    assert reading.plain


def test_nothing_is_void_where_that_was_said() -> None:
    assert mapped(_one([0, 1, 2, 3], ABC, wanted=Wanted(void="none")))[0] == "background"
    assert "wall" in _one([0, 1, 2], ABC, wanted=Wanted(void="none")).classes
    assert "255 (masks/255.png)" in _refused([0, 1, 2, 255], ABC, wanted=Wanted(void="none"))


@pytest.mark.parametrize("high", [1, 2, 255, 65535])
def test_one_name_is_beside_a_background(high: int) -> None:
    reading = _one([0, high], names("road"))
    assert mapped(reading) == {0: "background", high: "road"}
    assert reading.classes == ("background", "road")
    assert reading.plain == (high == 1)


def test_one_name_and_void() -> None:
    assert mapped(_one([0, 1, 255], names("road"))) == {0: "background", 1: "road", 255: None}
    assert "at least two classes" in _refused([0, 1], names("background"))


@pytest.mark.parametrize("high", [2, 128, 255, 65535])
def test_two_names_for_two_values(high: int) -> None:
    assert mapped(_one([0, high], names("land", "water"))) == {0: "land", high: "water"}


def test_black_is_not_the_first_name_in_silence_where_the_second_is_a_background() -> None:
    """`crack` before `background`, as tools that list what they find write it: black is the background."""
    crack = names("long crack", "background")
    for pixels in ([0, 255], [0, 2], {0: 8000, **dict.fromkeys(range(1, 255), 2), 255: 3000}):
        seen = numbers(pixels)
        found = readings(seen, [crack], Wanted())
        assert [(reading.option, reading.classes) for reading in found] == [
            ("--names 'background,long crack'", ("background", "long crack")),
            ("--names 'long crack,background'", ("long crack", "background")),
        ]
        for reading in found:
            assert reading.words in _refused(pixels, crack)
            assert the_reading(seen, [crack], wanted_by(reading.option)).rules == reading.rules
    assert set(_options([0, 255], names("crack", "background"), names("a", "b", file="labels.txt"))) == {
        "--names background,crack",
        "--names crack,background",
        "--classes labels.txt",
    }
    assert mapped(_one([0, 1], crack)) == {0: "long crack", 1: "background"}, "the numbers count the names"
    said = Wanted(void=128)
    assert len(readings(numbers([0, 128, 255]), [crack], said)) == 2
    assert mapped(_one([0, 128, 255], crack, wanted=wanted_by("--names background,crack", said)))[255] == "crack"


def test_names_for_scattered_values_go_by_their_order() -> None:
    reading = _one([0, 128, 255], ABC)
    assert mapped(reading) == {0: "wall", 128: "building", 255: "sky"}
    assert not reading.plain


def test_one_scattered_value_more_than_names() -> None:
    assert _options([0, 85, 170, 255], ABC) == {
        "--void 0": {0: None, 85: "wall", 170: "building", 255: "sky"},
        "--background first": {0: "background", 85: "wall", 170: "building", 255: "sky"},
        "--void 255": {0: "wall", 85: "building", 170: "sky", 255: None},
    }
    assert _options([0, 128, 255], names("land", "water")) == {
        "--void 0": {0: None, 128: "land", 255: "water"},
        "--background first": {0: "background", 128: "land", 255: "water"},
        "--void 255": {0: "land", 128: "water", 255: None},
        "--void 128": {0: "land", 128: None, 255: "water"},
    }
    assert _options([0, 128, 255], names("background", "water")) == {
        "--void 255": {0: "background", 128: "water", 255: None},
        "--void 128": {0: "background", 128: None, 255: "water"},
    }


def test_a_stray_value_is_not_the_next_name_in_silence() -> None:
    four = names("wall", "building", "sky", "road")
    assert _options([0, 1, 2, 7], four) == {
        "--void none": {0: "wall", 1: "building", 2: "sky", 7: "road"},
        "--void 7": {0: "wall", 1: "building", 2: "sky", 3: "road", 7: None},
    }


def test_values_without_names_are_listed_with_their_files() -> None:
    message = _refused([0, 1, 2, 7, 9], ABC)
    assert message.startswith("masks/7.png: with 3 names in classes.txt masks may hold 0..2 (and 255, void), got ")
    assert "7 (masks/7.png), 9 (masks/9.png)" in message
    message = _refused([*range(11), 250], names(*"abcdefghijk"))
    assert "say --void 250 where it is void" in message
    reading = _one([*range(11), 250], names(*"abcdefghijk"), wanted=Wanted(void=250))
    assert (reading.plain, reading.void) == (True, 250)


def test_a_name_that_means_void_is_void_by_the_lists_word() -> None:
    head = names("unlabelled", "cat", "dog")
    reading = _one([0, 1, 2], head)
    assert reading.words == "0 is void ('unlabelled'), 1 is cat, 2 is dog (2 classes)"
    assert [rule.index for rule in reading.rules] == [None, 0, 1]
    assert not reading.plain
    assert _one([0, 1, 2], head, wanted=Wanted(void="none")).classes == ("unlabelled", "cat", "dog")
    tail = _one([0, 1, 2, 255], names("cat", "dog", "void"))
    assert mapped(tail) == {0: "cat", 1: "dog", 2: None, 255: None}
    assert not tail.plain, "a study has one void value"
    tail = _one([0, 1, 2], names("cat", "dog", "void"))
    assert (tail.plain, tail.void, tail.classes) == (True, 2, ("cat", "dog"))


def test_names_of_the_command_line_take_the_place_of_lists() -> None:
    reading = _one([0, 1, 2], ABC, wanted=Wanted(names=("a", "b", "c")))
    assert reading.classes == ("a", "b", "c")
    assert "with 2 names in --names" in _refused([0, 1, 2, 4, 5], ABC, wanted=Wanted(names=("a", "b")))


@pytest.mark.parametrize("lists", [(), (ABC,), (names("a", values=(0,)),)])
def test_a_void_that_no_mask_holds_is_a_slip(lists: tuple[ClassList, ...]) -> None:
    assert "--void 7 must be in the masks, got 0, 1, 2, 3" in _refused([0, 1, 2, 3], *lists, wanted=Wanted(void=7))
    assert "at least two classes" in _refused([0], *lists, wanted=Wanted(void=0))


def test_what_cannot_be_meant_together_is_refused() -> None:
    assert "got --void 0; drop one" in _refused([0, 1], ABC, wanted=Wanted(void=0, background="first"))
    assert "needs names without a background" in _refused([0, 1], GROUNDED, wanted=Wanted(background="first"))


# With names and their values


def test_listed_values_are_the_classes() -> None:
    nnunet = names("background", "a", "b", values=(0, 1, 2))
    reading = _one([0, 1, 2], nnunet)
    assert (reading.plain, reading.classes) == (True, ("background", "a", "b"))
    reading = _one([7, 26], names("road", "car", "sky", values=(7, 26, 23)))
    assert mapped(reading) == {7: "road", 23: "sky", 26: "car"}
    assert reading.classes == ("road", "sky", "car")


@pytest.mark.parametrize(("extra", "option"), [(255, "--void 255"), (0, "--void 0")])
def test_255_or_0_beyond_the_listed_values_is_void(extra: int, option: str) -> None:
    reading = _one([extra, 1, 2, 3], names("wall", "building", "sky", values=(1, 2, 3)))
    assert mapped(reading) == {extra: None, 1: "wall", 2: "building", 3: "sky"}
    assert reading.option == option


def test_0_and_255_beyond_the_listed_values_ask() -> None:
    assert _options([0, 1, 2, 255], names("wall", "sky", values=(1, 2))) == {
        "--void 0": {0: None, 1: "wall", 2: "sky", 255: None},
        "--background first": {0: "background", 1: "wall", 2: "sky", 255: None},
    }


def test_another_value_beyond_the_listed_ones_is_shown() -> None:
    listed = names("wall", "sky", values=(0, 1))
    assert "got 9 (masks/9.png); say --void 9 where it is void" in _refused([0, 1, 9], listed)
    assert mapped(_one([0, 1, 9], listed, wanted=Wanted(void=9)))[9] is None
    assert "got 9 (masks/9.png)" in _refused([1, 2, 0, 9], names("a", "b", values=(1, 2)), wanted=Wanted(void=0))
    beyond = Wanted(background="first")
    assert "got 9 (masks/9.png)" in _refused([1, 2, 0, 9], names("a", "b", values=(1, 2)), wanted=beyond)


def test_labelmes_list_leaves_no_name_moved() -> None:
    listed = names("__ignore__", "_background_", "cat", "dog", values=(255, 0, 1, 2))
    reading = _one([0, 1, 2, 255], listed)
    assert (reading.plain, reading.void, reading.classes) == (True, 255, ("_background_", "cat", "dog"))
    assert reading.words == "0 is _background_, 1 is cat, 2 is dog, 255 is void ('__ignore__') (3 classes)"


def test_binary_masks_may_be_listed_as_0_and_1() -> None:
    assert "at least two classes" in _refused([0, 255], names("cat", values=(0,)))
    reading = _one([0, 255], names("cat", "background", values=(1, 0)))
    assert mapped(reading) == {0: "background", 255: "cat"}


# Several lists


def test_lists_that_say_the_same_are_one() -> None:
    lists = [names("a", "b", values=(0, 1), file=f"{split}/_classes.csv") for split in ("train", "valid")]
    assert _one([0, 1], *lists).classes == ("a", "b")
    assert _one([0, 1], names("A", "B"), *lists).classes == ("A", "B")


def test_a_list_with_values_settles_one_without() -> None:
    plain, valued = names("wall", "sky"), names("wall", "sky", values=(1, 2), file="objectInfo150.txt")
    for lists in ((plain, valued), (valued, plain)):
        assert mapped(_one([0, 1, 2], *lists)) == {0: None, 1: "wall", 2: "sky"}


def test_lists_at_odds_are_named_with_the_option() -> None:
    lists = [names("a", "b"), names("c", "d", file="labels.txt")]
    seen = numbers([0, 1])
    message = _refused([0, 1], *lists)
    assert "with classes.txt and labels.txt" in message
    assert "  --classes labels.txt   0 is c, 1 is d (2 classes)" in message
    for reading in readings(seen, lists, Wanted()):
        assert the_reading(seen, lists, wanted_by(reading.option)).classes == reading.classes
    ambiguous = [names("a", "b"), names("c", "d", file="labels.txt")]
    found = readings(numbers([0, 1, 2]), ambiguous, Wanted())
    assert len(found) == 6
    for reading in found:
        assert the_reading(numbers([0, 1, 2]), ambiguous, wanted_by(reading.option)).rules == reading.rules


def test_a_list_that_does_not_fit_is_said() -> None:
    reading = _one([0, 1, 2], names("a", file="labels.txt"), ABC)
    assert reading.classes == ("wall", "building", "sky")
    assert reading.words.endswith("; labels.txt does not fit")


# Every way to hold values: what is shown can be chosen, and nothing shown is of one class


@pytest.mark.parametrize(
    ("count", "first", "most"),
    [(None, "", 2), (1, "wall", 1), (2, "wall", 4), (3, "wall", 3), (3, "background", 2), (3, "void", 1)],
)
def test_every_option_chooses_its_reading(count: int | None, first: str, most: int) -> None:
    lists = [] if count is None else [names(*([first, "b", "c"][:count]))]
    kinds, ways = [0, 1, 2, 3, 50, 128, 255], 0
    for chosen in range(1, 1 << len(kinds)):
        pixels = [value for place, value in enumerate(kinds) if chosen >> place & 1]
        seen = numbers(pixels)
        found = readings(seen, lists, Wanted())
        ways = max(ways, len(found))
        for reading in found:
            held = mapped(reading)
            assert set(pixels) <= held.keys(), (pixels, reading.words)
            assert len({held[value] for value in pixels} - {None}) > 1
            assert reading.plain == _plain(reading)
            if len(found) > 1:
                assert the_reading(seen, lists, wanted_by(reading.option)).rules == reading.rules, (pixels, found)
    assert ways == most


def _plain(reading: Reading) -> bool:
    held = mapped(reading)
    void: list[int] = [value for value, name in held.items() if name is None]
    kept: dict[int, str | None] = {value: name for value, name in held.items() if name is not None}
    same: bool = kept == dict(enumerate(reading.classes))
    return same and len(void) <= 1 and void in ([], [reading.void]) and reading.void >= len(reading.classes)
