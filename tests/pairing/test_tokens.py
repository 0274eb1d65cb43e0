"""Where names are cut, and where they never are."""

from __future__ import annotations

import pytest

from segsearch.pairing.tokens import (
    FORMS,
    Core,
    Ends,
    find_inside,
    index_starts,
    left_over,
    shared_ends,
    tokens_of,
)


@pytest.mark.parametrize(
    ("stem", "tokens"),
    [
        ("0001_image", ("0001", "_", "image")),
        ("gtFine_labelTrainIds", ("gt", "Fine", "_", "label", "Train", "Ids")),
        ("ISIC_07", ("ISIC", "_", "07")),
        ("benign (1)", ("benign", " ", "(", "1", ")")),
        ("Bäume.3", ("Bäume", ".", "3")),
        ("Ba\u0308ume", ("Bäume",)),
        ("x__1\udcff", ("x", "_", "_", "1", "\udcff")),
        ("", ()),
    ],
)
def test_numbers_words_and_separators(stem: str, tokens: tuple[str, ...]) -> None:
    assert tokens_of(stem) == tokens


def test_ends_are_those_of_most_names_and_never_part_of_a_number() -> None:
    names = [tokens_of(stem) for stem in ("img_100_a", "img_101_a", "img_102_a", "readme")]
    assert shared_ends(names) == Ends(("img", "_"), ("_", "a"))
    assert shared_ends([tokens_of("img_1"), tokens_of("img_1")]) == Ends((), ()), "one name has nothing of its own"
    assert shared_ends([tokens_of("a"), tokens_of("b")]) == Ends((), ())
    assert shared_ends([]) == Ends((), ())


def test_a_name_keeps_what_is_its_own() -> None:
    ends = Ends(("img", "_"), ("_", "a"))
    assert ends.strip(tokens_of("img_7_a")) == (Core(("img", "_"), ("7",), ("_", "a")),)
    assert ends.strip(tokens_of("img_7")) == (Core(("img", "_"), ("7",), ()),)
    assert ends.strip(tokens_of("img-7_a")) == (Core(("img",), ("-", "7"), ("_", "a")),)


def test_a_name_that_is_all_ends_may_own_any_of_its_tokens() -> None:
    ends = Ends(("img", "_"), ("_", "a"))
    assert ends.strip(tokens_of("img_a")) == (
        Core((), ("img",), ("_", "a")),
        Core(("img", "_"), ("a",), ()),
        Core((), ("img", "_", "a"), ()),
    )
    assert Core((), tokens_of("img_-_a"), ()) in ends.strip(tokens_of("img_-_a"))
    assert ends.strip(()) == (Core((), (), ()),)


def test_cores_are_found_between_tokens_only() -> None:
    cores = [tokens_of(stem) for stem in ("1", "2_3", "4_5_6_7")]
    starts = index_starts(cores)
    name = tokens_of("x1_2_3_11_4_5_6_7")
    found = {name[start:stop] for start, stop in find_inside(name, starts)}
    assert found & set(cores) == set(cores)
    assert ("11",) not in found
    assert list(find_inside(tokens_of("4_5_6"), starts)) == []


@pytest.mark.parametrize(
    ("image", "core", "mask", "own", "expected"),
    [
        ("0001_image", "0001", "0001_annotation", ("", "_image"), ("", "_annotation")),
        ("vessel_003_0000", "003", "vessel_003", ("", "_0000"), ("", "")),
        ("img_1", "1", "mask_1", ("img_", ""), ("mask_", "")),
        ("img_1", "1", "my_img_1", ("", ""), ("my_", "")),
        ("benign (1)", "1", "benign (1)_mask", ("", ""), ("", "_mask")),
    ],
)
def test_what_both_names_have_is_no_ending(
    image: str, core: str, mask: str, own: tuple[str, str], expected: tuple[str, str]
) -> None:
    tokens, name = tokens_of(image), tokens_of(mask)
    at, start = tokens.index(core), name.index(core)
    assert left_over(Core(tokens[:at], (core,), tokens[at + 1 :]), name, start, start + 1) == (expected, own)


def test_looser_forms() -> None:
    assert FORMS["case"]("IMG_Mask") == ("img", "_", "mask")
    assert FORMS["words"]("p1_Image_007") == FORMS["words"]("p1_007") == ("p", "1", "_", "007")
    assert FORMS["words"]("mask_p1") == ("p", "1")
    assert FORMS["padding"]("Img_007_0") == ("img", "_", "7", "_", "0")
