"""Which of many like cases are tested: a fixed sample, or with SEGSEARCH_TEST_EACH=1 (`make sweep`) each of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def some(cases: Sequence[T], step: int) -> Sequence[T]:
    """Every `step`-th of the cases, where not each of them is asked for."""
    return cases if os.environ.get("SEGSEARCH_TEST_EACH") == "1" else cases[::step]


def stride(sampled: int) -> int:
    """How far apart those of many like moments lie that are tried: each of them is with SEGSEARCH_TEST_EACH=1."""
    return 1 if os.environ.get("SEGSEARCH_TEST_EACH") == "1" else sampled
