"""A real browser: where it is, how it is started, and a page that remembers what went wrong on it."""

from __future__ import annotations

import shutil
from typing import Any

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
