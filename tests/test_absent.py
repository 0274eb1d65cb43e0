"""What is not installed skips its tests, with what to install; where everything must be tested it fails them."""

from __future__ import annotations

import pytest

from tests.conftest import absent


def test_absent_skips_and_fails_where_all_must_be_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGSEARCH_TEST_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install x"):
        absent("apt-get install x")
    monkeypatch.setenv("SEGSEARCH_TEST_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install x"):
        absent("apt-get install x")
