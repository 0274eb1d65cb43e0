from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.errors import DataError
from segsearch.readings.types import Wanted
from segsearch.survey.pixels import Pixels, pixels_of, with_levels
from segsearch.survey.tally import ImageRecord, MaskRecord

LANDSCAPE, PORTRAIT = (48, 64), (64, 48)


def image(
    name: str = "a.jpg",
    size: tuple[int, int] = LANDSCAPE,
    orientation: int = 1,
    levels: tuple[float, float] | None = None,
) -> ImageRecord:
    return ImageRecord(Path(name), size, orientation, name, np.zeros((16, 16, 3), np.uint8), levels)


def mask(name: str = "a.png", size: tuple[int, int] = LANDSCAPE, orientation: int = 1) -> MaskRecord:
    return MaskRecord(Path(name), {0: 1}, {0: 1}, None, False, size, orientation)


def wide(*levels: tuple[float, float] | None) -> Pixels:
    records = [(image(f"{number}.tif", levels=found), mask()) for number, found in enumerate(levels)]
    images = [image for image, _ in records]
    return with_levels(pixels_of(records, Wanted()), images[:-1], images[-1:], [])


# ---- EXIF


def test_plain_files_say_nothing() -> None:
    assert pixels_of([(image(), mask())], Wanted()) == Pixels("turn", None, (), ())
    assert pixels_of([(image(), mask())], Wanted(exif="ignore")).exif == "ignore"


def test_masks_of_the_shown_size_turn_images() -> None:
    found = pixels_of([(image(), mask()), (image("b.jpg", LANDSCAPE, 6), mask("b.png", PORTRAIT))], Wanted())
    assert found.exif == "turn"
    assert len(found.notes) == 1
    assert found.notes[0].startswith("1 of 2 images carry an EXIF orientation that their masks do not, and masks have ")
    assert found.notes[0].endswith("the sizes of the images as shown: images are turned.")
    assert found.shown(image("b.jpg", LANDSCAPE, 6)) == PORTRAIT
    assert found.shown(image("b.jpg", LANDSCAPE, 3)) == LANDSCAPE


def test_masks_of_the_stored_size_leave_images_as_they_are() -> None:
    found = pixels_of([(image("b.jpg", LANDSCAPE, 8), mask("b.png", LANDSCAPE))], Wanted())
    assert found.exif == "ignore"
    assert 'data.exif = "ignore"' in found.notes[0]
    assert found.shown(image("b.jpg", LANDSCAPE, 8)) == LANDSCAPE


def test_masks_that_turn_with_their_images_need_no_word() -> None:
    found = pixels_of([(image("b.jpg", LANDSCAPE, 6), mask("b.png", LANDSCAPE, 6))], Wanted())
    assert (found.exif, found.notes, found.warnings) == ("turn", (), ())


@pytest.mark.parametrize(("size", "orientation"), [((50, 50), 6), (LANDSCAPE, 3), (LANDSCAPE, 2)])
def test_sizes_that_do_not_tell_are_a_warning(size: tuple[int, int], orientation: int) -> None:
    records = [(image("b.jpg", size, orientation), mask("b.png", size))]
    found = pixels_of(records, Wanted())
    assert found.exif == "turn"
    assert "sizes do not tell" in found.warnings[0]
    assert "--exif ignore" in found.warnings[0]
    for exif in ("turn", "ignore"):
        said = pixels_of(records, Wanted(exif=exif))
        assert (said.exif, said.warnings) == (exif, ())
        assert said.notes[0].endswith(f"; --exif {exif} was given.")


def test_masks_as_shown_and_masks_as_stored_are_refused_together() -> None:
    records = [
        (image("a.jpg", LANDSCAPE, 6), mask("a.png", PORTRAIT)),
        (image("b.jpg", LANDSCAPE, 6), mask("b.png", LANDSCAPE)),
    ]
    with pytest.raises(DataError, match=r"b\.png: EXIF turns images, .*this one as stored and a\.png as shown"):
        pixels_of(records, Wanted())


# ---- sizes


def test_masks_of_other_sizes_are_named_and_counted() -> None:
    records = [
        (image(f"{number}.jpg"), mask(f"{number}.png", (24, 32) if number % 2 else LANDSCAPE)) for number in range(6)
    ]
    with pytest.raises(DataError) as caught:
        pixels_of(records, Wanted())
    assert str(caught.value) == (
        "1.png: a mask must have its image's size, 64x48 (1.jpg), got 32x24; replace one of them. (and 2 more like it)"
    )
    with pytest.raises(DataError, match=r"got 32x24; replace one of them\.$"):
        pixels_of(records[:2], Wanted())


def test_an_image_that_is_turned_is_named_by_its_shown_size() -> None:
    records = [
        (image("a.jpg", LANDSCAPE, 6), mask("a.png", PORTRAIT)),
        (image("b.jpg", LANDSCAPE, 6), mask("b.png", (9, 9))),
    ]
    with pytest.raises(DataError, match=r"b\.png: a mask must have its image's size, 48x64 \(b\.jpg\), got 9x9"):
        pixels_of(records, Wanted())


# ---- levels


@pytest.mark.parametrize(
    ("levels", "rounded"),
    [
        ([(812.0, 3187.0)], (800, 3200)),
        ([(812.0, 3187.0), (777.0, 2000.0), (900.0, 3301.0)], (700, 3400)),
        ([(0.0, 65535.0)], (0, 66000)),
        ([(1000.0, 1003.0)], (1000, 1003)),
        ([(-0.4, 0.93)], (-0.4, 1.0)),
        ([(-1024.0, 3071.0)], (-1100, 3100)),
        ([(0.0, 0.0)], (0, 0.1)),
        ([(1000.0, 1000.0)], (1000, 1100)),
    ],
)
def test_levels_are_rounded_outwards(levels: list[tuple[float, float]], rounded: tuple[float, float]) -> None:
    found = wide(*levels)
    assert found.levels == pytest.approx(rounded)
    assert found.levels is not None
    black, white = (float(f"{level:g}") for level in found.levels)
    assert black < white, "a study holds six digits"
    assert f"{rounded[0]:g} is shown as black and {rounded[1]:g} as white (data.levels)" in found.notes[0]


@pytest.mark.parametrize("levels", [[None, (0.0, 4095.0)], [(0.0, 4095.0), None]])
def test_8_and_16_bits_are_refused_together(levels: list[tuple[float, float] | None]) -> None:
    with pytest.raises(DataError) as caught:
        wide(*levels)
    narrow, other = ("0.tif", "1.tif") if levels[0] is None else ("1.tif", "0.tif")
    assert str(caught.value).startswith(f"{narrow}: images must all hold 8 bits, or all more, got more in {other}")
