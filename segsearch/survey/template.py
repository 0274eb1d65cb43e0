"""The words of a study that `segsearch new` writes, and the budget that it is given."""

from __future__ import annotations

from dataclasses import dataclass

FEW_IMAGES = 24
LEAST_STEPS = 800
LONG_STEPS = 2000


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


TEMPLATE = """\
# Written by `segsearch new`. It runs as it is; every value may be changed.
#   segsearch check THIS_FILE    what it will take
#   segsearch run THIS_FILE      search; run it again to carry on

name = {name}
seed = 0
trials = 16  # trained models to end with; candidates over a limit come on top and cost seconds each
space = "{space}"  # {space_words}
objectives = ["miou", "latency_ms"]
output = "mask"  # what the files answer: the class of each pixel, timed with the rest; "scores" leaves it to you
# A candidate over a limit is never trained. Put your budget here:
# limits = ["latency_ms<=20"]
limits = []

# {train_count} training and {validation_count} validation images, most of them {image_size}; {class_count} classes.
{notes}[data]
kind = "folders"
root = {root}
{folders}train = {train}
validation = {validation}
{test}classes = {classes}
void = {void}  # pixels of this value are neither trained nor scored
height = {height}  # what the exported model takes; scores are taken at each mask's own size
width = {width}
{reading}
[train]
{begin}\
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

[search]
startup_trials = 3  # drawn at random before it uses what it learned
siblings = 8  # further files that each training leaves, in seconds each: other precisions, classes chosen elsewhere
tails = 1  # networks that learn on from each training for a part of its time: int8 first, then smaller ones
sibling_gain = 0.001  # of both those alone that are expected to add such a share to the front
screen = 8  # candidates that are timed and sized untrained, in seconds each, for each one that is trained
proposals = 16  # that each of these is the best of, by what it is foreseen to cost

{designs}\
# A teacher is a design of the space that is trained first, and whose scores teach candidates that ask for it. A network
# of the field (reference), a trained trial (trial, database) or an ONNX file (file) may teach, too. Once it is known to
# be less than 0.03 above the first designs in mIoU, nobody is offered it. {without}
{teacher}"""

TEACHER = """\
[teacher]
epochs = {epochs}  # twice as long as the others

{choices}"""
