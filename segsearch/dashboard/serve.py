"""Serving the dashboard from this machine until somebody stops it."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from segsearch.dashboard.app import make_app
from segsearch.dashboard.explore import Drawings
from segsearch.dashboard.guards import check_binding
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import set_scene
from segsearch.errors import StudyError


class _Quiet(WSGIRequestHandler):
    """Says nothing about requests, and does not tell the versions of what answers."""

    server_version = "segsearch"
    sys_version = ""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Requests are nobody's business; errors reach the terminal as tracebacks."""


def make_dashboard(reader: Reader, *, host: str, port: int, token: str | None) -> BaseWSGIServer:
    """A server that is bound and not yet running; its `port` is the one it found where 0 was asked for."""
    check_binding(host, token)
    bound = _bind(host, port)
    drawings = Drawings()
    app = make_app(reader, host=host, token=token, drawings=drawings)
    threading.Thread(target=_warm, args=(reader, drawings), daemon=True).start()
    server = make_server(
        host, bound.getsockname()[1], app.server, threaded=True, request_handler=_Quiet, fd=bound.detach()
    )
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server


def serve(reader: Reader, *, host: str, port: int, token: str | None, ready: Callable[[int], None]) -> None:
    """Serve until Ctrl-C. `ready` is told the port once the server answers."""
    server = make_dashboard(reader, host=host, port=port, token=token)
    try:
        ready(server.port)
        server.serve_forever()
    finally:
        server.server_close()


def _warm(reader: Reader, drawings: Drawings) -> None:
    """Read the database and draw once while the browser starts: the first page need not wait for either."""
    scene, _ = set_scene(reader, "")
    if scene is not None:
        drawings.base(scene, dark=False)


def address_of(host: str, port: int, token: str | None) -> str:
    """What to type into a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StudyError(f"Port {port} of {host} is in use; choose another with --port, or 0 for any.") from None
        raise StudyError(f"{host}:{port} cannot be listened on: {error.strerror or error}.") from None
    except OverflowError:
        raise StudyError(f"--port must lie in 0 to 65535, got {port}.") from None
