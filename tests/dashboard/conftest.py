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
from tests.dashboard import many


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
