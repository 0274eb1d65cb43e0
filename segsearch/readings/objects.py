"""Masks of single objects, whose numbers or colours are no classes."""

from __future__ import annotations

from collections.abc import Collection

from segsearch.errors import DataError
from segsearch.readings.compose import Tallies, counted, last_of, shown
from segsearch.readings.tables import voc_colour
from segsearch.readings.types import By, Seen

# Fewer values or colours than these may be classes whatever the masks hold of them.
MOST_CLASSES = 8
# Objects are numbered in each mask anew: the highest number is in fewer than one in so many of those that hold 1.
LEAST_FALL = 4
# Colours are an object's own where more than two thirds of them are in one mask only, of several masks.
SEVERAL_MASKS = 4


def numbered_objects(tallies: Tallies, void: Collection[int | str | None] = ()) -> bool:
    """Whether masks number their objects from 1 on: the higher a value, the fewer masks hold it."""
    values = sorted(set(tallies) - {0, *last_of(tallies)} - set(void))
    if len(values) <= MOST_CLASSES or values[0] != 1:
        return False
    masks = [tallies[value].masks for value in values]
    return masks == sorted(masks, reverse=True) and LEAST_FALL * masks[-1] < masks[0]


def coloured_objects(seen: Seen) -> bool:
    """Whether masks give each object a colour of its own, or VOC's colours by the objects' numbers."""
    colours = seen.colours or {}
    kept = [tally for colour, tally in colours.items() if colour]
    if len(kept) <= MOST_CLASSES:
        return False
    once = sum(tally.masks == 1 for tally in kept)
    if seen.masks >= SEVERAL_MASKS and 3 * once > 2 * len(kept):
        return True
    places = {voc_colour(index): index for index in range(256)}
    return set(colours) <= set(places) and numbered_objects({places[colour]: colours[colour] for colour in colours})


def of_objects(tallies: Tallies, by: By) -> DataError:
    """What to say of masks that number or paint their objects."""
    rarest = min(reversed(list(tallies)), key=lambda stored: tallies[stored].masks)
    what, said = ("numbers", "values") if by == "value" else ("colours", "colours")
    return DataError(
        f"{tallies[rarest].first}: masks must hold classes, got {len(tallies)} different {said} that look like {what} "
        f"of single objects ({shown(rarest, by)} is in {counted(tallies[rarest].masks, 'mask')} only); take masks of "
        f"classes, or say --read {said} where each is a class."
    )
