"""Commands about networks of the field: what there are, and how a study's front stands to them."""

from __future__ import annotations

import json as plain_json
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsearch.commands.options import Data, Database, StudyName
from segsearch.commands.showing import password_lines, to_type, watched
from segsearch.errors import StudyError, TrialFailed
from segsearch.terminal import console, quoted, say, stoppable, suggest, write

if TYPE_CHECKING:
    from rich.table import Table

LARGEST_SIDE = 8192


def references(
    size: Annotated[
        str, typer.Option("--size", metavar="HEIGHTxWIDTH", help="The image that operations are counted for.")
    ] = "360x480",
    classes: Annotated[int, typer.Option("--classes", min=2, max=255, help="How many classes they tell apart.")] = 21,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The networks of the field that `compare` knows: their papers, parameters and multiply-accumulates."""
    from segsearch.progress import Silent
    from segsearch.references.names import known_references
    from segsearch.trial.counts import counts_of

    height, width = _size(size)
    found: list[dict[str, Any]] = []
    known = known_references()
    with nullcontext(Silent()) if json else watched() as watch:
        for name, one in known.items():
            watch.progress("count", len(found), len(known))
            about: dict[str, Any] = {"name": name, "title": one.title, "paper": one.paper}
            about |= {"params": None, "macs": None, "problem": None}
            try:
                about["params"], about["macs"] = counts_of(one.make(), classes, (height, width))
            except TrialFailed as why:
                about["problem"] = str(why)
            published = one.published
            about["published"] = published and {
                "million_params": published.million_params,
                "source": published.source,
                "classes": published.classes,
                "deviates": published.deviates,
            }
            found.append(about)
    if json:
        listed = {"height": height, "width": width, "classes": classes, "references": found}
        write(plain_json.dumps(listed, indent=2, allow_nan=False) + "\n")
        return
    console().print(_listed(found))
    say("", f"Parameters with {classes} classes; multiply-accumulates of one image of {width}x{height}.")
    say(*(f"{one['name']}: ours differs, {one['published']['deviates']}." for one in found if _deviates(one)))
    say(*(f"{one['name']} cannot be built so: {one['problem']}." for one in found if one["problem"]))


def _deviates(about: dict[str, Any]) -> bool:
    return bool(about["published"] and about["published"]["deviates"])


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text.strip())
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise StudyError(
            f"--size must be a height and a width of 1 to {LARGEST_SIDE} pixels, as in 360x480; got {text!r}."
        )
    return sides


def _listed(found: list[dict[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from segsearch.judging.words import in_words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("reference", "network", "paper"):
        table.add_column(name, overflow="fold")
    for name in ("params", "macs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("published params", overflow="fold")
    for one in found:
        numbers = ["-" if one[name] is None else in_words(name, one[name]) for name in ("params", "macs")]
        published = one["published"]
        told = f"{published['million_params']:.3g} M ({published['source']})" if published else "-"
        table.add_row(*map(Text, (one["name"], one["title"], one["paper"], *numbers, told)))
    return table


def compare(
    db: Database,
    references: Annotated[
        str | None,
        typer.Option(
            "--references",
            metavar="NAME,...",
            help="Which ones. [default: search.references of the study, else all whose names end in -mobile]",
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Try those that failed once more.")] = False,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    study: StudyName = None,
) -> None:
    """Train and time networks of the field by the study's own recipe, and say how the front stands to them."""
    from segsearch.commands.compare import compare as compared
    from segsearch.judging.references import as_csv, as_objects, as_table, verdict_lines
    from segsearch.progress import Silent

    if json and csv:
        raise StudyError("Only one of --json and --csv may be given.")
    wanted = _names(references)
    options = [f"--references {quoted(references)}"] if references is not None else []
    options += ["--again"] * again + ([f"--data {quoted(data)}"] if data is not None else [])
    options += ["--json"] * json + ["--csv"] * csv
    carry_on = " ".join([f"segsearch compare {to_type(db, study)}", *options])
    # A program reads standard output: no line about progress may stand in its JSON.
    with (
        stoppable(lambda: "\n".join([carry_on, *password_lines(db)])),
        nullcontext(Silent()) if json or csv else watched() as watch,
    ):
        done = compared(db, name=study, wanted=wanted, data=data, again=again, watch=watch)
    if json:
        objects = as_objects(done.report, done.trained, done.failed, done.files)
        write(plain_json.dumps(objects, indent=2, allow_nan=False) + "\n")
    elif csv:
        write(as_csv(done.report, done.trained, done.failed, done.files))
    else:
        say("")
        screen = console()
        screen.print(as_table(done.trained, width=screen.width))
        say("", *verdict_lines(done.report, done.trained))
        say(
            *(
                f"Failed   {one.name}, {one.precision}: {one.failure.kind}: {one.failure.reason}"
                for one in done.failed
                if one.failure is not None
            ),
            *(["--again tries what failed once more."] if done.failed and not again else []),
        )
        suggest(f"segsearch front {to_type(db, study)} --html front.html", "the chart, with the references in it")
        say(*password_lines(db))


def _names(text: str | None) -> tuple[str, ...]:
    """The names of a list with commas."""
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise StudyError(
            "--references must name at least one, as in unet-mobile,pspnet-mobile; `segsearch references` lists them."
        )
    return names
