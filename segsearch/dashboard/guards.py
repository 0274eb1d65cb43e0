"""Who may ask the server: our own page on this machine, or whoever holds the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import quote, urlencode, urlsplit

import flask

from segsearch.dashboard.frame import in_space
from segsearch.errors import StudyError

SHORTEST_TOKEN = 16
COOKIE = "segsearch_dashboard"


def check_binding(host: str, token: str | None) -> None:
    """Raise `StudyError` where an address may not be bound so."""
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise StudyError(
            f"--token must have at least {SHORTEST_TOKEN} letters, and be hard to guess; as in "
            "--token $(python3 -c 'import secrets; print(secrets.token_urlsafe())')"
        )
    if token is None and not is_loopback(host):
        raise StudyError(
            f"--host {host} can be reached from other machines: give --token too, at least {SHORTEST_TOKEN} letters "
            "that are hard to guess."
        )


def guard(server: flask.Flask, *, host: str, token: str | None, scripts: Sequence[str]) -> None:
    """Check each request before anything else sees it, and send the headers that keep the page to itself.

    `scripts` are the hashes of the inline scripts that the page may run.
    """
    known = allowed_names(host)

    def check() -> flask.typing.ResponseReturnValue | None:
        request = flask.request
        name = _name(request.host)
        if name is None or not (name in known or (_is_address(name) and not is_loopback(host))):
            return _refuse(421, "This server answers only under its own name.")
        origin = request.headers.get("Origin")
        if origin is not None and origin not in (f"http://{request.host}", f"https://{request.host}"):
            return _refuse(403, "This server answers only its own page.")
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if site not in ("same-origin", "none") and not _is_visit(request):
            return _refuse(403, "This server answers only its own page.")
        return None if token is None else _check_token(token)

    def seal(response: flask.Response) -> flask.Response:
        # The whole of Plotly, for a page with three axes, compiles its drawing commands in the page; ours need not.
        sources = " ".join(["'self'", *(["'unsafe-eval'"] if in_space() else []), *scripts])
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src {sources}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
            "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"  # the page asks for its layout by its own address
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        # Dash's own files, and the icon that a browser asks for at each change of the address, may be kept.
        if not flask.request.path.startswith(("/_dash-component-suites", "/_favicon")):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    server.before_request(check)
    server.after_request(seal)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def allowed_names(host: str) -> frozenset[str]:
    """Names under which the server may be asked. Others may be another site's, pointed at this machine."""
    names = {"localhost", "127.0.0.1", "::1", host.lower()}
    if not is_loopback(host):
        names.add(socket.gethostname().lower())
    return frozenset(names)


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_visit(request: flask.Request) -> bool:
    """Somebody follows a link to the page: nothing is changed, and no other site can read it."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"


def _check_token(token: str) -> flask.typing.ResponseReturnValue | None:
    """A cookie stands for the token, so that the address can be shared without it."""
    request = flask.request
    ours = hashlib.sha256(f"segsearch dashboard {token}".encode()).hexdigest()
    if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), ours.encode()):
        return None
    given = request.args.get("token", "")
    if request.method != "GET" or not hmac.compare_digest(given.encode(), token.encode()):
        return _refuse(401, "Open this page once with ?token=... and the token that the server was started with.")
    rest = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
    page = request.path.rsplit("/", 1)[-1]  # beside itself: never another site
    response = flask.Response(status=302, headers={"Location": f"{quote(page)}?{urlencode(rest)}"})
    response.set_cookie(COOKIE, ours, httponly=True, samesite="Lax")
    return response


def _refuse(code: int, words: str) -> flask.Response:
    return flask.Response(f"{words}\n", status=code, mimetype="text/plain")
