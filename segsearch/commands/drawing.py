"""The command that draws annotation files of other tools to masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segsearch.commands.showing import watched
from segsearch.terminal import quoted, say, stoppable, suggest

if TYPE_CHECKING:
    from segsearch.annotations.types import Annotated as Annotations
    from segsearch.annotations.types import Overlaps
    from segsearch.annotations.write import Written

_RULES = {"later": "later shapes over earlier ones", "smaller": "smaller shapes over larger ones"}


def masks(
    annotations: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE_OR_FOLDER...",
            help="COCO, LabelMe, YOLO or CVAT annotations; several with the same classes are drawn together.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder for masks/ and classes.txt.", show_default=False)
    ],
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="The folder of the images, where it is elsewhere.")
    ] = None,
    overlaps: Annotated[
        Literal["later", "smaller"] | None,
        typer.Option("--overlaps", help="Whose a pixel of several shapes is. [default: smaller for COCO, else later]"),
    ] = None,
    void: Annotated[
        list[str] | None,
        typer.Option("--void", metavar="CLASS", help="A class whose pixels count for nothing; may be given again."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace masks/ and classes.txt in a folder that is not empty.")
    ] = False,
) -> None:
    """Draw annotations of other tools to masks: an 8-bit PNG for each image, and the list of classes."""
    from segsearch.annotations import Asked
    from segsearch.annotations.pictures import folder_of
    from segsearch.annotations.together import read_together
    from segsearch.annotations.write import write_masks

    given = [("--images", images), ("--overlaps", overlaps), *(("--void", name) for name in void or ())]
    options = [f"{option} {quoted(value)}" for option, value in given if value is not None]
    named = " ".join(map(quoted, annotations))
    again = " ".join([f"segsearch masks {named} --out {quoted(out)}", *options, *["--force"] * force])
    with stoppable(lambda: again), watched() as watch:
        asked = Asked(images=images, void=tuple(void or ()))
        format_, found = read_together(annotations, asked, progress=watch.progress)
        rule = overlaps or found.overlaps
        written = write_masks(found, out, overlaps=rule, force=force, progress=watch.progress)
    say(f"Format   {format_.title}: {', '.join(map(str, annotations))}", *lines_of(found, written, rule))
    lists = "".join(f", {out / name}" for name in ("classes.txt", *written.lists))
    say(f"Wrote    {out / 'masks'} ({_count(len(written.names), 'mask')}){lists}")
    _next(out, folder_of(written.names, (out.absolute() / "images", *found.places)))


def lines_of(found: Annotations, written: Written, rule: Overlaps) -> list[str]:
    """What was found, as a person reads it."""
    from segsearch.annotations.types import VOID
    from segsearch.annotations.write import in_words

    total = int(written.pixels.sum())
    empty = f"; {written.empty} without a shape, all background" if written.empty else ""
    classes = found.legend.classes
    lines = [
        f"Images   {len(written.names)}{empty}",
        f"Classes  {len(classes) - 1} beside background; shares are of all pixels",
    ]
    rows = [(value, name) for value, name in enumerate(classes)]
    if written.pixels[VOID] or written.shapes[VOID]:
        rows.append((VOID, "void (neither trained nor scored)"))
    width = max(len(name) for _, name in rows)
    for value, name in rows:
        share = f"{written.pixels[value] / total:.2%}"
        shapes = written.shapes[value]
        drawn = _count(shapes, "shape") if value or shapes else "what no shape holds"
        lines.append(f"{value:>11}  {name:<{width}}  {share:>7}  {drawn}")
    absent = [name for name, value in found.legend.values.items() if value and not written.shapes[value]]
    if absent:
        lines.append(f"Absent   no shape of {', '.join(absent)}")
    other = "smaller" if rule == "later" else "later"
    lines.append(
        f"Overlaps {_count(written.disputed, 'pixel')} in shapes of two classes ({written.disputed / total:.2%}): "
        f"{_RULES[rule]} (--overlaps {other}: {_RULES[other]})"
    )
    for word, number, what in (
        ("Clipped", written.beyond, "that reached beyond the image"),
        ("Unseen", written.unseen, "too small, or too far outside, to hold a pixel's centre"),
    ):
        if number:
            lines.append(f"{word:<8} {_count(number, 'shape')} {what}")
    skipped = in_words(written.skipped)
    if written.few:
        skipped.append(f"{_count(written.few, 'polygon')} of fewer than three points")
    if skipped:
        lines.append(f"Skipped  {', '.join(skipped)}")
    return [*lines, *(f"Note     {note}" for note in found.notes)]


def _next(out: Path, images: Path | None) -> None:
    study = f"segsearch new {quoted(out)} --out {quoted(f'studies/{out.resolve().name}.toml')}"
    pair = (study, "look at images and masks, write a study for them")
    there = out.absolute() / "images"
    if images == there:
        suggest(*pair)
    elif images is not None and not there.exists():
        suggest(f"ln -s {quoted(images)} {quoted(out / 'images')}", "lay the images beside the masks", *pair)
    else:
        say(f"Then     put the images, or a link to their folder, into {out / 'images'}, named as the masks are.")
        suggest(*pair)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
