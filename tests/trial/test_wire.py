"""The wire between a worker and its child: one message a line, and errors that arrive as what they were."""

from __future__ import annotations

import io
from typing import Any

import pytest

from segsearch import errors
from segsearch.errors import SegsearchError, StudyError, TrialFailed, UserError
from segsearch.evidence.objectives import Rejected, read_limit
from segsearch.trial.wire import USER_ERRORS, Wire, error_as_message, error_from_message
from tests import fakes


def sent(*messages: dict[str, Any]) -> str:
    """What stands on the wire after these messages."""
    target = io.StringIO()
    for message in messages:
        Wire(io.StringIO(), target).send(**message)
    return target.getvalue()


def heard(text: str) -> Wire:
    return Wire(io.StringIO(text), io.StringIO())


def over_there(error: SegsearchError) -> SegsearchError:
    """An error as it arrives at the other end."""
    message = heard(sent(dict(error_as_message(error)))).receive()
    assert message is not None
    return error_from_message(message)


def test_every_error_that_a_user_can_cure_can_travel() -> None:
    """One that is missing here would arrive as a plain `UserError`."""
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)}
    assert StudyError in kinds
    assert dict(USER_ERRORS) == {kind.__name__: kind for kind in kinds}


@pytest.mark.parametrize("kind", USER_ERRORS.values())
def test_a_users_error_arrives_as_what_it_was(kind: type[UserError]) -> None:
    words = "data.root must be a folder, got 'Straße'\ncreate it"
    found = over_there(kind(words))
    assert type(found) is kind
    assert str(found) == words


def test_an_error_with_a_name_that_nobody_knows_can_still_be_cured() -> None:
    found = error_from_message({"error": "WeatherError", "words": "it rains"})
    assert type(found) is UserError
    assert str(found) == "it rains"


def test_a_failed_trial_keeps_its_kind_and_its_reason() -> None:
    found = over_there(TrialFailed("diverged", "The loss became nan at step 3 of 9."))
    assert type(found) is TrialFailed
    assert (found.kind, str(found)) == ("diverged", "The loss became nan at step 3 of 9.")


def test_a_rejection_keeps_its_evidence_and_the_limits_that_were_broken() -> None:
    evidence = fakes.evidence(latency_ms=1 / 3, miou=None)
    broken = (read_limit("latency_ms<=0.1"), read_limit("size_bytes<=999"))
    found = over_there(Rejected(evidence, broken))
    assert isinstance(found, Rejected)
    assert found.evidence == evidence
    assert found.broken == broken
    assert str(found) == "latency_ms<=0.1 broken by 0.333333; size_bytes<=999 broken by 1000"


def test_messages_come_in_order_and_then_nobody_is_there() -> None:
    wire = heard(sent({"words": "one\ntwo"}, {"progress": ["train", 3, 40]}))
    assert wire.receive() == {"words": "one\ntwo"}
    assert wire.receive() == {"progress": ["train", 3, 40]}
    assert wire.receive() is None


@pytest.mark.parametrize("left", [1, 2, 17])
def test_half_a_line_is_no_message(left: int) -> None:
    """Whoever wrote it died over it, even where only the end of the line is missing."""
    text = sent({"made": {"loss": 0.25}})
    wire = heard(text + text[:-left])
    assert wire.receive() == {"made": {"loss": 0.25}}
    assert wire.receive() is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_sent(value: float) -> None:
    target = io.StringIO()
    with pytest.raises(ValueError, match="JSON"):
        Wire(io.StringIO(), target).send(made={"loss": value})
    assert target.getvalue() == ""
