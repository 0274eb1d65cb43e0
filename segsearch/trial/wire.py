"""What a worker and its child say to one another: lines of JSON, and errors that arrive as what they were."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from segsearch import errors
from segsearch.errors import SegsearchError, TrialFailed, UserError
from segsearch.evidence.objectives import Rejected, read_limit
from segsearch.evidence.types import Evidence
from segsearch.space.keys import from_json, to_json

Message = Mapping[str, Any]

# The errors that are a user's to cure, by the name they travel under.
USER_ERRORS: Mapping[str, type[UserError]] = {
    kind.__name__: kind
    for kind in (
        errors.UserError,
        errors.StudyError,
        errors.SpaceError,
        errors.DataError,
        errors.DatabaseError,
        errors.OlderDatabase,
        errors.StorageFull,
        errors.SearchStuck,
    )
}


@dataclass(frozen=True)
class Wire:
    """Two streams of text, one message a line."""

    source: TextIO
    target: TextIO

    def send(self, **message: Any) -> None:
        """Say something. Raises `BrokenPipeError` where nobody listens any more."""
        self.target.write(json.dumps(message, allow_nan=False) + "\n")
        self.target.flush()

    def receive(self) -> Message | None:
        """The next message; None where the other side is gone, also in the middle of a word."""
        line = self.source.readline()
        if not line.endswith("\n"):
            return None
        found: Message = json.loads(line)
        return found


def error_as_message(error: SegsearchError) -> Message:
    """An error of ours as plain data."""
    if isinstance(error, Rejected):
        return {"error": "Rejected", "evidence": to_json(error.evidence), "broken": [str(one) for one in error.broken]}
    if isinstance(error, TrialFailed):
        return {"error": "TrialFailed", "kind": error.kind, "words": str(error)}
    return {"error": type(error).__name__, "words": str(error)}


def error_from_message(message: Message) -> SegsearchError:
    """The inverse of `error_as_message`."""
    name = message["error"]
    if name == "Rejected":
        broken = tuple(map(read_limit, message["broken"]))
        return Rejected(from_json(Evidence, message["evidence"]), broken)
    if name == "TrialFailed":
        return TrialFailed(message["kind"], message["words"])
    return USER_ERRORS.get(name, UserError)(message["words"])


def private_output() -> TextIO:
    """Standard output as a stream of our own: what libraries print goes to standard error instead."""
    ours = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(ours, "w", encoding="utf-8")


def answered_once(name: str, do: Callable[[], object]) -> int:
    """What a process that is asked once says: what came of it under a name, or our error that refused it.

    What is printed meanwhile goes to standard error. The process's exit code.
    """
    answers = private_output()
    try:
        answer: dict[str, object] = {name: do()}
    except SegsearchError as error:
        answer = {"refused": error_as_message(error)}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    return 0
