"""Actions that follow each other before the page has had its answer."""

from __future__ import annotations

from dataclasses import replace

from segsearch.dashboard import pages
from segsearch.dashboard.pages import Pages
from segsearch.dashboard.state import State, toggled

EMPTY = State()


def select(trial: int) -> pages.Callable[[State], State]:
    return lambda state: replace(state, selected=toggled(state.selected, trial))


def test_the_next_action_goes_on_from_an_answer_that_was_dropped() -> None:
    sent = Pages()
    assert sent.step("a", EMPTY, select(1)).selected == (1,)
    assert sent.step("a", EMPTY, select(2)).selected == (1, 2)
    assert sent.step("b", EMPTY, select(3)).selected == (3,), "another page is another's"


def test_an_answer_that_arrived_is_where_the_page_is() -> None:
    sent = Pages()
    one = sent.step("a", EMPTY, select(1))
    assert sent.step("a", one, select(1)) == EMPTY
    assert sent.step("a", EMPTY, select(2)).selected == (2,)


def test_going_back_in_the_browser_counts_as_it_stands() -> None:
    sent = Pages()
    sent.step("a", EMPTY, select(1))
    assert sent.step("a", EMPTY, lambda state: state, anew=True) == EMPTY
    assert sent.step("a", EMPTY, select(2)).selected == (2,)


def test_pages_that_are_long_closed_are_forgotten() -> None:
    sent = Pages()
    sent.step("old", EMPTY, select(1))
    for number in range(pages.MOST_PAGES):
        sent.step(str(number), EMPTY, select(1))
    assert sent.step("old", EMPTY, select(2)).selected == (2,)
