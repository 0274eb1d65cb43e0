"""What goes to a terminal."""

from __future__ import annotations

from segsearch.terminal import plain


def test_what_steers_a_terminal_is_not_passed_on() -> None:
    assert plain("a\x1b[2Jb\nc\u202ed") == "a [2Jb c d"
