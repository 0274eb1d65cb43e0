"""What a person has set on the page, as one text: the part of the address after the question mark."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from segsearch.errors import StudyError
from segsearch.evidence.objectives import OBJECTIVES, Limit, read_limit

TABS = ("explore", "model", "masks", "search")
MOST_SELECTED = 4
MOST_FIELDS = 60
LONGEST_NUMBER = 9


@dataclass(frozen=True)
class State:
    """Empty texts and tuples mean what the study itself suggests. The last of `selected` is the one looked at."""

    study: str = ""
    machine: str = ""
    tab: str = "explore"
    up: str = ""
    across: str = ""
    depth: str = ""
    logs: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    selected: tuple[int, ...] = ()

    def limit(self, name: str) -> Limit | None:
        return next((limit for limit in self.limits if limit.objective == name), None)

    @property
    def bounds(self) -> tuple[str, ...]:
        return tuple(str(limit) for limit in self.limits)


def to_address(state: State) -> str:
    """The state as a query string; what is as it was at first is left out."""
    pairs = [
        ("study", state.study),
        ("machine", state.machine),
        ("tab", "" if state.tab == "explore" else state.tab),
        ("y", state.up),
        ("x", state.across),
        ("z", state.depth),
        ("log", ",".join(state.logs)),
        *(("limit", bound) for bound in state.bounds),
        ("models", ",".join(map(str, state.selected))),
    ]
    text = urlencode([(name, value) for name, value in pairs if value], safe=",<>=")
    return f"?{text}" if text else ""


def from_address(text: str | None) -> State:
    """The inverse of `to_address`. What is not understood is left out: an address may come from anywhere."""
    try:
        found = parse_qs((text or "").removeprefix("?"), max_num_fields=MOST_FIELDS)
    except ValueError:
        return State()

    def one(name: str) -> str:
        return found.get(name, [""])[0]

    def named(name: str) -> str:
        return one(name) if one(name) in OBJECTIVES else ""

    return State(
        study=one("study"),
        machine=one("machine"),
        tab=one("tab") if one("tab") in TABS else "explore",
        up=named("y"),
        across=named("x"),
        depth=named("z"),
        logs=tuple(axis for axis in ("x", "y") if axis in one("log").split(",")),
        limits=_limits(found.get("limit", [])),
        selected=chosen(int(part) for part in one("models").split(",") if _is_number(part)),
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


def chosen(numbers: Iterable[int]) -> tuple[int, ...]:
    """The newest few of what was selected, each once."""
    return tuple(dict.fromkeys(numbers))[-MOST_SELECTED:]


def toggled(selected: tuple[int, ...], number: int) -> tuple[int, ...]:
    """What is selected after a click on a model."""
    if number in selected:
        return tuple(other for other in selected if other != number)
    return chosen((*selected, number))


def _limits(texts: Iterable[str]) -> tuple[Limit, ...]:
    limits: dict[str, Limit] = {}
    for text in texts:
        try:
            limit = read_limit(text)
        except StudyError:
            continue
        if (limit.operator == ">=") == (OBJECTIVES[limit.objective].direction == "maximize"):
            limits[limit.objective] = limit
    return tuple(limits[name] for name in OBJECTIVES if name in limits)
