"""What stands around the tabs: what is wrong, how far the search is, and the pick."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import html

from segsearch.dashboard.parts import moment, note
from segsearch.dashboard.reading import Looked, Seen
from segsearch.dashboard.scene import Trouble


def trouble_of(trouble: Trouble | None) -> Any:
    """A state of the page that says what is wrong and what to do."""
    if trouble is None:
        return None
    buttons = [
        dmc.Button(words, id={"type": "choose", "what": trouble.choose, "value": value}, variant="default")
        for value, words in trouble.choices
    ]
    extra = [html.Div(buttons, className="actions choices", style={"marginTop": "1rem"})] if buttons else []
    kind = "info" if trouble.choices or "yet" in trouble.title else "warn" if trouble.stale else "wrong"
    return html.Div(note(trouble.title, trouble.text, kind=kind, extra=extra), style={"margin": "1rem 0"})


def live_of(looked: Looked) -> tuple[str, str]:
    """How far the search is, in a few words and a colour."""
    seen = looked.seen
    if seen is None:
        return "", "gray"
    trained = sum(trial.is_training for trial in seen.trials)
    count = f"{trained} of {seen.study.study.trials} trained"
    if looked.wrong:
        return f"{count}; not read", "red"
    return (f"{count}; searching", "green") if seen.workers and _unfinished(seen) else (count, "gray")


def _unfinished(seen: Seen) -> bool:
    return any(trial.finished is None for trial in seen.trials)


def picked_of(looked: Looked) -> Any:
    """The pick, shown on every tab, with the way to take it back."""
    picked = looked.seen.picked if looked.seen else None
    if picked is None:
        return None
    when = moment(picked.created)
    words = dmc.Text(picked.pick.reason, size="sm", className="wraps", lineClamp=2)
    show = {"type": "show", "trial": picked.pick.trial, "where": "banner"}
    undo = {"type": "undo-pick", "number": picked.number, "created": repr(picked.created)}
    return html.Div(
        [
            dmc.Badge(f"Picked: trial {picked.pick.trial}", color="yellow", autoContrast=True, size="lg", tt="none"),
            html.Div(words, className="stretch"),
            dmc.Text(when, size="xs", c="dimmed"),
            dmc.Button("Select", id=show, variant="default", size="compact-sm"),
            dmc.Button("Undo", id=undo, variant="subtle", color="gray", size="compact-sm"),
        ],
        className="picked-banner",
    )
