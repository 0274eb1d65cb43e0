"""Binary masks whose edges were blurred (resized with interpolation, drawn antialiased, stored as JPEG)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
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

# A class among blurred edges is a peak: in a window of so many levels to either side lie more pixels than ...
WINDOW = 2
LEAST_PEAK = 0.003
# ... so many times what lies at others, and so much of all that is between black and white, or of everything.
TIMES_OTHERS = 5
LEAST_OF_BETWEEN = 0.3
LEAST_OF_ALL = 0.02
# Masks made twice as large have a quarter and three quarters at their edges, as much of one as of the other.
QUARTERS = (64, 191)

Likely = Literal["no", "perhaps", "surely"]


def dense(values: frozenset[int]) -> bool:
    """Whether values count the classes: of the numbers from 0 on at most as many are missing as are there."""
    return bool(values) and max(values) + 1 <= 2 * len(values)


def blurred(tallies: Tallies, *, lossy: bool = False) -> Likely:
    """Whether values are two levels with blurred edges between them.

    `perhaps` is said of a few levels only, which may be rare classes as well, and where one between them is a peak.
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
        return "perhaps" if peaks(tallies) else "surely"
    rare = all(tallies[value].pixels <= MOST_OF_FEW * total for value in levels)
    return "perhaps" if rare and not dense(numbers) else "no"


def peaks(tallies: Tallies) -> tuple[int, ...]:
    """Levels between black and white that hold more than edges do, as a third class; of 16 bits by the high byte."""
    full = 65535 if max(tallies, default=0) > 255 else 255
    levels = [0] * 256
    for value, tally in tallies.items():
        levels[value * 255 // full] += tally.pixels
    inner = range(32 + WINDOW, 224 - WINDOW)
    around = {level: sum(levels[level - WINDOW : level + WINDOW + 1]) for level in inner}
    total, between = sum(levels), sum(levels[32:224])
    found = dict[int, int]()
    for level in sorted(inner, key=lambda level: (-around[level], -levels[level])):
        others = median(pixels for other, pixels in around.items() if abs(other - level) > 2 * WINDOW)
        if around[level] <= max(LEAST_PEAK * total, TIMES_OTHERS * others):
            break
        many = around[level] > min(LEAST_OF_BETWEEN * between, LEAST_OF_ALL * total)
        if many and all(abs(level - other) > 4 * WINDOW for other in found):
            found[level] = around[level]
    if len(found) == 2 and all(min(abs(level - quarter) for quarter in QUARTERS) <= WINDOW for level in found):
        found = {} if min(found.values()) > 0.8 * max(found.values()) else found
    return tuple(max(range(level - WINDOW, level + WINDOW + 1), key=levels.__getitem__) for level in sorted(found))


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


def peaked(path: Path, between: Sequence[int]) -> DataError:
    """What to say of edges that were blurred between more levels than two."""
    held = f"{', '.join(str(level) for level in (0, *between))} and 255"
    return DataError(
        f"{path}: masks with blurred edges (JPEG, or resized with interpolation) must be of two classes, got "
        f"{len(between) + 2} peaks among the grey levels ({held}); make them again as PNG without interpolation, or "
        "say --names background,foreground where all between black and white is edges."
    )


def grey_levels(tallies: Tallies) -> DataError:
    """What to say of values that are a picture's grey levels."""
    first = tallies[max(tallies)].first
    return DataError(
        f"{first}: masks must hold the classes' numbers, got {len(tallies)} different values up to {max(tallies)}, as "
        "pictures, masks of single objects and masks resized with interpolation have them; take other masks, or say "
        "--read values where each value is a class."
    )
