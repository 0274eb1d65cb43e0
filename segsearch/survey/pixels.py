"""How images are shown: turned as EXIF says or not, and which stored values are black and white."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from segsearch.datasets.decode import Exif, shown_size
from segsearch.errors import DataError
from segsearch.readings.types import Wanted
from segsearch.survey.tally import ImageRecord, MaskRecord, sizes_agree

Records = Sequence[tuple[ImageRecord, MaskRecord]]


@dataclass(frozen=True)
class Pixels:
    """`levels` are the stored values of black and white of images with more than 8 bits, None where there are none."""

    exif: Exif
    levels: tuple[float, float] | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def shown(self, image: ImageRecord) -> tuple[int, int]:
        """Height and width of an image as it is read."""
        return shown_size(image.size, image.orientation, self.exif)


def pixels_of(records: Records, wanted: Wanted) -> Pixels:
    """How the images of all pairs are shown. Raises `DataError` where sizes differ or two rules are needed."""
    exif, notes, warnings = _exif_of(records, wanted)
    misfits = [(image, mask) for image, mask in records if not sizes_agree(image, mask, exif)]
    if misfits:
        image, mask = misfits[0]
        height, width = shown_size(image.size, image.orientation, exif)
        more = f" (and {len(misfits) - 1} more like it)" if len(misfits) > 1 else ""
        raise DataError(
            f"{mask.path}: a mask must have its image's size, {width}x{height} ({image.path.name}), got "
            f"{mask.size[1]}x{mask.size[0]}; replace one of them.{more}"
        )
    return Pixels(exif, None, tuple(notes), tuple(warnings))


def with_levels(
    pixels: Pixels, train: Sequence[ImageRecord], validation: Sequence[ImageRecord], test: Sequence[ImageRecord]
) -> Pixels:
    """The same, with the levels that training and validation images ask for. Raises `DataError` where none suit all."""
    levels = _levels_of([*train, *validation], [*train, *validation, *test])
    if levels is None:
        return pixels
    black, white = levels
    note = (
        f"Images hold more than 8 bits: {black:g} is shown as black and {white:g} as white (data.levels); the device "
        "must feed the model alike."
    )
    beyond = sum(one.levels is not None and (one.levels[0] < black or one.levels[1] > white) for one in test)
    doubt = f"{beyond} test images hold values beyond {black:g} to {white:g}, which are cut off."
    return replace(
        pixels,
        levels=levels,
        notes=(*pixels.notes, note),
        warnings=(*pixels.warnings, doubt) if beyond else pixels.warnings,
    )


def _exif_of(records: Records, wanted: Wanted) -> tuple[Exif, list[str], list[str]]:
    """Whether files are turned as EXIF says: as their sizes tell, else as the user does, else with a warning."""
    turned = [(image, mask) for image, mask in records if image.orientation != mask.orientation]
    if not turned:
        return wanted.exif or "turn", [], []
    count = f"{len(turned)} of {len(records)} images carry an EXIF orientation that their masks do not"
    as_shown = [pair for pair in turned if sizes_agree(*pair, "turn") and not sizes_agree(*pair, "ignore")]
    as_stored = [pair for pair in turned if sizes_agree(*pair, "ignore") and not sizes_agree(*pair, "turn")]
    if wanted.exif is not None:
        return wanted.exif, [f"{count}; --exif {wanted.exif} was given."], []
    if as_shown and as_stored:
        raise DataError(
            f"{as_stored[0][1].path}: EXIF turns images, and masks must all have been drawn on what is shown or all on "
            f"what is stored; got this one as stored and {as_shown[0][1].path.name} as shown. Save the images upright."
        )
    if as_stored:
        words = f'{count}, and masks have the sizes of the stored images: images are not turned (data.exif = "ignore").'
        return "ignore", [words], []
    if as_shown:
        return "turn", [f"{count}, and masks have the sizes of the images as shown: images are turned."], []
    doubt = (
        f"{count}, and sizes do not tell on which of the two they were drawn: images are turned here. Look at the "
        "masks on them; where they are at odds, write this again with --exif ignore."
    )
    return "turn", [], [doubt]


def _levels_of(images: Sequence[ImageRecord], everything: Sequence[ImageRecord]) -> tuple[float, float] | None:
    """From the darkest to the brightest value of images, rounded outwards to two digits of their distance."""
    wide = [image for image in images if image.levels is not None]
    if not wide:
        return None
    if narrow := next((image for image in everything if image.levels is None), None):
        raise DataError(
            f"{narrow.path}: images must all hold 8 bits, or all more, got more in {wide[0].path.name}: no one rule "
            "shows both. Convert them all to 8 bits."
        )
    low = min(image.levels[0] for image in wide if image.levels)
    high = max(image.levels[1] for image in wide if image.levels)
    # Where all is one value but for specks, those are white.
    step = 10.0 ** math.floor(math.log10(high - low if high > low else max(1.0, abs(low))) - 1)
    return math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step
