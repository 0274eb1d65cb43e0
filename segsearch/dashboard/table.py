"""The table of models: its columns, and the rows that it asks for, sorted and filtered here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segsearch.dashboard.reading import Seen
from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging.finals import ended_by_trial
from segsearch.judging.fronts import Report, Row, knee_of
from segsearch.judging.words import describe, precision, with_interval

Cell = str | int | float | None
Read = Callable[[Row, str], Cell]
PARAM = "param:"
# The text of a value that has an interval, beside the value that the table is sorted by.
SHOWN = "shown:"
# What a trial scores that was trained to the end.
FINAL = "final:miou"
MOST_ROWS = 200

_NUMBER = {"function": "params.value == null ? '' : d3.format('.4~g')(params.value)"}
_AROUND = "params.value == null ? '' : (params.data[{name!r}] || d3.format('.4~g')(params.value))"
_COUNT = {"function": "params.value == null ? '' : d3.format('.3~s')(params.value)"}


def columns(seen: Seen, report: Report) -> list[dict[str, Any]]:
    """Trial, standing, objectives, precision, then what the space draws from, then the design in words."""
    names = [goal.name for goal in report.objectives]
    present = {name for row in report.rows for name in row.values}
    around = {name for row in report.rows for name in row.intervals}
    names += [name for name in OBJECTIVES if name in present and name not in names]
    trained = {row.trial for row in report.rows}
    params: dict[str, None] = {}
    worded: set[str] = set()
    for trial in seen.trials:
        if trial.number in trained:
            params |= dict.fromkeys(trial.params)
            worded |= {name for name, value in trial.params.items() if isinstance(value, str)}
    return [
        {
            "field": "chosen",
            "headerName": "",
            "headerTooltip": "selected: click a row, or press the space bar on it",
            "pinned": "left",
            "initialWidth": 48,
            "sortable": False,
            "resizable": False,
            "valueFormatter": {"function": "params.value ? '✓' : ''"},
            "cellDataType": False,
        },
        {"field": "trial", "pinned": "left", "initialWidth": 96, "filter": "agNumberColumnFilter"},
        {"field": "standing", "initialWidth": 150, "filter": "agTextColumnFilter"},
        *(_objective_column(name, around=name in around) for name in names),
        *([_final_column()] if any("miou" in one.values for one in report.grown) else []),
        {"field": "ships", "initialWidth": 90, "filter": "agTextColumnFilter"},
        *(_param_column(name, words=name in worded) for name in params),
        {"field": "design", "initialWidth": 560, "sortable": False, "filter": "agTextColumnFilter"},
    ]


def _objective_column(name: str, *, around: bool) -> dict[str, Any]:
    goal = OBJECTIVES[name]
    plain = {"function": _AROUND.format(name=SHOWN + name)} if around else _NUMBER
    large = name in ("size_bytes", "params", "macs", "peak_memory_bytes")
    return {
        "field": name,
        "headerName": goal.title + (f" [{goal.unit}]" if goal.unit else ""),
        "headerTooltip": f"{'higher' if goal.direction == 'maximize' else 'lower'} is better",
        "valueFormatter": _COUNT if large else plain,
        "filter": "agNumberColumnFilter",
        "type": "rightAligned",
        "initialWidth": 130,
    }


def _final_column() -> dict[str, Any]:
    column = _objective_column("miou", around=True)
    around = {"function": _AROUND.format(name=SHOWN + FINAL)}
    words = {"headerName": "final mIoU", "headerTooltip": "trained to the end; higher is better"}
    return column | words | {"field": FINAL, "valueFormatter": around}


def _param_column(name: str, *, words: bool) -> dict[str, Any]:
    base: dict[str, Any] = {"field": PARAM + name, "headerName": name, "initialWidth": 130}
    if words:
        return base | {"filter": "agTextColumnFilter"}
    return base | {"filter": "agNumberColumnFilter", "type": "rightAligned", "valueFormatter": _NUMBER}


def rows(seen: Seen, report: Report, request: Mapping[str, Any], chosen: Sequence[int] = ()) -> dict[str, Any]:
    """The answer to one request of the grid: a few rows, and how many there are in all."""
    found = _ordered(seen, report, request)
    start = max(0, int(request.get("startRow") or 0))
    end = min(int(request.get("endRow") or MOST_ROWS), start + MOST_ROWS)
    read = _reader(seen, report)
    params = {trial.number: trial.params for trial in seen.trials}
    shown = [_plain(row, params[row.trial], read) | {"chosen": row.trial in chosen} for row in found[start:end]]
    ended = ended_by_trial(report)
    for line, row in zip(shown, found[start:end], strict=True):
        if row.trial in ended and ended[row.trial].scored:
            line |= {FINAL: read(row, FINAL), SHOWN + FINAL: ended[row.trial].shown("miou")}
    return {"rowData": shown, "rowCount": len(found)}


def _ordered(seen: Seen, report: Report, request: Mapping[str, Any]) -> list[Row]:
    read = _reader(seen, report)
    found = [row for row in report.rows if _passes(row, request.get("filterModel") or {}, read)]
    sorting = request.get("sortModel") or []
    if not sorting:
        found.sort(key=lambda row: (not row.on_front, bool(row.broken), row.trial))
    for order in reversed(sorting):
        name, down = str(order.get("colId")), order.get("sort") == "desc"
        cells = {row.trial: read(row, name) for row in found}
        have = [row for row in found if cells[row.trial] is not None]
        have.sort(key=lambda row: _key(cells[row.trial]), reverse=down)
        found = have + [row for row in found if cells[row.trial] is None]  # what is not there stands last, either way
    return found


def position(seen: Seen, report: Report, request: Mapping[str, Any], trial: int) -> int | None:
    """Where a model stands in the table as it is sorted and filtered."""
    found = _ordered(seen, report, request)
    return next((index for index, row in enumerate(found) if row.trial == trial), None)


def _key(value: Cell) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value or 0), "")


def _reader(seen: Seen, report: Report) -> Read:
    params = {trial.number: trial.params for trial in seen.trials}
    knee = knee_of(report).trial if report.front else None
    picked = seen.picked.pick.trial if seen.picked else None
    ended = ended_by_trial(report)

    def read(row: Row, name: str) -> Cell:
        if name == "trial":
            return row.trial
        if name == "standing":
            return standing(row, knee=knee, picked=picked)
        if name == "ships":
            return precision(row.candidate)
        if name == "design":
            return describe(row.candidate)
        if name.startswith(PARAM):
            return params[row.trial].get(name.removeprefix(PARAM))
        if name == FINAL:
            return ended[row.trial].values.get("miou") if row.trial in ended else None
        return row.values.get(name)

    return read


def standing(row: Row, *, knee: int | None, picked: int | None) -> str:
    """What a model is on the page, in a word or two."""
    words = ["picked"] if row.trial == picked else []
    if row.broken:
        words.append("over a limit")
    elif row.on_front:
        words.append("knee" if row.trial == knee else "front ~" if row.tied else "front")
    else:
        words.append("dominated")
    return ", ".join(words)


def _plain(row: Row, params: Mapping[str, Any], read: Read) -> dict[str, Cell]:
    names = ["trial", "standing", "ships", "design", *row.values, *(PARAM + name for name in params)]
    shown = {SHOWN + name: with_interval(row, name) for name in row.intervals if name in row.values}
    return {"id": str(row.trial)} | {name: read(row, name) for name in names} | shown


def _passes(row: Row, filters: Mapping[str, Any], read: Read) -> bool:
    return all(_holds(read(row, name), model) for name, model in filters.items() if isinstance(model, Mapping))


def _holds(value: Cell, model: Mapping[str, Any]) -> bool:
    if "conditions" in model:
        parts = [_holds(value, one) for one in model["conditions"]]
        return any(parts) if model.get("operator") == "OR" else all(parts)
    kind = model.get("type")
    if kind in ("blank", "notBlank"):
        return bool((value is None) == (kind == "blank"))
    if value is None:
        return False
    if model.get("filterType") == "number":
        return _number_holds(float(value) if not isinstance(value, str) else 0.0, model)
    have, wanted = str(value).lower(), str(model.get("filter") or "").lower()
    tests: dict[str, bool] = {
        "contains": wanted in have,
        "notContains": wanted not in have,
        "equals": have == wanted,
        "notEqual": have != wanted,
        "startsWith": have.startswith(wanted),
        "endsWith": have.endswith(wanted),
    }
    return tests.get(str(kind), True)


def _number_holds(value: float, model: Mapping[str, Any]) -> bool:
    low, high = model.get("filter"), model.get("filterTo")
    if low is None:
        return True
    tests: dict[str, bool] = {
        "equals": value == low,
        "notEqual": value != low,
        "lessThan": value < low,
        "lessThanOrEqual": value <= low,
        "greaterThan": value > low,
        "greaterThanOrEqual": value >= low,
        "inRange": high is not None and low <= value <= high,
    }
    return tests.get(str(model.get("type")), True)
