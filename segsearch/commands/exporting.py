"""The command that hands a model over: a folder that runs without segsearch."""

from __future__ import annotations

import json as plain_json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.commands.options import Data, Database, OnMachine, StudyName
from segsearch.commands.showing import open_to_read, password_lines, report_of, to_type, watched
from segsearch.errors import StudyError
from segsearch.terminal import quoted, say, stoppable, suggest, write

if TYPE_CHECKING:
    from segsearch.handover.chosen import Chosen


def export(
    db: Database,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder.", show_default=False)],
    trial: Annotated[int | None, typer.Option("--trial", min=0, help="This trial. [default: the pick]")] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="mask|scores|both", help="What the file answers. [default: as it was stored]"),
    ] = None,
    data: Data = None,
    machine: OnMachine = None,
    json: Annotated[bool, typer.Option("--json", help="Print the content of model.json.")] = False,
    study: StudyName = None,
) -> None:
    """Hand the picked model over: a folder with the file, what it is fed, a program that runs it, and a report."""
    from segsearch import launch
    from segsearch.handover.chosen import chosen
    from segsearch.handover.folder import demand_empty
    from segsearch.handover.words import kind_lines, latency_words, miou_words
    from segsearch.handover.write import hand_over, wanted
    from segsearch.progress import Silent

    form = wanted(output)
    demand_empty(out)

    def typed(number: int | None) -> str:
        """The same command, with a trial's number."""
        given = [("--trial", number), ("--output", output), ("--machine", machine), ("--data", data), ("--out", out)]
        options = [f"{option} {quoted(str(value))}" for option, value in given if value is not None]
        return " ".join([f"segsearch export {to_type(db, study)}", *options, *["--json"] * json])

    # A program reads standard output: no line about progress may stand in its JSON.
    with (
        stoppable(lambda: "\n".join([typed(trial), *password_lines(db)])),
        nullcontext(Silent()) if json else watched() as watch,
        open_to_read(db) as store,
    ):
        row = store.study(study)
        report = report_of(store, row.name, None, machine)
        model = chosen(store, row, trial=trial, machine=report.machine)
        settings = launch.adjusted(row.study, data=data)
        dataset = launch.open_data(settings, row.artifacts.folder.parent, watch.progress, row.texts)
        if dataset.key != row.data_key:
            raise StudyError(
                f"A model is handed over with the data that it was scored on, and the images or masks of {row.name} "
                "changed. Undo the change, or name the folder that has them with --data."
            )
        number = model.trial.number
        made = f"segsearch retrain {to_type(db, study)} --trial {number}{retraining_options(model)}"
        about = hand_over(
            model,
            dataset,
            report,
            out,
            output=form,
            machine=lambda: launch.machine_here(store, row.study, watch.progress),
            machines=store.machines(),
            commands=[made, typed(number).removesuffix(" --json")],
            progress=watch.progress,
        )
    if json:
        write(plain_json.dumps(about, indent=2, allow_nan=False) + "\n")
        return
    say("", *kind_lines(about))
    for one in about["files"]:
        how = "made of the stored file, timed and scored anew" if one["derived"] else "the stored file's graph"
        say(f"{one['file']:<19}{one['answers']}, {how}", f"{'':<19}{latency_words(one)}")
        say(f"{'':<19}miou {miou_words(one['miou'])}")
        if one["test_miou"] is not None:
            say(f"{'':<19}test miou {miou_words(one['test_miou'])}")
    say(f"Wrote    {out}")
    suggest(f"cd {quoted(out)} && python run.py PHOTOS --out MASKS", "masks with numpy, Pillow and onnxruntime alone")


def retraining_options(model: Chosen) -> str:
    """How `segsearch retrain` is told what became of a trial; nothing of a proxy."""
    from segsearch.commands.confirm import SEEDS

    final = model.final
    if final is None:
        return ""
    steps = (final.seed - model.study.study.seed) % SEEDS
    seeds = f" --seeds {steps + 1}" if steps else ""
    return f" --epochs {final.recipe.epochs}{seeds}" + (
        f" --train-on {final.recipe.train_on}" if final.recipe.train_on != "train" else ""
    )
