"""The frame of the page: which scripts it loads, and in which order. The time to the first picture lies here."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import Any

import flask
from dash import Dash

from segsearch.dashboard.state import from_address
from segsearch.figures.theme import PLOTLY

# What Dash sends to every browser and none of ours needs: what old ones lack, and a table that is not on the page.
NEEDLESS = ("/dash/deps/polyfill", "/dash/dash_table/")
# The one function of the polyfill that Dash's own scripts call.
REGENERATOR = "regenerator.js"
# What Dash asks for once it meets a chart: there at once, the chart is drawn before the table's script is read.
CHART = '<script src="_dash-component-suites/dash/dcc/async-graph.js"></script>'
# What Dash asks for once all scripts have run: asked for while they load.
FIRST_ASKED = ("_dash-layout", "_dash-dependencies")
EARLY = '<link rel="preload" as="fetch" crossorigin="anonymous" href="{}{}">'
_SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)


class Frame(Dash):  # type: ignore[misc]
    """A Dash application whose scripts all load side by side, with a Plotly of no more than what is drawn here.

    Three axes are the exception: such a page takes the whole of Plotly, which Dash loads where there is no other.
    """

    def interpolate_index(self, **parts: Any) -> str:
        """The page's HTML. `defer` keeps the order, and lets the browser compile each script while others load."""
        ours = [self.get_asset_url(REGENERATOR), *([] if in_space() else [f"plotly.js?{_version()}"])]
        theirs = [tag for tag in _SCRIPT.findall(parts["scripts"]) if not any(name in tag for name in NEEDLESS)]
        tags = "\n".join([*(f'<script src="{address}"></script>' for address in ours), *theirs, CHART])
        parts["css"] += "".join(EARLY.format(self.config.requests_pathname_prefix, path) for path in FIRST_ASKED)
        parts["scripts"] = tags.replace("<script src=", "<script defer src=")
        parts["renderer"] = parts["renderer"].replace('type="application/javascript"', 'type="module"')
        return str(super().interpolate_index(**parts))


def in_space() -> bool:
    """Whether the page that is asked for has three axes."""
    return bool(from_address(flask.request.query_string.decode(errors="replace")).depth)


def serve_plotly(server: flask.Flask) -> None:
    """Add the address of Plotly; what it holds is in its name, so that a browser may keep it."""

    def plotly() -> flask.Response:
        answer = flask.send_file(PLOTLY, "text/javascript")
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer

    server.add_url_rule("/plotly.js", "plotly", plotly)


@cache
def _version() -> str:
    return hashlib.sha256(PLOTLY.read_bytes()).hexdigest()[:16]
