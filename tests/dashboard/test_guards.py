"""Who is answered and who is not: names, origins, tokens, headers, and a port that is taken."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segsearch.dashboard.guards import COOKIE, check_binding
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.serve import address_of, make_dashboard
from segsearch.errors import StudyError
from tests.conftest import Command

TOKEN = "long-enough-and-hard-to-guess"
CALLBACK = "/_dash-update-component"


def test_the_page_is_served_to_this_machine(client: Callable[..., Any], small: Path) -> None:
    for host in ("127.0.0.1:8050", "localhost", "[::1]:9"):
        assert client(small).get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8050", "192.168.1.7", "localhost.evil.example", "[", ""]
)
def test_a_foreign_name_is_refused(client: Callable[..., Any], small: Path, host: str) -> None:
    assert client(small).get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1.evil.example"]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_foreign_origin_is_refused(client: Callable[..., Any], small: Path, origin: str, method: str) -> None:
    answer = getattr(client(small), method)(CALLBACK, headers={"Host": "localhost:8050", "Origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_post_from_another_site_is_refused(client: Callable[..., Any], small: Path, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert client(small).post(CALLBACK, headers=headers, json={}).status_code == 403


def test_another_site_may_link_to_the_page_but_not_read_it(client: Callable[..., Any], small: Path) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client(small).get("/?limit=latency_ms<=9", headers=link).status_code == 200
    assert client(small).get("/_dash-layout", headers=link | {"Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_the_page_keeps_to_itself(client: Callable[..., Any], small: Path) -> None:
    answer = client(small).get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.split("style-src")[0]
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    text = answer.get_data(as_text=True)
    assert "https://" not in text
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_any_address_of_loopback_answers_under_its_own_name(client: Callable[..., Any], small: Path) -> None:
    other = client(small, host="127.0.0.2")
    assert other.get("/", headers={"Host": "127.0.0.2:8050"}).status_code == 200
    assert other.get("/", headers={"Host": "127.0.0.3:8050"}).status_code == 421


def test_an_address_without_end_is_a_page(client: Callable[..., Any], small: Path) -> None:
    assert client(small).get(f"/?models={'9' * 5000}&z={'9' * 100}").status_code == 200


def test_only_a_page_with_three_axes_may_compile_in_the_page(client: Callable[..., Any], small: Path) -> None:
    for query, allowed in (("?z=size_bytes", True), ("?z=nonsense", False), ("?limit=miou>=0.1", False)):
        answer = client(small).get(f"/{query}")
        assert ("unsafe-eval" in answer.headers["Content-Security-Policy"]) == allowed
        assert ("plotly.js?" in answer.get_data(as_text=True)) != allowed


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "box.example"])
def test_another_address_needs_a_token(host: str) -> None:
    with pytest.raises(StudyError, match="--token"):
        check_binding(host, None)
    check_binding(host, TOKEN)


def test_a_token_must_be_long() -> None:
    with pytest.raises(StudyError, match="at least 16"):
        check_binding("0.0.0.0", "short")


def test_a_token_is_asked_on_each_request_and_kept_as_a_cookie(client: Callable[..., Any], small: Path) -> None:
    visitor = client(small, host="0.0.0.0", token=TOKEN)
    for path in ("/", "/_dash-layout", "/models.csv", "/assets/style.css", "/_dash-dependencies"):
        assert visitor.get(path).status_code == 401
        assert visitor.get(f"{path}?token={TOKEN[:-1]}x").status_code == 401
    assert visitor.post(f"{CALLBACK}?token={TOKEN}", json={}).status_code == 401
    answer = visitor.get(f"/?token={TOKEN}&limit=latency_ms<=9&limit=miou>=0.2")
    assert answer.status_code == 302
    assert TOKEN not in answer.headers["Location"]
    assert answer.headers["Location"].count("limit") == 2
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    assert visitor.get("/").status_code == 200
    visitor.set_cookie(COOKIE, "0" * 64)
    assert visitor.get("/").status_code == 401


def test_a_token_never_leads_to_another_site(client: Callable[..., Any], small: Path) -> None:
    visitor = client(small, host="0.0.0.0", token=TOKEN)
    for path in ("//evil.example/", "/https:/evil.example", "/\\evil.example"):
        place = visitor.get(f"{path}?token={TOKEN}").headers.get("Location", "?")
        assert not place.startswith(("/", "\\", "http")), place


def test_a_bound_address_answers_under_its_names_only(client: Callable[..., Any], small: Path) -> None:
    visitor = client(small, host="0.0.0.0", token=TOKEN)
    for host, code in (("192.168.1.7:8050", 401), (socket.gethostname(), 401), ("evil.example", 421)):
        assert visitor.get("/", headers={"Host": host}).status_code == code


def test_a_port_in_use_is_said(small: Path, command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = command("dashboard", small, "--port", port, "--no-browser")
    assert said.code == 2
    assert f"Port {port} of 127.0.0.1 is in use" in said.err
    assert len(said.err.splitlines()) <= 2


def test_the_command_refuses_an_open_address_without_a_token(small: Path, command: Command) -> None:
    said = command("dashboard", small, "--host", "0.0.0.0", "--no-browser")
    assert said.code == 2
    assert "--token" in said.err


def test_an_address_that_is_none_is_said(small: Path, command: Command) -> None:
    said = command("dashboard", small, "--host", "no.such.host.invalid", "--token", TOKEN, "--no-browser")
    assert said.code == 2
    assert "cannot be listened on" in said.err


def test_what_to_type_into_a_browser() -> None:
    assert address_of("127.0.0.1", 8050, None) == "http://127.0.0.1:8050/"
    assert address_of("0.0.0.0", 80, "a b") == "http://127.0.0.1:80/?token=a%20b"
    assert address_of("::1", 80, None) == "http://[::1]:80/"


def test_port_zero_finds_one(small: Path) -> None:
    server = make_dashboard(Reader(str(small)), host="127.0.0.1", port=0, token=None)
    assert server.port > 0
    server.server_close()
