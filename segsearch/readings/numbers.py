"""Every way to read masks of numbers: without names, with names in their order, with names and their values."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from segsearch.errors import DataError
from segsearch.readings.blur import (
    MOST_NUMBERS,
    MOST_SCATTERED,
    blurred,
    dense,
    grey_levels,
    halved,
    lossless,
    peaked,
    peaks,
)
from segsearch.readings.compose import (
    VOID,
    Tallies,
    compose,
    counted,
    demand_few,
    last_of,
    listed,
    meaning,
    present,
    some,
)
from segsearch.readings.in_order import background_second, in_order, named_by, turned_round
from segsearch.readings.names import means_background
from segsearch.readings.objects import numbered_objects, of_objects
from segsearch.readings.types import ClassList, Reading, Wanted


def number_readings(
    tallies: Tallies, names: ClassList | None, wanted: Wanted, *, lossy: Path | None = None
) -> tuple[Reading, ...]:
    """All plausible readings by stored values, each of two classes at least. Raises `DataError` where there is none."""
    if names is not None and background_second(tallies, names, wanted):
        return tuple(
            replace(reading, option=named_by(turned.names))
            for turned in (turned_round(names), names)
            for reading in number_readings(tallies, turned, replace(wanted, names=turned.names), lossy=lossy)
        )
    likely = blurred(tallies, lossy=lossy is not None)
    binary = halved(tallies, names) if likely != "no" and not isinstance(wanted.void, int) else None
    if lossy is not None:
        if binary is None:
            raise lossless(lossy)
        if wanted.names is None and peaks(tallies):
            raise peaked(lossy, peaks(tallies))
        return (binary,)
    if names is None and wanted.by is None and numbered_objects(tallies, (wanted.void,)):
        raise of_objects(tallies, "value")
    if names is None:
        found = _unnamed(tallies, wanted, binary if wanted.void is None and wanted.by is None else None, likely)
    elif binary is not None and len(tallies) > len(names.names) + 1:
        found = [binary]
    else:
        found = _ordered(tallies, names, wanted) if names.values is None else _valued(tallies, names, wanted)
    kept = {
        (reading.classes, meaning(reading, tallies)): reading
        for reading in reversed(found)
        if present(reading, tallies) > 1
    }
    if not kept:
        raise _one_class(tallies, names, wanted)
    for reading in kept.values():
        demand_few(reading, tallies)
    return tuple(reversed(kept.values()))


def _unnamed(tallies: Tallies, wanted: Wanted, binary: Reading | None, likely: str) -> list[Reading]:
    """Numbers that count are classes with empty ones between; scattered ones are mapped in their order."""
    void = wanted.void
    said = {void} if isinstance(void, int) else set[int]()
    values = frozenset(tallies) - said
    last = frozenset[int]() if void == "none" else last_of(values)
    if likely == "surely" and binary is not None:
        return [binary]
    if binary is not None and len(values) > MOST_SCATTERED and peaks(tallies):
        raise peaked(tallies[max(tallies)].first, peaks(tallies))
    if len(values) < 2:
        return []
    if len(values) == 2 and 0 in values and 1 not in values and not (said and dense(values)):
        return [_scattered(_void_option(said, frozenset(), values), values, said)]
    numbers = values - last
    if len(numbers) > 1 and dense(numbers):
        if len(tallies) >= MOST_NUMBERS and wanted.by is None:
            raise grey_levels(tallies)
        return [_counted(_void_option(said, last, values), numbers, said | last, wanted)]
    if last and len(numbers) < 2:
        return []
    if (len(values) > MOST_SCATTERED or max(values) > VOID) and wanted.by is None:
        raise grey_levels(tallies)
    readings = [binary] if binary is not None else []
    if last and not said and not _even(values):
        readings.append(_scattered(_void_option(said, last, values), numbers, said | last))
    readings.append(_scattered(_void_option(said, frozenset(), values), values, said))
    return readings


def _void_option(said: Collection[int], last: Collection[int], values: Iterable[int]) -> str:
    void = max(said or last, default=None)
    return f"--void {void}" if void is not None else "--void none" if last_of(values) else "--read values"


def _even(values: frozenset[int]) -> bool:
    """Whether values are spread evenly from 0 to the last one, as classes drawn in greys are."""
    step = max(values) / max(len(values) - 1, 1)
    return all(abs(value - place * step) <= 1 for place, value in enumerate(sorted(values)))


def _counted(option: str, numbers: frozenset[int], void: Iterable[int], wanted: Wanted) -> Reading:
    named = {value: f"class_{value}" for value in range(max(numbers) + 1) if value not in set(void)}
    if wanted.background == "first" and 0 in named:
        named[0] = "background"
    return compose(option, tuple(named.values()), {**named, **dict.fromkeys(void)})


def _scattered(option: str, values: frozenset[int], void: Iterable[int]) -> Reading:
    named = {value: f"value_{value}" for value in sorted(values)}
    return compose(option, tuple(named.values()), {**named, **dict.fromkeys(void)})


def _ordered(tallies: Tallies, names: ClassList, wanted: Wanted) -> list[Reading]:
    """Names without values: of the numbers 0, 1, ... or 1, 2, ..., else of the values in their order."""
    count, void = len(names.names), wanted.void
    said = void if isinstance(void, int) else None
    rest = frozenset(tallies) - {said}
    last = frozenset[int]() if void == "none" else frozenset(value for value in last_of(rest) if value >= count)
    numbers = rest - last
    headed = means_background(names.names[0]) or 0 in names.void
    pair = count == 2 and len(rest) == 2 and 0 in rest and 1 not in rest and wanted.background is None
    readings = list[Reading]()
    if numbers and max(numbers) <= count and not pair:
        for kind in _kinds(numbers, names, wanted, headed=headed, last=bool(last)):
            readings.append(_placed(kind, names, wanted, present=frozenset(tallies), last=last))
    readings = [reading for reading in readings if present(reading, tallies) > 1]
    readings = readings or in_order(rest, last, names, wanted, headed=headed)
    if not readings and max(numbers, default=0) >= count > 1:
        raise _beyond(tallies, names, [value for value in numbers if value >= count], wanted)
    return readings


# How the numbers go with the names: the first name is 0's; it is 1's and 0 is void; it is 1's and 0 is a background.
_FIRST_IS_0, _0_IS_VOID, _0_IS_BACKGROUND = "first is 0", "0 is void", "0 is background"


def _kinds(numbers: frozenset[int], names: ClassList, wanted: Wanted, *, headed: bool, last: bool) -> tuple[str, ...]:
    """Which of the three fit numbers that go up to the number of names at most. `last`: 255 is there and void."""
    beyond = max(numbers) == len(names.names)
    grounded = headed or any(means_background(name) for name in names.names)
    if wanted.background == "first":
        if grounded or wanted.void == 0:
            what = "--void 0" if wanted.void == 0 else f"{names.names[0]!r} as the first name" if headed else "one"
            raise DataError(f"{names.file}: --background first needs names without a background, got {what}; drop one.")
        return (_0_IS_BACKGROUND,)
    if wanted.void == 0:
        return (_FIRST_IS_0,) if headed and not beyond else (_0_IS_VOID,)
    if not beyond:
        return (_FIRST_IS_0,)
    if 0 not in numbers:
        return (_0_IS_VOID,)
    if wanted.void is not None:
        return () if grounded else (_0_IS_BACKGROUND,)
    if headed:
        return () if last else (_FIRST_IS_0,)
    return (*(() if last else (_FIRST_IS_0,)), _0_IS_VOID, *(() if grounded else (_0_IS_BACKGROUND,)))


def _placed(kind: str, names: ClassList, wanted: Wanted, *, present: frozenset[int], last: frozenset[int]) -> Reading:
    shift = 0 if kind == _FIRST_IS_0 else 1
    said = {wanted.void} if isinstance(wanted.void, int) else set[int]()
    void = said | last
    option = f"--void {max(said or last)}" if void else "--void none" if wanted.void == "none" else "--read values"
    assigned = {place + shift: name for place, name in enumerate(names.names)}
    if kind == _FIRST_IS_0 and len(names.names) in present:
        void.add(len(names.names))
        option = f"--void {len(names.names)}"
    elif kind == _0_IS_VOID:
        void |= {0} & present
        option = option if said or 0 not in present else "--void 0"
    elif kind == _0_IS_BACKGROUND:
        assigned = {0: "background", **assigned}
        option = "--background first"
    return listed(option, names, assigned, void, wanted)


def _valued(tallies: Tallies, names: ClassList, wanted: Wanted) -> list[Reading]:
    """Names with their values; of what the list does not name, 255 or 0 may be void."""
    assigned = dict(sorted(zip(names.values or (), names.names, strict=True)))
    said = {wanted.void} if isinstance(wanted.void, int) else set[int]()
    extra = frozenset(tallies) - set(assigned) - said
    grounded = {0: "background", **assigned}
    last = last_of(tallies) & extra
    if wanted.background == "first":
        if 0 in assigned or 0 in said or any(means_background(name) for name in names.names):
            got = "--void 0" if 0 in said else repr(assigned.get(0, "background"))
            raise DataError(f"{names.file}: --background first needs names without a background, got {got}; drop one.")
        extra -= {0}
    if extra and (wanted.void == "none" or not extra <= last | {0}):
        raise _beyond(tallies, names, extra if wanted.void == "none" else extra - last - {0}, wanted)
    if wanted.background == "first":
        return [listed("--background first", names, grounded, said | extra, wanted)]
    if extra == {0} | last and last and not any(means_background(name) for name in names.names):
        return [
            listed("--void 0", names, assigned, said | extra, wanted),
            listed("--background first", names, grounded, said | last, wanted),
        ]
    void = said | extra
    reading = listed(f"--void {max(said or extra)}" if void else "--read values", names, assigned, void, wanted)
    if present(reading, tallies) < 2 <= len(assigned) and list(assigned) == list(range(len(assigned))):
        meant = {names.names[index] for index in names.void}
        ordered = tuple(assigned.values())
        plain = ClassList(names.file, ordered, void=frozenset(map(ordered.index, meant)))
        return _ordered(tallies, plain, wanted)
    return [reading]


def _beyond(tallies: Tallies, names: ClassList, values: Iterable[int], wanted: Wanted) -> DataError:
    """Values that have no name, each with its first file."""
    ordered = sorted(values)
    where = ", ".join(f"{value} ({tallies[value].first})" for value in ordered[:4])
    only = f"say --void {ordered[0]} where it is void, " if len(ordered) == 1 else ""
    numbers = some(names.values) if names.values else f"0..{len(names.names) - 1}"
    numbers += "" if wanted.void == "none" else " (and 255, void)"
    return DataError(
        f"{tallies[ordered[0]].first}: with {counted(len(names.names), 'name')} in {names.file} masks may hold "
        f"{numbers}, got {where}{' and more' if len(ordered) > 4 else ''}; {only}correct the masks or the list."
    )


def _one_class(tallies: Tallies, names: ClassList | None, wanted: Wanted) -> DataError:
    """Most often the second class was taken for void."""
    folder = next(iter(tallies.values())).first.parent if tallies else Path()
    by = "" if names is None else f" with {counted(len(names.names), 'name')} in {names.file}"
    cure = "name the classes, or write their numbers 0, 1, ... into the masks"
    if last_of(tallies) and wanted.void is None:
        cure = f"where {max(tallies)} is a class, say --void none"
    return DataError(f"{folder}: masks must hold at least two classes, got {some(tallies) or 'no values'}{by}; {cure}.")
