"""The command that explains what int8 does to a model."""

from __future__ import annotations

import json as plain_json
from contextlib import nullcontext
from typing import Annotated

import typer

from segsearch.commands.options import Data, Database, StudyName
from segsearch.commands.showing import password_lines, to_type, watched
from segsearch.terminal import console, quoted, say, stoppable, write


def explain(
    db: Database,
    trial: Annotated[
        int | None, typer.Option("--trial", min=0, help="This trial. [default: the pick, else the knee]")
    ] = None,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    study: StudyName = None,
) -> None:
    """Say what int8 costs a model and where: each layer's mIoU and milliseconds in both forms, and each class."""
    from segsearch.commands.explain import explain as found_of
    from segsearch.judging.explained import as_object, class_table, how_lines, layer_table, summary_lines
    from segsearch.progress import Silent

    given = [("--trial", trial), ("--data", data)]
    options = [f"{option} {quoted(str(value))}" for option, value in given if value is not None]
    again = " ".join([f"segsearch explain {to_type(db, study)}", *options, *["--json"] * json])
    # A program reads standard output: no line about progress may stand in its JSON.
    with (
        stoppable(lambda: "\n".join([again, *password_lines(db)])),
        nullcontext(Silent()) if json else watched() as watch,
    ):
        found = found_of(db, name=study, trial=trial, data=data, watch=watch)
    if json:
        write(plain_json.dumps(as_object(found), indent=2, allow_nan=False) + "\n")
        return
    say("")
    console().print(layer_table(found))
    say("", *how_lines(found), "")
    console().print(class_table(found))
    say("", *summary_lines(found))
