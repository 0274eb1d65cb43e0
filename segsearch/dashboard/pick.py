"""The pick: asked for with its reason, recorded in the database, and taken back."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, html, no_update

from segsearch.dashboard.limits import in_unit
from segsearch.dashboard.reading import PATIENCE_SECONDS, Reader
from segsearch.dashboard.scene import Scene, set_scene
from segsearch.dashboard.state import from_address
from segsearch.errors import StudyError, UserError
from segsearch.judging.picking import pick_trial
from segsearch.judging.words import describe
from segsearch.store import open_store

LONGEST_REASON = 500


def connect_pick(app: Dash, reader: Reader) -> None:
    """The dialog, and the only two callbacks that write."""

    @app.callback(
        Output("pick-dialog", "opened"),
        Output("pick-dialog", "title"),
        Output("pick-about", "children"),
        Output("pick-record", "disabled"),
        Output("pick-record", "name"),
        Output("pick-reason", "value"),
        Input({"type": "open-pick", "trial": ALL, "where": ALL}, "n_clicks"),
        Input("pick-cancel", "n_clicks"),
        State("address", "search"),
        prevent_initial_call=True,
    )
    def on_open(opens: list[int | None], cancel: int | None, search: str | None) -> Any:
        cause = ctx.triggered_id
        if cause == "pick-cancel":
            return False, *(no_update,) * 5
        if not isinstance(cause, dict) or not ctx.triggered[0]["value"]:  # it only appeared
            return (no_update,) * 6
        scene, _ = set_scene(reader, search)
        about = [] if scene is None else _about(scene, cause["trial"])
        return True, f"Pick trial {cause['trial']}", about, not about, str(cause["trial"]), ""

    @app.callback(
        Output("pick-dialog", "opened", allow_duplicate=True),
        Output("notices", "sendNotifications"),
        Output("mark", "data", allow_duplicate=True),
        Input("pick-record", "n_clicks"),
        State("pick-record", "name"),
        State("pick-reason", "value"),
        State("address", "search"),
        running=[(Output("pick-record", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    def on_record(clicks: int | None, trial: str | None, reason: str | None, search: str | None) -> Any:
        if not clicks or not trial:
            return (no_update,) * 3
        try:
            record(reader, search, int(trial), reason or "")
        except UserError as error:
            return no_update, [notice("Nothing was recorded", str(error), wrong=True)], no_update
        return False, [notice("Recorded", f"Trial {trial} is picked.")], _mark(reader, search)

    @app.callback(
        Output("notices", "sendNotifications", allow_duplicate=True),
        Output("mark", "data", allow_duplicate=True),
        Input({"type": "undo-pick", "number": ALL, "created": ALL}, "n_clicks"),
        State("address", "search"),
        prevent_initial_call=True,
    )
    def on_undo(clicks: list[int | None], search: str | None) -> Any:
        cause = ctx.triggered_id
        if not isinstance(cause, dict) or not ctx.triggered[0]["value"]:  # it only appeared
            return no_update, no_update
        try:
            undo(reader, search, int(cause["number"]), created=float(cause["created"]))
        except UserError as error:
            return [notice("Nothing was undone", str(error), wrong=True)], _mark(reader, search)
        return [notice("Undone", "The pick was taken back.")], _mark(reader, search)


def record(reader: Reader, search: str | None, trial: int, reason: str) -> None:
    """Record a pick as `segsearch pick --trial` does. Raises `UserError`."""
    scene, trouble = set_scene(reader, search)
    if scene is None or (trouble is not None and trouble.stale):
        raise StudyError(trouble.text if trouble else "There is nothing to pick from.")
    pick = pick_trial(scene.report, trial).because(" ".join(reason.split())[:LONGEST_REASON])
    row = next(row for row in scene.report.rows if row.trial == trial)
    scene.seen.study.artifacts.verified(row.artifact.name)
    with open_store(reader.where, timeout_seconds=PATIENCE_SECONDS) as store:
        store.add_pick(scene.seen.study.name, pick)


def undo(reader: Reader, search: str | None, number: int, *, created: float) -> None:
    """Take the newest pick back, where it still is the one of that time. Raises `UserError`."""
    looked = reader.look(from_address(search).study)
    if looked.seen is None:
        raise StudyError(looked.wrong or "Choose a study first.")
    with open_store(reader.where, timeout_seconds=PATIENCE_SECONDS) as store:
        store.undo_pick(looked.seen.study.name, number, created=created)


def notice(title: str, text: str, *, wrong: bool = False) -> dict[str, Any]:
    return {
        "action": "show",
        "title": title,
        "message": text,
        "color": "red" if wrong else "teal",
        "autoClose": False if wrong else 5000,
    }


def _mark(reader: Reader, search: str | None) -> str:
    reader.forget()
    return reader.look(from_address(search).study).mark


def _about(scene: Scene, trial: int) -> list[Any]:
    row = next((row for row in scene.report.rows if row.trial == trial), None)
    if row is None:
        return []
    goals = scene.report.objectives
    numbers = ", ".join(
        f"{goal.title} {in_unit(goal, row.values[goal.name])}" for goal in goals if goal.name in row.values
    )
    return [html.Div([dmc.Text(numbers, fw=600), dmc.Text(describe(row.candidate), size="sm", className="wraps")])]
