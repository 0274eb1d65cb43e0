from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.errors import DataError
from segsearch.readings.choose import readings, the_reading
from segsearch.readings.names import read_class_list
from segsearch.readings.types import ClassList, Reading, Seen, Wanted
from tests.readings.held import indexed, mapped, names, numbers, wanted_by

BLACK, GREEN, RED, GREY, BLUE = 0x000000, 0x307020, 0xB07020, 0x5A5A5A, 0x0000FF
CVAT = names("background", "cat", "dog", colours=(BLACK, GREEN, RED), file="labelmap.txt")
VOC = {0: 0x000000, 1: 0x800000, 2: 0x008000, 255: 0xE0E0C0}


def _one(seen: Seen, *lists: ClassList, wanted: Wanted | None = None) -> Reading:
    return the_reading(seen, lists, wanted or Wanted())


def _refused(seen: Seen, *lists: ClassList, wanted: Wanted | None = None) -> str:
    with pytest.raises(DataError) as caught:
        _one(seen, *lists, wanted=wanted)
    return str(caught.value)


def _each_option(seen: Seen, *lists: ClassList) -> dict[str, dict[int, str | None]]:
    found = readings(seen, lists, Wanted())
    for reading in found:
        assert reading.words in _refused(seen, *lists)
        assert the_reading(seen, lists, wanted_by(reading.option)).rules == reading.rules
    return {reading.option: mapped(reading) for reading in found}


def test_a_palette_that_agrees_with_the_table_leaves_masks_plain() -> None:
    """CVAT's export: the index is the line of labelmap.txt, unused entries of the palette are black."""
    seen = indexed({0: BLACK, 1: GREEN, 2: RED, **dict.fromkeys(range(3, 256), BLACK)}, [0, 1, 2])
    reading = _one(seen, CVAT)
    assert (reading.plain, reading.by, reading.classes) == (True, "value", ("background", "cat", "dog"))
    assert reading.words == "0 is background, 1 is cat, 2 is dog (3 classes); the masks' colours agree"
    assert _one(indexed({0: BLACK, 2: RED}), CVAT).classes == ("background", "cat", "dog")


def test_the_palette_decides_where_numbers_do_not_fit() -> None:
    reading = _one(indexed({0: BLACK, 5: RED, 9: GREEN}), CVAT)
    assert mapped(reading) == {0: "background", 5: "dog", 9: "cat"}
    assert reading.words.endswith("; by the colours of the masks' palette")
    assert [rule.index for rule in reading.rules] == [0, 2, 1]
    assert not reading.plain


def test_the_palette_decides_between_ways_to_read_numbers() -> None:
    table = names("cat", "dog", colours=(GREEN, RED))
    seen = indexed({0: BLACK, 1: GREEN, 2: RED})
    assert "--background first or --void 0" in _refused(seen, table)
    reading = _one(seen, table, wanted=Wanted(void=0))
    assert mapped(reading) == {0: None, 1: "cat", 2: "dog"}


def test_two_indices_of_one_colour_are_one_class() -> None:
    reading = _one(indexed({0: BLACK, 1: GREEN, 7: RED, 9: BLACK}), CVAT)
    assert mapped(reading) == {0: "background", 1: "cat", 7: "dog", 9: "background"}
    assert reading.classes == ("background", "cat", "dog")


def test_numbers_and_colours_that_disagree_are_both_shown() -> None:
    seen = indexed({0: BLACK, 1: RED, 2: GREEN})
    assert _each_option(seen, CVAT) == {
        "--read values": {0: "background", 1: "cat", 2: "dog"},
        "--read colours": {0: "background", 1: "dog", 2: "cat"},
    }


def test_a_palette_of_other_colours_says_nothing() -> None:
    """labelme's masks have VOC's palette whatever the table says."""
    reading = _one(indexed(VOC), CVAT)
    assert mapped(reading) == {0: "background", 1: "cat", 2: "dog", 255: None}
    assert reading.plain
    assert "#800000" in _refused(indexed(VOC), CVAT, wanted=Wanted(by="colours"))


def test_a_palette_that_the_table_has_in_part_and_otherwise_ordered() -> None:
    seen = indexed({0: BLACK, 1: RED, 2: BLUE})
    message = _refused(seen, CVAT)
    assert "labelmap.txt: the table must have every colour of the masks, got #0000ff (33 % of the pixels" in message
    assert mapped(_one(seen, CVAT, wanted=Wanted(by="values")))[1] == "cat"


def test_255_is_void_in_palettes_as_well() -> None:
    reading = _one(indexed({0: BLACK, 5: RED, 9: GREEN, 255: 0xE0E0C0}), CVAT)
    assert mapped(reading)[255] is None


def test_grey_masks_and_a_table_of_greys() -> None:
    table = names("ground", "road", colours=(0x000000, 0xFFFFFF), file="class_dict.csv")
    assert mapped(_one(numbers([0, 255]), table)) == {0: "ground", 255: "road"}
    turned = names("road", "ground", colours=(0xFFFFFF, 0x000000), file="class_dict.csv")
    reading = _one(numbers([0, 255]), turned)
    assert mapped(reading) == {0: "ground", 255: "road"}
    assert reading.words.endswith("; grey values are the table's colours")
    assert mapped(_one(numbers([0, 255]), turned, wanted=Wanted(by="values"))) == {0: "road", 255: "ground"}
    three = names("a", "b", "c", colours=(0x020202, 0x000000, 0x010101))
    assert _each_option(numbers([0, 1, 2]), three) == {
        "--read values": {0: "a", 1: "b", 2: "c"},
        "--read colours": {0: "b", 1: "c", 2: "a"},
    }
    four = names("a", "b", "c", "d", colours=(0x000000, 0x555555, 0xAAAAAA, 0xFFFFFF))
    assert mapped(_one(numbers([0, 85, 170, 255]), four)) == {0: "a", 85: "b", 170: "c", 255: "d"}


def test_grey_masks_of_a_tables_lines() -> None:
    table = names("Animal", "Car", "Void", colours=(0x408040, 0x400080, 0x000000), file="label_colors.txt")
    reading = _one(numbers([0, 1, 2]), table)
    assert mapped(reading) == {0: "Animal", 1: "Car", 2: None}
    assert (reading.plain, reading.void) == (True, 2)
    assert "with 3 names in label_colors.txt" in _refused(numbers([1, 2, 7, 9]), table)


# Palettes that differ between files


def test_palettes_at_odds_are_refused_with_two_files_and_both_readings() -> None:
    seen = indexed({0: GREY}, [0, 1, 2], at_odds=(Path("masks/0000.png"), Path("masks/0001.png"), 1))
    painted = Seen(10, seen.values, dict.fromkeys((GREY, RED, GREEN), seen.values[0]), {0: GREY}, seen.at_odds)
    message = _refused(painted)
    assert message.startswith(
        "masks/0000.png: the masks' palettes must give each index the same colour, got another one for 1 in "
        "masks/0001.png; say what tells the classes apart:\n"
    )
    assert _each_option(painted) == {
        "--read values": {0: "class_0", 1: "class_1", 2: "class_2"},
        "--read colours": {GREEN: "#307020", GREY: "#5a5a5a", RED: "#b07020"},
    }
    table = names("ground", "cat", "dog", colours=(GREY, GREEN, RED))
    assert mapped(_one(painted, table, wanted=Wanted(by="colours"))) == {GREEN: "cat", GREY: "ground", RED: "dog"}
    assert "--read colours" in _refused(painted, table)


def test_palettes_at_odds_are_refused_where_only_one_way_is_left() -> None:
    seen = numbers([0, 1, 2], at_odds=(Path("a.png"), Path("b.png"), 1))
    assert "  --read values  0 is class_0" in _refused(seen)
    assert _one(seen, wanted=Wanted(by="values")).plain


def test_options_of_both_kinds_stand_together() -> None:
    three = names("wall", "building", "sky")
    seen = numbers([0, 1, 2, 3], at_odds=(Path("a.png"), Path("b.png"), 1))
    assert set(_each_option(seen, three)) == {
        "--read values --void 3",
        "--read values --void 0",
        "--read values --background first",
    }


# Palettes without a table


def test_a_palette_without_a_table_leaves_the_numbers() -> None:
    reading = _one(indexed(VOC))
    assert (reading.plain, reading.classes) == (True, ("class_0", "class_1", "class_2"))
    assert _one(indexed(VOC), names("a", "b", "c")).plain
    assert _one(indexed({0: BLACK, 1: RED}), wanted=Wanted(by="colours")).classes == ("background", "#b07020")


# What the user said


def test_a_file_that_was_named_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "mine.lst"
    path.write_text("a\nb\n")
    found = names("x", "y", "z")
    assert _one(numbers([0, 1]), found, wanted=Wanted(classes=path)).classes == ("a", "b")
    other = read_class_list(path)
    assert _one(numbers([0, 1]), found, other, wanted=Wanted(classes=path)).classes == ("a", "b")
    assert "no such file" in _refused(numbers([0, 1]), found, wanted=Wanted(classes=tmp_path / "none.txt"))


def test_names_are_checked_as_those_of_files() -> None:
    assert "--names, name 2: classes must differ" in _refused(numbers([0, 1]), wanted=Wanted(names=("a", "a")))


def test_readings_are_none_where_nothing_fits() -> None:
    assert readings(numbers([0, 1, 7, 9]), [names("a", "b")], Wanted()) == ()


# Folders that users have


def test_ade20ks_way_with_names_but_none_for_0() -> None:
    seen, listed = numbers([0, 1, 2, 3]), names("wall", "building", "sky")
    assert readings(seen, [listed], Wanted())[1].words == "0 is void, 1 is wall, 2 is building, 3 is sky (3 classes)"
    reading = _one(seen, listed, wanted=Wanted(void=0))
    assert [rule.index for rule in reading.rules] == [None, 0, 1, 2]


def test_words_of_many_classes_keep_the_void_and_the_last() -> None:
    listed = names(*(f"c{number}" for number in range(1, 151)), values=tuple(range(1, 151)))
    reading = _one(numbers(range(151)), listed)
    assert reading.words == "0 is void, 1 is c1, 2 is c2, ..., 150 is c150 (150 classes)"
    reading = _one(numbers([*range(30), 255]))
    assert reading.words == (
        "0 is class_0, 1 is class_1, 2 is class_2, ..., 29 is class_29, 255 is void (30 classes)".replace(
            "29 is class_29, ", ""
        )
    )
