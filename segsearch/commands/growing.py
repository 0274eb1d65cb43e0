"""Commands that train chosen models once more: to the end, or from other seeds."""

from __future__ import annotations

import json as plain_json
from contextlib import nullcontext
from typing import Annotated, cast, get_args

import typer

from segsearch.commands.options import Data, Database, StudyName
from segsearch.commands.showing import password_lines, to_type, watched
from segsearch.errors import StudyError
from segsearch.settings.retrain import TrainOn
from segsearch.terminal import console, quoted, say, stoppable, suggest, write

# How the command ends where nothing could be trained to the end, so that a program sees it.
EVERYTHING_FAILED = 1
# Models that --front retrains where it is not told how many.
SAMPLE = 8


def retrain(
    db: Database,
    trial: Annotated[
        list[int] | None, typer.Option("--trial", min=0, help="This trial; may be given again. [default: the pick]")
    ] = None,
    front: Annotated[
        bool, typer.Option("--front", help="A sample of the front, and whether its proxies told the truth.")
    ] = False,
    models: Annotated[int | None, typer.Option("--models", min=2, help="How many --front takes. [default: 8]")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="How long. [default: retrain.epochs, else 10 times train's]")
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=100, help="From how many seeds, the study's own first.")
    ] = 1,
    train_on: Annotated[
        str, typer.Option("--train-on", metavar="train|train+val", help="What it learns from.")
    ] = "train",
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    study: StudyName = None,
) -> None:
    """Train the picked model to the end, compress it as it was found, and judge the file once. Killed, it goes on."""
    from segsearch.commands.retrain import retrain as to_the_end
    from segsearch.judging.finals import ended_of, finals_of
    from segsearch.judging.grown import (
        as_objects,
        as_table,
        honesty_lines,
        honesty_object,
        honesty_of,
        look_lines,
    )
    from segsearch.progress import Silent

    if front and trial:
        raise StudyError("--front and --trial choose the models: give one of them.")
    if models is not None and not front:
        raise StudyError("--models says how many --front takes: give --front, too, or name the models with --trial.")
    if train_on not in get_args(TrainOn):
        raise StudyError(f"--train-on must be one of {', '.join(get_args(TrainOn))}; got {train_on!r}.")
    sample = (models or SAMPLE) if front else None
    options = [f"--trial {number}" for number in trial or ()] + ["--front"] * front
    options += [f"--models {models}"] if models is not None else []
    options += [f"--epochs {epochs}"] if epochs is not None else []
    options += [f"--seeds {seeds}"] if seeds != 1 else []
    options += [f"--train-on {train_on}"] if train_on != "train" else []
    options += [f"--data {quoted(data)}"] if data is not None else []
    carry_on = " ".join([f"segsearch retrain {to_type(db, study)}", *options, *["--json"] * json])
    # A program reads standard output: no line about progress may stand in its JSON.
    with (
        stoppable(lambda: "\n".join([carry_on, *password_lines(db)])),
        nullcontext(Silent()) if json else watched() as watch,
    ):
        done = to_the_end(
            db,
            name=study,
            trials=trial or (),
            front=sample,
            epochs=epochs,
            seeds=seeds,
            train_on=cast(TrainOn, train_on),
            data=data,
            watch=watch,
        )
    proxies = {trial.number: trial.values["miou"] for trial in done.trials}
    found = honesty_of(finals_of(ended_of(done.grown), proxies))
    if json:
        failed = [{"trial": number, "seed": seed, "reason": why} for number, seed, why in done.failed]
        told = {"models": as_objects(done.trials, done.grown), "honesty": honesty_object(found), "failed": failed}
        write(plain_json.dumps({**told, "looks_at_test": done.looks}, indent=2, allow_nan=False) + "\n")
        raise typer.Exit(0 if done.grown else EVERYTHING_FAILED)
    if done.grown:
        say("")
        console().print(as_table(done.trials, done.grown))
    say("", *honesty_lines(found), *look_lines(done.grown, done.looks))
    say(*(f"Failed   trial {number}, seed {seed}: {why}" for number, seed, why in done.failed))
    for one in done.grown:
        say(f"Model    trial {one.trial}, seed {one.seed}: {done.folder / one.artifact}")
    if done.grown:
        suggest(f"segsearch front {to_type(db, study)} --html front.html", "the chart, from proxies to final models")
        say(*password_lines(db))
    raise typer.Exit(0 if done.grown else EVERYTHING_FAILED)


def confirm(
    db: Database,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=100, help="How many other seeds, those after the study's own.")
    ] = 3,
    on_front: Annotated[bool, typer.Option("--on-front", help="The models on a front, as without --trial.")] = False,
    trial: Annotated[list[int] | None, typer.Option("--trial", min=0, help="This trial; may be given again.")] = None,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    study: StudyName = None,
) -> None:
    """Train stored models again from other seeds, to see how much of their mIoU was luck. Nothing is timed."""
    from segsearch.commands.confirm import confirm as train_again
    from segsearch.judging.confirmed import as_objects, as_table, order_lines
    from segsearch.progress import Silent

    if on_front and trial:
        raise StudyError("--on-front and --trial choose the models: give one of them.")
    chosen = "".join(f" --trial {number}" for number in trial or ())
    where = f" --data {quoted(data)}" if data is not None else ""
    again = f"segsearch confirm {to_type(db, study)} --seeds {seeds}{chosen}{where}{' --json' if json else ''}"
    # A program reads standard output: no line about progress may stand in its JSON.
    with (
        stoppable(lambda: "\n".join([again, *password_lines(db)])),
        nullcontext(Silent()) if json else watched() as watch,
    ):
        done = train_again(db, name=study, seeds=seeds, trials=trial or (), data=data, watch=watch)
    failures = [f"Failed   trial {number}, seed {seed}: {why}" for number, seed, why in done.failed]
    if json:
        failed = [{"trial": number, "seed": seed, "reason": why} for number, seed, why in done.failed]
        write(plain_json.dumps({"trials": as_objects(done.seeds), "failed": failed}, indent=2, allow_nan=False) + "\n")
        return
    say("")
    console().print(as_table(done.seeds))
    say("", *order_lines(done.seeds), *failures)
    suggest(f"segsearch front {to_type(db, study)}", "the front, with a column for the seeds")
    say(*password_lines(db))
