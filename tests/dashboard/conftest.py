"""Databases to look at, applications over them, and a real browser where there is one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from segsearch.dashboard.app import make_app
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.serve import make_dashboard
from tests.conftest import absent
from tests.dashboard import many

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


@pytest.fixture(scope="session")
def small_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    many.fill(folder, 40)
    return folder


@pytest.fixture
def small(small_once: Path, tmp_path: Path) -> Path:
    """A database of forty trials, one's own to write to."""
    shutil.copytree(small_once, tmp_path / "small")
    return tmp_path / "small" / "study.db"


@pytest.fixture
def client() -> Callable[..., Any]:
    """Flask's test client over a database."""

    def make(database: Path | str, *, host: str = "127.0.0.1", token: str | None = None, **named: Any) -> Any:
        app = make_app(Reader(str(database), **named), host=host, token=token)
        app.server.config["TESTING"] = False
        return app.server.test_client()

    return make


@contextmanager
def served(database: Path, **named: Any) -> Iterator[str]:
    """The address of a server that runs in a thread of this process."""
    server = make_dashboard(Reader(str(database), **named), host="127.0.0.1", port=0, token=None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; skipped, with what to install, where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("pip install playwright to test in a browser")
    if CHROMIUM is None:
        absent("no Chromium on this machine: apt-get install chromium to test the dashboard in a real browser")
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield opened
        opened.close()


class Page:
    """A page with what went wrong on it: errors of the console, requests to anybody else, refused answers."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.set_default_timeout(30_000)
        page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self._local(request.url))
        page.on("response", lambda answer: self.wrong.append(answer.url) if answer.status >= 400 else None)

    def _local(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.wrong.append(f"a request to somebody else: {url}")

    def open(self, address: str) -> Any:
        self.page.goto(address)
        return self.page


@pytest.fixture
def tab(browser: Any) -> Iterator[Page]:
    """A fresh page; at the end nothing may have gone wrong on it."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = Page(context.new_page())
    yield page
    context.close()
    assert page.wrong == []
