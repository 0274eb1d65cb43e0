"""How far a study is, while a search goes on and when it has ended."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.commands.options import Database, StudyName
from segsearch.commands.showing import open_to_read, password_lines, report_of, show_front, to_type
from segsearch.terminal import say, suggest, write

if TYPE_CHECKING:
    from segsearch.launch import Ended
    from segsearch.search import Summary


def status(
    db: Database,
    study: StudyName = None,
    as_json: Annotated[bool, typer.Option("--json", help="How far it is and its health, as JSON.")] = False,
) -> None:
    """How far a study is: trials by state, pace, its health, the last failures, the machine."""
    from segsearch.judging.health import health_lines, health_of
    from segsearch.judging.status import status_lines
    from segsearch.store.teaching import kept_verdict
    from segsearch.store.worker import living

    with open_to_read(db) as store:
        row = store.study(study)
        trials = store.trials(row.name)
        health = health_of(store, row, trials, store.timings(row.name))
        if as_json:
            counts = asdict(store.counts(row.name))
            told = {"study": row.name, "asked": row.study.trials, "counts": counts, "workers": len(living(store))}
            write(json.dumps({**told, "health": [one.record for one in health]}, indent=2) + "\n")
            return
        teachers = [stage.outcome for stage in store.stages(row.name, name="teacher")]
        lines = status_lines(
            row,
            trials,
            store.machines(),
            alive=living(store),
            now=store.now(),
            teachers=teachers,
            verdict=kept_verdict(store, row.name),
            slowdowns=store.slowdowns(row.name),
        )
    say(*lines, *health_lines(health))


def finish(ended: Ended) -> None:
    from segsearch.judging.words import duration

    counts, summary = ended.summary.counts, ended.summary
    with open_to_read(ended.database) as store:
        found = report_of(store, ended.study, None, ended.machine)
        several = len(store.studies()) > 1 or store.location.file is None
        settings = store.study(ended.study).study
    words = {
        "done": "Done",
        "minutes": "Time is up",
        "nothing_to_do": "Nothing was left to do",
        "converged": "Little is left to gain",
        "used_up": "Nothing new was found to try",
    }
    say(
        f"{words[summary.reason]}: {counts.trained} of {summary.asked} trials are trained "
        f"({counts.rejected} rejected by a limit, {counts.failed} failed"
        f"{f', {counts.screened} looked at' if counts.screened else ''}), {duration(summary.seconds)}.",
        *_why_early(summary, brought=settings.network is not None),
        "",
    )
    show_front(found)
    database = to_type(ended.database, ended.study if several else None)
    more = [f"segsearch resume {database}", "carry on"] if summary.reason == "minutes" else []
    if summary.reason == "converged":
        more = [f"segsearch resume {database} --stop-gain 0", "go on all the same"]
    if settings.search.references:
        more += [f"segsearch compare {database}", "train the study's references likewise, and compare"]
    suggest(
        f"segsearch front {database} --html front.html",
        "the chart",
        f"segsearch pick {database}",
        "choose the knee; --prefer and --limit choose otherwise",
        *more,
    )
    say(*password_lines(ended.database))


def _why_early(summary: Summary, *, brought: bool) -> list[str]:
    """Why a search ended before all of its trials were trained, and what to do about it."""
    if summary.reason == "used_up":
        more = (
            "these are all that the ways of [network] give."
            if brought
            else "widen the space, under another study name, for more."
        )
        return [f"Every candidate that was drawn was tried before: {more}"]
    if summary.outlook is None:
        return []
    gain = f"{summary.outlook.gain:.2%}"
    told = f"The next ten trainings are expected to add at most {gain} to the hypervolume of the front, less than"
    return [f"{told} search.stop_gain; a lower --stop-gain goes on."]
