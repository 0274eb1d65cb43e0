"""Any way to name masks after images, and the time it takes to find out."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence

import pytest

from segsearch.errors import DataError
from segsearch.pairing.families import find_families
from segsearch.pairing.matching import match
from tests.pairing.trees import inner, matched, pairs, places


def test_families_in_the_order_of_what_they_cover() -> None:
    images = places(f"images/{number}.png" for number in range(10))
    masks = places(
        [f"masks/{number}_{kind}.png" for kind, count in (("b", 10), ("a", 6), ("c", 4)) for number in range(count)]
    )
    found = find_families(images, masks)
    assert [(family.suffix, len(family.masks)) for family in found.families] == [("_b", 10), ("_a", 6)]
    assert inner(found.lonely) == [f"masks/{number}_c.png" for number in range(4)]
    assert (found.covered, found.twins, found.alike) == (10, (), "name")


def test_no_masks_and_no_images() -> None:
    some = places(["masks/1.png"])
    assert find_families((), some).lonely == some
    assert find_families(some, ()).families == ()


def test_what_is_refused_among_few_masks_of_another_folder_does_not_matter() -> None:
    """`labels` holds other things; that `1` lies there twice is of no importance, as it is no family."""
    images = [f"images/{number}.png" for number in range(20)]
    junk = ["labels/a/1.png", "labels/b/1.png", *(f"labels/{word}.png" for word in ("x", "y", "z", "u", "v"))]
    found = matched(*images, *(f"masks/{number}.png" for number in range(20)), *junk)
    assert [family.folder for family in found.families] == ["masks"]
    assert inner(found.lonely) == sorted(junk)
    assert [len(family.masks) for family in matched(*images, *junk[:2]).families] == [1, 1]
    with pytest.raises(DataError, match="one mask of a kind"):
        matched(*images, "labels/1.png", "labels/1.bmp")


def _own_names(draw: random.Random) -> tuple[list[tuple[str, str]], bool]:
    """Names that differ, as images and as masks have them, and whether they begin and end with a digit."""
    numbers = draw.sample(range(300), draw.randint(8, 40))
    kind = draw.randrange(6)
    if kind < 2:  # padded alike, or not
        widths = [draw.randint(1, 6) for _ in range(2)] if kind else [draw.randint(1, 6)] * 2
        return [(f"{number:0{widths[0]}}", f"{number:0{widths[1]}}") for number in numbers], True
    if kind == 2:
        names = [f"{number // 20:02}_{number % 20:03}" for number in numbers]
    elif kind == 3:
        names = [f"{draw.getrandbits(64):016x}" for _ in numbers]
    elif kind == 4:
        names = [f"{draw.choice(('aachen', 'ulm', 'Köln'))}_{number:06}_000019" for number in numbers]
    else:
        names = [f"2023-{number % 12 + 1:02}-{number // 12 + 1:02} ({number})" for number in numbers]
    return [(name, name) for name in names], kind == 2


def _affix(draw: random.Random, words: Sequence[str], glue: Callable[[str, str], str], *, may_touch: bool) -> str:
    word = draw.choice(("", "", *words))
    return glue(word, draw.choice(("_", "-", ".", " ", "__", *(("",) if may_touch else ())))) if word else ""


def test_any_prefix_suffix_separator_and_padding() -> None:
    draw = random.Random(0)
    for scheme in range(300):
        own, numeric = _own_names(draw)
        sides = [
            (
                _affix(draw, words, lambda word, separator: word + separator, may_touch=numeric),
                _affix(draw, words, lambda word, separator: separator + word, may_touch=numeric),
            )
            for words in (("img", "Photo", "left", "cam2x", "sat"), ("mask", "Label", "gt", "v2_seg", "annotation"))
        ]
        (image_lead, image_trail), (mask_lead, mask_trail) = sides
        folders = draw.choice(
            (("images", "masks"), ("images/train", "masks/train"), ("val/img", "val/gt"), ("rgb", "x"))
        )
        together = {
            f"{folders[0]}/{image_lead}{name}{image_trail}.jpg": f"{folders[1]}/{mask_lead}{its}{mask_trail}.png"
            for name, its in own
        }
        images = [image for image in together if draw.random() > 0.1]
        masks = [mask for mask in together.values() if draw.random() > 0.1]
        expected = {image: together[image] for image in images if together[image] in masks}
        found = matched(*images, *masks)
        about = f"scheme {scheme}: {images[:2]} and {masks[:2]}"
        assert len(found.families) == 1, about
        assert pairs(found.families[0]) == expected, about
        assert sorted(inner(found.lonely)) == sorted(set(masks) - set(expected.values())), about


def test_time_grows_with_the_number_of_files() -> None:
    """Less than three times for each doubling up to 20,000 files; what is quadratic takes four times as long."""

    def seconds(count: int) -> float:
        names = [f"images/{number:06}.png" for number in range(count)]
        names += [f"masks/{number:06}_mask.png" for number in range(count) if number % 10]
        files = places(names)
        gc.collect()
        gc.disable()  # its share grows with all that other tests have left in memory
        start = time.process_time()
        matched = match(files)
        took = time.process_time() - start
        gc.enable()
        assert len(matched.families[0].masks) == count - count // 10
        return took

    rounds = [(seconds(5_000), seconds(20_000)) for _ in range(3)]
    assert min(large for _, large in rounds) < 3 * 3 * min(small for small, _ in rounds)
