"""`segsearch new`: write a study that runs as it is on the folder that was looked at."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from segsearch.datasets.survey import Found, Pairs
from segsearch.errors import StudyError
from segsearch.workshop import raise_if_full

FEW_IMAGES = 24
LEAST_STEPS = 800
LONG_STEPS = 2000


def write_study(found: Found, out: Path, *, force: bool = False) -> tuple[Path, ...]:
    """Write the study, and beside it the lists that the folder does not have itself. Returns what was written."""
    files = _files(found, out)
    there = [path for path in files if path.exists()]
    if there and not force:
        raise StudyError(f"{there[0]}: a file that is there is not overwritten; choose another --out, or add --force.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise_if_full(error, out.parent)
        raise StudyError(
            f"{error.filename or out}: --out must be a file that can be written: {error.strerror}."
        ) from None
    return tuple(files)


def _files(found: Found, out: Path) -> dict[Path, str]:
    """Every file to write and its text, the study first."""
    beside = {name: out.with_name(f"{out.stem}.{name}.txt").absolute() for name in ("train", "val", "classes")}
    layout = found.layout
    lists: dict[Path, str] = {}
    train, validation, classes = layout.train_name, layout.validation_name, found.class_list
    if not layout.named:
        train, validation = str(beside["train"]), str(beside["val"])
        lists[beside["train"]] = _list(found.root, layout.train)
        lists[beside["val"]] = _list(found.root, layout.validation)
    if classes is None:
        classes = str(beside["classes"])
        lists[beside["classes"]] = "\n".join(found.classes) + "\n"
    return {out: _study(found, _name(out), train=train, validation=validation, classes=classes), **lists}


def _list(root: Path, pairs: Pairs) -> str:
    """`image<tab>mask`, both from the root, so that the list still holds where the whole folder moves."""
    return "".join(f"{a.relative_to(root).as_posix()}\t{b.relative_to(root).as_posix()}\n" for a, b in pairs)


def _name(out: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", out.stem).strip("-._")[:64]
    return name or "study"


def _text(value: str) -> str:
    """A TOML basic string: JSON's, unescaped beyond ASCII."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True)
class Budget:
    """How a study of so many images trains: what is written into it."""

    steps: int
    batch_size: int
    learning_rate: float
    zooms: tuple[float, float]


def budget_for(images: int) -> Budget:
    """A budget for so many training images.

    Small folders need steps: at equal epochs batches of 4 in place of 8 gave the better models on the quickstart's
    scenes and on CamVid. So batches are small (2 below 24 images), and there are at least `LEAST_STEPS` steps. Large
    folders need an end: 5 epochs of whole images at the built-in space's input scales (2.4 times the pixels of those at
    0.5, in the mean) cost what 12 epochs of crops of half of each side do. On CamVid, 8 epochs in batches of 4, a rate
    of 4e-3 gave .515 where 2e-3 gave .481 (`benchmarks/proxies.py rates`); batches of 2 take less. Whole images are
    zoomed into only, and in short schedules by less.
    """
    batch = max(2, min(images, 2 if images < FEW_IMAGES else 4))
    steps = max(LEAST_STEPS, 5 * images // batch)
    return Budget(
        steps=steps,
        batch_size=batch,
        learning_rate=4e-3 if batch == 4 else 3e-3,
        zooms=(1.0, 1.5) if steps < LONG_STEPS else (1.0, 2.0),
    )


def _study(found: Found, name: str, *, train: str, validation: str, classes: str) -> str:
    height, width = found.size
    layout = found.layout
    budget = budget_for(len(layout.train))
    teacher = _TEACHER.format(epochs=2 * math.ceil(budget.steps / max(1, len(layout.train) // budget.batch_size)))
    held_out = (
        ""
        if layout.named
        else "# The folder names no split: a fifth of the images is held out. Frames of one video are\n"
        "# alike: where these are such, move whole videos from one list to the other, or the scores will flatter.\n"
    )
    return _TEMPLATE.format(
        name=_text(name),
        root=_text(str(found.root)),
        images=_text(layout.images),
        masks=_text(layout.masks),
        train=_text(train),
        validation=_text(validation),
        classes=_text(classes),
        void=found.void,
        height=height,
        width=width,
        held_out=held_out,
        train_count=len(layout.train),
        validation_count=len(layout.validation),
        class_count=len(found.classes),
        image_size=f"{found.image_width}x{found.image_height}",
        steps=budget.steps,
        least=LEAST_STEPS,
        batch_size=budget.batch_size,
        learning_rate=f"{budget.learning_rate:g}",
        smallest_zoom=budget.zooms[0],
        largest_zoom=budget.zooms[1],
        teacher="".join(f"# {line}".rstrip() + "\n" for line in teacher.splitlines()),
    )


_TEMPLATE = """\
# Written by `segsearch new`. It runs as it is; every value may be changed.
#   segsearch check THIS_FILE    what it will take
#   segsearch run THIS_FILE      search; run it again to carry on

name = {name}
seed = 0
trials = 16  # trained models to end with; candidates over a limit come on top and cost seconds each
space = "mobile"  # a built-in search space, or the path of a Python file with `def draw(choose, facts)`
objectives = ["miou", "latency_ms"]
output = "mask"  # what the files answer: the class of each pixel, timed with the rest; "scores" leaves it to you
# A candidate over a limit is never trained. Put your budget here:
# limits = ["latency_ms<=20"]
limits = []

# {train_count} training and {validation_count} validation images, most of them {image_size}; {class_count} classes.
[data]
kind = "folders"
root = {root}
images = {images}
masks = {masks}
{held_out}train = {train}
validation = {validation}
classes = {classes}
void = {void}  # pixels of this value are neither trained nor scored
height = {height}  # what the exported model takes; scores are taken at each mask's own size
width = {width}

[train]
# Five times through the images, but at least {least} steps: with fewer, candidates are told apart by how quickly they
# begin.
steps = {steps}
batch_size = {batch_size}  # small ones: as many images make more steps
learning_rate = {learning_rate}
crop = 1.0  # the share of each side that a training view shows, the same at every input scale
smallest_zoom = {smallest_zoom}  # how small and how large things are shown, relative to how the model will see them; a
# view never reaches beyond the image, so that whole images can only be zoomed into
largest_zoom = {largest_zoom}
# What candidates of different input scales have in common: "images" (larger ones cost more, and are given it), "steps"
# (smaller batches) or "seconds" (fewer steps).
hold = "images"

[timing]
threads = 1  # of the machine that the model will run on

# A teacher is a design of the space that is trained first, and whose scores teach candidates that ask for it. It is
# worth its time only where it is better than they are: `segsearch status` shows its mIoU. Without the # this is one:
{teacher}"""

_TEACHER = """\
[teacher]
epochs = {epochs}  # twice as long as the others

[teacher.choices]
width_multiplier = 1.5
stem_width = 32
output_stride = "16"
stage1_block = "residual"
stage1_depth = 1
stage2_block = "residual"
stage2_depth = 1
stage3_block = "residual"
stage3_depth = 2
stage3_atrous = "2"
stage4_block = "residual"
stage4_depth = 1
stage4_atrous = "1-2"
context = "pyramid_pooling"
context_width = 64
pyramid_bins = "1-2-3-6"
decoder = "concat"
skip_from = "4"
decoder_width = 64
head_width = 64
head_block = "conv"
head_upsample = "bilinear"
input_scale = "1"
answer_scale = "1"
prune_die = 1
bits = "32"
"""
