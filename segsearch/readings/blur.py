"""Binary masks whose edges were blurred (resized with interpolation, drawn antialiased, stored as JPEG)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from segsearch.errors import DataError
from segsearch.readings.compose import Tallies, ruled
from segsearch.readings.types import ClassList, Reading
from segsearch.settings.data import Rule

# Two levels hold nearly all pixels, and no level between them holds many.
LEAST_EXTREME = 0.75
MOST_BETWEEN = 0.05
MOST_OF_FEW = 0.02
LEAST_LEVELS = 8
# So many distinct values are the levels of a picture, unless names say otherwise.
MOST_SCATTERED = 32
MOST_NUMBERS = 224

Likely = Literal["no", "perhaps", "surely"]


def dense(values: frozenset[int]) -> bool:
    """Whether values count the classes: of the numbers from 0 on at most as many are missing as are there."""
    return bool(values) and max(values) + 1 <= 2 * len(values)


def blurred(tallies: Tallies, *, lossy: bool = False) -> Likely:
    """Whether values are two levels with blurred edges between them.

    `perhaps` is said of a few levels only, which may be rare classes as well.
    """
    top = max(tallies, default=0)
    full = 65535 if top > 255 else 255
    band = full // 8
    between = {value: tally.pixels for value, tally in tallies.items() if band < value < full - band}
    low = sum(tally.pixels for value, tally in tallies.items() if value <= band)
    high = sum(tally.pixels for value, tally in tallies.items() if value >= full - band)
    most, total = max(between.values(), default=0), sum(tally.pixels for tally in tallies.values())
    if not low or not high or low + high < LEAST_EXTREME * total or most > min(MOST_BETWEEN * total, low, high):
        return "no"
    if lossy:
        return "surely"
    levels = [value for value in tallies if 0 < value < full]
    if 0 not in tallies or top != full or len(levels) < 2:
        return "no"
    numbers = frozenset(tallies) - {full}
    if len(levels) >= LEAST_LEVELS and between and max(levels) >= full - (8 if dense(numbers) else band):
        return "surely"
    rare = all(tallies[value].pixels <= MOST_OF_FEW * total for value in levels)
    return "perhaps" if rare and not dense(numbers) else "no"


def halved(tallies: Tallies, names: ClassList | None) -> Reading | None:
    """Binary by a threshold half-way; None where there are names for more or fewer classes than two."""
    full = 65535 if max(tallies) > 255 else 255
    half = (full + 1) // 2
    option = "--names background,foreground"
    if names is None:
        classes: tuple[str, ...] = ("value_0", f"value_{full}")
    elif names.void or len(names.names) > 2:
        return None
    else:
        classes = _dark_first(names) if len(names.names) == 2 else ("background", *names.names)
        option = "--background first" if len(names.names) == 1 else "--read values"
    rules = (Rule(0, half - 1, 0), Rule(half, full, 1))
    return ruled(option, classes, rules, after="; values between them are blurred edges")


def _dark_first(names: ClassList) -> tuple[str, ...]:
    """Names in the order of their values, or of their colours where these are greys; else in their own."""
    greys = names.colours if names.colours and not any(colour % 0x010101 for colour in names.colours) else None
    order = names.values or greys or range(len(names.names))
    return tuple(name for _, name in sorted(zip(order, names.names, strict=True)))


def lossless(path: Path) -> DataError:
    """What to say where a lossy mask cannot be read."""
    return DataError(
        f"{path}: a mask must be stored without loss, got JPEG, in which classes run into one another (only masks of "
        "0 and 255 can be read from it); save the masks as 8-bit PNG from their source."
    )


def grey_levels(tallies: Tallies) -> DataError:
    """What to say of values that are a picture's grey levels."""
    first = tallies[max(tallies)].first
    return DataError(
        f"{first}: masks must hold the classes' numbers, got {len(tallies)} different values up to {max(tallies)}, as "
        "pictures, masks of single objects and masks resized with interpolation have them; take other masks, or say "
        "--read values where each value is a class."
    )
