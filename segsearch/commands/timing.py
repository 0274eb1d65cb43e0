"""Commands that time: any ONNX file, or the stored models again."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from segsearch.commands.options import Database, StudyName
from segsearch.commands.showing import password_lines, save_page, to_type, watched
from segsearch.errors import StudyError
from segsearch.evidence.timing import State
from segsearch.terminal import console, quoted, say, stoppable, suggest, write


def measure(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.", show_default=False)],
    against: Annotated[
        Path | None, typer.Option("--against", metavar="REF", help="Another ONNX file to compare with.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, max=256, help="The runtime's threads.")] = 1,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            metavar="SHAPE",
            help="Of an input without a fixed one: 1x3x360x480, or image:1x3x360x480 for each of several.",
        ),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option("--value", metavar="VALUE", help="Of an input that is no picture: size=1,5,360,480."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.0001, max=1.0, help="Go on until the 95 % interval is this narrow.")
    ] = 0.02,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, max=300.0, help="... or for this long.")] = 4.5,
    mask: Annotated[
        bool, typer.Option("--mask", help="The model answers scores: time it with the mask that is made of them.")
    ] = False,
    state: Annotated[
        State, typer.Option("--state", help="Run it among other work, or after runs of its own.")
    ] = "pipeline",
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time goes, too.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="With --profile: a chart in one file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time any ONNX file, with a confidence interval that holds on a busy machine."""
    from segsearch.commands import ownmodel
    from segsearch.latency.own import measure_own
    from segsearch.workshop import silent

    if html is not None and not profile:
        raise StudyError("--html is a chart of where the time goes: give --profile with it.")
    again = f"segsearch measure {quoted(model)}"
    # A program reads standard output: no line about progress may stand in its JSON.
    with stoppable(lambda: again), nullcontext() if json else watched() as watch:
        found = measure_own(
            model,
            against=against,
            threads=threads,
            shapes=shape or (),
            values=value or (),
            interval=interval,
            max_seconds=seconds,
            mask=mask,
            state=state,
            profile=profile,
            progress=watch.progress if watch else silent,
        )
    if html is not None:
        from segsearch.figures import profile_page

        save_page(html, profile_page(str(model), found.operations))
    if json:
        write(ownmodel.as_json(found))
        return
    say(*ownmodel.lines_of(found))
    if profile:
        say("")
        console().print(ownmodel.type_table(found.operations))
        say("")
        console().print(ownmodel.layer_table(found.operations))
    if html is not None:
        say(f"Wrote {html}")


def remeasure(
    db: Database,
    on_front: Annotated[bool, typer.Option("--on-front", help="Only the models on a front.")] = False,
    study: StudyName = None,
) -> None:
    """Time the stored models again, on this machine."""
    from segsearch.commands.remeasure import remeasure as time_again

    again = " ".join(["segsearch remeasure", to_type(db, study), *(["--on-front"] if on_front else [])])
    with stoppable(lambda: "\n".join([again, *password_lines(db)])), watched() as watch:
        done = time_again(db, name=study, on_front=on_front, progress=watch.progress)
    say(f"Timed {done.timed} models on machine {done.machine.short} ({done.machine.cpu}, {done.machine.runtime}).")
    say(*(f"Failed   trial {trial}: {why}" for trial, why in done.failed))
    suggest(f"segsearch front {to_type(db, study)} --machine {done.machine.short}", "the front as it is here")
    say(*password_lines(db))
