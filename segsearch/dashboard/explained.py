"""What int8 does to the model that is looked at: the table of `segsearch explain`, or how it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from segsearch.dashboard.parts import card, command, heading
from segsearch.dashboard.scene import Scene
from segsearch.evidence.layers import Explained
from segsearch.evidence.types import Confusion
from segsearch.judging.explained import (
    CLASS_COLUMNS,
    LAYER_COLUMNS,
    Explanation,
    class_cells,
    how_lines,
    layer_cells,
    summary_lines,
)
from segsearch.judging.fronts import Row
from segsearch.store import Store
from segsearch.store.explanations import explanation_of

TITLE = "What int8 costs, layer by layer"


def explained_in(store: Store, scene: Scene, row: Row) -> Explained | None:
    """What is stored of a model's file: on the machine in view, else on any."""
    study, name = scene.seen.study.name, row.artifact.name
    if name not in scene.seen.explained:
        return None
    return explanation_of(store, study, name, machine=row.machine) or explanation_of(store, study, name)


def explained_cards(
    row: Row, found: Explained | None, confusion: Confusion | None, names: Sequence[str], *, typed: str
) -> list[Any]:
    """The card of an int8 model; none of a float one. `typed` is the command that makes the table."""
    if not row.candidate.int8_steps or confusion is None:
        return []
    if found is None:
        return [card(heading(TITLE), command(typed, "each layer's mIoU and milliseconds in float and in int8"))]
    known = tuple(names) or tuple(f"class {index}" for index in range(len(confusion.counts)))
    explanation = Explanation(row.trial, row.candidate, found, confusion, known)
    lines = [dmc.Text(line, size="sm") for line in summary_lines(explanation)]
    how = [dmc.Text(line, size="xs", c="dimmed") for line in how_lines(explanation)]
    return [
        card(
            heading(TITLE),
            *lines,
            html.Div(_table(LAYER_COLUMNS, layer_cells(explanation)), className="scrolls"),
            *how,
            html.Div(_table(CLASS_COLUMNS, class_cells(explanation)), className="scrolls"),
        )
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in columns]))
    body = html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows])
    return html.Table([head, body], className="layers")
