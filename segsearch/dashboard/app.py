"""The application: the page, its callbacks, its files and its guards on one server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html, no_update

from segsearch.dashboard.detail import connect_detail
from segsearch.dashboard.events import connect_events
from segsearch.dashboard.explore import VIEW, connect_explore
from segsearch.dashboard.files import serve_files
from segsearch.dashboard.guards import guard
from segsearch.dashboard.masks_tab import connect_masks
from segsearch.dashboard.page import make_page
from segsearch.dashboard.parts import note
from segsearch.dashboard.pick import connect_pick
from segsearch.dashboard.reading import Looked, Reader, Seen
from segsearch.dashboard.scene import Trouble, set_scene
from segsearch.dashboard.search_tab import connect_search
from segsearch.dashboard.state import from_address
from segsearch.errors import SegsearchError


def make_app(reader: Reader, *, host: str = "127.0.0.1", token: str | None = None) -> Dash:
    """A Dash application over one database; `app.server` is its Flask server."""
    app = Dash(
        "segsearch.dashboard",
        assets_folder="assets",
        title="segsearch",
        update_title="",
        serve_locally=True,
        add_log_handler=False,
        enable_mcp=False,
        on_error=_say,
    )
    app.layout = lambda: make_page(reader.look().mark, "segsearch")
    connect_events(app, reader)
    connect_explore(app, reader)
    connect_detail(app, reader)
    connect_masks(app, reader)
    connect_search(app, reader)
    connect_pick(app, reader)
    _connect_shell(app, reader)
    serve_files(app.server, reader)
    guard(app.server, host=host, token=token, scripts=app.csp_hashes())
    return app


def _say(error: Exception) -> Any:
    """A callback that fails leaves the page as it was; what a user can cure is already said by the page itself."""
    if not isinstance(error, SegsearchError):
        raise error
    return None


def _connect_shell(app: Dash, reader: Reader) -> None:
    """What stands around the tabs: whether anything changed, what is wrong, how far the search is."""

    # The toggle tells "light" at first, also where the ground follows a dark system: the page itself knows, soon after.
    app.clientside_callback(
        """(told) => new Promise((done) => setTimeout(() => {
            const now = document.documentElement.getAttribute('data-mantine-color-scheme') || 'light'
            done([now, now])
        }, 20))""",
        Output("ground", "data"),
        Output("scheme", "computedColorScheme"),
        Input("scheme", "computedColorScheme"),
    )

    @app.callback(
        Output("mark", "data"),
        Input("tick", "n_intervals"),
        State("mark", "data"),
        State("address", "search"),
        prevent_initial_call=True,
    )
    def on_tick(ticks: int | None, mark: str | None, search: str | None) -> Any:
        now = reader.look(from_address(search).study).mark
        return no_update if now == mark else now

    @app.callback(
        Output("trouble", "children"),
        Output("content", "hidden"),
        Output("title", "children"),
        Output("live", "children"),
        Output("live", "color"),
        Output("picked", "children"),
        *VIEW,
    )
    def on_look(search: str | None, mark: str) -> Any:
        scene, trouble = set_scene(reader, search)
        looked = reader.look(from_address(search).study)
        empty = scene is None or not scene.seen.trials
        title = looked.seen.study.name if looked.seen else "segsearch"
        return trouble_of(trouble), empty, title, *_live(looked), picked_of(looked)


def picked_of(looked: Looked) -> Any:
    """The pick, shown on every tab, with the way to take it back."""
    picked = looked.seen.picked if looked.seen else None
    if picked is None:
        return None
    when = datetime.fromtimestamp(picked.created).strftime("%Y-%m-%d %H:%M")
    words = dmc.Text(picked.pick.reason, size="sm", className="wraps", lineClamp=2)
    show = {"type": "show", "trial": picked.pick.trial, "where": "banner"}
    undo = {"type": "undo-pick", "number": picked.number}
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


def _live(looked: Looked) -> tuple[str, str]:
    seen = looked.seen
    if seen is None:
        return "", "gray"
    trained = sum(trial.state == "trained" for trial in seen.trials)
    count = f"{trained} of {seen.study.study.trials} trained"
    if looked.wrong:
        return f"{count}; not read", "red"
    return (f"{count}; searching", "green") if seen.workers and _unfinished(seen) else (count, "gray")


def _unfinished(seen: Seen) -> bool:
    return any(trial.finished is None for trial in seen.trials)


def trouble_of(trouble: Trouble | None) -> Any:
    """A state of the page that says what is wrong and what to do."""
    if trouble is None:
        return None
    buttons = [
        dmc.Button(words, id={"type": "choose", "what": trouble.choose, "value": value}, variant="default")
        for value, words in trouble.choices
    ]
    extra = [html.Div(buttons, className="actions", style={"marginTop": "1rem"})] if buttons else []
    kind = "info" if trouble.choices or "yet" in trouble.title else "warn" if trouble.stale else "wrong"
    return html.Div(note(trouble.title, trouble.text, kind=kind, extra=extra), style={"margin": "1rem 0"})
