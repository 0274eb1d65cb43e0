"""The application: the page, its callbacks, its files and its guards on one server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import flask
from dash import Dash, Input, Output, State, no_update

from segsearch.dashboard.detail import Profiles, connect_profile
from segsearch.dashboard.events import connect_events
from segsearch.dashboard.explore import Drawings
from segsearch.dashboard.files import serve_files
from segsearch.dashboard.frame import Frame, serve_plotly
from segsearch.dashboard.grid import connect_grid
from segsearch.dashboard.guards import guard
from segsearch.dashboard.masks_tab import Galleries, serve_pictures
from segsearch.dashboard.page import make_page
from segsearch.dashboard.pages import Pages
from segsearch.dashboard.pick import connect_pick
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import set_scene
from segsearch.dashboard.state import from_address, to_address
from segsearch.dashboard.tabs import connect_tabs
from segsearch.dashboard.view import CONTROLS, PLACES, controls_of, fill, places_of
from segsearch.errors import SegsearchError


def make_app(
    reader: Reader, *, host: str = "127.0.0.1", token: str | None = None, drawings: Drawings | None = None
) -> Dash:
    """A Dash application over one database; `app.server` is its Flask server."""
    drawings = drawings or Drawings()
    app = Frame(
        "segsearch.dashboard",
        assets_folder="assets",
        assets_ignore=r".*\.js",
        title="segsearch",
        update_title="",
        serve_locally=True,
        add_log_handler=False,
        enable_mcp=False,
        on_error=_say,
    )
    galleries, profiles = Galleries(), Profiles()
    app.layout = lambda: first_page(reader, drawings)
    connect_events(app, reader, drawings, Pages())
    connect_grid(app, reader)
    connect_tabs(app, reader, galleries, profiles)
    connect_profile(app, reader, profiles)
    connect_pick(app, reader)
    _connect_clock(app, reader)
    serve_plotly(app.server)
    serve_files(app.server, reader)
    serve_pictures(app.server, reader, galleries)
    guard(app.server, host=host, token=token, scripts=app.csp_hashes())
    return app


def first_page(reader: Reader, drawings: Drawings) -> Any:
    """The page with everything in its place: the browser draws it without asking again.

    The page asks for its layout from its own address, which therefore says what it is to show.
    """
    came_from = flask.request.referrer if flask.has_request_context() else None
    query = urlsplit(came_from or "").query
    address = f"?{query}" if query else ""
    state = from_address(address)
    page = make_page(address if came_from else None, reader.look(state.study).mark)
    scene, _ = set_scene(reader, address)
    fill(page, CONTROLS, controls_of(reader, scene, state))
    fill(page, PLACES, places_of(reader, drawings, to_address(state), ground="light"))
    return page


def _say(error: Exception) -> Any:
    """A callback that fails leaves the page as it was; what a user can cure is already said by the page itself."""
    if not isinstance(error, SegsearchError):
        raise error
    return None


def _connect_clock(app: Dash, reader: Reader) -> None:
    """Whether anything changed, and whether the ground is light or dark."""
    # The toggle tells "light" at first, also where the ground follows a dark system: the page itself knows, soon after.
    app.clientside_callback(
        """(told, before) => new Promise((done) => setTimeout(() => {
            const now = document.documentElement.getAttribute('data-mantine-color-scheme') || 'light'
            done([now === before ? window.dash_clientside.no_update : now, now, now])
        }, 20))""",
        Output("ground", "data"),
        Output("scheme", "computedColorScheme"),
        Output("grid-box", "data-ag-theme-mode"),
        Input("scheme", "computedColorScheme"),
        State("ground", "data"),
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
