"""The browser of the dashboard's tests."""

from tests.dashboard.conftest import browser, tab

__all__ = ["browser", "tab"]
