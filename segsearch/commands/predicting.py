"""The command that puts a model to work: images, videos and cameras in, labels and overlays out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.commands.options import StudyName
from segsearch.commands.showing import open_to_read, watched
from segsearch.errors import DataError, StudyError
from segsearch.terminal import INTERRUPTED, quoted, say, stoppable

if TYPE_CHECKING:
    from segsearch.predicting.model import Model
    from segsearch.predicting.pipeline import Done
    from segsearch.predicting.source import Video

# Skipped files that are told with the reason; of the others the names, and of very many their number.
REASONS, NAMES = 10, 100


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="An exported folder, an .onnx file of segsearch's, or a database.", show_default=False
        ),
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="An image, a folder of images, a video, or a camera (camera:0).", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder for labels/ and overlays/.", show_default=False)
    ],
    trial: Annotated[
        int | None, typer.Option("--trial", min=0, help="Of a database, this trial. [default: the newest pick]")
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Of a video, each frame's label as a PNG, too.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty; replace files of the same names.")
    ] = False,
    study: StudyName = None,
) -> None:
    """Run a model on images, a video or a camera: the class of each pixel, and their colours over the picture."""
    from segsearch.predicting.answer import opened
    from segsearch.predicting.pictures import predict_pictures
    from segsearch.predicting.place import demand_place, is_written_below
    from segsearch.predicting.pyav import library
    from segsearch.predicting.source import Video, source_of
    from segsearch.predicting.videos import predict_video, target_of

    demand_place(out, force=force)
    looked_at = source_of(source, is_own=lambda path: is_written_below(path, out))
    if isinstance(looked_at, Video):
        library()
        if Path(looked_at.where).exists() and target_of(looked_at, out).resolve() == Path(looked_at.where).resolve():
            raise StudyError(f"{out}: --out must not replace what is read, got {source} in it; choose another.")
    chosen = _model(model, trial, study)
    by = opened(chosen)
    if isinstance(looked_at, Video) and looked_at.device:
        say(f"Camera   {source} is read until Ctrl-C ends it.")
    with stoppable(lambda: _again(model, source, out, trial, study, labels=labels)), watched() as watch:
        if isinstance(looked_at, Video):
            done = predict_video(by, looked_at, out, labels=labels, progress=watch.progress)
        else:
            done = predict_pictures(by, looked_at.found, out, progress=watch.progress)
    own = 0 if isinstance(looked_at, Video) else looked_at.own
    say(*_lines(chosen, looked_at if isinstance(looked_at, Video) else None, done, out, own=own, labels=labels))
    if done.stopped and not (isinstance(looked_at, Video) and looked_at.device):
        raise typer.Exit(INTERRUPTED)
    if not done.count and not done.stopped:
        raise DataError(f"{source}: no image could be read; the lines above say why.")


def _model(model: str, trial: int | None, study: str | None) -> Model:
    """What MODEL names. Raises `StudyError` where it is none, or where options are for a database alone."""
    from segsearch.handover.about import ABOUT
    from segsearch.handover.chosen import chosen
    from segsearch.predicting.model import from_file, from_folder, from_study
    from segsearch.store.location import database_in, is_url

    path = Path(model)
    is_model = path.is_dir() and ((path / ABOUT).exists() or database_in(path) == path)
    folder = path.parent if path.name == ABOUT else path if is_model else None
    if not is_url(model) and (folder is not None or path.suffix.lower() == ".onnx"):
        if trial is not None or study is not None:
            raise StudyError(f"--trial and --study choose a model of a database, and {model} is a model itself.")
        return from_folder(folder) if folder is not None else from_file(path)
    if not is_url(model) and not path.exists():
        raise StudyError(
            f"{model}: MODEL must be an exported folder, an .onnx file of segsearch's or a database, got none there."
        )
    with open_to_read(model) as store:
        row = store.study(study)
        if trial is not None:
            store.trial(row.name, trial)  # one that never was is another mistake than one that is not trained
        found = chosen(store, row, trial=trial, machine="")  # its timing does not matter: any machine's will do
        ended = "trained to the end" if found.final is not None else "not yet trained to the end"
        title = f"trial {found.trial.number} of {row.name}, {ended}"
        return from_study(row, found.path.name, title=title)


def _lines(model: Model, video: Video | None, done: Done, out: Path, *, own: int, labels: bool) -> Iterator[str]:
    """What was done, as a person reads it."""
    from segsearch.predicting.place import LABELS, OVERLAYS
    from segsearch.predicting.videos import target_of

    many, one = ("frames", "frame") if video else ("images", "image")
    named = f"{len(model.classes)} classes" + ("" if model.named else ", only numbered: nothing here tells their names")
    yield f"Model    {model.title}; {model.width}x{model.height}, {named}"
    if done.stopped:
        yield f"Stopped  what was done by then is kept: {_count(done.count, one)}"
    rate = f": {done.count / done.seconds:.1f} {many} a second in all" if done.count and done.seconds else ""
    yield f"{many.capitalize():<8} {done.count} in {done.seconds:.1f} s{rate}"
    if done.model_seconds:
        alone = f"{1000 * done.model_seconds:.3g} ms of one thread for each {one} (median)"
        yield f"Alone    the model takes {alone}: {1 / done.model_seconds:.1f} a second"
    if done.stretched is not None:
        first = done.stretched
        yield (
            f"Note     stretched to {model.width}x{model.height}, as in training: {_count(done.stretched_count, one)} "
            f"of another shape, the first is {first.name} ({first.width}x{first.height})"
        )
    yield from (f"Note     {note}" for note in done.notes)
    if own:
        yield f"Note     {_count(own, 'file')} below {out} left out: results of an earlier run"
    yield from _skipped(done, one)
    if done.count and video is None:
        yield f"Wrote    {out / LABELS} (classes as numbers, PNG), {out / OVERLAYS}"
    elif done.count and video is not None:
        yield f"Wrote    {target_of(video, out)}" + (f", {out / LABELS / video.name}" if labels else "")


def _skipped(done: Done, one: str) -> Iterator[str]:
    if not done.skipped:
        return
    yield f"Skipped  {_count(len(done.skipped), one)} that could not be read:"
    yield from (f"  {reason}" for _, reason in done.skipped[:REASONS])
    names = [name for name, _ in done.skipped[REASONS:]]
    if names:
        yield f"  and {', '.join(names[:NAMES])}" + (f", ... {len(names) - NAMES} more" if len(names) > NAMES else "")


def _again(model: str, source: str, out: Path, trial: int | None, study: str | None, *, labels: bool) -> str:
    """What to type to begin once more; never with a password."""
    from segsearch.store.location import is_url, shown

    options = [f"--trial {trial}"] if trial is not None else []
    options += [f"--study {quoted(study)}"] if study is not None else []
    named = quoted(shown(model) if is_url(model) else model)
    line = f"segsearch predict {named} {quoted(source)} --out {quoted(out)}"
    return " ".join([line, *options, *["--labels"] * labels, "--force"])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
