"""`segsearch compress`: a study of a network that somebody has, of which only the compression is searched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segsearch.commands.showing import watched
from segsearch.errors import StudyError
from segsearch.terminal import quoted, say, suggest

if TYPE_CHECKING:
    from segsearch.space.own import Pixels, Three
    from segsearch.study import Study
    from segsearch.trial.bring_orders import Read, Tried
    from segsearch.workshop import Progress

# Another way of giving pixels that is so much better is worth a word; one that is so bad is no network of this data.
BETTER = 0.05
LEAST_MIOU = 0.1


def compress(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A Python file with a function that returns your network, or ONNX.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="STUDY|DIR", help="A study, or a folder as `segsearch new` reads it.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="The study to write. [default: MODEL-compressed.toml beside the data's]"
        ),
    ] = None,
    function: Annotated[str, typer.Option("--function", metavar="NAME", help="The function.")] = "network",
    pixels: Annotated[
        Literal["imagenet", "0..1", "-1..1", "0..255", "caffe"] | None,
        typer.Option("--pixels", help="What pixels the network takes, in the field's words."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", metavar="R,G,B", help="What is taken from each channel.")
    ] = None,
    std: Annotated[
        str | None, typer.Option("--std", metavar="R,G,B", help="What each channel is divided by then.")
    ] = None,
    top: Annotated[
        float | None, typer.Option("--range", metavar="TOP", min=1e-6, help="What white is before: 1 or 255.")
    ] = None,
    bgr: Annotated[
        bool, typer.Option("--bgr", help="The network takes blue first; mean and std are in its order.")
    ] = False,
    size: Annotated[
        str | None, typer.Option("--size", metavar="HxW", help="The size of an image. [default: the data's]")
    ] = None,
    answer: Annotated[
        str | None, typer.Option("--answer", metavar="KEY", help="Which map of a dict or tuple holds the scores.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a study that searches the compression of your own network: pruned, factorized, quantized, as it is."""
    if model.suffix not in (".py", ".onnx"):
        raise StudyError(
            f"{model}: MODEL must be a Python file (.py) with a function that returns the network, or an ONNX file."
        )
    if not model.is_file():
        raise StudyError(f"{model}: MODEL must be there, got no such file; correct the path.")
    from segsearch.survey.brought import name_of, study_text
    from segsearch.survey.written import demand_free, write_files

    said = _pixels(pixels, mean, std, top, bgr=bgr)
    place = out or (data.parent if data.suffix == ".toml" else Path()) / f"{model.stem}-compressed.toml"
    if place.suffix != ".toml":
        raise StudyError(f"{place}: --out must name a study file that ends in .toml.")
    kept = place.with_name(f"{place.stem}.network{'.onnx' if model.suffix == '.onnx' else '.safetensors'}")
    demand_free((kept, place), force=force)
    with watched() as watch:
        study = _data_study(data, place, _size(size), force=force, progress=watch.progress)
        with TemporaryDirectory(prefix="segsearch-compress-") as scratch:
            network = Path(scratch) / f"network{kept.suffix}"
            read, found, images = _tried(model, function, answer, study, said, network, watch.progress)
            if said is None:
                raise StudyError(_question(read.name, found))
            text = study_text(
                study,
                name=name_of(place),
                shown=read.name,
                file=kept.name,
                pixels=said,
                ways=found.ways,
                notes=[*read.notes, *(f"without {words}" for words in found.without)],
                images=images,
                source=data.name,
            )
            write_files({kept: network, place: text}, force=force, study=place)
    say(*_lines(read.name, read.notes, found, said), f"Wrote {place}")
    say(f"Wrote {kept}: the study needs {model.name} and what it read no more.")
    suggest(f"segsearch check {quoted(place)}", "what it will take", f"segsearch run {quoted(place)}", "search")


def _tried(
    model: Path, function: str, answer: str | None, study: Study, said: Pixels | None, target: Path, progress: Progress
) -> tuple[Read, Tried, int]:
    """The network as it was read, what came of trying it on the study's data, and how many images it may learn from.

    It is packed into `target`. Both happen in processes of their own, for it may import and break what it likes.
    """
    from segsearch import launch
    from segsearch.settings.texts import texts_of
    from segsearch.study import dump_study
    from segsearch.trial.bring import read_apart, try_apart
    from segsearch.trial.bring_orders import ReadOrder, TryOrder
    from segsearch.workshop import cache_of

    texts = texts_of(study.data)
    folder = launch.default_out(study)
    dataset = launch.open_data(study, folder, progress, texts)
    packed, expected = target.with_stem("packed"), target.with_name("expected.bin")
    progress("read the network", 0, 2)
    read = read_apart(
        ReadOrder(
            path=str(model.resolve()),
            function=function,
            size=(study.data.height, study.data.width),
            classes=len(dataset.classes),
            entry=answer,
            here=str(Path.cwd()),
            target=str(packed),
            expected=str(expected),
        )
    )
    progress("try the network", 1, 2)
    found = try_apart(
        TryOrder(
            packed=str(packed),
            expected=str(expected),
            files=read.files,
            study=dump_study(study),
            texts=texts,
            cache=str(cache_of(folder)),
            folder=str(target.with_name("code")),
            target=str(target),
            pixels=said,
        )
    )
    return read, found, len(dataset.train)


def _data_study(data: Path, place: Path, size: tuple[int, int] | None, *, force: bool, progress: Progress) -> Study:
    """The study whose data is meant; of a folder one is written first, as `segsearch new` does, and used again."""
    from segsearch.study import read_study
    from segsearch.survey.brought import with_size

    if not data.is_dir():
        return with_size(read_study(data), size)
    written = place.with_name(f"{place.stem}-data.toml")
    if written.is_file() and not force:
        study = read_study(written)
        if study.data.root is None or not Path(study.data.root).samefile(data):
            raise StudyError(
                f"{written}: must be about {data}, got a study of {study.data.root}; name another --out, or add "
                "--force to write it anew."
            )
        say(f"Read {data} as {written} says, which is there; --force writes it anew.")
        return with_size(study, size)
    from segsearch.survey.look import look
    from segsearch.survey.scaffold import write_study

    files = write_study(look(data, progress=progress), written, force=force)
    say(f"Wrote {files[0]}, as `segsearch new` would: how {data} is read. Look at it.")
    return with_size(read_study(written), size)


# ---- what is said


def _question(name: str, found: Tried) -> str:
    """What must be said of pixels, with how well each way did."""
    from segsearch.settings.network import PRESETS

    lines = [
        (
            f"What pixels does {name} take? Files take RGB 0 to 255, and the rest is done inside; say it (mIoU on "
            f"{found.images} validation images):"
        )
    ]
    for key, miou in sorted(found.mious, key=lambda one: -one[1]):
        lines.append(f"  --pixels {key:<9s} {miou:.3f}  {PRESETS[key].words}")
    lines.append("  --mean R,G,B --std R,G,B --range 1 [--bgr]  anything else: (pixel - mean) / std")
    return "\n".join(lines)


def _lines(name: str, notes: Sequence[str], found: Tried, said: Pixels) -> list[str]:
    from segsearch.judging.words import in_words

    mious = dict(found.mious)
    own = mious.pop("as said")
    best, other = max(mious.items(), key=lambda one: one[1], default=("", 0.0))
    lines = [
        (
            f"{name}: {in_words('params', found.params)} parameters, {in_words('macs', found.macs)} operations; "
            f"its file says the same, within {max(found.parity, 1e-9):.1g} of the largest score."
        ),
        *(f"  {note}" for note in notes),
        f"Pixels   {said.words}: mIoU {own:.3f} on {found.images} validation images, untouched",
        f"Search   {', '.join(found.ways)}",
        *(f"  without {words}" for words in found.without),
    ]
    reasons: dict[str, list[str]] = {}
    for layer, why in found.left:
        reasons.setdefault(why, []).append(layer)
    lines += [f"  not pruned: {_few(layers)} ({why})" for why, layers in reasons.items()]
    if other > own + BETTER:
        lines.append(f"Warning: with --pixels {best} its mIoU is {other:.3f}, with these pixels {own:.3f}.")
    elif own < LEAST_MIOU:
        lines.append(
            "Warning: that is hardly better than chance. Are these its weights, and its classes in the data's order?"
        )
    return lines


def _few(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# ---- what is meant


def _pixels(preset: str | None, mean: str | None, std: str | None, top: float | None, *, bgr: bool) -> Pixels | None:
    """What was said of pixels; None where nothing was. Raises `StudyError` where it does not fit together."""
    from dataclasses import replace

    from segsearch.settings.network import PRESETS
    from segsearch.space.own import Pixels

    if preset is not None:
        if mean or std or top:
            raise StudyError("--pixels says all of --mean, --std and --range; give one or the other.")
        found = PRESETS[preset]
        if bgr and found.channels == "rgb" and len({*found.mean}) > 1:
            numbers = [",".join(f"{value:g}" for value in values) for values in (found.mean, found.std)]
            turned = [",".join(f"{value:g}" for value in values[::-1]) for values in (found.mean, found.std)]
            raise StudyError(
                f"--pixels {preset} --bgr may mean two things; say which one is right:\n"
                f"  --bgr --range {found.top:g} --mean {turned[0]} --std {turned[1]}  each colour keeps its numbers\n"
                f"  --bgr --range {found.top:g} --mean {numbers[0]} --std {numbers[1]}  blue is given those of red"
            )
        return replace(found, channels="bgr") if bgr else found
    if mean is None and std is None and top is None:
        if bgr:
            raise StudyError("--bgr says the order of the channels alone; add --pixels, or --mean, --std and --range.")
        return None
    if top is None:
        raise StudyError("--mean and --std need --range: 1 where pixels are divided by 255 before, else 255.")
    try:
        return Pixels(
            (0.0, 0.0, 0.0) if mean is None else _three("--mean", mean),
            (1.0, 1.0, 1.0) if std is None else _three("--std", std),
            top,
            "bgr" if bgr else "rgb",
        )
    except ValueError as error:
        raise StudyError(f"--mean, --std and --range: {error}") from None


def _three(option: str, text: str) -> Three:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) == 1:
        found *= 3
    if len(found) != 3:
        raise StudyError(f"{option} must be three numbers such as 0.485,0.456,0.406, or one for all, got {text!r}.")
    return found[0], found[1], found[2]


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if found is None:
        raise StudyError(f"--size must be height and width such as 384x480, got {text!r}.")
    return int(found[1]), int(found[2])
