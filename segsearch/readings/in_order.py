"""Names for values that do not count (0, 128, 255): the values in their order go with the names in theirs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from segsearch.readings.blur import blurred
from segsearch.readings.compose import Tallies, last_of, listed
from segsearch.readings.names import means_background
from segsearch.readings.types import ClassList, Reading, Wanted


def in_order(
    values: frozenset[int], last: frozenset[int], names: ClassList, wanted: Wanted, *, headed: bool
) -> list[Reading]:
    """All readings of the values that the masks hold beside the void one that was said.

    `last` are those that are void where nothing else is said (255), `headed` says that the first name is that of a
    background or of void, so that nothing comes before it.
    """
    readings = list[Reading]()
    count = len(names.names)
    beyond = [value for value in sorted(values) if value >= count]
    scattered = len(beyond) > 1 or len(values) == 2
    for void in [frozenset[int](), last] if last else [frozenset[int]()]:
        rest = sorted(values - void)
        if len(rest) == count and wanted.background is None:
            readings.append(
                _given(_option(void, names), names, dict(zip(rest, names.names, strict=True)), void, wanted)
            )
        if len(rest) == count + 1 and rest[0] == 0 and scattered and not headed:
            readings += _before(names, dict(zip(rest[1:], names.names, strict=True)), void, wanted)
    if isinstance(wanted.void, int) and len(readings) > 1:
        # One value can be said to be void: no option is left that would choose between them.
        return []
    if wanted.void is None and wanted.background is None:
        other = _one_void(sorted(values), beyond, names, wanted)
        # Names that mean void leave no option that would choose the readings above, so that there is none to show.
        return other if not readings else [] if other and names.void else [*readings, *other]
    return readings


def background_second(tallies: Tallies, names: ClassList, wanted: Wanted) -> bool:
    """Whether a list has `crack` before `background` for masks of black and white: black is hardly the crack."""
    if wanted.names is not None or wanted.background is not None or names.values is not None or names.void:
        return False
    values = frozenset(tallies) - {wanted.void}
    two = len(values) == 2 and 0 in values and 1 not in values
    return len(names.names) == 2 and means_background(names.names[1]) and (two or blurred(tallies) != "no")


def turned_round(names: ClassList) -> ClassList:
    """The last name first; what else a list says of the names goes with them."""
    return replace(names, names=names.names[::-1], colours=names.colours and names.colours[::-1])


def named_by(names: Sequence[str]) -> str:
    """The option that gives names in this order, which stand between commas."""
    return f"--names {shlex.quote(','.join(name.replace(',', ' ') for name in names))}"


def _option(void: Iterable[int], names: ClassList) -> str:
    return f"--void {max(void)}" if void else "--read values" if names.void else "--void none"


def _before(names: ClassList, assigned: Mapping[int, str], void: frozenset[int], wanted: Wanted) -> list[Reading]:
    """One value more than there are names, the first of them 0: it is void, or a background without a name."""
    readings = list[Reading]()
    if wanted.void is None and wanted.background is None:
        readings.append(_given("--void 0", names, assigned, void | {0}, wanted))
    if not any(means_background(name) for name in names.names):
        readings.append(_given("--background first", names, {0: "background", **assigned}, void, wanted))
    return readings


def _one_void(values: list[int], beyond: list[int], names: ClassList, wanted: Wanted) -> list[Reading]:
    """One value that is void: the only one beyond the names' numbers, or the grey between black and white."""
    count = len(names.names)
    if len(beyond) == 1 and len(values) > 2 and count == len(values) and not last_of(values):
        return [_given(f"--void {beyond[0]}", names, dict(enumerate(names.names)), frozenset(beyond), wanted)]
    if len(values) == 3 == count + 1 and values[0] == 0 and len(beyond) == 2:
        ends = dict(zip((values[0], values[2]), names.names, strict=True))
        return [_given(f"--void {values[1]}", names, ends, frozenset({values[1]}), wanted)]
    return []


def _given(option: str, names: ClassList, assigned: Mapping[int, str], void: Iterable[int], wanted: Wanted) -> Reading:
    if not isinstance(wanted.void, int):
        return listed(option, names, assigned, void, wanted)
    option = option if option == "--background first" else f"--void {wanted.void}"
    return listed(option, names, assigned, {*void, wanted.void}, wanted)
