"""The command line: thin functions over the rooms, and one place where a user's mistake becomes two lines."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from segsearch import __version__
from segsearch.errors import SegsearchError, StudyError
from segsearch.terminal import INTERRUPTED, Stopped, complain, console, quoted, say, stoppable, suggest, write

if TYPE_CHECKING:
    from segsearch.datasets.survey import Found
    from segsearch.judging.pareto import Prefer
    from segsearch.judging.report import Report
    from segsearch.launch import Ended
    from segsearch.progress import Watch
    from segsearch.store import Store

app = typer.Typer(
    name="segsearch",
    help="Search for segmentation models that are compressed, exported, timed and scored as they will ship.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).", show_default=False)]
Database = Annotated[
    str, typer.Argument(metavar="DB", help="A database's path or its SQLAlchemy URL.", show_default=False)
]
StudyName = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="Which study, where the database holds several.")
]
Trials = Annotated[
    int | None, typer.Option("--trials", min=1, help="Trained trials to end with, instead of the study's own number.")
]
Minutes = Annotated[float | None, typer.Option("--minutes", min=0.01, help="Start no new trial after this long.")]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The folder of the data, instead of data.root.")
]
OnMachine = Annotated[
    str | None, typer.Option("--machine", metavar="KEY", help="The machine whose latencies are meant, by its key.")
]
Limits = Annotated[
    list[str] | None, typer.Option("--limit", metavar="LIMIT", help='As in "latency_ms<=12"; may be given again.')
]

_NONE_YET = "No trained trials yet; `segsearch status` says how far it is."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; no traceback for anything that the user can cure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = app(args=arguments, prog_name="segsearch", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SegsearchError as error:
        return complain(str(error))
    except TyperException as error:
        context = getattr(error, "ctx", None)
        help_with = context.command_path if context else "segsearch"
        return complain(f"{error.format_message()}\n`{help_with} --help` lists what there is.", code=error.exit_code)
    except Stopped as stop:
        return complain(f"Stopped. Carry on with: {stop}", code=INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return complain("Stopped.", code=INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        return complain(f"{error.filename}: {error.strerror}; correct the path or its rights.")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        write(f"segsearch {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        write(context.get_help() + "\n")


@app.command()
def new(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of images and masks.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The study file to write.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Look at a folder of images and masks and write a study for it. The folder itself is not changed."""
    from segsearch.datasets.scaffold import write_study
    from segsearch.datasets.survey import look

    if out.suffix != ".toml":
        raise StudyError(f"{out}: --out must name a study file that ends in .toml.")
    with _watch() as watch:
        found = look(data, progress=watch.progress)
    files = write_study(found, out, force=force)
    layout, (height, width) = found.layout, found.size
    source = found.class_list or "named after the mask values"
    say(
        f"{found.root}: {len(layout.train)} training and {len(layout.validation)} validation images, most of them "
        f"{found.image_width}x{found.image_height}; {len(found.classes)} classes ({source}); void is {found.void}.",
        *_absent_lines(found),
        f"The model will take {width}x{height}.",
        *(f"Wrote {path}" for path in files),
    )
    suggest(f"segsearch check {quoted(out)}", "what it will take", f"segsearch run {quoted(out)}", "search")


@app.command()
def check(study: StudyFile) -> None:
    """Validate everything and estimate time and disk; nothing that is trained here is kept."""
    from segsearch import launch
    from segsearch.judging.report import duration

    with _watch() as watch:
        found = launch.check(study, progress=watch.progress)
    settings = found.study
    limits = ", ".join(settings.limits) or "none"
    images = f"{found.train_images} training and {found.validation_images} validation images"
    say(
        f"Study    {settings.name}: {settings.trials} trials for {', '.join(settings.objectives)}; limits: {limits}",
        f"Space    {settings.space}: {launch.CHECKED_DRAWS} draws are candidates",
        f"Data     {images}, {found.classes} classes",
        f"Time     about {duration(found.seconds)} for the trained trials, "
        f"and {found.gate_seconds:.1f} s for each candidate that a limit rejects",
        f"Disk     about {_size(found.needed_bytes)}; {_size(found.free_bytes)} are free",
    )
    suggest(f"segsearch run {quoted(study)}", "search")


@app.command()
def run(
    study: StudyFile,
    trials: Trials = None,
    minutes: Minutes = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the run is kept. [default: runs/<study's name>]")
    ] = None,
    machine: OnMachine = None,
) -> None:
    """Search, or carry on where an earlier run stopped."""
    from segsearch import launch
    from segsearch.study import read_study

    database = (out or launch.default_out(read_study(study))) / "study.db"
    again = " ".join(["segsearch run", quoted(study), *(["--out", quoted(out)] if out else [])])
    with stoppable(lambda: f"segsearch resume {quoted(database)}" if database.exists() else again), _watch() as watch:
        ended = launch.run(
            study,
            data=data,
            out=out,
            trials=trials,
            minutes=minutes,
            machine=machine,
            progress=watch.progress,
            on_event=watch.event,
        )
    _finish(ended)


@app.command()
def resume(
    db: Database,
    study: StudyName = None,
    trials: Trials = None,
    minutes: Minutes = None,
    data: Data = None,
    machine: OnMachine = None,
) -> None:
    """Carry on from a database and its artifacts alone."""
    from segsearch import launch

    again = f"segsearch resume {quoted(db)}" + (f" --study {quoted(study)}" if study else "")
    with stoppable(lambda: again), _watch() as watch:
        ended = launch.resume(
            db,
            name=study,
            data=data,
            trials=trials,
            minutes=minutes,
            machine=machine,
            progress=watch.progress,
            on_event=watch.event,
        )
    _finish(ended)


@app.command()
def status(db: Database, study: StudyName = None) -> None:
    """How far a study is: trials by state, pace, the last failures, the machine."""
    from segsearch.judging.status import status_lines
    from segsearch.store import open_store
    from segsearch.store.worker import living

    with open_store(db, read_only=True) as store:
        row = store.study(study)
        lines = status_lines(row, store.trials(row.name), store.machines(), alive=living(store), now=time.time())
    say(*lines)


@app.command()
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
    from segsearch.judging import report
    from segsearch.store import open_store

    if json + csv + (html is not None) > 1:
        raise StudyError("Only one of --json, --csv and --html may be given.")
    with open_store(db, read_only=True) as store:
        found = _report(store, study, limit, machine)
    if json:
        write(report.as_json(found))
    elif csv:
        write(report.as_csv(found))
    elif html is not None:
        from segsearch.figures import as_page

        _save(html, as_page(found))
        say(f"Wrote {html}", *([] if found.rows else [_NONE_YET]))
    else:
        _show_front(found)


@app.command()
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
    from segsearch.judging.report import describe, pick_from, pick_trial
    from segsearch.store import open_store

    if trial is not None and (limit or prefer):
        raise StudyError("--trial names the model itself: give either --trial, or --limit and --prefer.")
    preference = _preference(prefer)
    with open_store(db) as store:
        found = _report(store, study, limit, machine)
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


@app.command()
def measure(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.", show_default=False)],
    against: Annotated[
        Path | None, typer.Option("--against", metavar="REF", help="Another ONNX file to compare with.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, max=256, help="The runtime's threads.")] = 1,
    shape: Annotated[
        str | None, typer.Option("--shape", metavar="SHAPE", help="Of an input without a fixed one: 1x3x360x480.")
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.0001, max=1.0, help="Go on until the 95 % interval is this narrow.")
    ] = 0.02,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, max=300.0, help="... or for this long.")] = 4.5,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time goes, too.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="With --profile: a chart in one file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time any ONNX file, with a confidence interval that holds on a busy machine."""
    from segsearch.commands import ownmodel

    if html is not None and not profile:
        raise StudyError("--html is a chart of where the time goes: give --profile with it.")
    again = f"segsearch measure {quoted(model)}"
    with stoppable(lambda: again), _watch() as watch:
        found = ownmodel.measure_own(
            model,
            against=against,
            threads=threads,
            shape=shape,
            interval=interval,
            max_seconds=seconds,
            profile=profile,
            progress=watch.progress,
        )
    if html is not None:
        from segsearch.figures import profile_page

        _save(html, profile_page(str(model), found.operations))
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


@app.command()
def remeasure(
    db: Database,
    on_front: Annotated[bool, typer.Option("--on-front", help="Only the models on a front.")] = False,
    study: StudyName = None,
) -> None:
    """Time the stored models again, on this machine."""
    from segsearch.commands.remeasure import remeasure as time_again

    again = " ".join(["segsearch remeasure", quoted(db), *(["--on-front"] if on_front else [])])
    with stoppable(lambda: again), _watch() as watch:
        done = time_again(db, name=study, on_front=on_front, progress=watch.progress)
    say(f"Timed {done.timed} models on machine {done.machine.short} ({done.machine.cpu}, {done.machine.runtime}).")
    say(*(f"Failed   trial {trial}: {why}" for trial, why in done.failed))
    suggest(f"segsearch front {quoted(db)} --machine {done.machine.short}", "the front as it is here")


@app.command()
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

    def ready(bound: int) -> None:
        where = address_of(host, bound, token)
        say(f"The dashboard of {db} is at {where}", "Ctrl-C ends it.")
        sys.stdout.flush()
        if not no_browser and sys.stdout.isatty():
            typer.launch(where)

    with contextlib.suppress(KeyboardInterrupt):
        serve(Reader(db, study, machine), host=host, port=port, token=token, ready=ready)


# ---- helpers


def _absent_lines(found: Found) -> list[str]:
    """A warning where no mask holds some of the classes."""
    if not found.absent:
        return []
    names = ", ".join(f"{found.classes[value]} (value {value})" for value in found.absent[:6])
    more = f" and {len(found.absent) - 6} more" if len(found.absent) > 6 else ""
    them = "it" if len(found.absent) == 1 else "them"
    where = f"the masks or {found.class_list}" if found.class_list else "the masks' numbers"
    warning = f"Warning: no mask holds {names}{more}, so the model cannot learn {them}."
    return [f"{warning} Where that is not meant, correct {where} and run this again with --force."]


def _finish(ended: Ended) -> None:
    from segsearch.judging.report import duration
    from segsearch.store import open_store

    counts, summary = ended.summary.counts, ended.summary
    with open_store(ended.database, read_only=True) as store:
        found = _report(store, ended.study, None, ended.machine)
        which = f" --study {quoted(ended.study)}" if len(store.studies()) > 1 else ""
    words = {"done": "Done", "minutes": "Time is up", "nothing_to_do": "Nothing was left to do"}
    say(
        f"{words[summary.reason]}: {counts.trained} of {summary.asked} trials are trained "
        f"({counts.rejected} rejected by a limit, {counts.failed} failed), {duration(summary.seconds)}.",
        "",
    )
    _show_front(found)
    database = quoted(ended.database) + which
    more = (f"segsearch resume {database}", "carry on") if summary.reason == "minutes" else ()
    suggest(
        f"segsearch front {database} --html front.html",
        "the chart",
        f"segsearch pick {database}",
        "choose the knee; --prefer and --limit choose otherwise",
        *more,
    )


def _report(store: Store, study: str | None, limits: Sequence[str] | None, machine: str | None) -> Report:
    from segsearch.evidence.objectives import read_limit
    from segsearch.judging.report import make_report, one_machine

    bounds = [read_limit(limit) for limit in limits or ()]
    row = store.study(study)
    trials, timings = store.trials(row.name), store.timings(row.name)
    key = one_machine(trials, timings, store.machines(), machine)
    return make_report(row, trials, timings, bounds, machine=key)


def _preference(text: str | None) -> Prefer:
    from typing import get_args

    from segsearch.judging.pareto import Prefer

    options: tuple[Prefer, ...] = get_args(Prefer)
    for option in options:
        if option == (text or "knee"):
            return option
    raise StudyError(f"--prefer must be one of {', '.join(options)}; got {text!r}.")


def _show_front(found: Report) -> None:
    from segsearch.judging.report import as_table

    if not found.rows:
        key, count = found.machine[:8], found.untimed
        say(f"None of {count} trained models was timed on machine {key} for every objective." if count else _NONE_YET)
        return
    if not found.front:
        say(f"No trained trial meets {', '.join(map(str, found.limits))}.")
        return
    limits = f" under {', '.join(map(str, found.limits))}" if found.limits else ""
    console().print(as_table(found))
    tied = (
        " ~ is beaten by another, but not beyond the confidence intervals." if any(r.tied for r in found.front) else ""
    )
    say("", f"{len(found.front)} of {len(found.rows)} trained models are on the front{limits}; * is its knee.{tied}")
    if found.untimed:
        say(
            f"{found.untimed} more were never timed on machine {found.machine[:8]}; "
            "`segsearch remeasure` times them there."
        )


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{path}: --html must be a file that can be written: {error.strerror}.") from None


def _watch() -> AbstractContextManager[Watch]:
    from segsearch.progress import watching

    return watching(console())


def _size(count: float) -> str:
    from segsearch.judging.report import in_words

    return in_words("size_bytes", count)
