from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.errors import DataError
from segsearch.readings.blur import blurred, dense, peaks
from segsearch.readings.choose import readings, the_reading
from segsearch.readings.types import Seen, Tally, Wanted
from segsearch.settings.data import Rule
from tests.readings.held import mapped, names, numbers, tallies, wanted_by

ABC = names("wall", "building", "sky")
HALVES = (Rule(0, 127, 0), Rule(128, 255, 1))


def _seen(
    folder: Path, name: str, *, blur: bool = True, inner: int = 255, third: int | None = None, **options: int
) -> Seen:
    """What eight files hold: a rectangle on a ground, made small and large again with interpolation."""
    counts = np.zeros(256, np.int64)
    for seed in range(8):
        mask = np.zeros((64, 96), np.uint8)
        mask[10 + seed : 30 + seed, 20 : 60 + 2 * seed] = inner
        mask[38:54, 64 + seed : 82 + seed] = third or 0
        picture = Image.fromarray(mask)
        if blur:
            picture = picture.resize((48, 32)).resize((96, 64), Image.Resampling.BILINEAR)
        path = folder / f"{seed}{name}"
        picture.save(path, **options)
        with Image.open(path) as stored:
            counts += np.bincount(np.asarray(stored).ravel(), minlength=256)
    held = {int(value): Tally(int(counts[value]), 8, path) for value in np.flatnonzero(counts)}
    return Seen(8, held, None, {}, lossy=path if name.endswith("jpg") else None)


def test_interpolated_binary_masks_are_parted_half_way(tmp_path: Path) -> None:
    seen = _seen(tmp_path, "a.png")
    assert len(seen.values) > 10
    reading = the_reading(seen, (), Wanted())
    assert reading.rules == HALVES
    assert reading.classes == ("value_0", "value_255")
    assert not reading.plain
    assert reading.words == (
        "0..127 is value_0, 128..255 is value_255 (2 classes); values between them are blurred edges"
    )


def test_names_of_blurred_masks(tmp_path: Path) -> None:
    seen = _seen(tmp_path, "a.png")
    assert the_reading(seen, [names("land", "sea")], Wanted()).classes == ("land", "sea")
    assert the_reading(seen, [names("sea")], Wanted()).classes == ("background", "sea")
    backwards = names("sea", "land", values=(1, 0))
    assert the_reading(seen, [backwards], Wanted()).classes == ("land", "sea")
    greys = names("sea", "land", colours=(0xFFFFFF, 0x000000))
    assert the_reading(seen, [greys], Wanted()).classes == ("land", "sea")
    with pytest.raises(DataError, match=r"with 3 names in classes.txt masks may hold"):
        the_reading(seen, [ABC], Wanted())


def test_jpeg_masks_are_read_only_where_they_are_binary(tmp_path: Path) -> None:
    seen = _seen(tmp_path, "a.jpg", blur=False, quality=75)
    assert len(seen.values) > 2
    for listed in ((), [names("land", "sea")]):
        assert the_reading(seen, listed, Wanted()).rules == HALVES
    for lists in ([ABC], [names("void", "sea")]):
        with pytest.raises(DataError, match="a mask must be stored without loss, got JPEG"):
            the_reading(seen, lists, Wanted())


def test_jpeg_masks_of_class_numbers_are_refused(tmp_path: Path) -> None:
    seen = _seen(tmp_path, "a.jpg", blur=False, inner=1, quality=95)
    assert readings(seen, (), Wanted()) == ()
    with pytest.raises(DataError, match=r"7a.jpg: a mask must be stored without loss"):
        the_reading(seen, (), Wanted())


@pytest.mark.parametrize("third", [64, 128, 170])
@pytest.mark.parametrize("quality", [60, 75, 95])
def test_a_third_class_of_jpeg_masks_is_not_joined_to_white(tmp_path: Path, third: int, quality: int) -> None:
    seen = _seen(tmp_path, "a.jpg", blur=False, third=third, quality=quality)
    assert blurred(seen.values, lossy=True) == "surely"
    for lists in ([], [names("land", "sea")]):
        with pytest.raises(
            DataError, match=rf"7a.jpg: .* got 3 peaks among the grey levels \(0, ({third}|{third + 1}) and 255\)"
        ):
            the_reading(seen, lists, Wanted())
    assert the_reading(seen, [], wanted_by("--names background,foreground")).rules == HALVES


def test_a_third_class_of_interpolated_masks_is_not_joined_to_white(tmp_path: Path) -> None:
    seen = _seen(tmp_path, "a.png", third=128)
    assert len(seen.values) > 32
    assert blurred(seen.values) == "perhaps"
    with pytest.raises(DataError, match=r"got 3 peaks among the grey levels \(0, 128 and 255\)"):
        the_reading(seen, (), Wanted())
    assert the_reading(seen, [], wanted_by("--names background,foreground")).rules == HALVES
    assert len(the_reading(seen, [], Wanted(by="values")).classes) > 32


@pytest.mark.parametrize("quality", [30, 60, 75, 95])
def test_noise_around_edges_of_two_classes_is_no_peak(tmp_path: Path, quality: int) -> None:
    for blur in (False, True):
        assert peaks(_seen(tmp_path, "a.jpg", blur=blur, quality=quality).values) == ()


def test_peaks_are_counted_by_hand() -> None:
    edges = {0: 9000, **dict.fromkeys(range(1, 255), 2), 255: 3000}
    assert peaks(tallies(edges)) == ()
    assert peaks(tallies({**edges, 100: 300})) == (100,)
    assert peaks(tallies({**edges, 100: 30})) == (), "0.3 % of the pixels at least"
    assert peaks(tallies({**edges, 85: 400, 170: 300})) == (85, 170)
    assert peaks(tallies({**edges, 64: 300, 191: 300})) == (), "edges of masks made twice as large"
    assert peaks(tallies({0: 9000, 20_000: 300, 65535: 3000})) == (77,)
    assert peaks({}) == ()


def test_a_few_levels_between_may_be_classes() -> None:
    seen = numbers({0: 90_000, 64: 200, 130: 150, 191: 200, 255: 9_000})
    found, levels = readings(seen, (), Wanted()), (0, 64, 130, 191, 255)
    assert {reading.option: reading.rules for reading in found} == {
        "--names background,foreground": HALVES,
        "--void none": tuple(Rule(value, value, place) for place, value in enumerate(levels)),
        "--void 255": (*(Rule(value, value, place) for place, value in enumerate(levels[:-1])), Rule(255, 255, None)),
    }
    for reading in found:
        assert the_reading(seen, (), wanted_by(reading.option)).rules == reading.rules
    assert "value_130" in the_reading(seen, (), Wanted(by="values", void=255)).classes
    assert mapped(the_reading(numbers({0: 90_000, 128: 150, 255: 9_000}), (), Wanted()))[128] == "value_128"


def test_many_classes_with_a_large_background_are_not_blur() -> None:
    """As COCO-Stuff or ADE20K: numbers up to 181, most pixels are of the first class or void."""
    seen = numbers({0: 1_000_000, **dict.fromkeys(range(1, 182), 500), 255: 200_000})
    assert blurred(seen.values) == "no"
    reading = the_reading(seen, (), Wanted())
    assert len(reading.classes) == 182
    assert reading.plain


@pytest.mark.parametrize(
    ("pixels", "likely"),
    [
        ({0: 800, **dict.fromkeys(range(20, 250, 20), 5), 255: 300}, "surely"),
        ({0: 8000, **dict.fromkeys(range(1, 255), 2), 255: 3000}, "surely"),
        ({0: 800, **dict.fromkeys(range(20, 250, 20), 5), 254: 300}, "no"),
        ({**dict.fromkeys(range(20, 250, 20), 5), 255: 300}, "no"),
        ({0: 800, **dict.fromkeys(range(20, 250, 20), 5), 128: 200, 255: 300}, "no"),
        ({0: 800, **dict.fromkeys(range(20, 250, 20), 40), 255: 300}, "no"),
        ({0: 8000, **dict.fromkeys(range(20, 240, 20), 20), 255: 10}, "no"),
        ({0: 800, **dict.fromkeys(range(5_000, 64_000, 5_000), 5), 65535: 300}, "surely"),
        ({0: 1000, 255: 1000}, "no"),
        ({0: 1000, 1: 3, 2: 4, 255: 1000}, "no"),
        ({}, "no"),
    ],
)
def test_what_is_blur(pixels: dict[int, int], likely: str) -> None:
    assert blurred(tallies(pixels)) == likely


def test_half_of_sixteen_bits() -> None:
    seen = numbers({0: 800, **dict.fromkeys(range(5_000, 64_000, 5_000), 5), 65535: 300})
    assert the_reading(seen, (), Wanted()).rules == (Rule(0, 32767, 0), Rule(32768, 65535, 1))


def test_dense_values_have_at_most_as_many_gaps() -> None:
    assert dense(frozenset({0, 1, 3}))
    assert dense(frozenset({1, 3}))
    assert not dense(frozenset({0, 4}))
    assert not dense(frozenset())
