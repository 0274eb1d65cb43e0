"""Commands of a search: write a study, check it, run it, carry it on, see how far it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segsearch.commands.standing import finish
from segsearch.errors import StudyError
from segsearch.settings.data import MOST_VALUE
from segsearch.settings.train import PRETRAINED
from segsearch.terminal import console, quoted, say, stoppable, suggest

if TYPE_CHECKING:
    from segsearch.datasets.labels import Labelling
    from segsearch.forecast import Forecast
    from segsearch.settings.data import DataSettings
    from segsearch.study import Study
from segsearch.commands.options import (
    After,
    Data,
    Database,
    Minutes,
    NewDatabase,
    OnMachine,
    Screen,
    SiblingGain,
    Siblings,
    StopGain,
    StudyFile,
    StudyName,
    Tails,
    Trials,
)
from segsearch.commands.showing import (
    password_lines,
    size_in_words,
    to_type,
    watched,
)


def new(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of images and masks.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The study file to write.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    void: Annotated[
        str | None,
        typer.Option("--void", metavar="VALUE", help="The stored value that is void, or none."),
    ] = None,
    background: Annotated[
        Literal["first"] | None, typer.Option("--background", help="Value 0 is a background that the list leaves out.")
    ] = None,
    read: Annotated[
        Literal["values", "colours"] | None,
        typer.Option("--read", help="What tells classes apart in masks."),
    ] = None,
    names: Annotated[
        str | None, typer.Option("--names", metavar="A,B,...", help="The classes' names, in the order of their values.")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", metavar="FILE", help="The file that names the classes."),
    ] = None,
    masks: Annotated[
        str | None, typer.Option("--masks", metavar="ENDING", help="Which masks, where an image has several.")
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(
            "--splits", metavar="lists|folders|FOLDER", help="Whose splits, where they disagree; or a folder of lists."
        ),
    ] = None,
    exif: Annotated[
        Literal["turn", "ignore"] | None,
        typer.Option("--exif", help="Turn images as EXIF says, or not."),
    ] = None,
    unlabelled: Annotated[
        Literal["skip"] | None, typer.Option("--unlabelled", help="Leave out images that have no mask.")
    ] = None,
    known: Annotated[
        bool, typer.Option("--known/--as-found", help="Read data sets of the field as they are commonly read.")
    ] = True,
) -> None:
    """Look at a folder of images and masks and write a study for it. The folder itself is not changed."""
    from segsearch.judging.training import training_words
    from segsearch.masks.folder_page import folder_page
    from segsearch.pretrained.packages import is_installed
    from segsearch.readings.types import Wanted
    from segsearch.study import read_study
    from segsearch.survey.beginnings import FROM_LITE0, FROM_NOTHING
    from segsearch.survey.look import look
    from segsearch.survey.scaffold import page_of, write_study
    from segsearch.survey.table import class_table

    if out.suffix != ".toml":
        raise StudyError(f"{out}: --out must name a study file that ends in .toml.")
    wanted = Wanted(
        void=_void(void),
        background=background,
        by=read,
        names=tuple(name.strip() for name in names.split(",")) if names is not None else None,
        classes=classes,
        masks=masks,
        splits=splits,
        exif=exif,
        unlabelled=unlabelled,
        known=known,
    )
    with watched() as watch:
        found = look(data, wanted, progress=watch.progress)

    def page(settings: DataSettings, how: Labelling) -> str:
        return folder_page(found, settings, how, name=out.stem)

    beginning = FROM_LITE0 if is_installed(PRETRAINED[0]) else FROM_NOTHING
    files = write_study(found, out, beginning=beginning, force=force, page=page)
    height, width = found.size
    say(
        f"{found.root}: {len(found.splits.train)} training and {len(found.splits.validation)} validation images, most "
        f"of them {found.image_width}x{found.image_height}; {len(found.reading.classes)} classes.",
        *(f"  {words}" for words in (*found.splits.words, *found.notes)),
        f"Masks    {found.reading.words}",
    )
    console().print(class_table(found.rows))
    say(
        *(f"Warning: {words}" for words in found.warnings),
        f"The model will take {width}x{height}.",
        f"Each trial trains for {training_words(read_study(out).train, len(found.splits.train))}.",
        *([f"Encoders begin with the weights of {PRETRAINED[0]}."] if beginning is FROM_LITE0 else []),
        *(f"Wrote {path}" for path in files),
        f"Look at {page_of(out)} before a night is spent.",
    )
    suggest(f"segsearch check {quoted(out)}", "what it will take", f"segsearch run {quoted(out)}", "search")


def _void(text: str | None) -> int | Literal["none"] | None:
    if text is None or text == "none":
        return text  # type: ignore[return-value]
    if not text.isdecimal() or int(text) > MOST_VALUE:
        raise StudyError(f"--void must be a stored value such as 0 or 255, or none; got {text!r}.")
    return int(text)


def _busy_lines(others: float, study: Study) -> list[str]:
    """What others' use of the machine, a share in [0, 1] of all cores' time, means for the threads of training."""
    from segsearch.commands.health import cores_left
    from segsearch.latency.cores import training_cores

    cores = os.cpu_count() or 1
    left, there = cores_left(others, cores), len(training_cores(study.timing.cores)) or cores
    if left >= min(study.train.threads or there, there):
        return []
    words = "threads of a training wait for each other: beside them it is quicker with [train] threads ="
    return [f"Cores    others use {others:.0%} of {cores} now, and {words} {left}"]


def check(study: StudyFile) -> None:
    """Validate everything and estimate time and disk; nothing that is trained here is kept."""
    from segsearch import forecast
    from segsearch.commands.health import busy_share
    from segsearch.judging.training import learning_words, training_words, warning_of_few_steps
    from segsearch.judging.words import duration

    others = busy_share()  # before anything here keeps the machine busy
    with watched() as watch:
        found = forecast.check(study, progress=watch.progress)
    settings = found.study
    limits = ", ".join(settings.limits) or "none"
    start = found.earlier.trained_before_screening(settings.search)
    screens = settings.search.screen > 0 and settings.trials > start
    about = "at most" if settings.search.sibling_gain else "about"  # of the siblings not all may be worth their time
    trains = (
        f"each trial {training_words(settings.train, found.train_images)}"
        if settings.network is None
        else learning_words(settings.train, settings.network, found.train_images)
    )
    images = f"{found.train_images} training and {found.validation_images} validation images"
    say(
        f"Study    {settings.name}: {settings.trials} trials for {', '.join(settings.objectives)}; limits: {limits}",
        f"Space    {settings.space}: {forecast.CHECKED_DRAWS} draws are candidates",
        *([f"Maps     {forecast.beyond_words(found)}"] if found.beyond else []),
        f"Data     {images}, {found.classes} classes",
        f"Train    {trains}",
        *_start_lines(found),
        *_teacher_lines(found),
        *(
            f"After    {one.name}: {one.drawable} of {one.models} models can be drawn here, {one.designs} designs"
            for one in found.earlier.sources
        ),
        *_busy_lines(others, settings),
        *([f"Limits   kept by {found.within} of {found.looked} draws, before training"] if settings.limits else []),
        f"Time     {about} {duration(found.seconds)} for the trained trials"
        f"{' and the looks before them' if screens else ''}, "
        f"and {found.gate_seconds:.1f} s for each candidate that a limit rejects",
        f"Disk     about {size_in_words(found.needed_bytes)}; {size_in_words(found.free_bytes)} are free",
    )
    if settings.limits and not found.within:
        say(
            f"Warning: none of {found.looked} draws meets the limits: {'; '.join(found.nearest)}. "
            "The time is that of draws beyond them. "
            "Loosen the limits, or begin with designs that meet them ([[search.first]])."
        )
    if settings.search.screen and not screens:
        say(
            f"Warning: search.screen begins after {start} trainings (first designs "
            f"and startup_trials), and this study has {settings.trials}: nothing is looked at. Lower startup_trials."
        )
    if found.heirs is not None and not found.heirs.inherit:
        say(
            f"Warning: no draw inherits more than a stem from {found.heirs.parent}: {found.heirs.words}. "
            'Take a space of its blocks (space = "efficientnet_lite"), or leave train.pretrained out.'
        )
    if settings.network is None and (warning := warning_of_few_steps(settings.train, found.train_images)):
        say(warning)
    suggest(f"segsearch run {quoted(study)}", "search")


def _teacher_lines(found: Forecast) -> list[str]:
    """Who teaches and how good it is; a warning where that is no better than its students are."""
    teaching, settings = found.teaching, found.study.teacher
    if teaching is None or settings is None:
        return []
    known, verdict = "its mIoU is known once it is trained", teaching.verdict
    if verdict is not None:
        known = verdict.words
    elif teaching.miou is not None:
        on = "" if teaching.images is None else f" on {teaching.images} validation images"
        known = f"mIoU {teaching.miou:.3f}{on}; its students are not trained yet"
    lines = [f"Teacher  {teaching.words}: {known}"]
    if teaching.unlabelled:
        left = f", without {teaching.left_out} that are in a split" if teaching.left_out else ""
        share = settings.unlabelled_share
        lines.append(
            f"         and {teaching.unlabelled} images without labels{left}: {share:.0%} of what the taught see"
        )
    if verdict is not None and not verdict.offered:
        lines.append(f"Warning: the teacher has {verdict.words}; {verdict.consequence}")
    elif teaching.alike:
        lines.append(
            f"Warning: the teacher will hardly be {settings.better_by:g} above its students, as it must be to have "
            f"something to teach: {teaching.alike}. Train it longer, or name a reference, a trial or a file."
        )
    return lines


def _start_lines(found: Forecast) -> list[str]:
    heirs = found.heirs
    if heirs is None:
        return []
    share = f"{heirs.share:.0%} of their encoders' convolutions"
    return [f"Start    {heirs.inherit} of {heirs.draws} draws inherit from {heirs.parent}, {share}"]


def run(
    study: StudyFile,
    trials: Trials = None,
    siblings: Siblings = None,
    tails: Tails = None,
    sibling_gain: SiblingGain = None,
    screen: Screen = None,
    after: After = None,
    stop_gain: StopGain = None,
    minutes: Minutes = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the run is kept. [default: runs/<study's name>]")
    ] = None,
    machine: OnMachine = None,
    db: NewDatabase = None,
) -> None:
    """Search, or carry on where an earlier run stopped."""
    from segsearch import launch
    from segsearch.study import read_study

    settings = read_study(study)
    database = launch.database_of(settings, out=out, db=db)
    again = " ".join(["segsearch run", quoted(study), *(["--out", quoted(out)] if out else [])])
    if db is not None:
        again = "\n".join([f"{again} --db {to_type(db)}", *password_lines(db)])

    def carry_on() -> str:
        return f"segsearch resume {quoted(database)}" if db is None and Path(database).exists() else again

    with stoppable(carry_on), watched() as watch:
        ended = launch.run(
            settings,
            data=data,
            out=out,
            db=db,
            trials=trials,
            search=_changes(siblings, tails, sibling_gain, screen, stop_gain) | {"after": _absolute(after)},
            minutes=minutes,
            machine=machine,
            progress=watch.progress,
            on_event=watch.event,
        )
    finish(ended)


def _changes(
    siblings: int | None, tails: int | None, worth: float | None, screen: int | None, gain: float | None
) -> dict[str, Any]:
    """What the command says instead of `[search]`."""
    return {"siblings": siblings, "tails": tails, "sibling_gain": worth, "screen": screen, "stop_gain": gain}


def _absolute(after: list[str] | None) -> list[str] | None:
    return None if after is None else [where if "://" in where else str(Path(where).absolute()) for where in after]


def resume(
    db: Database,
    study: StudyName = None,
    trials: Trials = None,
    siblings: Siblings = None,
    tails: Tails = None,
    sibling_gain: SiblingGain = None,
    screen: Screen = None,
    stop_gain: StopGain = None,
    minutes: Minutes = None,
    data: Data = None,
    machine: OnMachine = None,
) -> None:
    """Carry on from a database and its artifacts alone."""
    from segsearch import launch

    again = "\n".join([f"segsearch resume {to_type(db, study)}", *password_lines(db)])
    with stoppable(lambda: again), watched() as watch:
        ended = launch.resume(
            db,
            name=study,
            data=data,
            trials=trials,
            search=_changes(siblings, tails, sibling_gain, screen, stop_gain),
            minutes=minutes,
            machine=machine,
            progress=watch.progress,
            on_event=watch.event,
        )
    finish(ended)
