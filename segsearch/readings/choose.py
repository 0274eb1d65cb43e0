"""How masks may be read, from what they hold, the lists of classes that were found, and what the user said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segsearch.errors import DataError
from segsearch.readings.colours import colour_readings, lacking
from segsearch.readings.compose import last_of, listed, meaning, present, some
from segsearch.readings.names import bare, plain_list, read_class_list
from segsearch.readings.numbers import number_readings
from segsearch.readings.types import ClassList, Reading, Seen, Tally, Wanted

# Said to be void these are right even where no mask has them.
_ANY_VOID = (255, 65535)


def readings(seen: Seen, lists: Sequence[ClassList], wanted: Wanted) -> tuple[Reading, ...]:
    """All plausible readings of the masks, each with the option that chooses it; none where nothing fits."""
    try:
        return _all(_grey(seen), lists, wanted)
    except DataError:
        return ()


def the_reading(seen: Seen, lists: Sequence[ClassList], wanted: Wanted) -> Reading:
    """The one reading of the masks. Raises `DataError` where there is none, or several: with the options they take."""
    found = _all(_grey(seen), lists, wanted)
    if seen.at_odds is not None and wanted.by is None:
        one, other, index = seen.at_odds
        raise DataError(
            f"{one}: the masks' palettes must give each index the same colour, got another one for {index} in {other}; "
            f"say what tells the classes apart:\n{_told(found)}"
        )
    if len(found) > 1:
        files = list(dict.fromkeys(str(names.file) for names in _lists(lists, wanted) if names is not None))
        by = f" with {' and '.join(files)}" if files else ""
        raise DataError(f"The masks may be read in {len(found)} ways{by}; say which one is right:\n{_told(found)}")
    return found[0]


def _told(found: Sequence[Reading]) -> str:
    """Each reading in a line, after the option that chooses it."""
    width = max(len(reading.option) for reading in found)
    return "\n".join(f"  {reading.option:<{width}}  {reading.words}" for reading in found)


def _lists(lists: Sequence[ClassList], wanted: Wanted) -> tuple[ClassList | None, ...]:
    """The lists to read by: what the user named, else all that were found; one None where there are none."""
    if wanted.names is not None:
        return (plain_list(wanted.names, Path("--names")),)
    if wanted.classes is not None:
        chosen = wanted.classes.resolve()
        found = next((names for names in lists if names.file.resolve() == chosen), None)
        return (found or read_class_list(wanted.classes),)
    return tuple(lists) or (None,)


def _all(seen: Seen, lists: Sequence[ClassList], wanted: Wanted) -> tuple[Reading, ...]:
    """The readings by every list that fits. Lists that lead to the same classes are one."""
    fitting: list[tuple[ClassList | None, tuple[Reading, ...]]] = []
    faults: list[DataError] = []
    unfit: list[str] = []
    for names in _lists(lists, wanted):
        try:
            fitting.append((names, _by_list(seen, names, wanted)))
        except DataError as fault:
            faults.append(fault)
            unfit.append(str(names and names.file))
    if not fitting:
        raise faults[0]
    fitting = [(names, tuple(_beside(reading, unfit) for reading in found)) for names, found in fitting]
    keys = [{_key(reading, seen) for reading in found} for _, found in fitting]
    common = set.intersection(*keys)
    if common:
        names, found = fitting[0]
        same = tuple(reading for reading in found if _key(reading, seen) in common)
        # What else is said may make other lists fit, too.
        return tuple(_of_list(names, reading) for reading in same) if unfit and len(same) > 1 else same
    asks = seen.at_odds is not None and wanted.by is None
    return tuple(
        _of_list(names, reading) if asks or len(found) > 1 else replace(reading, option=f"--classes {names.file}")
        for names, found in fitting
        if names is not None
        for reading in found
    )


def _of_list(names: ClassList | None, reading: Reading) -> Reading:
    if names is None or reading.option.startswith("--names"):
        return reading
    return replace(reading, option=f"--classes {names.file} {reading.option}")


def _beside(reading: Reading, unfit: Sequence[str]) -> Reading:
    return replace(reading, words=f"{reading.words}; {', '.join(unfit)} does not fit") if unfit else reading


def _key(reading: Reading, seen: Seen) -> tuple[object, ...]:
    """Readings that agree in it are the same, whatever their lists' spelling."""
    stored = seen.values if reading.by == "value" else seen.colours or {}
    classes = tuple(bare(name) or name for name in reading.classes)
    held = tuple((value, name and (bare(name) or name)) for value, name in meaning(reading, stored))
    return reading.by, classes, held


def _by_list(seen: Seen, names: ClassList | None, wanted: Wanted) -> tuple[Reading, ...]:
    """The readings by one list. Raises `DataError` where none fits."""
    # A small number may be the index of a colour in VOC's palette.
    index = not seen.values and wanted.void in range(256)
    held_anyhow = {*seen.values, *(seen.colours or {}), *_ANY_VOID}
    if isinstance(wanted.void, int) and not index and wanted.void not in held_anyhow:
        held = some(seen.values) if seen.values else some(seen.colours or {}, "colour")
        raise DataError(f"--void {wanted.void} must be in the masks, got {held or 'none'}; correct it or leave it out.")
    if not seen.values:
        if wanted.by == "values":
            raise DataError("--read values needs masks of numbers, got masks of colours; leave it out.")
        return colour_readings(seen, names, wanted)
    if seen.lossy is not None:
        return number_readings(seen.values, names, wanted, lossy=seen.lossy)
    if seen.at_odds is not None:
        return _at_odds(seen, names, wanted)
    if names is not None and names.colours is not None:
        return _by_both(seen, names, wanted)
    if wanted.by == "colours":
        if not seen.colours:
            raise DataError("--read colours needs masks of colours, got grey masks; leave it out.")
        return colour_readings(seen, names, wanted)
    return number_readings(seen.values, names, wanted)


def _at_odds(seen: Seen, names: ClassList | None, wanted: Wanted) -> tuple[Reading, ...]:
    """Palettes differ between files: by indices and by colours, whatever of it is possible."""
    found, faults = list[Reading](), list[DataError]()
    for by in ("values", "colours"):
        if wanted.by not in (None, by):
            continue
        try:
            if by == "values":
                by_it = number_readings(seen.values, names, wanted)
            else:
                by_it = colour_readings(seen, names, wanted)
            found += [_after(f"--read {by}", reading) for reading in by_it]
        except DataError as fault:
            faults.append(fault)
    if not found:
        raise faults[0]
    return tuple(found)


def _after(choice: str, reading: Reading) -> Reading:
    rest = "" if reading.option.startswith("--read") else f" {reading.option}"
    return replace(reading, option=f"{choice}{rest}")


def _by_both(seen: Seen, names: ClassList, wanted: Wanted) -> tuple[Reading, ...]:
    """Masks of numbers and a table with colours: its lines may go by the numbers, or by the colours of the palette."""
    fault, by_number = None, tuple[Reading, ...]()
    try:
        by_number = number_readings(seen.values, names, wanted)
    except DataError as error:
        fault = error
    if wanted.by == "values":
        if fault is not None:
            raise fault
        return by_number
    colours = {value: _colour(seen, value) for value in seen.values}
    table = dict(zip(names.colours or (), names.names, strict=True))
    by_palette = _by_palette(seen, names, wanted, colours, table)
    if by_palette is None:
        hits = {value: table[colour] for value, colour in colours.items() if colour and colour in table}
        odd = seen.palette and any(dict(meaning(reading, hits)) != hits for reading in by_number[:1])
        if fault is not None and not hits:
            raise fault
        if fault is not None or odd or wanted.by == "colours":
            raise _lacking(seen, names, colours, table)
        return by_number
    agreeing = [reading for reading in by_number if _key(reading, seen) == _key(by_palette, seen)]
    if agreeing and wanted.by is None:
        after = "; the masks' colours agree" if seen.palette else ""
        return (replace(agreeing[0], words=agreeing[0].words + after),)
    named = [value for reading in by_number for value, name in meaning(reading, seen.values) if name is not None]
    if wanted.by == "colours" or max(named, default=len(names.names) + 1) > len(names.names):
        # Values that do not count the lines have but their order, and the colours are more than that.
        return (by_palette,)
    return (*(_after("--read values", reading) for reading in by_number), by_palette)


def _by_palette(
    seen: Seen, names: ClassList, wanted: Wanted, colours: dict[int, int], table: dict[int, str]
) -> Reading | None:
    """Each value is what the table calls its colour; None where it lacks one, or only one class is there."""
    said = {wanted.void} if isinstance(wanted.void, int) else set[int]()
    last = {
        value
        for value in colours
        if value in last_of(colours) and colours[value] not in table and wanted.void != "none"
    }
    assigned = {value: table[colour] for value, colour in colours.items() if colour in table}
    if set(colours) - set(assigned) - said - last:
        return None
    reading = listed(
        "--read colours",
        names,
        assigned,
        said | last,
        wanted,
        classes=names.names,
        after="; by the colours of the masks' palette" if seen.palette else "; grey values are the table's colours",
    )
    return reading if present(reading, seen.values) > 1 else None


def _lacking(seen: Seen, names: ClassList, colours: dict[int, int], table: dict[int, str]) -> DataError:
    tallies = {colours[value]: tally for value, tally in seen.values.items()}
    missing = [colour for value, colour in colours.items() if colour not in table and value not in last_of(colours)]
    return lacking(tallies, missing or [colour for colour in tallies if colour not in table] or list(tallies), names)


def _colour(seen: Seen, value: int) -> int:
    """The colour of an index; of a grey value that grey."""
    return seen.palette.get(value, min(value, 255) * 0x010101)


def _grey(seen: Seen) -> Seen:
    """Colours whose channels are all alike are values."""
    if seen.values or not seen.colours or any(colour % 0x010101 for colour in seen.colours):
        return seen
    values: dict[int, Tally] = {colour & 255: tally for colour, tally in seen.colours.items()}
    return replace(seen, values=values, colours=None)
