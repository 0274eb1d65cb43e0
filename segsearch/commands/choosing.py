"""Commands that choose: the front as a table or a chart, a pick, the dashboard."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.errors import DatabaseError, StudyError
from segsearch.terminal import say, write

if TYPE_CHECKING:
    from segsearch.judging.pareto import Prefer
from segsearch.commands.options import Database, Limits, OnMachine, StudyName
from segsearch.commands.showing import NONE_YET, open_to_read, report_of, save_page, show_front


def front(
    db: Database,
    limit: Limits = None,
    json: Annotated[bool, typer.Option("--json", help="All trained trials as JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="All trained trials as CSV.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="A chart in one file that needs no network.")
    ] = None,
    machine: OnMachine = None,
    study: StudyName = None,
) -> None:
    """The models that no other model beats in everything."""
    from segsearch.judging import tables

    if json + csv + (html is not None) > 1:
        raise StudyError("Only one of --json, --csv and --html may be given.")
    with open_to_read(db) as store:
        found = report_of(store, study, limit, machine)
    if json:
        write(tables.as_json(found))
    elif csv:
        write(tables.as_csv(found))
    elif html is not None:
        from segsearch.figures import as_page

        save_page(html, as_page(found))
        say(f"Wrote {html}", *([] if found.rows else [NONE_YET]))
    else:
        show_front(found)


def pick(
    db: Database,
    trial: Annotated[int | None, typer.Option("--trial", min=0, help="This very trial.")] = None,
    limit: Limits = None,
    prefer: Annotated[str | None, typer.Option("--prefer", metavar="knee|miou|latency_ms|size_bytes")] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, in your own words.")] = None,
    machine: OnMachine = None,
    study: StudyName = None,
) -> None:
    """Choose a model, by its number or by what matters, and record the choice with its reason."""
    from segsearch.judging.picking import pick_from, pick_trial
    from segsearch.judging.words import describe
    from segsearch.store import open_store

    if trial is not None and (limit or prefer):
        raise StudyError("--trial names the model itself: give either --trial, or --limit and --prefer.")
    preference = _preference(prefer)
    with open_store(db) as store:
        found = report_of(store, study, limit, machine)
        chosen = pick_trial(found, trial) if trial is not None else pick_from(found, prefer=preference)
        chosen = chosen.because(reason or "")
        row = next(row for row in found.rows if row.trial == chosen.trial)
        store.study(found.study).artifacts.verified(row.artifact.name)
        store.add_pick(found.study, chosen)
    say(
        f"Picked trial {chosen.trial}: {chosen.reason}",
        f"Design   {describe(row.candidate)}",
        f"Model    {row.artifact}",
    )
    say("Next     deploy that file with ONNX Runtime; it is the very file that was timed and scored.")


def dashboard(
    db: Database,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 finds a free one.")] = 8050,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Another address needs a --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None, typer.Option("--token", metavar="TEXT", help="What a visitor must know; at least 16 letters.")
    ] = None,
    study: StudyName = None,
    machine: OnMachine = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Choose a model with your eyes: the front, each model, its masks and the search, live in a browser."""
    from segsearch.dashboard.reading import Reader
    from segsearch.dashboard.serve import address_of, serve
    from segsearch.store.location import hides_password, shown

    hides_password(db)  # what cannot be the name of a database is refused; what is wrong with it the page tells

    def ready(bound: int) -> None:
        where = address_of(host, bound, token)
        say(f"The dashboard of {shown(db)} is at {where}", "Ctrl-C ends it.")
        sys.stdout.flush()
        if not no_browser and sys.stdout.isatty():
            typer.launch(where)

    with contextlib.suppress(DatabaseError):  # what is wrong with it the reader tells
        open_to_read(db).close()
    with contextlib.suppress(KeyboardInterrupt):
        serve(Reader(db, study, machine), host=host, port=port, token=token, ready=ready)


def _preference(text: str | None) -> Prefer:
    from typing import get_args

    from segsearch.judging.pareto import Prefer

    options: tuple[Prefer, ...] = get_args(Prefer)
    for option in options:
        if option == (text or "knee"):
            return option
    raise StudyError(f"--prefer must be one of {', '.join(options)}; got {text!r}.")
