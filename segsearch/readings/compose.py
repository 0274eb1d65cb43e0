"""A reading of masks from what each stored value or colour is, and one line that says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Literal

from segsearch.errors import DataError
from segsearch.readings.types import By, ClassList, Reading, Tally, Wanted
from segsearch.settings.data import Rule

VOID = 255
MOST_CLASSES = 255

Tallies = Mapping[int, Tally]
# What each stored value or colour is: a class's name, None for void.
Assigned = Mapping[int, str | None]


def last_of(values: Iterable[int]) -> frozenset[int]:
    """The value among them that means void where nothing else is said of it: the last one of 8 bits, or of 16."""
    held = frozenset(values)
    return held & {VOID if max(held, default=0) <= VOID else 65535}


def compose(
    option: str,
    classes: Sequence[str],
    assigned: Assigned,
    *,
    by: By = "value",
    called: Mapping[int, str] | None = None,
    before: str = "",
    after: str = "",
) -> Reading:
    """A reading with one rule for each stored value or colour. `called` are the names that made values void."""
    index = {name: place for place, name in enumerate(classes)}
    rules = tuple(
        Rule(low=stored, high=stored, index=None if name is None else index[name])
        for stored, name in sorted(assigned.items())
    )
    return ruled(option, classes, rules, by=by, called=called, before=before, after=after)


def ruled(
    option: str,
    classes: Sequence[str],
    rules: tuple[Rule, ...],
    *,
    by: By = "value",
    called: Mapping[int, str] | None = None,
    before: str = "",
    after: str = "",
) -> Reading:
    """A reading of rules that are in the order of what they apply to. `before` and `after` are added to its words."""
    void = [rule.low for rule in rules if rule.index is None]
    kept = {(rule.low, rule.high) for rule in rules if rule.index == rule.low}
    plain = (
        by == "value"
        and all((place, place) in kept for place in range(len(classes)))
        and sum(rule.index is not None for rule in rules) == len(classes) <= MOST_CLASSES
        and len(void) <= 1
        and all(len(classes) <= value <= VOID for value in void)
    )
    said = ", ".join(_parts(rules, classes, by, called or {}))
    return Reading(
        option=option,
        words=f"{before}{said} ({len(classes)} classes){after}",
        classes=tuple(classes),
        by=by,
        rules=rules,
        plain=plain,
        void=void[0] if plain and void else VOID,
    )


def listed(
    option: str,
    names: ClassList,
    assigned: Mapping[int, str],
    void: Iterable[int],
    wanted: Wanted,
    *,
    by: By = "value",
    classes: Sequence[str] | None = None,
    after: str = "",
) -> Reading:
    """A reading with a list's names, in which `void` is void, and what is called so, unless nothing is to be.

    Classes are those that something is assigned to, in its order, or `classes`.
    """
    nothing = set(void)
    meant = set() if wanted.void == "none" else {names.names[index] for index in names.void}
    called = {stored: name for stored, name in assigned.items() if name in meant}
    kept = {stored: name for stored, name in assigned.items() if name not in meant and stored not in nothing}
    everything = {**dict.fromkeys(called), **kept, **dict.fromkeys(nothing)}
    order = [name for name in kept.values() if classes is None] or [name for name in classes or () if name not in meant]
    return compose(option, order, everything, by=by, called=called, after=after)


def meaning(reading: Reading, stored: Iterable[int]) -> tuple[tuple[int, str | None], ...]:
    """The class of each stored value or colour that the masks hold: readings that agree in it are the same."""
    found: list[tuple[int, str | None]] = []
    for value in sorted(stored):
        index = next((rule.index for rule in reading.rules if rule.low <= value <= rule.high), None)
        found.append((value, None if index is None else reading.classes[index]))
    return tuple(found)


def demand_few(reading: Reading, tallies: Tallies) -> None:
    """Raise `DataError` where there are more classes than a byte can number."""
    if len(reading.classes) > MOST_CLASSES:
        raise DataError(
            f"{tallies[max(tallies)].first}: there may be {MOST_CLASSES} classes at most, got {len(reading.classes)} "
            f"(up to {shown(max(tallies), reading.by)}); where masks hold single objects, name those that hold classes."
        )


def counted(count: int, what: str) -> str:
    """`1 name`, `2 names`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def present(reading: Reading, stored: Iterable[int]) -> int:
    """How many of the classes the masks hold."""
    return len({name for _, name in meaning(reading, stored) if name is not None})


def shown(stored: int, by: Literal["value", "colour"]) -> str:
    """A value as its number, a colour as `#rrggbb`."""
    return str(stored) if by == "value" else f"#{stored:06x}"


def some(stored: Iterable[int], by: By = "value") -> str:
    """The first six, for messages."""
    ordered = sorted(stored)
    return ", ".join(shown(value, by) for value in ordered[:6]) + (", ..." if len(ordered) > 6 else "")


def _parts(rules: Sequence[Rule], classes: Sequence[str], by: By, called: Mapping[int, str]) -> list[str]:
    """`0 is void`, `1 is wall` and so on; of many the first, the last and the void ones."""
    parts = []
    for index, group in groupby(rules, key=lambda rule: rule.index):
        run = list(group)
        low, high = shown(run[0].low, by), shown(run[-1].high, by)
        what = low if low == high else f"{low}..{high}" if by == "value" and _gapless(run) else _listed(run, by)
        names = sorted({called[rule.low] for rule in run if rule.low in called})
        quoted = f" ({', '.join(map(repr, names[:3]))})" if names else ""
        verb = "are" if " and " in what else "is"
        parts.append((index is None, f"{what} {verb} {'void' if index is None else classes[index]}{quoted}"))
    voids = [place for place, (void, _) in enumerate(parts) if void][:2]
    told = {*range(3), *voids, len(parts) - 1} if len(parts) > 6 else set(range(len(parts)))
    words = list[str]()
    for place, (_, text) in enumerate(parts):
        if place in told:
            words.append(text)
        elif words[-1] != "...":
            words.append("...")
    return words


def _gapless(run: Sequence[Rule]) -> bool:
    return all(before.high + 1 == after.low for before, after in pairwise(run))


def _listed(run: Sequence[Rule], by: By) -> str:
    return " and ".join(shown(rule.low, by) for rule in run[:3]) + (" and more" if len(run) > 3 else "")
