"""Every way to read masks of colours: by a table, by palettes that everybody uses, by the colours that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from segsearch.errors import DataError
from segsearch.readings.blur import dense, lossless
from segsearch.readings.compose import Tallies, compose, counted, demand_few, last_of, listed, meaning, present, shown
from segsearch.readings.names import means_background
from segsearch.readings.numbers import number_readings
from segsearch.readings.objects import coloured_objects, of_objects
from segsearch.readings.tables import CITYSCAPES, VOC, voc_colour
from segsearch.readings.types import ClassList, Reading, Seen, Wanted
from segsearch.settings.data import Rule

MOST_COLOURS = 64
# So many of Cityscapes' colours must be there before they are taken for that.
LEAST_CITYSCAPES = 3


def colour_readings(seen: Seen, names: ClassList | None, wanted: Wanted) -> tuple[Reading, ...]:
    """All plausible readings by colour, each of two classes at least. Raises `DataError` where there is none."""
    if seen.lossy is not None:
        raise lossless(seen.lossy)
    colours = seen.colours
    table = names is not None and names.colours is not None
    if colours is None or (len(colours) > MOST_COLOURS and not table):
        where = f"{colours[max(colours)].first}: " if colours else ""
        got = f"{len(colours)} colours" if colours else "more colours than can be told apart"
        raise DataError(
            f"{where}masks must have one colour for each class, got {got}: they were resized with interpolation, drawn "
            "antialiased or stored with loss; make them again without that, or list many colours in class_dict.csv."
        )
    if names is None and wanted.by is None and coloured_objects(seen):
        raise of_objects(colours, "colour")
    if names is not None and table:
        found = [_by_table(colours, names, wanted)]
    else:
        found = list(_by_voc(colours, names, wanted)) or _by_cityscapes(colours, names, wanted)
        found = found or [_discovered(colours, names, wanted)]
    kept = tuple(reading for reading in found if present(reading, colours) > 1)
    if not kept:
        raise DataError(
            f"{_folder(colours)}: masks must hold at least two classes, got {_some(colours)}; paint each class in a "
            "colour of its own."
        )
    for reading in kept:
        demand_few(reading, colours)
    return kept


def lacking(colours: Tallies, missing: Iterable[int], names: ClassList) -> DataError:
    """Colours of masks that a table does not have, with their shares of all pixels."""
    total = sum(tally.pixels for tally in colours.values())
    ordered = sorted(missing, key=lambda colour: -colours[colour].pixels)
    got = ", ".join(
        f"{shown(colour, 'colour')} ({100 * colours[colour].pixels / total:.2g} % of the pixels, first in "
        f"{colours[colour].first})"
        for colour in ordered[:3]
    )
    first = ordered[0]
    cure = (
        "say --background first or --void 0"
        if first == 0 and len(ordered) == 1
        else f"add a line such as `void,{_commas(first)}`"
    )
    return DataError(
        f"{names.file}: the table must have every colour of the masks, got {got}"
        f"{' and more' if len(ordered) > 3 else ''} without a line; {cure}, or correct the masks."
    )


def _by_table(colours: Tallies, names: ClassList, wanted: Wanted) -> Reading:
    assigned = dict(zip(names.colours or (), names.names, strict=True))
    said = {wanted.void} if isinstance(wanted.void, int) else set[int]()
    if wanted.background == "first" and 0 not in assigned and not any(map(means_background, names.names)):
        assigned = {0: "background", **assigned}
    missing = set(colours) - set(assigned) - said
    if missing:
        raise lacking(colours, missing, names)
    return listed("--read colours", names, assigned, said, wanted, by="colour")


def _by_voc(colours: Tallies, names: ClassList | None, wanted: Wanted) -> tuple[Reading, ...]:
    """Colours of VOC's palette stand for its indices, where these count the classes or go with the names."""
    places = {voc_colour(index): index for index in range(256)}
    if not set(colours) <= set(places):
        return ()
    tallies = {places[colour]: tally for colour, tally in colours.items()}
    numbers = frozenset(tallies) - last_of(tallies)
    if len(numbers) < 2 or not _go_together(numbers, names):
        return ()
    if isinstance(wanted.void, int) and wanted.void not in tallies and wanted.void in places:
        wanted = replace(wanted, void=places[wanted.void])
    return tuple(
        replace(
            reading,
            words=f"colours are VOC's palette: {reading.words}",
            by="colour",
            rules=tuple(
                sorted(
                    (
                        Rule(voc_colour(rule.low), voc_colour(rule.low), rule.index)
                        for rule in reading.rules
                        if rule.low < 256
                    ),
                    key=lambda rule: rule.low,
                )
            ),
            plain=False,
            void=255,
        )
        for reading in number_readings(tallies, names, wanted)
        if names is None or names.values is not None or _counts(reading, tallies, names)
    )


def _counts(reading: Reading, tallies: Tallies, names: ClassList) -> bool:
    """Whether the indices count the names, from 0 or from 1 on: that they have the same order proves nothing."""
    held = [(index, name) for index, name in meaning(reading, tallies) if name in names.names]
    return {names.names.index(name) - index for index, name in held if name is not None} in ({0}, {-1})


def _go_together(numbers: frozenset[int], names: ClassList | None) -> bool:
    if names is None:
        return len(numbers) == max(numbers) + 1 or (len(numbers) > 2 and max(numbers) < len(VOC) and dense(numbers))
    if names.values is not None:
        return numbers <= {0, *names.values}
    return max(numbers) <= len(names.names)


def _by_cityscapes(colours: Tallies, names: ClassList | None, wanted: Wanted) -> list[Reading]:
    """Cityscapes' colours stand for its training ids, black for void."""
    numbers = {trained.colour: place for place, trained in enumerate(CITYSCAPES)}
    if len(set(colours) - {0}) < LEAST_CITYSCAPES or not set(colours) <= {0, *numbers} or wanted.background:
        return []
    if wanted.void not in (None, 0) or (names is not None and (len(names.names) != len(CITYSCAPES) or names.values)):
        return []
    classes = names.names if names is not None else tuple(trained.name for trained in CITYSCAPES)
    black = dict.fromkeys({0} & set(colours))
    return [
        compose(
            "--void 0" if black else "--read colours",
            classes,
            {**{colour: classes[place] for colour, place in numbers.items()}, **black},
            by="colour",
            before="colours are Cityscapes': ",
        )
    ]


def _discovered(colours: Tallies, names: ClassList | None, wanted: Wanted) -> Reading:
    """Each colour is a class, black the first. Names cannot be given to colours, but for the one beside black."""
    void = {wanted.void} if isinstance(wanted.void, int) else set[int]()
    kept = sorted(set(colours) - void)
    if names is None:
        named = {colour: shown(colour, "colour") if colour else "background" for colour in kept}
        return compose("--read colours", tuple(named.values()), {**named, **dict.fromkeys(void)}, by="colour")
    binary = len(kept) == 2 and kept[0] == 0 and not names.void
    if binary and len(names.names) == 1 and not means_background(names.names[0]):
        return listed(
            "--background first", names, {0: "background", kept[1]: names.names[0]}, void, wanted, by="colour"
        )
    if binary and len(names.names) == 2 and means_background(names.names[0]):
        return listed("--read colours", names, dict(zip(kept, names.names, strict=True)), void, wanted, by="colour")
    lines = "".join(f"\n  NAME,{_commas(colour)}" for colour in kept[:12])
    raise DataError(
        f"{names.file}: {counted(len(names.names), 'name')} without colours cannot be given to the {len(kept)} colours "
        f"of the masks, {_some(kept)}; write class_dict.csv instead, with a line for each:\n  name,r,g,b{lines}"
        f"{f'{chr(10)}  ...' if len(kept) > 12 else ''}"
    )


def _commas(colour: int) -> str:
    return f"{colour >> 16},{colour >> 8 & 255},{colour & 255}"


def _some(colours: Iterable[int]) -> str:
    ordered: Sequence[int] = sorted(colours)
    return ", ".join(shown(colour, "colour") for colour in ordered[:6]) + (", ..." if len(ordered) > 6 else "")


def _folder(colours: Tallies) -> str:
    return str(next((tally.first.parent for tally in colours.values()), "masks"))
